// One plane of a volume: picture, crosshair, slice number, sides of the patient.

import { isAbort } from "./api.js";
import { h, s, set, short } from "./dom.js";
import { valueAt } from "./greys.js";
import { lettersOf, Overlay } from "./orientation.js";
import { MaskLayer } from "./mask_layer.js";
import { fetchValues, knownValues, planeToVoxel, toVoxel, toWorld, voxelToPlane } from "./planes.js";
import { Stage } from "./stage.js";

/** @typedef {import("./types").Volume} Volume */
/** @typedef {import("./types").PlaneGeometry} PlaneGeometry */
/** @typedef {import("./planes.js").Point} Point */
/** @typedef {import("./volume.js").VolumeView} VolumeView */

const AHEAD = 3;
/** Gap of the crosshair around its centre, in CSS pixels. */
const GAP = 7;

export class PlaneView {
  /** @param {VolumeView} parent @param {string} name */
  constructor(parent, name) {
    this.parent = parent;
    this.name = name;
    this.stage = new Stage({
      viewed: () => this.draw(),
      grabbed: () => parent.grab(),
      dragged: (dx, dy) => parent.drag(dx, dy),
      pointed: () => {},
      measured: (_, to) => this.place(...to),
      wheeled: (steps) => (this.step(steps), true),
    });
    const { element } = this.stage;
    this.masks = new MaskLayer(this.stage, parent.app.masks);
    this.cross = s("g", { class: "cross" });
    this.stage.layer.append(this.cross);
    this.overlay = new Overlay(this.stage.layer);
    element.append(this.overlay.corner);
    element.addEventListener("focus", () => (parent.active = this));
    element.addEventListener("pointerdown", (event) => this.press(event), { capture: true });
    element.addEventListener("wheel", (event) => event.ctrlKey || event.metaKey ? this.wheelZoom(event) : undefined, { capture: true, passive: false });
    this.slider = h("input", { type: "range", min: 0, step: 1, "aria-label": `Slice of the ${name} plane` });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.element = h("section", { class: `plane ${name}`, "aria-label": `${name} plane` }, element, this.slider);
    /** @type {PlaneGeometry | null} */
    this.geometry = null;
    this.tool = "cross";
    this.shown = -1;
    this.way = 1;
    this.loading = false;
    /** @type {string[]} */
    this.sides = [];
    this.controller = new AbortController();
  }

  get volume() {
    return this.parent.volume;
  }

  /** Voxel on the axis through the plane. */
  get at() {
    return this.geometry ? this.parent.here[this.geometry.through.axis] : 0;
  }

  get count() {
    return this.geometry && this.volume ? this.volume.shape[this.geometry.through.axis] : 0;
  }

  /** Position on the slider: from the head, the front, the right side. */
  get place_() {
    return this.geometry?.through.flipped ? this.count - 1 - this.at : this.at;
  }

  /** @param {Volume} volume */
  open(volume) {
    const geometry = (this.geometry = volume.planes.find(({ name }) => name === this.name) ?? null);
    if (!geometry) return;
    this.controller = new AbortController();
    this.shown = -1;
    this.slider.max = String(this.count - 1);
    const direction = (/** @type {import("./types").Axis} */ { axis, flipped }) => [0, 1, 2].map((i) => ((flipped ? -1 : 1) * volume.affine[i][axis]) / volume.spacing[axis]);
    const back = (/** @type {number[]} */ vector) => vector.map((value) => -value);
    const [right, down] = [direction(geometry.right), direction(geometry.down)];
    this.sides = [lettersOf(back(right)), lettersOf(right), lettersOf(back(down)), lettersOf(down)];
    this.stage.element.setAttribute("aria-busy", "true");
  }

  clear() {
    this.geometry = null;
    this.masks.show(null);
    this.stage.picture = { colours: new Uint32Array(0) };
    this.stage.element.removeAttribute("aria-busy");
    this.cross.replaceChildren();
    this.overlay.setCorner([]);
    this.stage.draw();
  }

  leave() {
    this.controller.abort();
    this.clear();
  }

  /** Shows the plane through the crosshair. */
  update() {
    const { geometry, volume, parent } = this;
    if (!geometry || !volume) return;
    const { zoom } = parent.route;
    const [x, y] = voxelToPlane(geometry, toVoxel(volume.affine, parent.at));
    this.stage.setView({ rows: geometry.rows, columns: geometry.columns, aspect: 1 }, { zoom, x: zoom === null ? null : x, y: zoom === null ? null : y });
    this.slider.value = String(this.place_);
    const text = `${this.name} ${this.place_ + 1} / ${this.count}`;
    set(this.slider, { "aria-valuetext": text });
    set(this.stage.element, { "aria-label": `${this.name} plane, ${this.place_ + 1} of ${this.count}` });
    this.overlay.setCorner([text]);
    this.draw();
    this.load();
  }

  /** Loads planes one at a time; those passed meanwhile are skipped. */
  async load() {
    this.again = true;
    if (this.loading) return;
    this.loading = true;
    while (this.again) {
      this.again = false;
      await this.paint();
    }
    this.loading = false;
    this.prefetch();
  }

  again = false;

