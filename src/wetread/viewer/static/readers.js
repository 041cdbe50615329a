// Boxes panel: readers, consensus, predictions, and their agreement.

import { JUDGED, huesOf, isDrawn, marksOf } from "./boxes.js";
import { count, h, refill, s } from "./dom.js";
import { hiddenNote, setSliders, slider, startNote } from "./thresholds.js";

/** @typedef {import("./types").Boxes} Boxes */
/** @typedef {import("./types").About} About */
/** @typedef {import("./types").Route} Route */
/** @typedef {import("./boxes.js").Mark} Mark */
/** @typedef {import("./boxes.js").Role} Role */

const NONE = /** @type {Boxes} */ ({ truth: [], consensus: null, predictions: [] });

export class Readers {
  /**
   * @param {About} about
   * @param {(patch: Partial<Route>) => void} change
   * @param {() => void} redraw
   * @param {(way: 1 | -1) => void} nextMiss
   */
  constructor(about, change, redraw, nextMiss) {
    this.about = about;
    this.change = change;
    this.redraw = redraw;
    this.nextMiss = nextMiss;
    this.boxes = NONE;
    this.opacity = 1;
    this.selected = "";
    /** @type {Map<string, string>} */
    this.hues = new Map();
    /** @type {Mark[]} */
    this.marks = [];
    this.counts = { tp: 0, fp: 0, fn: 0 };
    /** @type {string | null} */
    this.hidden = null;
    this.element = h("div", { class: "panel-body", id: "panel-boxes", role: "tabpanel", "aria-label": "Boxes" });
    this.list = h("ul", { class: "marks-list" });
    this.hiddenNote = h("p", { class: "quiet note", role: "status" });
    this.tally = h("div", { class: "tally", role: "status" });
  }

  /** Layers shown by default. */
  get defaultLayers() {
    return this.about.predictions ? "gpl" : "rgl";
  }

  /** @param {Route} route */
  layers(route) {
    return route.show ?? this.defaultLayers;
  }

  /** @param {Boxes} boxes @param {Route} route */
  load(boxes, route) {
    this.boxes = boxes;
    this.selected = "";
    const here = [...new Set([...boxes.truth.map((box) => box.reader ?? ""), ...(boxes.nothing ?? [])])];
    const natural = (/** @type {string} */ a, /** @type {string} */ b) => a.localeCompare(b, "en", { numeric: true });
    const all = [...this.about.readers].sort(natural);
    here.sort(natural);
    this.readers = here;
    this.hues = huesOf(here, all);
    this.all = [...boxes.truth, ...(boxes.consensus ?? []), ...boxes.predictions].filter(isDrawn);
    this.labels = [...new Set(this.all.map((box) => box.label))].sort();
    this.build(route);
    this.refresh(route);
  }

  /** Removes the boxes of the previous image. @param {Route} route */
  clear(route) {
    this.load(NONE, route);
  }

  /** @type {import("./types").Box[]} */
  all = [];
  /** @type {string[]} */
  readers = [];
  /** @type {string[]} */
  labels = [];

