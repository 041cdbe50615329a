// Image page: window, frames and panels, following the address.

import { ApiError, fetchJson, fetchPicture, isAbort } from "./api.js";
import { annotate } from "./annotator.js";
import { BoxLayer } from "./boxes.js";
import { Controls } from "./controls.js";
import { h, s, short } from "./dom.js";
import { coloursOf, valueAt } from "./greys.js";
import { showDocument } from "./document.js";
import { Header } from "./header.js";
import { Info } from "./info.js";
import { LabelView } from "./label_view.js";
import { findMeta, isKnown } from "./metas.js";
import { findMiss } from "./misses.js";
import { bestPlane, loadPlane, plan, scaleFor } from "./pixels.js";
import { Readers } from "./readers.js";
import { FITTED, rowQuery } from "./route.js";
import { distance, drawRuler } from "./ruler.js";
import { cornerOf, Overlay, sidesOf } from "./orientation.js";
import { press } from "./shortcuts.js";
import { Stack } from "./stack.js";
import { Stage } from "./stage.js";
import { turnSides } from "./turns.js";
import { dragged, label, resolve } from "./windows.js";

/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").Route} Route */
/** @typedef {import("./types").Position} Position */
/** @typedef {import("./types").Window} Window */
/** @typedef {import("./app.js").App} App */

const PREVIEW = 1024;
const VIEW = /** @type {const} */ (["zoom", "x", "y", "rotate", "flip"]);

