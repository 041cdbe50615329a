// Descriptions of frames, which are kept.

import { fetchJson } from "./api.js";
import { Cache } from "./pixels.js";

/** @typedef {import("./types").Meta} Meta */

/** @type {Cache<Meta>} */
const metas = new Cache(512, () => 1);

/** @param {string} id @param {number} frame @param {AbortSignal} signal @returns {Promise<Meta>} */
export async function findMeta(id, frame, signal) {
  const key = `${id} ${frame}`;
  const known = metas.get(key);
  if (known) return known;
  /** @type {Meta} */
  const meta = await fetchJson(`images/${id}`, { frame }, signal);
  metas.put(key, meta);
  return meta;
}

/** @param {string} id @param {number} frame */
export function isKnown(id, frame) {
  return metas.get(`${id} ${frame}`) !== undefined;
}