  /** Builds the switches, once per image, so that they keep the focus. @param {Route} route */
  build(route) {
    const { boxes, about } = this;
    const sections = [];
    if (this.readers.length) {
      const rows = this.readers.map((reader, i) => {
        const own = boxes.truth.filter((box) => (box.reader ?? "") === reader);
        const drawn = own.filter(isDrawn).length;
        return this.toggle("reader", reader || "ground truth", reader, drawn ? count(drawn) : "none", i < 9 ? `⇧${i + 1}` : "", this.sample("reader", this.hues.get(reader)));
      });
      sections.push(section("Readers", ...rows));
    }
    const layers = [];
    if (boxes.consensus) layers.push(this.toggle("layer", "Consensus", "g", boxes.consensus.length ? count(boxes.consensus.length) : "none", "G", this.sample("consensus")));
    else if (boxes.truth.length && about.predictions) layers.push(this.toggle("layer", "Ground truth", "g", count(boxes.truth.filter(isDrawn).length), "G", this.sample("fn")));
    if (about.predictions) layers.push(this.toggle("layer", "Predictions", "p", count(boxes.predictions.length), "P", this.sample("tp")));
    if (layers.length) sections.push(section(about.predictions ? "Ground truth and predictions" : "Ground truth", ...layers));
    if (about.predictions) {
      sections.push(section(
        "Matching",
        slider("Minimum score", "score", route.score, this.change),
        this.hiddenNote,
        slider("Minimum IoU", "iou", route.iou, this.change),
        this.tally,
      ));
    }
    if (this.labels.length) {
      const rows = this.labels.map((label) => {
        return this.toggle("label", label, label, count(this.all.filter((box) => box.label === label).length), "", null);
      });
      sections.push(section("Labels", ...rows));
    }
    if (this.all.length) {
      sections.push(section("Display", this.toggle("layer", "Labels on boxes", "l", "", "L", null), this.fader()), section("Boxes on this image", this.list));
    } else if (!this.readers.length) {
      sections.push(h("p", { class: "quiet" }, about.boxes || about.predictions ? "No boxes on this image." : "This index was opened without boxes: wetread view INDEX --boxes FILE"));
    }
    this.element.replaceChildren(...sections);
  }

  /**
   * @param {"reader" | "layer" | "label"} kind @param {string} name @param {string} value
   * @param {string} number @param {string} key @param {Element | null} swatch
   */
  toggle(kind, name, value, number, key, swatch) {
    const input = h("input", { type: "checkbox", "data-kind": kind, "data-value": value, onchange: () => this.flip(kind, value) });
    return h(
      "label", { class: "toggle" },
      input, swatch, h("span", { class: "grow" }, name),
      h("span", { class: "number" }, number), key && h("kbd", {}, key),
    );
  }

  fader() {
    const input = h("input", { type: "range", min: 0.1, max: 1, step: 0.05, "aria-label": "Opacity" });
    input.value = String(this.opacity);
    input.addEventListener("input", () => {
      this.opacity = Number(input.value);
      this.redraw();
    });
    return h("label", { class: "slider" }, h("span", { class: "grow" }, "Opacity"), input, h("output", {}, ""));
  }

  /** @type {Route | undefined} */
  route;

  /** Shows or hides a reader, layer or label. @param {"reader" | "layer" | "label"} kind @param {string} value */
  flip(kind, value) {
    const route = this.route;
    if (!route) return;
    if (kind === "layer") {
      const show = this.layers(route);
      this.change({ show: show.includes(value) ? show.replace(value, "") : show + value });
      return;
    }
    const all = kind === "reader" ? this.readers : this.labels;
    const now = (kind === "reader" ? route.readers : route.labels) ?? all;
    const next = now.includes(value) ? now.filter((one) => one !== value) : [...now, value];
    const complete = all.every((one) => next.includes(one));
    this.change(kind === "reader"
      ? { readers: complete ? null : next, show: this.layers(route).includes("r") ? route.show : this.layers(route) + "r" }
      : { labels: complete ? null : next });
  }

  /** Hides all boxes, or restores them. */
  flipAll() {
    if (!this.route) return;
    const show = this.layers(this.route);
    if (/[rgp]/.test(show)) {
      this.hidden = show;
      this.change({ show: show.replace(/[rgp]/g, "") });
    } else this.change({ show: this.hidden ?? this.defaultLayers });
  }

  /** @param {number} n from 0 */
  flipReader(n) {
    const reader = this.readers[n];
    if (reader !== undefined) this.flip("reader", reader);
  }

