// Header panel: searchable tree of data elements.

import { fetchJson, isAbort } from "./api.js";
import { debounce, h, plural } from "./dom.js";

/** @typedef {import("./types").Element} Element */

export class Header {
  constructor() {
    this.search = h("input", {
      type: "search", placeholder: "keyword, tag or value", "aria-label": "Search the header", spellcheck: "false", autocomplete: "off",
    });
    this.search.addEventListener("input", debounce(() => this.fill(), 80));
    this.search.addEventListener("keydown", (event) => event.key === "Escape" && (this.search.value ? ((this.search.value = ""), this.fill()) : this.search.blur(), event.stopPropagation()));
    this.note = h("p", { class: "quiet", role: "status" });
    this.tree = h("div", { class: "tree" });
    this.element = h(
      "div", { class: "panel-body header", id: "panel-header", role: "tabpanel", "aria-label": "Header" },
      h("div", { class: "panel-search" }, this.search), this.note, this.tree,
    );
    this.id = "";
    /** @type {Element[]} */
    this.elements = [];
    this.controller = new AbortController();
  }

  /** @param {string} id */
  async load(id) {
    if (id === this.id) return;
    this.id = id;
    this.elements = [];
    this.controller.abort();
    this.controller = new AbortController();
    this.note.textContent = "Loading …";
    this.tree.replaceChildren();
    try {
      this.elements = await fetchJson(`images/${id}/header`, {}, this.controller.signal);
      this.fill();
    } catch (error) {
      if (!isAbort(error)) this.note.textContent = /** @type {Error} */ (error).message;
    }
  }

  fill() {
    const words = this.search.value.trim().toLowerCase();
    const rows = this.rows(this.elements, words);
    const all = countAll(this.elements);
    const hidden = words && !rows.count && anyMasked(this.elements) ? ". Masked values are not searched: wetread view --show-phi shows them." : "";
    this.note.textContent = (words ? `${plural(rows.count, "element")} of ${all}` : plural(all, "element")) + hidden;
    this.tree.replaceChildren(...rows.nodes);
  }

  /**
   * @param {Element[]} elements @param {string} words
   * @returns {{nodes: Node[], count: number}}
   */
  rows(elements, words) {
    const nodes = [];
    let total = 0;
    for (const element of elements) {
      const here = !words || matches(element, words);
      if (!element.items) {
        if (!here) continue;
        total++;
        nodes.push(row(element, words));
        continue;
      }
      const below = element.items.map((item) => this.rows(item, here ? "" : words));
      const inside = below.reduce((sum, one) => sum + one.count, 0);
      if (!here && !inside) continue;
      total += here ? 1 + (words ? 0 : inside) : inside;
      const details = h(
        "details", { class: "sequence", open: Boolean(words) },
        h("summary", {}, ...cells(element, words), h("span", { class: "value quiet" }, plural(element.items.length, "item"))),
        ...below.map((one, i) => h("div", { class: "item", role: "group", "aria-label": `item ${i + 1}` }, h("span", { class: "item-number" }, String(i + 1)), h("div", { class: "grow" }, ...one.nodes))),
      );
      nodes.push(details);
    }
    return { nodes, count: total };
  }
}

/** @param {Element[]} elements @returns {boolean} */
function anyMasked(elements) {
  return elements.some((element) => element.masked || (element.items ?? []).some(anyMasked));
}

/** @param {Element[]} elements @returns {number} */
function countAll(elements) {
  return elements.reduce((sum, element) => sum + 1 + (element.items ?? []).reduce((more, item) => more + countAll(item), 0), 0);
}

/** @param {Element} element @param {string} words */
function matches(element, words) {
  return `${element.keyword} ${element.tag} ${element.masked ? "" : element.value}`.toLowerCase().includes(words);
}

/** @param {Element} element @param {string} words */
function row(element, words) {
  const value = element.masked
    ? h("span", { class: "value masked", title: "Visible with wetread view --show-phi" }, "masked")
    : h("span", { class: "value", title: element.value.length > 120 ? element.value : null }, ...marked(element.value, words));
  return h("div", { class: "element" }, ...cells(element, words), value);
}

/** @param {Element} element @param {string} words */
function cells(element, words) {
  const tag = element.tag.replace(/[()]/g, "");
  return [
    h("span", { class: "tag" }, ...marked(tag, words)),
    h("span", { class: "vr" }, element.vr),
    h("span", { class: "keyword" }, ...marked(element.keyword || "private", words).flatMap((part) => (typeof part === "string" ? humps(part) : [part]))),
  ];
}

/** Allows line breaks between the words of a keyword. @param {string} keyword @returns {(Node | string)[]} */
function humps(keyword) {
  return keyword.split(/(?<=[a-z])(?=[A-Z])/).flatMap((word, i) => (i ? [h("wbr"), word] : [word]));
}

/** Text with the match highlighted. @param {string} text @param {string} words @returns {(Node | string)[]} */
function marked(text, words) {
  const at = words ? text.toLowerCase().indexOf(words) : -1;
  if (at < 0) return [text];
  return [text.slice(0, at), h("mark", {}, text.slice(at, at + words.length)), text.slice(at + words.length)];
}

