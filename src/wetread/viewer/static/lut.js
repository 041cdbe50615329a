// Grey-scale pipeline as a look-up table, bit for bit as in wetread.display.render.

/** @typedef {import("./types").Window} Window */
/** @typedef {import("./types").VoiFunction} VoiFunction */
/**
 * @typedef {{slope: number, intercept: number, invert: boolean, padding: [number, number] | null,
 *   modality?: Float32Array | null}} Chain  modality: values by bit pattern, for a Modality LUT */

/**
 * Maps a modality value to 0..1 (PS3.3 C.11.2.1.2-3), in the order of operations of display.pipeline.Window.
 * @param {{center: number, width: number, function: VoiFunction}} window
 * @returns {(x: number) => number}
 */
export function shareOf({ center, width, function: shape }) {
  if (width <= 0) return (x) => (x > center ? 1 : 0);
  if (shape === "SIGMOID") return (x) => 1 / (1 + Math.exp((-4 * (x - center)) / width));
  if (shape === "LINEAR" && width === 1) return (x) => (x > center - 0.5 ? 1 : 0);
  const half = halfOf(width, shape);
  const low = center - half;
  const span = width - 2 * half;
  return (x) => Math.min(Math.max((x - low) / span + 0.5, 0), 1);
}

/**
 * Grey level of every value of an integer type, ordered by bit pattern.
 * @param {string} dtype "uint8", "int8", "uint16" or "int16"
 * @param {Chain} chain
 * @param {{center: number, width: number, function: VoiFunction}} window
 * @returns {Uint8Array} 256 or 65,536 greys
 */
export function makeTable(dtype, chain, window) {
  const bits = dtype.endsWith("16") ? 16 : 8;
  const signed = dtype.startsWith("int");
  const table = new Uint8Array(1 << bits);
  const share = shareOf(window);
  const { slope, intercept, invert, modality } = chain;
  const [first, last] = chain.padding ?? [Infinity, -Infinity];
  for (let pattern = 0; pattern < table.length; pattern++) {
    const stored = signed ? (pattern << (32 - bits)) >> (32 - bits) : pattern;
    if (stored >= first && stored <= last) continue; // padding is black
    let grey = share(modality ? modality[pattern] : stored * slope + intercept);
    if (invert) grey = 1 - grey;
    table[pattern] = Math.min(Math.max(grey, 0), 1) * 255 + 0.5;
  }
  return table;
}

/**
 * Converts grey levels to opaque canvas pixels.
 * @param {Uint8Array} table
 * @param {boolean} inverted
 * @returns {Uint32Array}
 */
export function toColours(table, inverted = false) {
  const colours = new Uint32Array(table.length);
  const flip = inverted ? 255 : 0;
  for (let i = 0; i < table.length; i++) {
    colours[i] = (0xff000000 | ((table[i] ^ flip) * 0x010101)) >>> 0;
  }
  return colours;
}

/**
 * Lower and upper limit of a window.
 * @param {{center: number, width: number, function: VoiFunction}} window
 * @returns {[number, number]}
 */
export function endsOf({ center, width, function: shape }) {
  const half = halfOf(width, shape);
  const reach = (width - 2 * half) / 2;
  return [center - half - reach, center - half + reach];
}

/**
 * Window with the given limits.
 * @param {number} low
 * @param {number} high
 * @param {VoiFunction} shape
 */
export function windowOf(low, high, shape) {
  const span = high - low;
  const half = shape === "LINEAR" && span > 0 ? 0.5 : 0;
  return { center: (low + high) / 2 + half, width: span + 2 * half };
}

/**
 * Half a step of LINEAR, whose width is at least 1; smaller widths are treated as LINEAR_EXACT.
 * @param {number} width
 * @param {VoiFunction} shape
 */
function halfOf(width, shape) {
  return shape === "LINEAR" && width > 1 ? 0.5 : 0;
}