  /** Updates marks, counts and switches from the address. @param {Route} route */
  refresh(route) {
    this.route = route;
    const show = this.layers(route);
    const { marks, tp, fp, fn } = marksOf(this.boxes, { ...route, show, judging: this.about.predictions }, this.hues);
    this.marks = marks;
    this.counts = { tp, fp, fn };
    for (const input of this.element.querySelectorAll("input[type=checkbox]")) {
      if (!(input instanceof HTMLInputElement)) continue;
      const { kind, value = "" } = input.dataset;
      if (kind === "layer") input.checked = show.includes(value);
      else if (kind === "label") input.checked = !route.labels || route.labels.includes(value);
      else input.checked = show.includes("r") && (!route.readers || route.readers.includes(value));
    }
    setSliders(this.element, route);
    const hidden = hiddenNote(this.boxes.predictions.filter(isDrawn), route.score);
    this.hiddenNote.textContent = hidden || (route.score === this.about.start?.score ? startNote(this.about.start) : "");
    refill(
      this.tally, this.score("tp", "TP", "true positive", tp), this.score("fp", "FP", "false positive", fp), this.score("fn", "FN", "false negative", fn),
      h("button", { type: "button", class: "wide", onclick: () => this.nextMiss(1) }, "Next miss", h("kbd", {}, "N")),
    );
    this.fillList();
  }

  /** @param {"tp" | "fp" | "fn"} role @param {string} name @param {string} title @param {number} number */
  score(role, name, title, number) {
    return h("div", { class: "score", "data-role": role }, this.sample(role), h("b", {}, count(number)), h("abbr", { title }, name));
  }

  fillList() {
    const order = (/** @type {Mark} */ a, /** @type {Mark} */ b) => a.box.label.localeCompare(b.box.label) || (a.box.reader ?? "").localeCompare(b.box.reader ?? "", "en", { numeric: true }) || (b.box.score ?? 1) - (a.box.score ?? 1);
    const rows = this.marks.filter((mark) => mark.role !== "hit").sort(order).map((mark) => {
      const source = mark.role === "reader" ? mark.box.reader : mark.role === "consensus" ? "consensus" : mark.role.toUpperCase();
      const more = mark.role === "tp" || mark.role === "fp" ? ` ${(mark.box.score ?? 1).toFixed(2)} · IoU ${mark.overlap.toFixed(2)}` : "";
      return h("li", {}, h(
        "button", { type: "button", class: "mark-row", "aria-pressed": String(mark.key === this.selected), onclick: () => this.select(mark.key) },
        this.sample(mark.role, mark.role === "consensus" ? undefined : mark.colour), h("span", { class: "grow" }, mark.box.label), h("span", { class: "number" }, `${source ?? ""}${more}`),
      ));
    });
    refill(this.list, ...rows);
  }

  /** @param {string} key */
  select(key) {
    this.selected = this.selected === key ? "" : key;
    this.fillList();
    this.redraw();
  }

  /** The selected mark. */
  get selectedMark() {
    return this.marks.find((mark) => mark.key === this.selected);
  }

  /** Selects the next false positive or false negative; returns false if there is none. @param {1 | -1} way */
  selectMiss(way) {
    const misses = this.marks.filter((mark) => mark.role === "fp" || mark.role === "fn");
    const at = misses.findIndex((mark) => mark.key === this.selected);
    const next = misses[at < 0 ? (way > 0 ? 0 : misses.length - 1) : at + way];
    if (!next) return false;
    this.selected = next.key;
    this.fillList();
    this.redraw();
    return true;
  }

  /** Sample of the line style of a role. @param {Role} role @param {string} [colour] */
  sample(role, colour) {
    const stroke = colour ?? (role === "tp" || role === "fp" || role === "fn" ? JUDGED[role] : "currentColor");
    const [width, dashes] = { reader: [2, ""], consensus: [3.5, ""], hit: [2, "1 4"], tp: [3, ""], fp: [3, "6 3"], fn: [3, "2 3"], own: [3, ""], waiting: [3, "6 3"], conflict: [3, "2 3"] }[role];
    return s("svg", { viewBox: "0 0 22 10", class: "sample", "aria-hidden": "true" }, s("path", { d: "M1 5h20", stroke, "stroke-width": width, "stroke-dasharray": dashes }));
  }
}

/** @param {string} title @param {...(Element | null)} rows */
function section(title, ...rows) {
  return h("section", {}, h("h2", {}, title), ...rows);
}
