// One control for the slices of a series and the frames of a file: slider, keys, wheel, play.

import { fetchJson, isAbort } from "./api.js";
import { h, icon, iconButton, set } from "./dom.js";
import { findMeta } from "./metas.js";
import { positionText } from "./orientation.js";
import { loadPlane } from "./pixels.js";
import { FITTED } from "./route.js";

/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").Slice} Slice */
/** @typedef {import("./types").Mark} Mark */
/** @typedef {import("./types").Stack} StackInfo */
/** @typedef {import("./image.js").ImageView} ImageView */

const RATE = 15;
/** Slices loaded ahead of the one on display, and behind it. */
const [AHEAD, BEHIND] = [6, 2];
/** Milliseconds without a step after which the details of a slice are loaded. */
const REST = 180;

export class Stack {
  /** @param {ImageView} view */
  constructor(view) {
    this.view = view;
    /** @type {StackInfo | null} */
    this.info = null;
    /** @type {Meta | null} of the middle slice, whose windows all slices share */
    this.reference = null;
    this.at = 0;
    this.way = 1;
    this.playing = 0;
    this.rest = 0;
    /** @type {Promise<void> | null} */
    this.moving = null;
    /** @type {Promise<void> | null} until the slices are known */
    this.pending = null;
    /** @type {Map<number, AbortController>} */
    this.ahead = new Map();
    this.controller = new AbortController();
    this.playButton = iconButton("play", "Play (Space)", () => this.play());
    this.slider = h("input", { type: "range", min: 0, step: 1, "aria-label": "Slice" });
    this.slider.addEventListener("input", () => this.moveTo(Number(this.slider.value)));
    this.marks = h("span", { class: "marks", "aria-hidden": "true" });
    this.number = h("span", { class: "number" });
    this.note = h("span", { class: "slice-note" });
    this.list = h("select", { "aria-label": "Stack", class: "stack-list", onchange: () => this.choose() });
    this.planes = h("button", { type: "button", class: "tool word", title: "Axial, coronal and sagittal planes (V)", onclick: () => this.openPlanes() }, "Planes");
    this.element = h("div", { class: "frames", hidden: true }, this.playButton, h("span", { class: "track" }, this.slider, this.marks), this.number, this.note, this.list, this.planes);
    this.clear();
  }

  /** @returns {Slice[] | null} */
  get slices() {
    return this.info?.slices ?? null;
  }

  get count() {
    return this.slices?.length ?? this.view.meta?.frames ?? 1;
  }

  clear() {
    this.stop();
    clearTimeout(this.rest);
    this.controller.abort();
    for (const one of this.ahead.values()) one.abort();
    this.ahead.clear();
    this.info = this.reference = this.pending = null;
    this.at = 0;
    this.element.hidden = true;
    this.planes.hidden = this.list.hidden = true;
    this.marks.replaceChildren();
    this.note.textContent = "";
  }

  /** Finds the slices around an image; those of the same stack are kept. @param {string} id @param {number} frame */
  load(id, frame) {
    const known = this.find(id, frame);
    if (known >= 0) return this.setAt(known);
    this.clear();
    const pending = (this.pending = this.fetch(id, frame).finally(() => {
      if (this.pending === pending) this.pending = null;
    }));
  }

  /** @param {string} id @param {number} frame */
  async fetch(id, frame) {
    const { signal } = (this.controller = new AbortController());
    try {
      /** @type {StackInfo} */
      const info = await fetchJson(`images/${id}/stack`, { frame }, signal);
      const middle = info.slices?.[info.slices.length >> 1];
      if (middle && info.orientation && info.slices && info.slices.length > 1) this.reference = await findMeta(middle[0], middle[1], signal);
      if (signal.aborted) return;
      this.info = info;
      this.fill();
      this.view.labels.open();
    } catch (error) {
      if (!isAbort(error)) this.view.controls.showMessage(/** @type {Error} */ (error).message);
    }
  }

  /** @param {string} id @param {number} frame */
  find(id, frame) {
    return this.slices?.findIndex(([one, number]) => one === id && number === frame) ?? -1;
  }

