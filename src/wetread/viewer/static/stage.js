// Canvas with the image: zoom, pan, drawing and pointer events.

import { h, s, set } from "./dom.js";
import { Pinch } from "./pinch.js";
import { FITTED } from "./route.js";
import { drawNearest, drawSmooth, placementOf } from "./sampler.js";
import { axesOf, rotated, toStored } from "./turns.js";

/** @typedef {import("./types").Plane} Plane */
/** @typedef {import("./marking.js").Corners} Corners */
/** @typedef {{rows: number, columns: number, aspect: number}} Size */
/** @typedef {{zoom: number | null, x: number | null, y: number | null}} Position */
/** @typedef {import("./turns.js").Turn} Turn */
/** @typedef {Position & Turn} View */
/**
 * @typedef {object} Listener
 * @property {() => void} viewed the view has changed
 * @property {() => void} grabbed with the window tool
 * @property {(dx: number, dy: number) => void} dragged with it, in CSS pixels from where it was grabbed
 * @property {(x: number | null, y: number | null) => void} pointed at stored edge coordinates
 * @property {(from: [number, number], to: [number, number]) => void} measured
 * @property {(steps: number) => boolean} wheeled returns true if handled
 * @property {(tool: string, at: [number, number], pointer: string) => import("./draw_tool.js").Drag | null} [marked] with a tool that draws
 */

