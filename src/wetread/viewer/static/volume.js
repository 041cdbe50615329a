// Axial, coronal and sagittal planes of a volume, with a linked crosshair.

import { fetchJson, isAbort } from "./api.js";
import { h, iconButton, plural, set, short } from "./dom.js";
import { coloursOf } from "./greys.js";
import { findMeta } from "./metas.js";
import { nearest, toVoxel, toWorld } from "./planes.js";
import { MASK } from "./orientation.js";
import { MaskPanel } from "./mask_panel.js";
import { PlaneView } from "./plane_view.js";
import { FITTED } from "./route.js";
import { choices, dragged, label, resolve } from "./windows.js";

/** @typedef {import("./types").Volume} Volume */
/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").Route} Route */
/** @typedef {import("./types").VolumeEntry} VolumeEntry */
/** @typedef {import("./planes.js").Point} Point */
/** @typedef {import("./planes.js").Values} Values */
/** @typedef {import("./app.js").App} App */

const NAMES = ["axial", "coronal", "sagittal"];

export class VolumeView {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.views = NAMES.map((name) => new PlaneView(this, name));
    this.active = this.views[0];
    this.title = h("span", { class: "path" });
    this.others = h("select", { "aria-label": "Volume in the same frame of reference", class: "volume-list", onchange: () => this.other() });
    this.windows = h("select", { "aria-label": "Window", class: "window-list", onchange: () => this.change({ window: this.windows.value }) });
    this.invert = iconButton("invert", "Invert (I)", () => this.change({ invert: !this.route.invert }));
    /** @type {Record<string, HTMLButtonElement>} */
    this.tools = {
      cross: iconButton("cross", "Place the crosshair (C)", () => this.setTool("cross")),
      window: iconButton("window", "Adjust the window by dragging (W)", () => this.setTool("window")),
    };
    this.slicesButton = h("button", { type: "button", class: "tool word", title: "Slices of the series (V)", onclick: () => this.toSlices() }, "Slices");
    this.value = h("b", {});
    this.position = h("span", {});
    this.voxel = h("span", { class: "quiet" });
    this.caption = h("span", { class: "caption" });
    this.message = h("span", { class: "message", role: "status" });
    this.grid = h("div", { class: "planes grow" }, ...this.views.map((view) => view.element));
    this.masks = new MaskPanel(app.masks, "volume-masks", () => {});
    this.panel = h("aside", { class: "panel", "aria-label": "Masks of the volume", hidden: true }, this.masks.element);
    app.masks.listen(() => (this.panel.hidden = !app.masks.files.length));
    this.element = h(
      "main", { class: "volume-page", hidden: true },
      h(
        "header", { class: "bar" },
        iconButton("grid", "Back to the grid (Esc)", () => this.toGrid()), this.slicesButton,
        h("h1", { class: "what" }, this.title), this.others,
        h("div", { class: "group", role: "group", "aria-label": "Window" }, this.windows, this.invert),
        h("div", { class: "group", role: "group", "aria-label": "Tools" }, ...Object.values(this.tools)),
        iconButton("fit", "Fit to the screen (=)", () => this.change({ zoom: null })),
        h("span", { class: "bar-end" }, ...app.tools()),
      ),
      h("div", { class: "volume-body" }, this.grid, this.panel),
      h("footer", { class: "status" }, h("span", { class: "probe" }, this.value, this.position, this.voxel), this.message, this.caption),
    );
    /** @type {Volume | null} */
    this.volume = null;
    /** @type {Meta | null} of the middle slice */
    this.meta = null;
    /** @type {Point} crosshair in mm */
    this.at = [0, 0, 0];
    this.key_ = "";
    this.controller = new AbortController();
    /** @type {ReturnType<typeof resolve> | null} */
    this.window = null;
    /** @type {ReturnType<typeof resolve> | null} */
    this.grabbed = null;
    this.setTool("cross");
  }

  get route() {
    return this.app.route;
  }

  /** @param {Route} route */
  async show(route) {
    this.element.hidden = false;
    const key = `${route.series} ${route.stack}`;
    if (key === this.key_) return this.follow();
    this.leave();
    this.element.hidden = false;
    this.app.root.prepend(this.element);
    this.key_ = key;
    const { signal } = (this.controller = new AbortController());
    for (const view of this.views) view.clear();
    this.showMessage("Loading the volume …");
    try {
      /** @type {Volume} */
      const volume = await fetchJson(`series/${route.series}/${route.stack}`, {}, signal);
      this.meta = await findMeta(volume.image.id, volume.image.frame, signal);
      this.open(volume);
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {Volume} volume */
  open(volume) {
    const { meta } = this;
    if (!meta) return;
    this.volume = volume;
    const mine = volume.others.find((one) => one.series === volume.series && one.stack === volume.stack);
    this.title.textContent = [mine && nameOf(mine), `${volume.shape.join(" × ")} voxels`, `${volume.spacing.map((mm) => short(mm, 3)).join(" × ")} mm`].filter(Boolean).join(" · ");
    document.title = `planes of ${meta.path} · wetread`;
    this.others.hidden = volume.others.length < 2;
    this.others.replaceChildren(...volume.others.map((one, i) => h("option", { value: i, selected: one === mine }, nameOf(one))));
    this.windows.replaceChildren(...choices(meta, this.app.about.presets).map(([value, text]) => h("option", { value }, text)), h("option", { value: "", disabled: true }, "custom"));
    this.windows.hidden = this.invert.hidden = meta.colour;
    this.showMessage(volume.limit || meta.error || "");
    if (volume.limit || meta.error) return;
    this.grid.dataset.large = volume.acquired;
    for (const view of this.views) view.open(volume);
    this.app.masks.openStack(volume.series, volume.stack);
    const { id, frame, at } = this.route;
    const shown = volume.slices.findIndex((slice) => slice[0] === id && slice[1] === frame);
    if (at || shown < 0) return this.follow();
    const [, row, column] = middleOf(volume);
    this.setAt(toWorld(volume.affine, [shown, row, column])); // planes of the slice that was on display
  }

  /** Follows the address. */
  follow() {
    const { volume, meta, route } = this;
    if (!volume || !meta || volume.limit || meta.error) return;
    this.at = route.at ?? toWorld(volume.affine, middleOf(volume));
    this.window = meta.colour ? null : resolve(route.window, meta, this.app.about.presets);
    this.caption.textContent = [this.window && label(this.window), volume.oblique > 1 ? `oblique by ${short(volume.oblique, 2)}°` : ""].filter(Boolean).join(" · ");
    if (this.window) this.windows.value = this.window.key.includes(",") ? "" : this.window.key;
    set(this.invert, { "aria-pressed": String(route.invert) });
    for (const view of this.views) view.update();
    this.showValue();
  }

  /** Voxel under the crosshair. */
  get here() {
    const { volume } = this;
    return volume ? nearest(toVoxel(volume.affine, this.at), volume.shape) : /** @type {Point} */ ([0, 0, 0]);
  }

  /** @param {Partial<Route>} patch */
  change(patch) {
    this.app.update(patch);
    this.follow();
  }

  /** @param {Point} mm */
  setAt(mm) {
    this.change({ at: mm });
  }

  /** Colours of the values of a plane. @param {Values} values @param {AbortSignal} signal */
  colours({ plane, slope, intercept, floats }, signal) {
    const meta = /** @type {Meta} */ (this.meta);
    const { frame } = /** @type {Volume} */ (this.volume).image;
    const own = { ...meta, slope: slope ?? meta.slope, intercept: slope === null ? meta.intercept : intercept };
    if (floats) Object.assign(own, { modality_lut: false, padding: null });
    return coloursOf(plane.dtype, own, frame, this.window, this.route.invert, signal);
  }

  /** Position and value at the crosshair. */
  showValue() {
    const { volume, at, here, meta } = this;
    if (!volume || !meta) return;
    const [x, y, z] = at.map((mm) => mm.toFixed(2).replace("-", "−"));
    this.position.textContent = `x ${x}, y ${y}, z ${z} mm`;
    this.position.title = "LPS: x to the left, y to the back, z to the head of the patient";
    this.voxel.textContent = `slice ${here[0] + 1}, row ${here[1] + 1}, column ${here[2] + 1}`;
    const text = this.views.map((view) => view.valueAt(here)).find(Boolean);
    this.value.textContent = text ?? "…";
  }

  // -- steps, window --------------------------------------------------------------------------

  /** Moves the crosshair along an axis of the array. @param {number} axis @param {number} by voxels */
  move(axis, by) {
    const { volume } = this;
    if (!volume || !by) return;
    const voxel = toVoxel(volume.affine, this.at);
    const next = Math.min(Math.max(nearest(voxel, volume.shape)[axis] + by, 0), volume.shape[axis] - 1);
    voxel[axis] = next;
    this.setAt(toWorld(volume.affine, voxel));
  }

  grab() {
    this.grabbed = this.meta && this.window?.lut ? resolve("auto", this.meta, []) : this.window;
  }

  /** @param {number} dx @param {number} dy */
  drag(dx, dy) {
    if (this.grabbed && this.meta && !this.meta.colour) this.change({ window: dragged(this.grabbed, dx, dy, this.meta) });
  }

  /** @param {string} tool */
  setTool(tool) {
    for (const view of this.views) view.setTool(tool);
    for (const [name, button] of Object.entries(this.tools)) set(button, { "aria-pressed": String(name === tool) });
  }

  // -- pages ----------------------------------------------------------------------------------

  other() {
    const entry = this.volume?.others[Number(this.others.value)];
    if (entry) this.app.go({ series: entry.series, stack: entry.stack, at: this.at });
  }

  toSlices() {
    const { volume } = this;
    const slice = volume?.slices[this.here[0]];
    if (slice) this.app.go({ page: "image", id: slice[0], frame: slice[1], at: null, ...FITTED });
  }

  toGrid() {
    this.app.go({ page: "grid", at: null, ...FITTED, frame: 0, window: "", invert: false });
  }

  leave() {
    this.element.hidden = true;
    this.element.remove(); // three stages are not kept beside that of an image
    this.controller.abort();
    for (const view of this.views) view.leave();
    this.volume = this.meta = null;
    this.key_ = "";
  }

  focus() {
    this.active.stage.element.focus({ preventScroll: true });
  }

  /** @param {string} text */
  showMessage(text) {
    this.message.textContent = text;
  }

  /** @param {unknown} error */
  fail(error) {
    if (isAbort(error)) return;
    this.showMessage(/** @type {Error} */ (error).message);
    for (const view of this.views) view.clear();
  }

  /** @param {KeyboardEvent} event @returns {boolean} true if the key has an action */
  key(event) {
    const { key } = event;
    const { active } = this;
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowLeft: () => active.shift(-1, 0), ArrowRight: () => active.shift(1, 0), ArrowUp: () => active.shift(0, -1), ArrowDown: () => active.shift(0, 1),
      PageUp: () => active.step(-1), PageDown: () => active.step(1), Home: () => active.step(-Infinity), End: () => active.step(Infinity),
      i: () => this.change({ invert: !this.route.invert }), f: () => this.change({ window: "full" }),
      "=": () => this.change({ zoom: null }), "+": () => active.zoomBy(1.25), "-": () => active.zoomBy(0.8),
      c: () => this.setTool("cross"), w: () => this.setTool("window"), k: () => this.app.masks.flip(), v: () => this.toSlices(), Escape: () => this.toGrid(),
    };
    const action = actions[key.length === 1 ? key.toLowerCase() : key];
    if (action) action();
    else if (/^[0-9]$/.test(key)) this.choose(key);
    else return false;
    return true;
  }

  /** Chooses the window of a digit. @param {string} key */
  choose(key) {
    const { meta } = this;
    if (!meta || meta.colour) return;
    const preset = this.app.about.presets.find((one) => one.key === key);
    if (key === "0") this.change({ window: "auto" });
    else if (Number(key) <= meta.views.length && Number(key) < 3) this.change({ window: key });
    else if (preset && meta.modality === "CT" && meta.units === "HU") this.change({ window: preset.name });
    else this.showMessage(preset ? `The preset “${preset.name}” requires CT in HU.` : "The file has no such window.");
  }
}

/** @param {VolumeEntry} entry */
function nameOf({ modality, number, description, plane, slices, divided_by }) {
  const text = description.SeriesDescription === MASK ? "" : description.SeriesDescription;
  const by = Object.entries(divided_by).map(([name, value]) => `${name} ${value}`);
  return [modality, number === null ? "" : `series ${number}`, text, plane, plural(slices, "slice"), ...by].filter(Boolean).join(" ");
}

/** Voxel in the middle. @param {Volume} volume */
function middleOf({ shape }) {
  return /** @type {Point} */ (shape.map((size) => Math.floor(size / 2)));
}
