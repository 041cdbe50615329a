// Colour and text of stored values.

import { fetchFrom } from "./api.js";
import { short } from "./dom.js";
import { makeTable, toColours } from "./lut.js";
import { Cache } from "./pixels.js";

/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").Plane} Plane */
/** @typedef {import("./types").Window & {key: string}} Named */

const IDENTITY = Uint8Array.from({ length: 256 }, (_, i) => i);
/** @type {Cache<Uint8Array>} look-up tables from the server */
const tables = new Cache(64, () => 1);
/** @type {Cache<Float32Array>} modality values of files with a Modality LUT */
const modalities = new Cache(16, () => 1);

/**
 * Colour of every stored value; empty for RGB.
 * @param {string} dtype of the plane @param {Meta} meta @param {number} frame
 * @param {Named | null} window @param {boolean} invert in addition to the file @param {AbortSignal} signal
 */
export async function coloursOf(dtype, meta, frame, window, invert, signal) {
  if (dtype === "rgb8") return new Uint32Array(0);
  if (dtype === "display8" || !window) return toColours(IDENTITY, invert);
  if (window.lut) return toColours(await fetchTable(meta.id, frame, window.key, signal), invert);
  const modality = meta.modality_lut ? await fetchModality(meta.id, frame, signal) : null;
  return toColours(makeTable(dtype, { ...meta, invert: meta.invert !== invert, modality }, window));
}

/** @param {string} id @param {number} frame @param {string} window @param {AbortSignal} signal */
async function fetchTable(id, frame, window, signal) {
  const key = `${id} ${frame} ${window}`;
  const known = tables.get(key);
  if (known) return known;
  const response = await fetchFrom(`images/${id}/table`, { frame, window }, signal);
  const table = new Uint8Array(await response.arrayBuffer());
  tables.put(key, table);
  return table;
}

/** @param {string} id @param {number} frame @param {AbortSignal} signal */
async function fetchModality(id, frame, signal) {
  const key = `${id} ${frame}`;
  const known = modalities.get(key);
  if (known) return known;
  const response = await fetchFrom(`images/${id}/modality`, { frame }, signal);
  const values = new Float32Array(await response.arrayBuffer());
  modalities.put(key, values);
  return values;
}

/**
 * Text for the value of one pixel: as stored, and after the Modality LUT with its unit.
 * @param {Plane} plane at full resolution @param {number} i @param {Meta} meta @param {number} frame
 */
export function valueAt({ data, dtype }, i, meta, frame) {
  if (dtype === "rgb8") return `RGB ${data[3 * i]} ${data[3 * i + 1]} ${data[3 * i + 2]}`;
  if (dtype === "display8") return `displayed ${data[i]}`;
  const stored = data[i];
  if (meta.padding && stored >= meta.padding[0] && stored <= meta.padding[1]) return `stored ${stored}, padding`;
  const unit = meta.units && meta.units !== "US" ? ` ${meta.units}` : "";
  const known = meta.modality_lut && modalities.get(`${meta.id} ${frame}`);
  if (meta.modality_lut && !known) return `stored ${stored}`;
  const pattern = stored & (data.BYTES_PER_ELEMENT === 1 ? 0xff : 0xffff);
  const value = known ? known[pattern] : stored * meta.slope + meta.intercept;
  return value === stored && !unit ? `stored ${stored}` : `stored ${stored} → ${short(value)}${unit}`;
}