const STOPS = [1 / 16, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const MARGIN = 12;

export class Stage {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.canvas = h("canvas", { class: "canvas" });
    this.layer = s("svg", { class: "layer", "aria-hidden": "true" });
    this.element = h(
      "div", { class: "stage", tabindex: 0, role: "img", "aria-label": "image", "data-tool": "window" },
      this.canvas, this.layer,
    );
    const context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    if (!context) throw new Error("this browser does not support canvas");
    this.context = context;
    /** @type {Size} */
    this.size = { rows: 1, columns: 1, aspect: 1 };
    /** @type {View} */
    this.view = { ...FITTED };
    this.tool = "window";
    /** @type {{plane?: Plane, colours: Uint32Array, preview?: ImageBitmap}} */
    this.picture = { colours: new Uint32Array(0) };
    /** @type {import("./mask_layer.js").MaskLayer | null} */
    this.masks = null;
    this.buffer = new ImageData(1, 1);
    this.frameRequest = 0;
    this.fast = false;
    this.settle = 0;
    this.wheel = 0;
    /** Ends the drag of a pointer without its effect. */
    this.cancel = () => {};
    this.pinch = new Pinch(this);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.element);
  }

  get ratio() {
    return window.devicePixelRatio || 1;
  }

  /** Screen pixels per stored column. */
  get zoom() {
    return this.view.zoom ?? this.fitZoom();
  }

  get axes() {
    return axesOf(this.view);
  }

  /** Zoom at which the whole image is visible. @param {Size} [size] @param {{swapped: boolean}} [axes] */
  fitZoom({ rows, columns, aspect } = this.size, { swapped } = this.axes) {
    const free = 2 * MARGIN * this.ratio;
    const room = [this.canvas.width - free, this.canvas.height - free];
    const [along, below] = swapped ? room.reverse() : room;
    return Math.max(Math.min(along / columns, below / (rows * aspect)), 1e-4);
  }

  /** @param {Size} size @param {Position & Partial<Turn>} view */
  setView(size, { zoom, x, y, rotate = 0, flip = false }) {
    this.size = size;
    this.view = { zoom, x, y, rotate, flip };
    this.draw();
  }

  /** Position of the image, aligned to screen pixels. */
  viewport() {
    const { width, height } = this.canvas;
    const { swapped, columns, rows } = this.axes;
    const across = this.zoom * columns;
    const down = this.zoom * this.size.aspect * rows;
    const x = this.view.x ?? this.size.columns / 2;
    const y = this.view.y ?? this.size.rows / 2;
    return {
      x: Math.round(x * across - (swapped ? height : width) / 2) / across,
      y: Math.round(y * down - (swapped ? width : height) / 2) / down,
      dx: 1 / across,
      dy: 1 / down,
      columns: this.size.columns,
      rows: this.size.rows,
      swapped,
    };
  }

  /** Stored edge coordinates -> CSS pixels of the stage. @param {number} x @param {number} y @returns {[number, number]} */
  toScreen(x, y) {
    const viewport = this.viewport();
    const [along, below] = [(x - viewport.x) / viewport.dx / this.ratio, (y - viewport.y) / viewport.dy / this.ratio];
    return viewport.swapped ? [below, along] : [along, below];
  }

  /** Box in stored edge coordinates -> left, top, right and bottom in CSS pixels of the stage. @param {Corners} corners @returns {Corners} */
  toScreenBox([x0, y0, x1, y1]) {
    const [[ax, ay], [bx, by]] = [this.toScreen(x0, y0), this.toScreen(x1, y1)];
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  }

  /** CSS pixels of the stage -> stored edge coordinates. @param {number} x @param {number} y @returns {[number, number]} */
  toImage(x, y) {
    const viewport = this.viewport();
    const [along, below] = viewport.swapped ? [y, x] : [x, y];
    return [viewport.x + along * this.ratio * viewport.dx, viewport.y + below * this.ratio * viewport.dy];
  }

  /** Vector on the screen -> along stored columns and rows. @param {number} across @param {number} down */
  toStored(across, down) {
    return toStored(this.axes, across, down);
  }

  resize() {
    const { clientWidth, clientHeight } = this.element;
    const width = Math.max(1, Math.round(clientWidth * this.ratio));
    const height = Math.max(1, Math.round(clientHeight * this.ratio));
    if (width !== this.canvas.width || height !== this.canvas.height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.buffer = new ImageData(width, height);
      set(this.layer, { viewBox: `0 0 ${clientWidth} ${clientHeight}` });
      this.paint();
      this.listener.viewed();
    }
  }

  /** @param {boolean} [fast] nearest-neighbour while something moves, bilinear afterwards */
  draw(fast = false) {
    this.fast = fast;
    if (!this.frameRequest) {
      this.frameRequest = requestAnimationFrame(() => {
        this.frameRequest = 0;
        this.paint();
      });
    }
  }

  /** Removes the image; the canvas is cleared after a short delay, unless the next image is ready. */
  clearSoon() {
    this.picture = { colours: new Uint32Array(0) };
    clearTimeout(this.settle);
    this.settle = setTimeout(() => this.draw(), 120);
  }

  paint() {
    const { plane, preview } = this.picture;
    const viewport = this.viewport();
    clearTimeout(this.settle);
    if (plane) this.paintPlane(plane, viewport);
    else this.paintPreview(preview, viewport);
    if (plane) this.masks?.draw(this.context, viewport);
  }

  /** @param {Plane} plane @param {import("./sampler.js").Viewport} viewport */
  paintPlane(plane, viewport) {
    const { width, height } = this.canvas;
    const out = new Uint32Array(this.buffer.data.buffer);
    const [across, down] = [plane.scale / Math.abs(viewport.dx), plane.scale / Math.abs(viewport.dy)];
    const exact = isInteger(across) && isInteger(down) && (plane.scale === 1 || (!plane.shift && across <= 1.001));
    if (exact || this.fast) drawNearest(out, width, height, plane, this.picture.colours, viewport);
    else drawSmooth(out, width, height, plane, this.picture.colours, viewport);
    this.context.putImageData(this.buffer, 0, 0);
    this.element.dataset.drawn = `${exact ? "exact" : this.fast ? "nearest" : "smooth"} ${plane.scale}`;
    if (this.fast && !exact) this.settle = setTimeout(() => this.draw(), 140);
  }

  /** @param {ImageBitmap | undefined} preview @param {import("./sampler.js").Viewport} viewport */
  paintPreview(preview, viewport) {
    const { width, height } = this.canvas;
    this.context.fillStyle = "#0e1115";
    this.context.fillRect(0, 0, width, height);
    if (preview) {
      this.context.imageSmoothingQuality = "high";
      this.context.setTransform(placementOf(viewport));
      this.context.drawImage(preview, 0, 0, this.size.columns, this.size.rows);
      this.context.resetTransform();
    }
    this.element.dataset.drawn = preview ? "preview" : "empty";
  }

  /** @param {Partial<View>} view */
  move(view) {
    this.view = { ...this.view, ...view };
    const { x, y, zoom } = this.view;
    if (zoom === null) this.view = { ...this.view, x: null, y: null };
    else {
      this.view.x = Math.min(Math.max(x ?? this.size.columns / 2, 0), this.size.columns);
      this.view.y = Math.min(Math.max(y ?? this.size.rows / 2, 0), this.size.rows);
    }
    this.draw(true);
    this.listener.viewed();
  }

  /** Rotates by 90°. @param {1 | -1} way clockwise, or back */
  rotate(way) {
    this.move(rotated(this.view, way));
  }

  /** Exchanges left and right. */
  flip() {
    this.move({ flip: !this.view.flip });
  }

  /** Shows the whole image, neither rotated nor flipped. */
  reset() {
    this.move(FITTED);
  }

  /** Zooms at a fixed point of the stage. @param {number} zoom @param {[number, number]} [at] CSS pixels @param {[number, number]} [point] of the image that comes to lie there */
  zoomTo(zoom, at = [this.element.clientWidth / 2, this.element.clientHeight / 2], [x, y] = this.toImage(...at)) {
    const next = Math.min(Math.max(zoom, 1 / 64), 64);
    const { clientWidth, clientHeight } = this.element;
    const back = this.ratio / next;
    const [along, below] = this.toStored(at[0] - clientWidth / 2, at[1] - clientHeight / 2);
    this.move({ zoom: next, x: x - along * back, y: y - (below * back) / this.size.aspect });
  }

  /** Zooms to the next stop. @param {1 | -1} way @param {[number, number]} [at] */
  step(way, at) {
    const zoom = this.zoom;
    const next = way > 0 ? STOPS.find((stop) => stop > zoom * 1.01) : STOPS.findLast((stop) => stop < zoom * 0.99);
    if (next) this.zoomTo(next, at ?? this.pointer);
  }

  /** Brings a box into view. @param {{x0: number, y0: number, x1: number, y1: number}} box */
  reveal(box) {
    const [left, top, right, bottom] = this.toScreenBox([box.x0, box.y0, box.x1, box.y1]);
    const { clientWidth, clientHeight } = this.element;
    if (left < 0 || top < 0 || right > clientWidth || bottom > clientHeight) {
      this.move({ zoom: this.zoom, x: (box.x0 + box.x1) / 2, y: (box.y0 + box.y1) / 2 });
    }
  }

  /** @type {[number, number] | undefined} pointer position in CSS pixels */
  pointer;

  /** @param {MouseEvent} event @returns {[number, number]} */
  at(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  listen() {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => this.press(event));
    element.addEventListener("pointermove", (event) => {
      this.pointer = this.at(event);
      // The middle of a pixel of the screen: its edges may be those of stored pixels.
      const [x, y] = this.pointer.map((at) => (Math.floor(at * this.ratio) + 0.5) / this.ratio);
      this.listener.pointed(...this.toImage(x, y));
    });
    element.addEventListener("pointerleave", () => {
      this.pointer = undefined;
      this.listener.pointed(null, null);
    });
    element.addEventListener("auxclick", (event) => event.preventDefault());
    element.addEventListener("wheel", (event) => this.turn(event), { passive: false });
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button > 1) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    if (this.pinch.press(event)) return this.cancel();
    const { pointerId } = event;
    const tool = event.button === 1 || event.shiftKey ? "pan" : this.tool;
    const start = this.at(event);
    const from = this.toImage(...start);
    const stop = new AbortController();
    if (tool === "window") this.listener.grabbed();
    const drawing = tool === "box" || tool === "point";
    const marking = drawing ? this.listener.marked?.(tool, start, event.pointerType) : null;
    /** @param {PointerEvent} move */
    const drag = (move) => {
      if (move.pointerId !== pointerId) return;
      const now = this.at(move);
      const [dx, dy] = [now[0] - start[0], now[1] - start[1]];
      if (tool === "pan") {
        const [x, y] = this.toImage(...now);
        const [cx, cy] = this.toImage(this.element.clientWidth / 2, this.element.clientHeight / 2);
        this.move({ zoom: this.zoom, x: cx + from[0] - x, y: cy + from[1] - y });
      } else if (drawing) marking?.move(now);
      else if (tool === "ruler") this.listener.measured(from, this.toImage(...now));
      else this.listener.dragged(dx, dy);
    };
    this.element.dataset.dragging = tool;
    this.element.addEventListener("pointermove", drag, { signal: stop.signal });
    /** @param {boolean} kept */
    const end = (kept) => {
      stop.abort();
      marking?.end(kept);
      delete this.element.dataset.dragging;
      this.cancel = () => {};
    };
    this.cancel = () => end(false);
    /** @param {PointerEvent} last */
    const release = (last) => last.pointerId === pointerId && end(last.type === "pointerup");
    this.element.addEventListener("pointerup", release, { signal: stop.signal });
    this.element.addEventListener("pointercancel", release, { signal: stop.signal });
  }

  /** @param {WheelEvent} event */
  turn(event) {
    event.preventDefault();
    const delta = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
    if (!event.ctrlKey && !event.metaKey) {
      this.wheel += delta;
      const steps = Math.trunc(this.wheel / 50);
      if (steps) this.wheel -= steps * 50;
      if (this.listener.wheeled(steps)) return;
    }
    this.zoomTo(this.zoom * Math.exp(-Math.min(Math.max(delta, -200), 200) * 0.002), this.at(event));
  }
}

/** @param {number} value */
function isInteger(value) {
  return Math.abs(value - Math.round(value)) < 1e-9 && value > 0.5;
}
