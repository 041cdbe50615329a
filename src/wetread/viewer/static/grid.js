// Grid of all rows: only visible tiles exist, and rows are loaded in pages.

import { ApiError, fetchJson, fetchPicture, isAbort, Queue } from "./api.js";
import { count, h, iconButton, plural, set, short } from "./dom.js";
import { Facets } from "./facets.js";
import { Cache } from "./pixels.js";
import { join, split } from "./where.js";
import { clampOffset, GAP, layOut, reveal, toContent, toScroll, visibleTiles } from "./scroll.js";
import { BOX_ORDERS, Filter } from "./filter.js";
import { drawOutlines } from "./outlines.js";
import { positionText } from "./orientation.js";
import { FITTED, rowQuery } from "./route.js";
import { groupFacts, groupNoun, GroupSelect, noPicture, pathOfGroup } from "./groups.js";

/** @typedef {import("./types").Row} Row */
/** @typedef {import("./types").Rows} Rows */
/** @typedef {import("./types").Route} Route */
/** @typedef {import("./types").Position} Position */
/** @typedef {import("./app.js").App} App */
/** @typedef {{element: HTMLElement, index: number, row: Row | null, controller: AbortController | null}} Tile */

const PAGE = 200;
const CAPTION = 40;
const SIZES = [96, 128, 160, 200, 256, 340, 480];

