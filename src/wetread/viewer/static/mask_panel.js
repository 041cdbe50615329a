// Masks panel: segments with their colours and volumes, switches, opacity.

import { h, icon, plural, short } from "./dom.js";
import { MASK } from "./orientation.js";

/** @typedef {import("./types").MaskFile} MaskFile */
/** @typedef {import("./types").MaskSegment} MaskSegment */
/** @typedef {import("./mask_store.js").MaskStore} MaskStore */

/** Segments of a file that are listed. */
const MOST = 500;

export class MaskPanel {
  /** @param {MaskStore} store @param {string} id of the element @param {(place: NonNullable<import("./types").LabelFile["place"]>) => void} open */
  constructor(store, id, open) {
    this.store = store;
    this.open = open;
    this.list = h("div", {});
    this.note = h("p", { class: "quiet note", role: "status" });
    this.slider = h("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Opacity of the masks" });
    this.slider.addEventListener("input", () => store.fade(Number(this.slider.value)));
    this.fader = h("label", { class: "slider" }, h("span", { class: "grow" }, "Opacity"), this.slider, h("output", {}, ""));
    this.all = h("input", { type: "checkbox", onchange: () => store.flip() });
    this.display = h(
      "section", {}, h("h2", {}, "Display"),
      h("label", { class: "toggle" }, this.all, h("span", { class: "grow" }, "Masks"), h("kbd", {}, "K")),
      this.fader,
    );
    this.element = h("div", { class: "panel-body masks", id, role: "tabpanel", "aria-label": "Masks" }, this.note, this.display, this.list);
    this.key = "";
    store.listen(() => this.fill());
    this.fill();
  }

  fill() {
    const { store } = this;
    const { files } = store;
    this.display.hidden = !files.some((file) => file.segments?.length);
    this.fader.hidden = Boolean(store.alone);
    this.all.checked = store.shown;
    this.slider.value = String(store.opacity);
    this.note.textContent = store.note || (files.length || !store.key ? "" : "No SEG or RTSTRUCT of the index refers to this series.");
    this.note.hidden = !this.note.textContent;
    const key = store.key + JSON.stringify(files.map((file) => [file.id, file.segments?.length, file.text]));
    if (key !== this.key) this.list.replaceChildren(...files.map((file) => this.fileOf(file)));
    this.key = key;
    for (const input of this.list.querySelectorAll("input[data-segment]")) {
      if (!(input instanceof HTMLInputElement)) continue;
      const file = files.find(({ id }) => id === input.dataset.file);
      const segment = file?.segments?.[Number(input.dataset.segment)];
      input.checked = Boolean(file && segment && !store.hidden.has(`${file.id} ${segment.number}`));
    }
  }

  /** @param {MaskFile} file */
  fileOf(file) {
    const { store } = this;
    const segments = file.segments ?? [];
    const place = store.alone?.id === file.id ? store.alone.place : null;
    const drawn = segments.filter((one) => one.aligned !== false || store.alone?.id === file.id);
    const both = drawn.length > 1 && h(
      "div", { class: "mask-all" },
      h("button", { type: "button", class: "clear", onclick: () => store.show(file, drawn, true) }, "Show all"),
      h("button", { type: "button", class: "clear", onclick: () => store.show(file, drawn, false) }, "Hide all"),
    );
    return h(
      "section", {},
      h("h2", { class: "mask-file", title: file.path }, h("span", { class: "badge" }, file.kind), h("span", { class: "path" }, file.path)),
      file.segments === null && !file.text ? h("p", { class: "quiet" }, "Decoding …") : "",
      file.text && h("p", { class: "mask-text" }, file.text),
      place && h("button", { type: "button", class: "wide", onclick: () => this.open(place) }, icon("boxes"), "Show over its images"),
      ...segments.slice(0, MOST).map((segment, i) => this.rowOf(file, segment, i)),
      segments.length > MOST && h("p", { class: "quiet" }, `${plural(segments.length - MOST, "more segment")} not listed`),
      both,
      segments.some(({ label }) => label === MASK) && h("p", { class: "quiet note" }, "Labels are masked: wetread view --show-phi shows them."),
    );
  }

  /** @param {MaskFile} file @param {MaskSegment} segment @param {number} i */
  rowOf(file, segment, i) {
    const { store } = this;
    const alone = store.alone?.id === file.id;
    const off = segment.aligned === false && !alone;
    const errors = segment.problems.filter(([, severity]) => severity === "error");
    const input = h("input", { type: "checkbox", disabled: off, "data-file": file.id, "data-segment": i, onchange: () => store.show(file, [segment], input.checked) });
    const swatch = h("i", { class: "swatch" });
    swatch.style.background = segment.colour ?? "";
    const notes = (off || alone ? errors : segment.problems).map(([code, severity, text]) => h("p", { class: `mask-problem ${severity}` }, h("code", {}, code), ` ${text}`));
    const title = [segment.code, segment.slices ? plural(segment.slices, "slice") : ""].filter(Boolean).join(", ");
    return h(
      "div", { class: off ? "mask-row off" : "mask-row" },
      h("label", { class: "toggle", title }, input, swatch, h("span", { class: "grow" }, nameOf(segment, file.kind)), h("span", { class: "number" }, off ? "not aligned" : volumeOf(segment))),
      notes.length ? h("details", { open: off && i === 0 }, h("summary", {}, plural(notes.length, segment.problems.every(([, severity]) => severity === "info") ? "note" : "problem")), ...notes) : "",
    );
  }
}

/** Label, else the coded type, else the number. @param {MaskSegment} segment @param {string} kind */
export function nameOf({ label, code, number }, kind) {
  if (label && label !== MASK) return label;
  const type = (code ?? "").replace(/\s*\([^()]*\)$/, "");
  if (type) return label === MASK ? `${type} ${number}` : type;
  return `${kind === "RTSTRUCT" ? "ROI" : "segment"} ${number}`;
}

/** @param {MaskSegment} segment */
function volumeOf({ volume_ml: volume, voxels }) {
  if (volume !== null) return `${short(volume, 3)} mL`;
  return voxels === null ? "" : voxels ? plural(voxels, "pixel") : "empty";
}