  fill() {
    const { info, view } = this;
    if (!info) return;
    this.planes.hidden = !info.volume;
    this.list.hidden = info.stacks.length < 2;
    this.list.replaceChildren(...info.stacks.map((stack, i) => h("option", { value: i }, nameOf(stack, i))));
    this.list.value = String(info.stack ?? "");
    this.marks.replaceChildren(...info.marks.map((mark) => this.drawMark(mark)));
    this.setAt(info.slices ? Math.max(this.find(view.id, view.frame), 0) : view.frame);
    if (view.meta && this.reference) view.setMeta(view.meta, view.route);
    else {
      view.describe();
      view.drawBoxes();
    }
    this.prefetch();
  }

  /** @param {Mark} mark */
  drawMark(mark) {
    const line = h("i", { class: `slice-mark ${mark.severity}`, title: `${mark.code}: ${mark.text}` });
    line.style.left = `calc(8px + (100% - 16px) * ${mark.at / Math.max(1, this.count - 1)})`;
    return line;
  }

  /** Shows the position of the slider. @param {number} at */
  setAt(at) {
    const { count, slices } = this;
    this.at = at;
    this.element.hidden = count < 2;
    this.slider.max = String(count - 1);
    this.slider.value = String(at);
    const kind = slices ? "slice" : "frame";
    const mm = slices?.[at]?.[2] ?? null;
    this.number.textContent = `${at + 1} / ${count}`;
    set(this.slider, { "aria-label": slices ? "Slice" : "Frame", "aria-valuetext": `${kind} ${at + 1} of ${count}${mm === null ? "" : `, ${positionText(mm)}`}` });
    const marks = this.marksAt(at);
    this.note.replaceChildren(positionText(mm), ...marks.map((mark) => h("span", { class: `badge ${mark.severity}`, title: mark.text }, mark.code)));
  }

  /** Marks of a slice, and of gaps beside it. @param {number} at */
  marksAt(at) {
    return (this.info?.marks ?? []).filter((mark) => Math.abs(mark.at - at) <= 0.5);
  }

  /** Description with the windows of the stack, which do not change from slice to slice. @param {Meta} meta @returns {Meta} */
  share(meta) {
    const { reference } = this;
    if (!reference || reference.colour || meta.colour || meta.error || reference.error) return meta;
    const { auto, full, range } = reference;
    const plain = [...reference.views, ...meta.views].every((view) => view.kind === "window");
    return { ...meta, auto, full, range, ...(plain ? { views: reference.views } : {}) };
  }

  /** Description of a slice that differs from the middle one in its pixels only. @param {Slice} slice @returns {Meta | null} */
  metaOf([id, , , path]) {
    const { reference, info } = this;
    if (!info?.alike || !reference || reference.error || reference.modality_lut || reference.views.some((view) => view.kind === "lut")) return null;
    return { ...reference, id, path, problems: [], frames: 1, varies: false };
  }

  // -- steps ----------------------------------------------------------------------------------

  /** Runs a step once the slices are known. @param {() => unknown} action */
  async ready(action) {
    await this.pending;
    action();
  }

  /** @param {number} by */
  step(by) {
    this.ready(() => this.moveTo(this.at + by));
  }

  /** @param {"first" | "last"} end */
  toEnd(end) {
    this.ready(() => this.moveTo(end === "first" ? 0 : this.count - 1));
  }

  /** @param {number} at @param {boolean} [wrap] */
  moveTo(at, wrap = false) {
    const { count } = this;
    const next = wrap ? (at + count) % count : Math.min(Math.max(at, 0), count - 1);
    if (next === this.at) return Promise.resolve();
    this.way = next > this.at ? 1 : -1;
    this.setAt(next);
    if (!this.slices) return this.view.toFrame(next);
    return (this.moving ??= this.follow().finally(() => (this.moving = null)));
  }

  /** Shows the slice of the slider; slices passed meanwhile are skipped. */
  async follow() {
    for (let slice = this.slices?.[this.at]; slice && !this.isShown(slice); slice = this.slices?.[this.at]) {
      try {
        await this.show(slice);
      } catch (error) {
        this.view.showError(error);
        break;
      }
    }
    clearTimeout(this.rest);
    if (!this.playing) this.rest = setTimeout(() => this.settle(), REST);
    this.prefetch();
  }