export class ImageView {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.stage = new Stage({
      viewed: () => this.viewed(),
      grabbed: () => this.grab(),
      dragged: (dx, dy) => this.drag(dx, dy),
      pointed: (x, y) => this.probe(x, y),
      measured: (from, to) => this.measure(from, to),
      wheeled: (steps) => this.wheel(steps),
    });
    this.layer = new BoxLayer(this.stage.layer, (corners) => this.stage.toScreenBox(corners));
    this.rulerGroup = s("g", { class: "ruler" });
    this.stage.layer.append(this.rulerGroup);
    this.overlay = new Overlay(this.stage.layer);
    this.stack = new Stack(this);
    this.labels = new LabelView(this);
    this.controls = new Controls(this);
    this.readers = new Readers(app.about, (patch) => this.change(patch), () => this.drawBoxes(), (way) => this.nextMiss(way));
    this.header = new Header();
    this.info = new Info();
    this.message = h("div", { class: "no-image", role: "status", hidden: true });
    this.stage.element.append(this.overlay.corner, this.controls.turned, this.message);
    this.panel = h("aside", { class: "panel", "aria-label": "Image details" }, this.controls.tabs, this.readers.element, this.labels.panel.element, this.header.element, this.info.element);
    this.element = h(
      "main", { class: "image-page", hidden: true },
      this.controls.bar,
      h("div", { class: "image-body" }, h("div", { class: "stage-column" }, this.stage.element, this.controls.status), this.panel),
    );
    /** @type {Meta | null} */
    this.meta = null;
    /** @type {Position | null} */
    this.position = null;
    this.positionLoaded = this.boxesLoaded = Promise.resolve();
    /** @type {(Window & {key: string}) | null} */
    this.window = null;
    /** @type {(Window & {key: string}) | null} */
    this.grabbed = null;
    this.controller = new AbortController();
    this.pixelsController = new AbortController();
    this.id = "";
    this.frame = -1;
    /** @type {[[number, number], [number, number]] | null} */
    this.ruler = null;
    this.hover = 0;
    /** @type {1 | -1 | 0} direction of the miss to select once the boxes are loaded */
    this.pendingMiss = 0;
    this.annotator = annotate(this);
  }

  get route() {
    return this.app.route;
  }

  // -- address ------------------------------------------------------------------

  /** @param {Route} route */
  async show(route) {
    if (this.element.hidden) this.labels.enter();
    this.element.hidden = false;
    const other = route.id !== this.id;
    if (other) await this.open(route);
    else if (this.meta) {
      if (route.frame !== this.frame) {
        const at = this.stack.find(route.id, route.frame);
        if (at < 0 && this.stack.slices) this.stack.load(route.id, route.frame); // another stack of the file
        await (at < 0 ? this.toFrame(route.frame) : this.stack.moveTo(at));
      }
      this.follow(route);
    }
  }

  focus() {
    this.stage.element.focus({ preventScroll: true });
  }

  leave() {
    this.stack.clear();
    this.element.hidden = true;
    this.controller.abort();
    this.pixelsController.abort();
    this.labels.leave();
    this.id = "";
  }

  /** @param {Route} route */
  async open(route) {
    this.stack.stop();
    this.controller.abort();
    this.pixelsController.abort();
    const { signal } = (this.controller = new AbortController());
    this.id = route.id;
    this.frame = route.frame;
    // Clear everything about the previous image.
    this.meta = this.window = this.grabbed = this.ruler = this.position = null;
    this.stage.element.setAttribute("aria-busy", "true");
    this.stage.clearSoon();
    this.controls.clear();
    this.controls.setTurn(route);
    this.controls.setTab(route.tab, this);
    this.message.hidden = true;
    this.readers.clear(route);
    if (!isKnown(route.id, route.frame)) this.loadPreview(route, signal);
    this.positionLoaded = this.loadPosition(route, signal);
    this.stack.load(route.id, route.frame);
    const boxes = this.loadBoxes(route, signal);
    try {
      this.setMeta(await this.fetchMeta(route.frame, signal), this.app.route);
      await boxes;
    } catch (error) {
      this.showError(error);
    }
  }

  /** @param {number} frame @param {AbortSignal} signal */
  fetchMeta(frame, signal) {
    return findMeta(this.id, frame, signal);
  }

  /** @param {Meta} meta @param {Route} route */
  setMeta(meta, route) {
    this.meta = this.stack.share(meta);
    this.controls.setMeta(this.meta);
    this.describe();
    document.title = `${meta.path} · wetread`;
    this.message.hidden = !meta.error;
    this.labels.show(this.meta);
    this.annotator?.panel.fill();
    if (meta.error) this.fail(meta.error);
    else this.stage.element.setAttribute("aria-label", `${meta.modality || "image"} ${meta.path}, ${meta.columns} by ${meta.rows} pixels`);
    return this.follow(route);
  }

  /** Shows what is known of the image and its series. */
  describe() {
    const { meta, stack } = this;
    if (!meta) return;
    this.info.fill(meta, stack.info?.series ?? null, (id, frame) => this.app.go({ id, frame }, true));
    const series = stack.info?.series;
    this.overlay.setCorner(series ? cornerOf(series.description, series.modality) : []);
  }

  /** Updates everything except for the image itself. @param {Route} route */
  follow(route) {
    const { meta } = this;
    this.controls.setTab(route.tab, this);
    if (!meta) return;
    this.window = meta.colour || meta.error ? null : resolve(route.window, meta, this.app.about.presets);
    this.stage.setView(meta.error ? { rows: 1, columns: 1, aspect: 1 } : meta, route);
    this.controls.setWindow(this.window, route, label);
    this.readers.refresh(route);
    const painted = meta.error ? undefined : this.paint(true);
    this.viewed();
    return painted;
  }

  /** Changes the view; the address follows without a history entry. @param {Partial<Route>} patch */
  change(patch) {
    this.app.update(patch);
    const { route } = this;
    if ("window" in patch || "invert" in patch) {
      this.window = this.meta && !this.meta.colour ? resolve(route.window, this.meta, this.app.about.presets) : null;
      this.controls.setWindow(this.window, route, label);
      if (this.planeWindow) this.repaint();
      else this.paint(true);
    }
    if ("readers" in patch || "labels" in patch || "show" in patch || "iou" in patch || "score" in patch) {
      this.readers.refresh(route);
      this.drawBoxes();
    }
    if ("tab" in patch) this.controls.setTab(route.tab, this);
  }

  // -- pixels ---------------------------------------------------------------------------------

  /** @param {Route} route @param {AbortSignal} signal */
  async loadPreview(route, signal) {
    try {
      const blob = await fetchPicture(`images/${route.id}/preview`, { frame: route.frame, size: PREVIEW, window: route.window }, signal);
      const preview = await createImageBitmap(blob);
      if (signal.aborted || this.stage.picture.plane) return;
      this.stage.picture.preview = preview;
      if (!this.meta || this.meta.id !== route.id) this.stage.setView({ rows: preview.height, columns: preview.width, aspect: 1 }, { ...FITTED, rotate: route.rotate, flip: route.flip });
      this.stage.draw();
    } catch { /* reported when the image is loaded */ }
  }

  /** Scale required by the zoom. */
  get requiredScale() {
    const { meta } = this;
    return meta ? scaleFor(meta.levels, this.stage.zoom * Math.max(1, meta.aspect)) : 1;
  }

  /** Window of the requested pixels, for images windowed by the server; else "". */
  get planeWindow() {
    return this.meta && !this.meta.colour && !/^u?int(8|16)$/.test(this.meta.dtype) ? (this.window?.key ?? "") : "";
  }

  /** @param {boolean} [fast] */
  async paint(fast = false) {
    const { meta, frame } = this;
    if (!meta || meta.error) return;
    this.pixelsController.abort();
    const { signal } = (this.pixelsController = new AbortController());
    const required = this.requiredScale;
    const window = this.planeWindow;
    try {
      const cached = bestPlane(meta, frame, required, window);
      if (cached) await this.put(cached, fast, signal);
      for (const scale of plan(meta, required)) {
        if (cached && scale >= cached.scale) continue;
        await this.put(await loadPlane(meta.id, frame, scale, window, signal), false, signal);
      }
      this.prefetch(signal).catch(() => {});
    } catch (error) {
      this.showError(error);
    }
  }

  /** Repaints images windowed by the server, one request at a time, so that dragging shows each response. */
  async repaint() {
    this.again = true;
    if (this.painting) return;
    this.painting = true;
    while (this.again) {
      this.again = false;
      await this.paint(true);
    }
    this.painting = false;
  }

  again = false;
  painting = false;

  /** @param {import("./types").Plane} plane @param {boolean} fast @param {AbortSignal} signal */
  async put(plane, fast, signal) {
    const { meta, frame, window, route } = this;
    if (!meta) return;
    const colours = await coloursOf(plane.dtype, meta, frame, window, route.invert, signal);
    if (signal.aborted) return;
    this.stage.picture = { plane, colours: meta.label ? this.labels.background(colours) : colours };
    this.stage.draw(fast);
    this.controls.setLevel(plane.scale);
    this.stage.element.removeAttribute("aria-busy");
  }

  /** Prefetches the next frame, or the next image of the list. @param {AbortSignal} signal */
  async prefetch(signal) {
    await this.positionLoaded;
    const { meta, position } = this;
    if (!meta || signal.aborted || this.stack.playing || (this.stack.slices?.length ?? 0) > 1 || meta.dtype === "display8") return;
    if (this.frame + 1 < meta.frames) {
      await loadPlane(meta.id, this.frame + 1, this.requiredScale, this.planeWindow, signal);
    } else if (position?.next && meta.frames === 1) {
      const next = await findMeta(position.next, 0, signal);
      if (next.error || next.dtype === "display8") return;
      const scale = scaleFor(next.levels, this.stage.fitZoom(next, { swapped: false }) * Math.max(1, next.aspect));
      await loadPlane(next.id, 0, scale, "", signal);
    }
  }

  // -- window, view ---------------------------------------------------------------------------

  /** Starts a drag; "auto" replaces a look-up table, which has no center and width. */
  grab() {
    const { meta, window } = this;
    this.grabbed = meta && window?.lut ? resolve("auto", meta, []) : window;
  }

  /** @param {number} dx @param {number} dy CSS pixels */
  drag(dx, dy) {
    if (!this.grabbed || !this.meta || this.meta.colour) return;
    this.change({ window: dragged(this.grabbed, dx, dy, this.meta) });
  }

  viewed() {
    const { stage, meta } = this;
    this.drawBoxes();
    if (!meta || meta.error || this.element.hidden) return;
    this.controls.setZoom(stage.zoom, stage.view.zoom === null);
    this.controls.setTurn(stage.view);
    const { view } = stage;
    if (VIEW.some((name) => view[name] !== this.route[name])) this.app.update(view);
    const plane = stage.picture.plane;
    if (plane && plane.scale !== this.requiredScale) this.paint(true);
  }

  drawBoxes() {
    const { stage, readers } = this;
    const marks = this.meta && !this.meta.error ? (this.annotator?.combine(readers.marks) ?? readers.marks) : [];
    const chips = readers.layers(this.route).includes("l");
    this.layer.draw(marks, this.annotator?.selected || readers.selected, chips, stage.element.clientWidth);
    this.layer.fade(readers.opacity);
    this.annotator?.draw();
    const text = this.ruler && this.meta ? distance(...this.ruler, this.meta.spacing) : "";
    const { dx, dy, swapped } = stage.viewport();
    const spacing = this.meta?.error ? null : this.meta?.spacing;
    const perMm = spacing ? 1 / Math.abs(swapped ? dy * spacing.row : dx * spacing.column) / stage.ratio : 0;
    this.overlay.draw(this.meta?.error ? [] : turnSides(stage.axes, sidesOf(this.stack.info?.orientation)), perMm, stage.element.clientWidth, stage.element.clientHeight);
    drawRuler(this.rulerGroup, this.ruler && [stage.toScreen(...this.ruler[0]), stage.toScreen(...this.ruler[1])], text, [stage.element.clientWidth, stage.element.clientHeight]);
  }

  /** @param {[number, number]} from @param {[number, number]} to */
  measure(from, to) {
    this.ruler = [from, to];
    this.drawBoxes();
  }

  /** @param {number | null} x @param {number | null} y stored edge coordinates */
  probe(x, y) {
    const { meta } = this;
    clearTimeout(this.hover);
    if (!meta || meta.error) return;
    const [column, row] = [Math.floor(x ?? -1), Math.floor(y ?? -1)];
    if (x === null || column < 0 || row < 0 || column >= meta.columns || row >= meta.rows) return this.controls.setProbe(null);
    const plane = bestPlane(meta, this.frame, 1, this.planeWindow);
    const pixel = { x: column, y: row, mm: meta.spacing && `${short((column + 0.5) * meta.spacing.column, 5)}, ${short((row + 0.5) * meta.spacing.row, 5)} mm` };
    if (!plane || plane.scale !== 1) {
      // Reduced pixels are means: load stored values once the pointer rests.
      this.controls.setProbe({ ...pixel, text: "…" });
      this.hover = setTimeout(() => loadPlane(meta.id, this.frame, 1, this.planeWindow, this.controller.signal).then(() => this.probe(x, y)).catch(() => {}), 250);
      return;
    }
    this.controls.setProbe({ ...pixel, text: valueAt(plane, row * plane.columns + column, meta, this.frame) });
  }

  // -- frames, series, list -------------------------------------------------------------------

  /** @param {number} steps @returns {boolean} true if handled */
  wheel(steps) {
    if (!this.meta) return true;
    if (!this.stack.pending && this.stack.count < 2) return false;
    if (steps) this.stack.step(steps);
    return true;
  }

  /** @param {number} frame */
  async toFrame(frame) {
    const { meta } = this;
    if (!meta || frame === this.frame || frame >= meta.frames) return;
    this.frame = frame;
    this.app.update({ frame });
    this.stack.setAt(frame);
    if (meta.varies || !meta.colour) {
      // "auto" and "full" depend on the frame, as in Image.display.
      const { signal } = this.controller;
      try {
        const own = await this.fetchMeta(frame, signal);
        if (this.frame !== frame) return;
        this.setMeta(own, this.route);
      } catch (error) {
        return this.showError(error);
      }
    }
    await Promise.all([this.paint(), this.loadBoxes(this.route, this.controller.signal)]);
  }

  /** @param {Route} route @param {AbortSignal} signal */
  async loadPosition(route, signal) {
    try {
      /** @type {Position} */
      const position = await fetchJson("position", { id: route.id, ...rowQuery(route) }, signal);
      this.position = position;
      this.controls.setPosition(position);
    } catch { /* the image is displayed without its position */ }
  }

  /** Opens the previous or next image of the filtered list, once the position in it is loaded. @param {"previous" | "next"} way */
  async neighbour(way) {
    const { signal } = this.controller;
    await this.positionLoaded;
    if (signal.aborted) return;
    const id = this.position?.[way];
    if (id) this.openOther(id, this.position?.[`${way}_frame`] ?? 0);
  }

  /** Opens another image; keeps a named window, resets numeric windows and the view. @param {string} id @param {number} [frame] */
  openOther(id, frame = 0) {
    const window = this.route.window.includes(",") ? "" : this.route.window;
    this.app.go({ id, frame, window, ...FITTED });
  }

  // -- boxes ----------------------------------------------------------------------------------

  /** @param {Route} route @param {AbortSignal} signal */
  loadBoxes(route, signal) {
    return (this.boxesLoaded = this.fetchBoxes(route, signal));
  }

  /** @param {Route} route @param {AbortSignal} signal */
  async fetchBoxes(route, signal) {
    const { about } = this.app;
    this.annotator?.load(route, signal).catch((error) => this.showError(error));
    if (!about.boxes && !about.predictions) return this.readers.clear(route);
    try {
      const boxes = await fetchJson(`images/${route.id}/boxes`, { frame: route.frame }, signal);
      if (route.frame !== this.frame || route.id !== this.id) return;
      this.readers.load(boxes, this.route);
      if (this.pendingMiss) this.readers.selectMiss(this.pendingMiss);
      this.pendingMiss = 0;
      this.drawBoxes();
    } catch (error) {
      if (!isAbort(error) && /** @type {ApiError} */ (error).status !== 0) this.controls.showMessage(/** @type {Error} */ (error).message);
    }
  }

  /** Selects the next miss, on this or another image, once the boxes and the position in the list are loaded. @param {1 | -1} way */
  async nextMiss(way) {
    if (!this.app.about.predictions) return;
    const show = this.readers.layers(this.route);
    const hidden = ["g", "p"].filter((layer) => !show.includes(layer)).join("");
    if (hidden) this.change({ show: show + hidden });
    const { signal } = this.controller;
    await Promise.all([this.boxesLoaded, this.positionLoaded]);
    if (signal.aborted) return;
    const found = this.readers.selectMiss(way) && this.readers.selectedMark;
    if (found) return this.stage.reveal(found.box);
    let next;
    try {
      next = await findMiss(this.route, this.position?.offset ?? -1, way);
    } catch (error) {
      return this.controls.showMessage(/** @type {Error} */ (error).message);
    }
    if (!next) return this.controls.showMessage("No other image has a miss at these thresholds.");
    this.pendingMiss = way;
    this.openOther(next);
  }

  // -- errors, keys --------------------------------------------------------------------------

  /** @param {unknown} error */
  showError(error) {
    if (isAbort(error) || (error instanceof ApiError && error.status === 0)) return; // the banner reports it
    this.fail(/** @type {Error} */ (error).message);
    if (!(error instanceof ApiError)) console.error(error);
  }

  /** @param {string} text */
  fail(text) {
    this.stage.picture = { colours: new Uint32Array(0) };
    this.stage.draw();
    this.stage.element.removeAttribute("aria-busy");
    this.message.hidden = false;
    if (this.meta?.absent) return showDocument(this.message, this.meta, text, this.controller.signal);
    const problems = (this.meta?.problems ?? []).filter(({ severity }) => severity === "error");
    const listed = problems.some((problem) => problem.text === text);
    this.message.replaceChildren(
      h("h2", {}, "Image cannot be displayed"), listed ? "" : h("p", {}, text),
      ...problems.map((problem) => h("p", { class: `problem ${problem.severity}` }, h("code", {}, problem.code), ` ${problem.text}`)),
    );
  }

  escape() {
    if (!this.ruler) return this.toGrid();
    this.ruler = null;
    this.drawBoxes();
  }

  toGrid() {
    this.app.go({ page: "grid", ...FITTED, frame: 0, window: "", invert: false });
  }

  /** @param {KeyboardEvent} event @returns {boolean} true if the key has an action */
  key = (event) => press(this, event);
}
