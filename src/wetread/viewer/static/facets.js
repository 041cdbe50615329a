// Facets: value counts and histograms of columns, which set filter conditions.

import { fetchJson, isAbort } from "./api.js";
import { count, debounce, h, icon, iconButton, plural, refill, s, set } from "./dom.js";
import { belowText, setSliders, slider, startNote } from "./thresholds.js";
import { isOf, join, quoteValue, rangeOf, split, toggle, valuesOf, equal, within } from "./where.js";

/** @typedef {import("./types").Column} Column */
/** @typedef {import("./types").Facet} Facet */
/** @typedef {import("./types").FacetValue} FacetValue */
/** @typedef {import("./types").Route} Route */
/** @typedef {import("./app.js").App} App */
/** @typedef {import("./api.js").ApiError} ApiError */
/** @typedef {{column: Column, element: HTMLElement, body: HTMLElement, head: HTMLElement, open: boolean, key: string}} Entry */

const DEFAULT_COLUMNS = [
  "Modality", "problems", "part", "read_status", "PhotometricInterpretation", "BodyPartExamined", "ViewPosition",
  "PatientSex", "PatientAge", "Manufacturer", "ManufacturerModelName", "Rows", "BitsStored", "transfer_syntax",
];
const OPEN = 4;
const FEW = 8;
/** Facets of the boxes and their names. @type {Record<string, string>} */
const BOX_FACETS = { label: "Label", reader: "Reader", boxes: "Number of boxes", outcome: "TP, FP, FN", score: "Score" };
/** @type {Record<string, import("./types").Column["type"]>} */
const BOX_TYPES = { label: "text", reader: "text", boxes: "number", outcome: "text", score: "number" };