  async paint() {
    const { volume, at, parent } = this;
    const { signal } = this.controller;
    if (!volume || !this.geometry) return;
    try {
      const values = await fetchValues(volume, this.name, at, signal);
      const colours = await parent.colours(values, signal);
      if (signal.aborted || this.volume !== volume) return;
      if (at !== this.shown) this.way = at > this.shown ? 1 : -1;
      this.shown = at;
      this.masks.show(this.sourceOf(volume, at));
      this.stage.picture = { plane: values.plane, colours };
      this.stage.draw(true);
      this.stage.element.removeAttribute("aria-busy");
      this.stage.element.dataset.slice = String(at);
      parent.showValue();
      parent.showMessage("");
    } catch (error) {
      if (!isAbort(error)) parent.fail(error);
    }
  }

  /** @param {Volume} volume @param {number} at @returns {import("./mask_layer.js").Source} */
  sourceOf({ series, stack }, at) {
    return { path: (file) => `series/${series}/${stack}/masks/${file}/runs`, query: { plane: this.name, at } };
  }

  async prefetch() {
    const { volume, at, count, way } = this;
    const { signal } = this.controller;
    for (let by = 1; by <= AHEAD; by++) {
      const next = at + way * by;
      if (!volume || this.loading || signal.aborted || next < 0 || next >= count) return;
      try {
        await fetchValues(volume, this.name, next, signal);
        this.masks.prefetch(this.sourceOf(volume, next), signal);
      } catch {
        return; // reported when the plane is shown
      }
    }
  }

  /** Text of the value of a voxel, if it is on this plane. @param {Point} voxel */
  valueAt(voxel) {
    const { volume, geometry, parent } = this;
    if (!volume || !geometry || !parent.meta) return "";
    const values = knownValues(volume, this.name, voxel[geometry.through.axis]);
    if (!values) return "";
    const [x, y] = voxelToPlane(geometry, voxel);
    const { plane, floats, slope, intercept } = values;
    const i = Math.min(Math.floor(y), plane.rows - 1) * plane.columns + Math.min(Math.floor(x), plane.columns - 1);
    const { units } = parent.meta;
    if (floats) return `${short(floats[i])} ${units && units !== "US" ? units : ""}`.trim();
    return valueAt(plane, i, { ...parent.meta, ...(slope === null ? {} : { slope, intercept }) }, volume.image.frame);
  }

  draw() {
    const { stage, geometry, volume, parent } = this;
    if (!geometry || !volume) return;
    const { clientWidth: width, clientHeight: height } = stage.element;
    this.overlay.draw(this.sides, stage.zoom / stage.ratio / volume.pixel, width, height);
    const [x, y] = stage.toScreen(...voxelToPlane(geometry, toVoxel(volume.affine, parent.at)));
    const path = `M0 ${y}H${x - GAP}M${x + GAP} ${y}H${width}M${x} 0V${y - GAP}M${x} ${y + GAP}V${height}`;
    this.cross.replaceChildren(s("path", { d: path, class: "halo", "stroke-width": 3 }), s("path", { d: path, class: "cross-line" }));
  }

  // -- input ----------------------------------------------------------------------------------

  /** @param {string} tool */
  setTool(tool) {
    this.tool = tool;
    this.stage.tool = tool === "window" ? "window" : "ruler"; // the stage reports both ends of a drag
    this.stage.element.dataset.tool = tool;
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.parent.active = this;
    if (event.shiftKey || event.button) event.stopImmediatePropagation(); // the crosshair is the centre of a zoomed plane
    else if (this.tool === "cross") this.place(...this.stage.toImage(...this.stage.at(event)));
  }

  /** Places the crosshair. @param {number} x @param {number} y edge coordinates */
  place(x, y) {
    const { geometry, volume, parent } = this;
    if (!geometry || !volume || this.tool !== "cross") return;
    const [column, row] = [Math.min(Math.max(x, 0.5), geometry.columns - 0.5), Math.min(Math.max(y, 0.5), geometry.rows - 0.5)];
    parent.setAt(toWorld(volume.affine, planeToVoxel(geometry, column, row, this.at)));
  }

  /** Moves the crosshair on the plane. @param {number} right @param {number} down pixels */
  shift(right, down) {
    const { geometry, parent } = this;
    if (!geometry) return;
    const axis = right ? geometry.right : geometry.down;
    parent.move(axis.axis, (right || down) * (axis.flipped ? -1 : 1));
  }

  /** @param {number} by slices */
  step(by) {
    this.go(Math.min(Math.max(this.place_ + by, 0), this.count - 1));
  }

  /** @param {number} place on the slider */
  go(place) {
    const { geometry } = this;
    if (!geometry || !this.count) return;
    const next = geometry.through.flipped ? this.count - 1 - place : place;
    this.parent.move(geometry.through.axis, next - this.at);
  }

  /** @param {number} by factor */
  zoomBy(by) {
    this.parent.change({ zoom: Math.min(Math.max(this.stage.zoom * by, 0.1), 32) });
  }

  /** @param {WheelEvent} event */
  wheelZoom(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
    this.zoomBy(Math.exp(-Math.min(Math.max(event.deltaY, -200), 200) * 0.002));
  }
}