export class Grid {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.total = 0;
    this.selected = 0;
    this.size = 3;
    this.offset = 0;
    /** @type {Map<number, Tile>} by index */
    this.tiles = new Map();
    /** @type {Cache<Row[]>} */
    this.pages = new Cache(60, () => 1);
    /** @type {Map<number, AbortController>} */
    this.underWay = new Map();
    this.queue = new Queue(4);
    /** @type {Cache<string>} object URLs of thumbnails */
    this.pictures = new Cache(1200, () => 1);
    this.pictures.forget = (url) => URL.revokeObjectURL(url);
    this.key_ = "";
    this.opened = "";
    this.geometry = layOut(0, 1, 1, 1, CAPTION);
    this.spacer = h("div", { class: "spacer" });
    this.scroller = h("div", { class: "scroller", tabindex: 0, role: "listbox", "aria-label": "Images" }, this.spacer);
    this.empty = h("div", { class: "empty", role: "status", hidden: true });
    this.count = h("span", { class: "total", role: "status" });
    this.outlined = app.about.boxes || app.about.predictions;
    this.outlines = iconButton("boxes", "Boxes on the thumbnails (B)", () => this.flipOutlines(), { hidden: !this.outlined });
    const natural = (/** @type {string} */ a, /** @type {string} */ b) => a.localeCompare(b, "en", { numeric: true });
    this.readers = [...app.about.readers].sort(natural);
    this.filter = new Filter(app);
    this.group = new GroupSelect(app);
    this.facets = new Facets(app);
    this.zoom = h("input", { type: "range", min: 0, max: SIZES.length - 1, step: 1, "aria-label": "Thumbnail size", class: "tile-size" });
    this.zoom.addEventListener("input", () => this.resizeTo(Number(this.zoom.value)));
    const unfold = iconButton("filter", "Facets", () => set(unfold, { "aria-expanded": String(this.element.classList.toggle("with-facets")) }), { "aria-expanded": "false" });
    unfold.classList.add("unfold");
    this.element = h(
      "main", { class: "grid-page", hidden: true },
      h("header", { class: "bar" }, unfold, h("h1", { class: "title" }, app.about.title), this.filter.search, this.filter.sql, h("span", { class: "bar-end" }, ...app.tools())),
      h(
        "div", { class: "grid-body" }, this.facets.element,
        h("div", { class: "mosaic" }, h("div", { class: "under-bar" }, this.count, this.filter.chips, h("span", { class: "grow" }), this.group.element, this.outlines, this.filter.sort, this.zoom), this.scroller, this.empty),
      ),
    );
    this.scroller.addEventListener("scroll", () => this.scrolled());
    this.scroller.addEventListener("wheel", (event) => this.turn(event), { passive: false });
    this.scroller.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.layOut(true)).observe(this.scroller);
  }

  /** @param {Route} route */
  async show(route) {
    this.element.hidden = false;
    document.title = `${this.app.about.title} · wetread`;
    const outlines = this.outlined && route.outlines;
    set(this.outlines, { "aria-pressed": String(outlines) });
    const key = JSON.stringify([rowQuery(route), outlines]);
    this.filter.fill(route);
    this.group.fill(route);
    if (key === this.key_) {
      this.layOut(true);
      if (this.opened) await this.find(this.opened);
      this.opened = "";
      return;
    }
    this.key_ = key;
    this.facets.fill(route);
    this.restart();
    if (this.opened) await this.find(this.opened);
    this.opened = "";
  }

  focus() {
    this.scroller.focus({ preventScroll: true });
  }

  leave() {
    this.element.hidden = true;
    for (const index of [...this.tiles.keys()]) this.drop(index);
  }

  /** Resets the grid for other rows. */
  restart() {
    for (const controller of this.underWay.values()) controller.abort();
    this.underWay.clear();
    this.pages = new Cache(60, () => 1);
    this.selected = 0;
    this.offset = 0;
    for (const index of [...this.tiles.keys()]) this.drop(index);
    this.count.textContent = "…";
    this.load(0);
  }

  /** Selects an image that was open. @param {string} id */
  async find(id) {
    try {
      /** @type {Position} */
      const { offset } = await fetchJson("position", { id, ...rowQuery(this.app.route) });
      if (offset !== null) this.select(offset);
    } catch { /* the grid keeps its selection */ }
  }

  // -- rows -----------------------------------------------------------------------------------

  /** @param {number} page */
  async load(page) {
    if (this.underWay.has(page) || this.pages.get(String(page))) return;
    const controller = new AbortController();
    this.underWay.set(page, controller);
    const { route } = this.app;
    const outlines = this.outlined && route.outlines;
    const key = this.key_;
    try {
      /** @type {Rows} */
      const answer = await fetchJson(route.group ? "series" : "rows", { ...rowQuery(route), offset: page * PAGE, limit: PAGE, columns: route.group || route.order.startsWith("random:") ? "" : route.order, outlines }, controller.signal);
      if (key !== this.key_) return;
      this.pages.put(String(page), answer.rows);
      this.setTotal(answer.total);
      this.filter.showError("");
    } catch (error) {
      if (isAbort(error) || key !== this.key_) return;
      if (/** @type {ApiError} */ (error).status === 0) return; // reported by the banner
      this.setTotal(0);
      this.filter.showError(/** @type {Error} */ (error).message);
      this.key_ = "";
    } finally {
      if (this.underWay.get(page) === controller) this.underWay.delete(page);
    }
    this.render();
  }

  /** @param {number} total */
  setTotal(total) {
    const all = this.app.about.rows;
    const { group } = this.app.route;
    this.count.textContent = group ? groupNoun(group, total) : total === all ? plural(total, "row") : `${count(total)} of ${plural(all, "row")}`;
    this.empty.hidden = total > 0;
    this.empty.replaceChildren(...(total ? [] : this.explainEmpty(all)));
    if (total !== this.total) {
      this.total = total;
      this.layOut(true);
    }
  }

  /** @param {number} all @returns {Node[]} */
  explainEmpty(all) {
    const { where, search } = this.app.route;
    if (!all) return [h("p", {}, "The index is empty.")];
    const masked = this.app.about.masked && search !== "";
    return [
      h("p", {}, search && !where ? `Nothing matches “${search}”.` : "No rows match the filter."),
      masked && h("p", { class: "quiet" }, "The search covers paths, descriptions and UIDs. Names, dates and other values that may identify a patient are masked: a condition such as PatientName = '…' finds them, and ", h("code", {}, "wetread view --show-phi"), " shows them."),
      h("button", { type: "button", class: "wide", onclick: () => this.app.go({ where: "", search: "" }) }, "Clear all"),
    ].filter((node) => node instanceof Node);
  }

  /** Loads again what failed while the server did not respond. */
  retry() {
    this.key_ = "";
    this.facets.forget();
  }

  /** @param {number} index */
  rowAt(index) {
    return this.pages.get(String(Math.floor(index / PAGE)))?.[index % PAGE] ?? null;
  }

  // -- geometry -------------------------------------------------------------------------------

  /** @param {boolean} keep the first visible tile */
  layOut(keep) {
    const { clientWidth, clientHeight } = this.scroller;
    if (!clientWidth || this.element.hidden) return;
    const old = this.geometry;
    const first = Math.floor(this.offset / old.rowHeight) * old.across;
    const within = this.offset % old.rowHeight;
    this.geometry = layOut(this.total, clientWidth, clientHeight, SIZES[this.size], CAPTION);
    const changed = old.across !== this.geometry.across || old.rowHeight !== this.geometry.rowHeight;
    if (keep && changed && old.content > old.view) {
      this.offset = Math.floor(first / this.geometry.across) * this.geometry.rowHeight + within;
    }
    this.zoom.value = String(this.size);
    this.spacer.style.height = `${this.geometry.height}px`;
    this.moveTo(this.offset);
  }

  /** @param {number} offset in the content */
  moveTo(offset) {
    this.offset = clampOffset(this.geometry, offset);
    this.scroller.scrollTop = toScroll(this.geometry, this.offset);
    this.render();
  }

  scrolled() {
    const { scrollTop } = this.scroller;
    // One pixel of the scroll bar may be many of the content: ignore rounding.
    if (Math.abs(scrollTop - toScroll(this.geometry, this.offset)) > 1) this.offset = clampOffset(this.geometry, toContent(this.geometry, scrollTop));
    this.render();
  }

  /** @param {WheelEvent} event */
  turn(event) {
    if (event.ctrlKey || event.metaKey || this.geometry.content === this.geometry.height) return;
    event.preventDefault();
    this.moveTo(this.offset + event.deltaY * (event.deltaMode === 1 ? 16 : 1));
  }

  /** @param {number} size */
  resizeTo(size) {
    this.size = Math.min(Math.max(size, 0), SIZES.length - 1);
    this.layOut(true);
  }

  // -- tiles ----------------------------------------------------------------------------------

  render() {
    if (this.element.hidden) return;
    const { geometry } = this;
    const [first, last] = visibleTiles(geometry, this.offset, this.total);
    for (const index of [...this.tiles.keys()]) if (index < first || index >= last) this.drop(index);
    // With very many lines, the element scrolls less than the content.
    const shift = this.scroller.scrollTop - this.offset;
    for (let index = first; index < last; index++) {
      const tile = this.tiles.get(index) ?? this.make(index);
      const row = this.rowAt(index);
      if (row && tile.row !== row) this.fillTile(tile, row);
      const x = GAP + (index % geometry.across) * (geometry.tile + GAP);
      const y = GAP + Math.floor(index / geometry.across) * geometry.rowHeight + shift;
      const { style } = tile.element;
      style.transform = `translate(${x}px, ${y}px)`;
      style.width = `${geometry.tile}px`;
      style.height = `${geometry.tile + CAPTION}px`;
      const chosen = index === this.selected;
      set(tile.element, { "aria-selected": String(chosen) });
    }
    set(this.scroller, { "aria-activedescendant": this.tiles.has(this.selected) ? `tile-${this.selected}` : null });
    clearTimeout(this.timer);
    // Fast scrolling sends no requests.
    this.timer = setTimeout(() => this.fetchVisible(first, last), this.underWay.size ? 80 : 0);
  }

  timer = 0;

  /** @param {number} first @param {number} last */
  fetchVisible(first, last) {
    if (first === last) return;
    const pages = new Set();
    for (let index = first; index < last; index++) pages.add(Math.floor(index / PAGE));
    for (const [page, controller] of this.underWay) {
      if (!pages.has(page)) {
        controller.abort();
        this.underWay.delete(page);
      }
    }
    for (const page of pages) this.load(page);
  }

  /** @param {number} index @returns {Tile} */
  make(index) {
    const element = h("div", {
      class: "tile", role: "option", id: `tile-${index}`, "data-index": index,
      "aria-posinset": index + 1, "aria-setsize": this.total, "aria-label": `image ${index + 1}`,
    }, h("div", { class: "picture" }), h("div", { class: "tile-text" }));
    const tile = { element, index, row: null, controller: null };
    this.tiles.set(index, tile);
    this.spacer.append(element);
    return tile;
  }

  /** @param {number} index */
  drop(index) {
    const tile = this.tiles.get(index);
    tile?.controller?.abort();
    tile?.element.remove();
    this.tiles.delete(index);
  }

  /** @param {Tile} tile @param {Row} row */
  fillTile(tile, row) {
    tile.row = row;
    const [picture, text] = tile.element.children;
    const [folder, name] = row.group && row.group.kind !== "file" ? ["", pathOfGroup(row)] : nameOf(row);
    set(tile.element, { "aria-label": describe(row, name), title: `${row.path} ${row.member ?? ""}`.trim() });
    const { order } = this.app.route;
    const extra = row.columns && order in row.columns ? row.columns[order] : undefined;
    const value = typeof extra === "number" ? short(extra, 3) : extra;
    const facts = row.group ? groupFacts(row) : extra === undefined ? factsOf(row) : [row.Modality, `${BOX_ORDERS[order] ?? order} ${value ?? "–"}`];
    text.replaceChildren(
      h("span", { class: "name-line" }, folder && h("span", { class: "folder" }, folder), h("span", { class: "name" }, name)),
      h("span", { class: "facts-line" }, h("span", { class: "quiet" }, facts.filter(Boolean).join(" · ")), ...badges(row)),
    );
    picture.replaceChildren(...(row.has_pixels ? [] : [h("span", { class: "no-thumbnail" }, noPicture(row))]));
    if (row.has_pixels) this.picture(tile, row, picture);
  }

  /** @param {Tile} tile @param {Row} row @param {Element} to */
  picture(tile, row, to) {
    const size = this.geometry.tile * window.devicePixelRatio > 270 ? 512 : this.geometry.tile > 135 ? 256 : 128;
    const frame = row.group?.frame ?? 0;
    const key = `${row.id} ${frame} ${size}`;
    const known = this.pictures.get(key);
    if (known) return this.put(known, row, to);
    tile.controller = this.queue.add(async (signal) => {
      try {
        const url = URL.createObjectURL(await fetchPicture(`images/${row.id}/thumb`, { size, frame }, signal));
        this.pictures.put(key, url);
        if (tile.row === row) this.put(url, row, to);
      } catch (error) {
        if (isAbort(error)) return;
        const { message, code, status } = /** @type {ApiError} */ (error);
        if (status === 0) return; // loaded again once the server responds
        to.replaceChildren(h("span", { class: "no-thumbnail", title: message }, "no image", code && h("code", {}, code)));
      }
    });
  }

  /** Shows a thumbnail, with its boxes. @param {string} url @param {Row} row @param {Element} to */
  put(url, row, to) {
    const image = h("img", { src: url, alt: "", draggable: "false" });
    to.replaceChildren(image);
    if (row.outlines?.length) image.addEventListener("load", () => to.append(drawOutlines(row, image.naturalWidth, image.naturalHeight, this.readers)), { once: true });
  }

  flipOutlines() {
    if (this.outlined) this.app.go({ outlines: !this.app.route.outlines }, true);
  }

  // -- input ----------------------------------------------------------------------------------

  /** @param {number} index */
  select(index) {
    this.selected = Math.min(Math.max(index, 0), Math.max(0, this.total - 1));
    this.moveTo(reveal(this.geometry, this.selected, this.offset));
  }

  /** @param {MouseEvent} event */
  click(event) {
    const tile = event.target instanceof Element && event.target.closest(".tile");
    if (!(tile instanceof HTMLElement)) return;
    this.selected = Number(tile.dataset.index);
    this.render();
    this.openSelected();
  }

  openSelected() {
    const row = this.rowAt(this.selected);
    if (!row) return;
    if (row.group?.where) return this.app.go({ group: "series", where: join([...split(this.app.route.where), row.group.where]) });
    this.opened = row.id;
    this.app.go({ page: "image", id: row.id, frame: row.group?.frame ?? 0, window: "", invert: false, ...FITTED });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { across, rowHeight, view } = this.geometry;
    const page = Math.max(1, Math.floor(view / rowHeight)) * across;
    /** @type {Record<string, number>} */
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
    const { key } = event;
    if (key in steps) {
      const next = this.selected + steps[key];
      if (Math.abs(steps[key]) !== across || (next >= 0 && next < this.total)) this.select(Math.min(Math.max(next, 0), this.total - 1));
    } else if (key === "Enter") this.openSelected();
    else if (key.toLowerCase() === "b") this.flipOutlines();
    else if (key === "/") this.filter.focusSearch();
    else if (key.toLowerCase() === "f") this.filter.focusSql();
    else if (key.toLowerCase() === "s") this.group.turn();
    else if (key === "+" || key === "=") this.resizeTo(this.size + 1);
    else if (key === "-") this.resizeTo(this.size - 1);
    else return false;
    return true;
  }
}