export class Facets {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const { about } = app;
    this.columns = about.columns.filter((column) => !(about.masked && column.phi));
    /** @type {Entry[]} */
    this.entries = [];
    this.list = h("div", { class: "facet-list" });
    this.more = h("select", { class: "add-facet", "aria-label": "Add a column", onchange: () => this.add() });
    const change = debounce(() => app.go(this.moved, true), 250);
    /** @type {Partial<Route>} */
    this.moved = {};
    const move = (/** @type {Partial<Route>} */ patch) => {
      this.moved = { ...this.moved, ...patch };
      change();
    };
    this.hiddenNote = h("p", { class: "quiet", role: "status" });
    this.thresholds = about.predictions && h(
      "section", { class: "thresholds", "aria-label": "Predictions" }, h("h2", {}, "Predictions"),
      slider("Minimum score", "score", app.score, move), this.hiddenNote, h("p", { class: "quiet" }, startNote(about.start)),
      about.boxes && slider("Minimum IoU", "iou", 0.5, move),
    );
    const masked = about.columns.filter((column) => about.masked && column.phi).length;
    this.element = h(
      "aside", { class: "facets", "aria-label": "Facets" }, this.thresholds, this.list, this.more,
      masked > 0 && h("p", { class: "masked-note quiet" }, `${plural(masked, "column")} that may identify a patient ${masked === 1 ? "is" : "are"} masked. `, h("code", {}, "wetread view --show-phi"), ` shows ${masked === 1 ? "it" : "them"}.`),
    );
    const byName = new Map(this.columns.map((column) => [column.name, column]));
    const own = [...about.box_columns, ...about.image_columns];
    for (const [name, type] of Object.entries(BOX_TYPES)) {
      if (own.includes(name)) this.show({ name, type, phi: false }, true, BOX_FACETS[name]);
    }
    const open = this.entries.length + OPEN;
    for (const name of DEFAULT_COLUMNS) {
      const column = byName.get(name);
      if (column) this.show(column, this.entries.length < open);
    }
    this.fillMore();
    this.controller = new AbortController();
  }

  fillMore() {
    const left = this.columns.filter((column) => !this.entries.some((one) => one.column === column));
    this.more.replaceChildren(h("option", { value: "" }, "Add a column …"), ...left.map(({ name }) => h("option", { value: name }, name)));
  }

  add() {
    const column = this.columns.find(({ name }) => name === this.more.value);
    if (!column) return;
    const entry = this.show(column, true);
    this.fillMore();
    this.load([entry]);
    entry.element.scrollIntoView({ block: "nearest" });
  }

  /** @param {Column} column @param {boolean} open @param {string} [title] */
  show(column, open, title = column.name) {
    const id = `facet-${this.entries.length}`;
    const head = h("button", { type: "button", class: "facet-head", "aria-expanded": String(open), "aria-controls": id, onclick: () => this.toggle(entry) }, icon("right"), h("span", { class: "grow" }, title));
    const body = h("div", { class: "facet-body", id, hidden: !open });
    const element = h("section", { class: "facet", "data-column": column.name }, h("h2", {}, head), body);
    /** @type {Entry} */
    const entry = { column, element, body, head, open, key: "" };
    this.entries.push(entry);
    this.list.append(element);
    return entry;
  }

  /** Loads every open facet again at the next `fill`. */
  forget() {
    for (const entry of this.entries) entry.key = "";
  }

  /** @param {Entry} entry */
  toggle(entry) {
    entry.open = !entry.open;
    entry.body.hidden = !entry.open;
    set(entry.head, { "aria-expanded": String(entry.open) });
    if (entry.open) this.load([entry]);
  }

  /** @param {Route} route */
  fill(route) {
    this.controller.abort();
    this.controller = new AbortController();
    const terms = split(route.where);
    this.moved = {};
    setSliders(this.element, route);
    for (const entry of this.entries) {
      const chosen = terms.some((term) => isOf(term, entry.column));
      entry.element.classList.toggle("chosen", chosen);
      if (chosen && !entry.open) this.toggle(entry);
    }
    this.load(this.entries.filter((entry) => entry.open));
  }

  /** Loads facets: one request for all columns without conditions, one for each other column. @param {Entry[]} outdated */
  async load(outdated) {
    const { where, search, iou, score } = this.app.route;
    const terms = split(where);
    /** @type {Map<string, Entry[]>} */
    const groups = new Map();
    for (const entry of outdated) {
      const rest = join(terms.filter((term) => !isOf(term, entry.column)));
      const key = JSON.stringify([where, rest, search, iou, score]);
      if (entry.key === key) continue;
      entry.key = key;
      groups.set(rest, [...(groups.get(rest) ?? []), entry]);
    }
    await Promise.all([...groups].map(([rest, group]) => this.request(group, { where: rest, search, iou, score })));
  }

  /** @param {Entry[]} group @param {{where: string, search: string, iou: number, score: number}} query */
  async request(group, query) {
    const columns = group.map(({ column }) => column.name).join(",");
    try {
      /** @type {Record<string, Facet>} */
      const response = await fetchJson("facets", { columns, ...query }, this.controller.signal);
      for (const entry of group) {
        const facet = response[entry.column.name];
        if (facet) this.draw(entry, facet);
        if (facet?.predictions !== undefined) this.noteHidden(facet, query.score);
      }
    } catch (error) {
      for (const entry of group) entry.key = "";
      // The banner reports a server that is gone, the filter an invalid condition.
      const gone = isAbort(error) || /** @type {ApiError} */ (error).status === 0;
      if (!gone) for (const entry of group) entry.body.replaceChildren(h("p", { class: "quiet" }, "–"));
    }
  }

  /** Says how many predictions on the images shown are hidden, except at the first score. @param {Facet} facet @param {number} score */
  noteHidden({ predictions = 0, hidden = 0, highest }, score) {
    const first = score === this.app.about.start?.score && hidden < predictions;
    this.hiddenNote.textContent = first ? "" : belowText(hidden, predictions, score, highest ?? 0);
  }

  /** @param {Entry} entry @param {Facet} facet */
  draw(entry, facet) {
    if (facet.kind === "histogram") this.drawHistogram(entry, facet.bins, facet.missing);
    else this.drawValues(entry, facet);
  }

  /** @param {Entry} entry @param {Extract<Facet, {kind: "values"}>} facet */
  drawValues(entry, facet, all = false) {
    const { column } = entry;
    const terms = split(this.app.route.where);
    const chosen = new Set(terms.flatMap((term) => valuesOf(term, column.name) ?? []));
    const most = Math.max(1, facet.missing, ...facet.values.map(([, n]) => n));
    /** @type {FacetValue[]} */
    const values = facet.missing ? [...facet.values, [null, facet.missing]] : facet.values;
    if (column.name === "reader") values.sort(([a], [b]) => String(a).localeCompare(String(b), "en", { numeric: true }));
    const first = all ? values : values.slice(0, FEW);
    const missing = column.name === "problems" ? "none" : "missing";
    const rows = first.map(([value, n, condition]) => {
      const own = condition ?? equal(column, value);
      const pressed = terms.includes(own) || (value !== null && chosen.has(quoteValue(value)));
      const button = h(
        "button", { type: "button", class: "facet-value", "aria-pressed": String(pressed), onclick: () => this.app.filterBy(toggle(terms, column, value, condition)) },
        h("span", { class: value === null || value === "" ? "grow none" : "grow" }, value === null ? missing : value === "" ? "empty" : String(value)), h("span", { class: "number" }, count(n)),
      );
      button.style.setProperty("--share", `${(100 * n) / most}%`);
      return button;
    });
    const left = values.length - first.length;
    refill(
      entry.body, ...rows,
      left > 0 ? h("button", { type: "button", class: "facet-more", onclick: () => this.drawValues(entry, facet, true) }, `${left} more`) : "",
      facet.other ? h("p", { class: "quiet" }, `${count(facet.other)} in other values`) : "",
      rows.length ? "" : h("p", { class: "quiet" }, "no values"),
    );
  }

  /** @param {Entry} entry @param {[number | string, number | string, number][]} bins @param {number} missing */
  drawHistogram(entry, bins, missing) {
    const { column } = entry;
    const terms = split(this.app.route.where);
    const own = terms.find((term) => rangeOf(term, column.name));
    const range = own ? rangeOf(own, column.name) : null;
    const others = terms.filter((term) => term !== own);
    const most = Math.max(1, ...bins.map(([, , n]) => n));
    const inside = (/** @type {number | string} */ low, /** @type {number | string} */ high) => !range || (Number(high) > Number(range[0]) && Number(low) < Number(range[1])) || (typeof low === "string" && String(high) > range[0] && low < range[1]);
    const bars = bins.map(([low, high, n], i) => {
      const height = n ? Math.max(1.5, (44 * Math.sqrt(n)) / Math.sqrt(most)) : 0;
      return s("rect", { x: i * 5, y: 46 - height, width: 4, height, class: inside(low, high) ? "bar-in" : "bar-out" });
    });
    const sweep = s("rect", { y: 0, height: 46, class: "sweep", width: 0 });
    const picture = s("svg", { viewBox: `0 0 ${bins.length * 5} 47`, class: "histogram", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${column.name}` }, ...bars, sweep);
    const apply = (/** @type {number | string} */ low, /** @type {number | string} */ high) => this.app.filterBy([...others, within(column.name, low, high, true)]);
    const hint = h("span", { class: "hint" }, "");
    const binAt = (/** @type {PointerEvent} */ event) => {
      const box = picture.getBoundingClientRect();
      return Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * bins.length), 0), bins.length - 1);
    };
    let start = -1;
    picture.addEventListener("pointerdown", (event) => {
      start = binAt(event);
      picture.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    picture.addEventListener("pointermove", (event) => {
      const at = binAt(event);
      const [from, to] = start < 0 ? [at, at] : [Math.min(start, at), Math.max(start, at)];
      set(sweep, { x: from * 5, width: (to - from + 1) * 5 });
      hint.textContent = `${tidy(bins[from][0])} – ${tidy(bins[to][1])}: ${count(bins.slice(from, to + 1).reduce((sum, bin) => sum + bin[2], 0))}`;
    });
    picture.addEventListener("pointerleave", () => {
      if (start < 0) set(sweep, { width: 0 });
      hint.textContent = "";
    });
    picture.addEventListener("pointerup", (event) => {
      const at = binAt(event);
      apply(bins[Math.min(start, at)][0], bins[Math.max(start, at)][1]);
      start = -1;
    });
    const text = typeof bins[0][0] === "string";
    const [low, high] = range ?? [String(bins[0][0]), String(bins[bins.length - 1][1])];
    const inputs = [["From", low], ["To", high]].map(([name, value]) => {
      const input = h("input", { type: text ? "date" : "text", inputmode: "decimal", "aria-label": `${column.name} ${name.toLowerCase()}`, onchange: () => enter() });
      input.value = text ? value : tidy(value);
      return input;
    });
    const enter = () => {
      const [from, to] = inputs.map((input) => (text ? input.value : Number(input.value)));
      if (text ? from && to : inputs.every((input) => input.value.trim() && Number.isFinite(Number(input.value)))) apply(from, to);
    };
    refill(
      entry.body, picture,
      h("div", { class: "range" }, inputs[0], hint, inputs[1], own ? iconButton("close", `Clear ${column.name}`, () => this.app.filterBy(others)) : ""),
      missing ? h("button", { type: "button", class: "facet-value plain", "aria-pressed": String(terms.includes(equal(column, null))), onclick: () => this.app.filterBy(toggle(terms, column, null)) }, h("span", { class: "grow none" }, "missing"), h("span", { class: "number" }, count(missing))) : "",
    );
  }
}

/** @param {number | string} value */
function tidy(value) {
  return typeof value === "string" && Number.isNaN(Number(value)) ? value : String(+Number(value).toPrecision(6));
}
