// Toolbar of the grid: search, conditions and order.

import { fetchJson } from "./api.js";
import { debounce, h, icon, iconButton, refill, set } from "./dom.js";
import { rowQuery } from "./route.js";
import { join, quoteValue, split } from "./where.js";

/** @typedef {import("./types").Route} Route */
/** @typedef {import("./app.js").App} App */

/** Orders by the boxes, from the highest value. @type {Record<string, string>} */
export const BOX_ORDERS = {
  boxes: "number of boxes", disagreement: "disagreement of readers", false_positive: "highest false positive", missed: "missed boxes",
};

export class Filter {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.searchInput = h("input", { type: "search", placeholder: "Search", "aria-label": "Search paths and descriptions", autocomplete: "off", spellcheck: "false" });
    this.searchInput.addEventListener("input", debounce(() => app.go({ search: this.searchInput.value.trim() }, true), 220));
    this.search = h("label", { class: "box" }, icon("search"), this.searchInput, h("kbd", {}, "/"));
    this.sqlInput = h("input", { type: "text", placeholder: app.about.labels.length ? `label = ${quoteValue(app.about.labels[0])} AND boxes > 3` : "Rows > 2000 AND Modality = 'CR'", "aria-label": "Filter by SQL", autocomplete: "off", spellcheck: "false", "aria-describedby": "filter-error" });
    this.sqlInput.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.enter();
      if (event.key === "Escape") this.sqlInput.blur();
      event.stopPropagation();
    });
    this.searchInput.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") this.searchInput.blur();
    });
    this.error = h("p", { class: "filter-error", role: "alert", id: "filter-error", hidden: true });
    this.sql = h("div", { class: "sql" }, h("label", { class: "box" }, icon("filter"), this.sqlInput, h("kbd", {}, "F")), this.error);
    this.chips = h("ul", { class: "chips", "aria-label": "Conditions" });
    const names = app.about.columns.filter((column) => column.type !== "list" && !(app.about.masked && column.phi)).map(({ name }) => name);
    const own = Object.entries(BOX_ORDERS).filter(([name]) => app.about.image_columns.includes(name));
    this.order = h(
      "select", { "aria-label": "Order", onchange: () => app.go({ order: this.order.value, desc: this.order.value in BOX_ORDERS }) },
      h("option", { value: "" }, "path"),
      h("option", { value: "random:1" }, "random"),
      own.length > 0 && h("optgroup", { label: "Boxes" }, ...own.map(([name, text]) => h("option", { value: name }, text))),
      h("optgroup", { label: "Columns" }, ...names.filter((name) => name !== "path").map((name) => h("option", { value: name }, name))),
    );
    this.way = iconButton("down", "Ascending", () => app.go({ desc: !app.route.desc }));
    this.sort = h("div", { class: "group sort" }, this.order, this.way);
  }

  /** @param {Route} route */
  fill(route) {
    if (document.activeElement !== this.searchInput) this.searchInput.value = route.search;
    this.order.value = route.order;
    this.way.replaceChildren(icon(route.desc ? "up" : "down"));
    set(this.way, { "aria-label": route.desc ? "Descending" : "Ascending", title: route.desc ? "Descending" : "Ascending" });
    const terms = split(route.where);
    const chips = terms.map((term, i) => {
      const rest = terms.filter((_, at) => at !== i);
      const edit = () => {
        this.sqlInput.value = term;
        this.sqlInput.focus();
        this.app.filterBy(rest);
      };
      return h(
        "li", { class: "condition" },
        h("button", { type: "button", class: "condition-text", title: `${term}: edit`, onclick: edit }, term),
        iconButton("close", `Remove ${term}`, () => this.app.filterBy(rest)),
      );
    });
    if (terms.length > 1 || (terms.length && route.search)) chips.push(h("li", {}, h("button", { type: "button", class: "clear", onclick: () => this.app.go({ where: "", search: "" }) }, "Clear all")));
    if (!refill(this.chips, ...chips)) this.sqlInput.focus();
  }

  /** Adds the typed expression once the server has validated it. */
  async enter() {
    const typed = this.sqlInput.value.trim();
    if (!typed) return;
    const where = join([...split(this.app.route.where), ...split(typed)]);
    try {
      await fetchJson("rows", { ...rowQuery(this.app.route), where, order: "", limit: 0 });
    } catch (error) {
      return this.showError(/** @type {Error} */ (error).message);
    }
    this.sqlInput.value = "";
    this.showError("");
    this.app.go({ where });
    this.sqlInput.blur();
  }

  /** @param {string} text */
  showError(text) {
    this.error.textContent = text;
    this.error.hidden = !text;
    set(this.sqlInput, { "aria-invalid": text ? "true" : null });
  }

  focusSearch() {
    this.searchInput.focus();
    this.searchInput.select();
  }

  focusSql() {
    this.sqlInput.focus();
    this.sqlInput.select();
  }
}
