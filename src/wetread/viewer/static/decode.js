// Decoding of pixels: byte planes, zigzag, differences along each row -> stored values.

/** @typedef {import("./types").Plane} Plane */

/** @type {Record<string, (buffer: ArrayBuffer) => Plane["data"]>} */
const KINDS = {
  uint8: (buffer) => new Uint8Array(buffer),
  int8: (buffer) => new Int8Array(buffer),
  uint16: (buffer) => new Uint16Array(buffer),
  int16: (buffer) => new Int16Array(buffer),
};

/**
 * @param {Uint8Array} bytes decompressed
 * @param {number} rows
 * @param {number} columns
 * @param {string} dtype of X-Wetread-Dtype
 * @param {number} scale @param {number} shift
 * @returns {Plane}
 */
export function decode(bytes, rows, columns, dtype, scale, shift) {
  const count = rows * columns;
  const wide = dtype.endsWith("16");
  const plain = dtype === "rgb8" || dtype === "display8";
  const expected = count * (dtype === "rgb8" ? 3 : wide ? 2 : 1);
  if (bytes.length !== expected) {
    throw new Error(`received ${bytes.length} bytes of pixels, expected ${expected}`);
  }
  if (plain) return { rows, columns, scale, shift, dtype, data: bytes };
  const make = KINDS[dtype];
  if (!make) throw new Error(`unknown pixel type ${dtype}; reload the page`);
  const buffer = wide ? undo16(bytes, rows, columns) : undo8(bytes, rows, columns);
  return { rows, columns, scale, shift, dtype, data: make(buffer) };
}

/** @param {Uint8Array} bytes @param {number} rows @param {number} columns */
function undo16(bytes, rows, columns) {
  const count = rows * columns;
  const high = bytes.subarray(count);
  const out = new Uint16Array(count);
  for (let row = 0, i = 0; row < rows; row++) {
    let value = 0;
    for (const end = i + columns; i < end; i++) {
      const coded = bytes[i] | (high[i] << 8);
      value += (coded >>> 1) ^ -(coded & 1);
      out[i] = value;
    }
  }
  return out.buffer;
}

/** @param {Uint8Array} bytes @param {number} rows @param {number} columns */
function undo8(bytes, rows, columns) {
  const out = new Uint8Array(rows * columns);
  for (let row = 0, i = 0; row < rows; row++) {
    let value = 0;
    for (const end = i + columns; i < end; i++) {
      const coded = bytes[i];
      value += (coded >>> 1) ^ -(coded & 1);
      out[i] = value;
    }
  }
  return out.buffer;
}
