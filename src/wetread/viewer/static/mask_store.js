// Masks of a series, or of a label file by itself: list, switches, runs from the server.

import { fetchFrom, fetchJson, isAbort, Queue } from "./api.js";
import { HUES } from "./boxes.js";
import { Cache } from "./pixels.js";

/** @typedef {import("./types").MaskFile} MaskFile */
/** @typedef {import("./types").MaskSegment} MaskSegment */
/** @typedef {import("./types").LabelFile} LabelFile */
/** Runs of segments on a plane: segment, row, first and end column of each. @typedef {Uint16Array} Runs */

const ROOM = 64 * 2 ** 20;
/** @type {Cache<Runs>} */
const cache = new Cache(ROOM, (runs) => runs.byteLength + 64);

/** @param {string} path of the server @param {import("./api.js").Query} query */
function keyOf(path, query) {
  return `${path} ${JSON.stringify(query)}`;
}

/** @param {string} path @param {import("./api.js").Query} query */
export function knownRuns(path, query) {
  return cache.get(keyOf(path, query));
}

/** @param {string} path @param {import("./api.js").Query} query @param {AbortSignal} signal */
export async function fetchRuns(path, query, signal) {
  const known = knownRuns(path, query);
  if (known) return known;
  const response = await fetchFrom(path, query, signal);
  const runs = new Uint16Array(await response.arrayBuffer());
  cache.put(keyOf(path, query), runs);
  return runs;
}

export class MaskStore {
  /** @param {number} count of label files in the data set */
  constructor(count) {
    this.count = count;
    this.opacity = 0.4;
    this.shown = true;
    /** @type {Set<string>} */
    this.hidden = new Set();
    /** @type {MaskFile[]} */
    this.files = [];
    this.note = "";
    /** @type {LabelFile | null} the file on display, if it is one itself */
    this.alone = null;
    this.key = "";
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.controller = new AbortController();
  }

  /** @param {() => void} listener */
  listen(listener) {
    this.listeners.add(listener);
  }

  changed() {
    this.colour();
    for (const listener of this.listeners) listener();
  }

  /** @param {string} key @returns {boolean} false if it is open already */
  reset(key) {
    if (key === this.key) return false;
    this.key = key;
    this.controller.abort();
    this.controller = new AbortController();
    this.files = [];
    this.note = "";
    this.alone = null;
    this.changed();
    return true;
  }

  /** Lists the masks of a stack. @param {string} series @param {number} stack */
  async openStack(series, stack) {
    if (!this.reset(`${series} ${stack}`) || !this.count) return;
    const { signal } = this.controller;
    const path = `series/${series}/${stack}/masks`;
    this.note = "Looking for masks …";
    this.changed();
    try {
      /** @type {{files: MaskFile[], more: number}} */
      const { files, more } = await fetchJson(path, {}, signal);
      this.files = files.map((file) => ({ ...file, segments: null, text: file.error ?? "" }));
      this.note = more ? `${more} more label files of this study were not read.` : "";
      this.changed();
      const queue = new Queue(2);
      for (const file of this.files) if (!file.error) queue.add(() => this.loadFile(file, `${path}/${file.id}`, signal));
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {MaskFile} file @param {string} path @param {AbortSignal} signal */
  async loadFile(file, path, signal) {
    try {
      Object.assign(file, await fetchJson(path, {}, signal));
    } catch (error) {
      if (isAbort(error)) return;
      file.text = /** @type {Error} */ (error).message;
      file.segments = [];
    }
    if (!signal.aborted) this.changed();
  }

  /** Reads a label file that is on display itself. @param {string} id @param {string} path @returns {Promise<LabelFile | null>} */
  async openFile(id, path) {
    if (!this.reset(id)) return this.alone;
    const { signal } = this.controller;
    this.note = "Reading the segments …";
    this.changed();
    try {
      /** @type {LabelFile} */
      const file = await fetchJson(`images/${id}/masks`, {}, signal);
      this.alone = file;
      this.files = [{ ...file, path, error: null }];
      this.note = "";
      this.changed();
      return file;
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  /** @param {unknown} error */
  fail(error) {
    if (isAbort(error)) return;
    this.note = /** @type {Error} */ (error).message;
    this.changed();
  }

  /** Gives segments without a colour of their own those of the palette in turn. */
  colour() {
    let used = 0;
    for (const segment of this.files.flatMap((file) => file.segments ?? [])) {
      segment.own ??= segment.colour !== null;
      if (!segment.own) segment.colour = HUES[used++ % HUES.length];
    }
  }

  /** @param {MaskFile} file @param {MaskSegment} segment */
  isShown(file, segment) {
    return this.shown && !this.hidden.has(`${file.id} ${segment.number}`);
  }

  /** @param {MaskFile} file @param {MaskSegment[]} segments @param {boolean} on */
  show(file, segments, on) {
    for (const { number } of segments) this.hidden[on ? "delete" : "add"](`${file.id} ${number}`);
    if (on) this.shown = true;
    this.changed();
  }

  /** Shows or hides all masks. */
  flip() {
    this.shown = !this.shown;
    this.changed();
  }

  /** @param {number} opacity */
  fade(opacity) {
    this.opacity = opacity;
    this.changed();
  }
}
