// Geometry of the planes of a volume, and their values from the server.

import { decode } from "./decode.js";
import { fetchFrom } from "./api.js";
import { Cache } from "./pixels.js";

/** @typedef {import("./types").Volume} Volume */
/** @typedef {import("./types").PlaneGeometry} PlaneGeometry */
/** @typedef {import("./types").Axis} Axis */
/** @typedef {import("./types").Plane} Plane */
/** @typedef {[number, number, number]} Point */
/** Values of a plane; `floats` are modality values, of which `plane` has 65,536 levels. */
/** @typedef {{plane: Plane, slope: number | null, intercept: number, floats: Float32Array | null}} Values */

const ROOM = 128 * 2 ** 20;
const LEVELS = 65535;

/** Voxel coordinates (slice, row, column) -> LPS mm. @param {number[][]} affine @param {Point} voxel @returns {Point} */
export function toWorld(affine, voxel) {
  return /** @type {Point} */ ([0, 1, 2].map((i) => affine[i][0] * voxel[0] + affine[i][1] * voxel[1] + affine[i][2] * voxel[2] + affine[i][3]));
}

/** LPS mm -> voxel coordinates: the columns of the matrix are orthogonal. @param {number[][]} affine @param {Point} mm @returns {Point} */
export function toVoxel(affine, mm) {
  const from = mm.map((value, i) => value - affine[i][3]);
  return /** @type {Point} */ ([0, 1, 2].map((axis) => {
    const column = [0, 1, 2].map((i) => affine[i][axis]);
    const length = column.reduce((sum, value) => sum + value * value, 0);
    return from.reduce((sum, value, i) => sum + value * column[i], 0) / length;
  }));
}

/** Nearest voxel, inside of the volume; ties round up. @param {Point} voxel @param {number[]} shape @returns {Point} */
export function nearest(voxel, shape) {
  return /** @type {Point} */ (voxel.map((value, axis) => Math.min(Math.max(Math.floor(value + 0.5), 0), shape[axis] - 1)));
}

/** Edge coordinate on a plane -> voxel coordinate. @param {Axis} axis @param {number} edge @param {number} count of pixels */
function toAxis({ flipped, step }, edge, count) {
  const pixel = edge - 0.5;
  return (flipped ? count - 1 - pixel : pixel) / step;
}

/** @param {Axis} axis @param {number} voxel @param {number} count */
function toEdge({ flipped, step }, voxel, count) {
  const pixel = voxel * step;
  return (flipped ? count - 1 - pixel : pixel) + 0.5;
}

/**
 * Point of a plane -> voxel coordinates.
 * @param {PlaneGeometry} plane @param {number} x @param {number} y edge coordinates
 * @param {number} through voxel on the axis through the plane
 * @returns {Point}
 */
export function planeToVoxel(plane, x, y, through) {
  /** @type {Point} */
  const voxel = [0, 0, 0];
  voxel[plane.through.axis] = through;
  voxel[plane.down.axis] = toAxis(plane.down, y, plane.rows);
  voxel[plane.right.axis] = toAxis(plane.right, x, plane.columns);
  return voxel;
}

/** Voxel coordinates -> edge coordinates of a plane. @param {PlaneGeometry} plane @param {Point} voxel @returns {[number, number]} */
export function voxelToPlane(plane, voxel) {
  return [toEdge(plane.right, voxel[plane.right.axis], plane.columns), toEdge(plane.down, voxel[plane.down.axis], plane.rows)];
}

/** @type {Cache<Values>} */
const cache = new Cache(ROOM, ({ plane, floats }) => plane.data.byteLength + (floats?.byteLength ?? 0));

/** @param {Volume} volume @param {string} name @param {number} at */
function keyOf(volume, name, at) {
  return `${volume.series} ${volume.stack} ${name} ${at}`;
}

/** @param {Volume} volume @param {string} name @param {number} at */
export function knownValues(volume, name, at) {
  return cache.get(keyOf(volume, name, at));
}

/** @param {Volume} volume @param {string} name @param {number} at @param {AbortSignal} signal @returns {Promise<Values>} */
export async function fetchValues(volume, name, at, signal) {
  const key = keyOf(volume, name, at);
  const known = cache.get(key);
  if (known) return known;
  const response = await fetchFrom(`series/${volume.series}/${volume.stack}/plane`, { plane: name, at }, signal);
  /** @param {string} header */
  const read = (header) => response.headers.get(`X-Wetread-${header}`);
  const [rows, columns, dtype] = [Number(read("Rows")), Number(read("Columns")), read("Dtype") ?? ""];
  const buffer = await response.arrayBuffer();
  const slope = read("Slope") === null ? null : Number(read("Slope"));
  const values = dtype === "float32" ? quantise(new Float32Array(buffer), rows, columns)
    : { plane: decode(new Uint8Array(buffer), rows, columns, dtype, 1, 0), slope, intercept: Number(read("Intercept") ?? 0), floats: null };
  cache.put(key, values);
  return values;
}

/** @param {Float32Array} floats @param {number} rows @param {number} columns @returns {Values} */
export function quantise(floats, rows, columns) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of floats) if (Number.isFinite(value)) (low = Math.min(low, value)), (high = Math.max(high, value));
  if (!(low <= high)) [low, high] = [0, 0];
  const slope = (high - low) / LEVELS || 1;
  const data = new Uint16Array(floats.length);
  for (let i = 0; i < floats.length; i++) data[i] = Math.round((floats[i] - low) / slope);
  return { plane: { rows, columns, scale: 1, shift: 0, dtype: "uint16", data }, slope, intercept: low, floats };
}
