// Masks on the image page: over the slices of a series, or a SEG or RTSTRUCT by itself.

import { MaskLayer } from "./mask_layer.js";
import { MaskPanel } from "./mask_panel.js";
import { FITTED } from "./route.js";

/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").LabelFile} LabelFile */
/** @typedef {import("./image.js").ImageView} ImageView */

const BLACK = 0xff000000;

export class LabelView {
  /** @param {ImageView} view */
  constructor(view) {
    this.view = view;
    this.store = view.app.masks;
    this.layer = new MaskLayer(view.stage, this.store);
    this.panel = new MaskPanel(this.store, "panel-masks", (place) => this.toImages(place));
    this.store.listen(() => view.meta && view.controls.setTab(view.route.tab, view));
    this.entered = false;
  }

  /** Notes that the page is opened from the grid or by its address, not by a step in the list. */
  enter() {
    this.entered = true;
  }

  /** Opens the masks of the stack on display. */
  open() {
    const { info } = this.view.stack;
    const { meta } = this.view;
    if (meta?.label || !this.store.count) return;
    if (info?.series && info.stack !== undefined) this.store.openStack(info.series.id, info.stack);
    else this.store.reset("");
  }

  /** Shows the masks of an image. @param {Meta} meta */
  show(meta) {
    const { id, frame } = this.view;
    if (meta.label) this.openFile(meta);
    else this.open();
    this.layer.show(meta.label === "RTSTRUCT" ? null : { ...sourceOf(id, frame), own: Boolean(meta.label) });
    if (!meta.label) this.entered = false;
  }

  /** Opens a label file: an RTSTRUCT over its images, a SEG at its first frame that is not empty. @param {Meta} meta */
  async openFile(meta) {
    const { view } = this;
    if (this.store.key === meta.id) return;
    const { entered } = this;
    this.entered = false;
    const file = await this.store.openFile(meta.id, meta.path);
    if (!file || view.id !== meta.id) return;
    if (meta.label === "RTSTRUCT") {
      if (file.place && entered) this.toImages(file.place, true);
      else view.fail(describe(file));
    } else if (file.first && !view.frame) view.app.go({ frame: file.first }, true);
  }

  /** @param {NonNullable<LabelFile["place"]>} place @param {boolean} [replace] without a history entry */
  toImages({ id, frame }, replace = false) {
    this.view.app.go({ id, frame, tab: "masks", ...FITTED }, replace);
  }

  /** Colours of the picture below the masks of a SEG. @param {Uint32Array} colours */
  background(colours) {
    return new Uint32Array(colours.length).fill(BLACK);
  }

  /** @param {string} id @param {number} frame @param {AbortSignal} signal */
  prefetch(id, frame, signal) {
    this.layer.prefetch(sourceOf(id, frame), signal);
  }

  leave() {
    this.layer.show(null);
  }
}

/** Masks of an image. @param {string} id @param {number} frame @returns {import("./mask_layer.js").Source} */
function sourceOf(id, frame) {
  return { path: (file) => `images/${id}/masks/${file}/runs`, query: { frame } };
}

/** @param {LabelFile} file */
function describe({ segments, place, text }) {
  const count = segments.length === 1 ? "1 ROI" : `${segments.length} ROIs`;
  return `${count}, drawn on the slices of other files. ${place ? "The panel opens them." : `They cannot be shown: ${text}.`}`;
}