/** Folder or archive, and name, of a file. @param {Row} row @returns {[string, string]} */
function nameOf(row) {
  const parts = row.path.split("/");
  const name = parts.pop() ?? "";
  if (row.member) return [name, row.member.split("/").at(-1) ?? ""];
  return [parts.at(-1) ?? "", name];
}

/** What tells images apart: modality, size, number and position of a slice, frames. @param {Row} row */
function factsOf(row) {
  return [
    row.Modality, row.Columns && `${row.Columns} × ${row.Rows}`,
    row.InstanceNumber !== null && row.InstanceNumber !== undefined && `no. ${row.InstanceNumber}`,
    positionText(row.slice_position_mm ?? null),
    (row.frames ?? 0) > 1 && plural(row.frames ?? 0, "frame"),
  ];
}

/** @param {Row} row */
function badges(row) {
  const list = [];
  if (row.part) list.push(h("span", { class: "badge part" }, row.part));
  if (row.boxes) list.push(h("span", { class: "badge boxes", title: row.boxes === 1 ? "1 box" : `${count(row.boxes)} boxes` }, `▢ ${count(row.boxes)}`));
  if (row.problems.length) list.push(h("span", { class: `badge ${row.worst ?? "warning"}`, title: row.problems.join(", ") }, `! ${row.problems.length}`));
  return list;
}

/** @param {Row} row @param {string} name */
function describe(row, name) {
  const parts = [name, row.Modality, row.has_pixels ? "" : row.read_status, row.part, row.boxes ? `${row.boxes} boxes` : "", row.problems.length ? `problems: ${row.problems.join(", ")}` : ""];
  return parts.filter(Boolean).join(", ");
}