  /** Shows a slice; what belongs to its file follows when the steps end. @param {Slice} slice */
  async show(slice) {
    const { view } = this;
    [view.id, view.frame] = slice;
    const [id, frame] = slice;
    view.app.update({ id, frame });
    view.controller.abort();
    const { signal } = (view.controller = new AbortController());
    const meta = this.metaOf(slice);
    if (meta && view.meta && !view.meta.error && meta.dtype === view.meta.dtype) {
      view.meta = meta;
      view.controls.setTitle(meta.path);
      view.labels.show(meta);
      await view.paint(true);
    } else await view.setMeta(await findMeta(id, frame, signal), view.route);
    const { boxes, predictions } = view.app.about;
    if (boxes || predictions || view.annotator) await view.loadBoxes(view.route, signal);
  }

  /** Loads the details of the slice on display. */
  async settle() {
    const { view } = this;
    const { id, frame, controller } = view;
    if (!id || view.element.hidden) return;
    try {
      const meta = await findMeta(id, frame, controller.signal);
      if (view.id !== id || view.frame !== frame) return;
      view.setMeta(meta, view.route);
      view.positionLoaded = view.loadPosition(view.route, controller.signal);
    } catch (error) {
      view.showError(error);
    }
  }

  /** @param {Slice} slice */
  isShown([id, frame]) {
    return this.view.id === id && this.view.frame === frame;
  }

  /** Loads the next slices in the direction of the last step. */
  prefetch() {
    const { slices, view } = this;
    if (!slices || slices.length < 2 || view.planeWindow) return;
    const wanted = new Set();
    for (let by = 1; by <= AHEAD; by++) wanted.add(this.at + by * this.way);
    for (let by = 1; by <= BEHIND; by++) wanted.add(this.at - by * this.way);
    for (const [at, controller] of this.ahead) {
      if (wanted.has(at) || at === this.at) continue;
      controller.abort();
      this.ahead.delete(at);
    }
    for (const at of wanted) if (at >= 0 && at < slices.length && !this.ahead.has(at)) this.fetchAhead(at, slices[at]);
  }

  /** @param {number} at @param {Slice} slice */
  async fetchAhead(at, slice) {
    const controller = new AbortController();
    this.ahead.set(at, controller);
    try {
      const meta = this.metaOf(slice) ?? (await findMeta(slice[0], slice[1], controller.signal));
      if (!meta.error && meta.dtype !== "display8") await loadPlane(slice[0], slice[1], this.view.requiredScale, "", controller.signal);
      this.view.labels.prefetch(slice[0], slice[1], controller.signal);
    } catch { /* reported when the slice is shown */ }
  }

  play() {
    if (this.playing) return this.stop();
    if (this.count < 2) return;
    this.setPlaying(true);
    const turn = async () => {
      const start = performance.now();
      await this.moveTo(this.at + 1, true);
      if (this.playing) this.playing = setTimeout(turn, Math.max(0, 1000 / RATE - (performance.now() - start)));
    };
    this.playing = setTimeout(turn, 0);
  }

  stop() {
    clearTimeout(this.playing);
    if (this.playing && this.slices) this.settle();
    this.playing = 0;
    this.setPlaying(false);
  }

  /** @param {boolean} playing */
  setPlaying(playing) {
    this.playButton.replaceChildren(icon(playing ? "pause" : "play"));
    set(this.playButton, { "aria-pressed": String(playing) });
  }

  // -- other stacks ---------------------------------------------------------------------------

  choose() {
    const stack = this.info?.stacks[Number(this.list.value)];
    if (stack) this.view.app.go({ id: stack.id, frame: stack.frame, ...FITTED });
  }

  openPlanes() {
    const { info, view } = this;
    if (!info?.volume || !info.series || info.stack === undefined) return view.controls.showMessage("Planes require a regularly spaced volume.");
    view.app.go({ page: "volume", series: info.series.id, stack: info.stack, at: null, ...FITTED });
  }
}

/** Name of a stack: "2 · sagittal, 15 slices, EchoTime 80". @param {import("./types").StackEntry} stack @param {number} i */
export function nameOf({ plane, slices, divided_by }, i) {
  const by = Object.entries(divided_by).map(([name, value]) => `${name} ${value}`);
  return `${i + 1} · ${[plane, `${slices} slice${slices === 1 ? "" : "s"}`, ...by].filter(Boolean).join(", ")}`;
}
