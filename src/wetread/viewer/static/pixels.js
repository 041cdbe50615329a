// Pixels of frames at several resolutions: requests and LRU cache.

import { decode } from "./decode.js";
import { fetchFrom } from "./api.js";

/** @typedef {import("./types").Plane} Plane */
/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").Level} Level */

const ROOM = 384 * 2 ** 20;

/** LRU cache. @template T */
export class Cache {
  /** @param {number} room @param {(value: T) => number} sizeOf */
  constructor(room, sizeOf) {
    this.room = room;
    this.sizeOf = sizeOf;
    this.used = 0;
    /** @type {Map<string, T>} */
    this.map = new Map();
    /** @type {(value: T) => void} */
    this.forget = () => {};
  }

  /** @param {string} key */
  get(key) {
    const value = this.map.get(key);
    if (value !== undefined) {
      this.map.delete(key);
      this.map.set(key, value);
    }
    return value;
  }

  /** @param {string} key @param {T} value */
  put(key, value) {
    const old = this.map.get(key);
    if (old !== undefined) this.used -= this.sizeOf(old);
    this.map.delete(key);
    this.map.set(key, value);
    this.used += this.sizeOf(value);
    for (const [name, one] of this.map) {
      if (this.used <= this.room || name === key) break;
      this.map.delete(name);
      this.used -= this.sizeOf(one);
      this.forget(one);
    }
  }
}

/** @type {Cache<Plane>} */
const planes = new Cache(ROOM, (plane) => plane.data.byteLength);
/** @type {Map<string, {promise: Promise<Plane>, controller: AbortController, users: number}>} */
const underWay = new Map();

/**
 * Largest scale with at least one sample per screen pixel.
 * @param {Level[]} levels @param {number} zoom screen pixels per stored pixel
 */
export function scaleFor(levels, zoom) {
  const most = 1 / Math.min(zoom, 1);
  return Math.max(1, ...levels.map((level) => level.scale).filter((scale) => scale <= most));
}

/**
 * Scales to load, in order: a quarter of the resolution first for large images.
 * @param {Meta} meta @param {number} required scale
 */
export function plan(meta, required) {
  const large = meta.rows * meta.columns > 2 ** 21;
  const scales = meta.levels.map((level) => level.scale);
  const first = Math.max(...scales.filter((scale) => scale <= 4), 1);
  return large && first > required ? [first, required] : [required];
}

/** @param {string} id @param {number} frame @param {number} scale @param {string} window */
function keyOf(id, frame, scale, window) {
  return `${id} ${frame} ${scale} ${window}`;
}

/**
 * Best cached plane for a scale: not coarser, if possible.
 * @param {Meta} meta @param {number} frame @param {number} required @param {string} window
 */
export function bestPlane(meta, frame, required, window) {
  const scales = meta.levels.map((level) => level.scale).sort((a, b) => b - a);
  const fine = scales.filter((scale) => scale <= required);
  const coarse = scales.filter((scale) => scale > required).reverse();
  for (const scale of [...fine, ...coarse]) {
    const plane = planes.get(keyOf(meta.id, frame, scale, window));
    if (plane) return plane;
  }
  return undefined;
}

/**
 * Plane from the cache or the server; concurrent requests share one response.
 * @param {string} id @param {number} frame @param {number} scale
 * @param {string} window for pixels windowed by the server, else ""
 * @param {AbortSignal} signal
 * @returns {Promise<Plane>}
 */
export function loadPlane(id, frame, scale, window, signal) {
  const key = keyOf(id, frame, scale, window);
  const cached = planes.get(key);
  if (cached) return Promise.resolve(cached);
  let job = underWay.get(key);
  if (!job || job.controller.signal.aborted) {
    const controller = new AbortController();
    const promise = fetchPlane(id, frame, scale, window, controller.signal)
      .then((plane) => (planes.put(key, plane), plane))
      .finally(() => underWay.get(key)?.controller === controller && underWay.delete(key));
    promise.catch(() => {}); // handled by those who wait below, if any
    job = { promise, controller, users: 0 };
    underWay.set(key, job);
  }
  const mine = job;
  mine.users++;
  return new Promise((done, fail) => {
    const stop = () => {
      if (--mine.users === 0) mine.controller.abort();
      fail(new DOMException("left", "AbortError"));
    };
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    mine.promise.then(done, fail).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** @param {string} id @param {number} frame @param {number} scale @param {string} window @param {AbortSignal} signal */
async function fetchPlane(id, frame, scale, window, signal) {
  const response = await fetchFrom(`images/${id}/pixels`, { frame, scale, window }, signal);
  /** @param {string} name */
  const header = (name) => response.headers.get(`X-Wetread-${name}`) ?? "";
  const bytes = new Uint8Array(await response.arrayBuffer());
  const [rows, columns, level, shift] = ["Rows", "Columns", "Scale", "Shift"].map((name) => Number(header(name)));
  return decode(bytes, rows, columns, header("Dtype"), level, shift);
}
