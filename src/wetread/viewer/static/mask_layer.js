// Masks on a stage: areas in colours, and their outlines along the edges of pixels.

import { isAbort } from "./api.js";
import { fetchRuns, knownRuns } from "./mask_store.js";
import { placementOf } from "./sampler.js";

/** @typedef {import("./types").MaskFile} MaskFile */
/** @typedef {import("./types").MaskSegment} MaskSegment */
/** @typedef {import("./mask_store.js").MaskStore} MaskStore */
/** @typedef {import("./mask_store.js").Runs} Runs */
/** @typedef {import("./sampler.js").Viewport} Viewport */
/** Picture that masks lie on: its runs are at `path(file)`. @typedef {{path: (file: string) => string, query: import("./api.js").Query, own?: boolean}} Source */
/** @typedef {{file: MaskFile, segment: MaskSegment, runs: Runs, outline: Path2D}} Part */

const LINE = 1.25;
/** @type {WeakMap<Runs, Map<number, Path2D>>} outlines by the first run of the segment */
const outlines = new WeakMap();

export class MaskLayer {
  /** @param {import("./stage.js").Stage} stage @param {MaskStore} store */
  constructor(stage, store) {
    this.stage = stage;
    this.store = store;
    /** @type {Source | null} */
    this.source = null;
    /** @type {Part[]} */
    this.parts = [];
    /** @type {{canvas: HTMLCanvasElement, x: number, y: number} | null} */
    this.area = null;
    this.controller = new AbortController();
    stage.masks = this;
    store.listen(() => this.refresh());
  }

  /** Shows the masks of a picture; null for none. @param {Source | null} source */
  show(source) {
    const key = (/** @type {Source | null} */ one) => one && one.path("") + JSON.stringify(one.query);
    if (key(source) === key(this.source)) return;
    this.source = source;
    this.parts = [];
    this.refresh();
  }

  /** Files with segments on display. */
  get files() {
    const { store } = this;
    return store.files.filter((file) => file.segments?.some((one) => (this.source?.own || one.aligned !== false) && store.isShown(file, one)));
  }

  /** Loads what is missing, and draws. */
  async refresh() {
    const { source } = this;
    this.controller.abort();
    const { signal } = (this.controller = new AbortController());
    if (!source) return this.compose([]);
    const { files } = this;
    const known = files.map((file) => knownRuns(source.path(file.id), source.query));
    if (known.some(Boolean) || !files.length) this.compose(files.map((file, i) => [file, known[i]]));
    if (known.every(Boolean)) return;
    try {
      const all = await Promise.all(files.map((file) => fetchRuns(source.path(file.id), source.query, signal)));
      if (!signal.aborted) this.compose(files.map((file, i) => [file, all[i]]));
    } catch (error) {
      if (!isAbort(error)) this.store.fail(error);
    }
  }

  /** Loads the masks of a picture that is likely to be shown next. @param {Source} source @param {AbortSignal} signal */
  prefetch(source, signal) {
    for (const file of this.files) fetchRuns(source.path(file.id), source.query, signal).catch(() => {}); // reported when it is shown
  }

  /** @param {[MaskFile, Runs | undefined][]} loaded */
  compose(loaded) {
    const size = (/** @type {Part} */ { segment, runs }) => segment.voxels ?? runs.length;
    this.parts = loaded.flatMap(([file, runs]) => (runs ? this.divide(file, runs) : [])).sort((a, b) => size(b) - size(a));
    this.area = paintArea(this.parts);
    this.stage.element.dataset.masks = String(this.parts.length);
    this.stage.draw();
  }

  /** @param {MaskFile} file @param {Runs} runs @returns {Part[]} */
  divide(file, runs) {
    const parts = [];
    const known = outlines.get(runs) ?? new Map();
    outlines.set(runs, known);
    for (let i = 0, end = 0; i < runs.length; i = end) {
      for (end = i; end < runs.length && runs[end] === runs[i]; end += 4);
      const segment = file.segments?.[runs[i]];
      if (!segment || !this.store.isShown(file, segment)) continue;
      const own = runs.subarray(i, end);
      if (!known.has(i)) known.set(i, trace(own));
      parts.push({ file, segment, runs: own, outline: known.get(i) });
    }
    return parts;
  }

  /** Draws over the picture of the stage. @param {CanvasRenderingContext2D} context @param {Viewport} viewport */
  draw(context, viewport) {
    const { area, store, source } = this;
    if (!area) return;
    context.save();
    context.imageSmoothingEnabled = false;
    context.globalAlpha = source?.own ? 1 : store.opacity;
    const place = placementOf(viewport);
    context.setTransform(place);
    context.drawImage(area.canvas, area.x, area.y);
    context.resetTransform();
    context.globalAlpha = 1;
    context.lineWidth = LINE * this.stage.ratio;
    for (const { outline, segment } of this.parts) {
      const path = new Path2D();
      path.addPath(outline, place);
      context.strokeStyle = segment.colour ?? "#ffffff";
      context.stroke(path);
    }
    context.restore();
  }
}

/** Areas of the segments, small ones on top. @param {Part[]} parts */
function paintArea(parts) {
  let [left, top, right, bottom] = [Infinity, Infinity, 0, 0];
  for (const { runs } of parts) {
    for (let i = 0; i < runs.length; i += 4) {
      [top, bottom] = [Math.min(top, runs[i + 1]), Math.max(bottom, runs[i + 1] + 1)];
      [left, right] = [Math.min(left, runs[i + 2]), Math.max(right, runs[i + 3])];
    }
  }
  if (right <= left) return null;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [right - left, bottom - top];
  const context = canvas.getContext("2d");
  if (!context) return null;
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (const { runs, segment } of parts) {
    const colour = colourOf(segment.colour ?? "#ffffff");
    for (let i = 0; i < runs.length; i += 4) {
      const start = (runs[i + 1] - top) * canvas.width - left;
      pixels.fill(colour, start + runs[i + 2], start + runs[i + 3]);
    }
  }
  context.putImageData(image, 0, 0);
  return { canvas, x: left, y: top };
}

/** #rrggbb as a pixel. @param {string} text */
function colourOf(text) {
  const value = parseInt(text.slice(1), 16);
  return (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/** Outline of runs along the edges of pixels. @param {Runs} runs */
function trace(runs) {
  const path = new Path2D();
  for (const [x0, y0, x1, y1] of edgesOf(runs)) {
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  }
  return path;
}

/**
 * Edges between pixels inside and outside: x0, y0, x1, y1.
 * @param {Runs | number[]} runs of one segment, sorted by row
 * @returns {[number, number, number, number][]}
 */
export function edgesOf(runs) {
  /** @type {[number, number, number, number][]} */
  const edges = [];
  /** @type {Map<number, number[]>} ends of the runs by row */
  const ends = new Map();
  for (let i = 0; i < runs.length; i += 4) {
    const [row, first, end] = [runs[i + 1], runs[i + 2], runs[i + 3]];
    edges.push([first, row, first, row + 1], [end, row, end, row + 1]);
    const own = ends.get(row);
    if (own) own.push(first, end);
    else ends.set(row, [first, end]);
  }
  for (const row of new Set([...ends.keys()].flatMap((row) => [row, row + 1]))) {
    // Between two rows lie edges where one of them is inside.
    const both = [...(ends.get(row - 1) ?? []), ...(ends.get(row) ?? [])].sort((a, b) => a - b);
    for (let i = 0; i < both.length; i += 2) if (both[i] < both[i + 1]) edges.push([both[i], row, both[i + 1], row]);
  }
  return edges;
}
