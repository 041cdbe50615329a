// Resampling of stored values to screen pixels.

/** @typedef {import("./types").Plane} Plane */
/**
 * Position of the image: stored (x, y) at the top left corner of the screen, stored columns and rows
 * per screen pixel, and their numbers.
 * @typedef {{x: number, y: number, dx: number, dy: number, columns: number, rows: number}} Viewport
 */

/** Background: a colour that no grey level has. */
export const OUTSIDE = 0xff15110e;
const OPAQUE = 0xff000000;

/**
 * Index of the sample of each screen pixel along one axis; -1 outside of the image.
 * @param {number} count of screen pixels @param {number} start @param {number} step
 * @param {number} stored size of the image @param {number} size of the plane @param {Plane} plane
 */
function sampleIndices(count, start, step, stored, size, { scale, shift }) {
  const at = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const position = start + (i + 0.5) * step;
    at[i] = position >= 0 && position < stored ? Math.min(Math.floor((position + shift) / scale), size - 1) : -1;
  }
  return at;
}

/** @param {Int32Array} at @returns {[number, number]} first index inside, and first after it */
function inside(at) {
  let first = 0;
  let last = at.length;
  while (first < last && at[first] < 0) first++;
  while (last > first && at[last - 1] < 0) last--;
  return [first, last];
}

/**
 * Nearest-neighbour resampling: exact at 1:1 and at every integer zoom.
 * @param {Uint32Array} out width x height pixels
 * @param {number} width @param {number} height @param {Plane} plane
 * @param {Uint32Array} colours by bit pattern; not used for RGB
 * @param {Viewport} viewport
 */
export function drawNearest(out, width, height, plane, colours, viewport) {
  const xs = sampleIndices(width, viewport.x, viewport.dx, viewport.columns, plane.columns, plane);
  const ys = sampleIndices(height, viewport.y, viewport.dy, viewport.rows, plane.rows, plane);
  const [left, right] = inside(xs);
  const data = patterns(plane);
  const rgb = plane.dtype === "rgb8";
  for (let y = 0; y < height; y++) {
    const start = y * width;
    if (ys[y] < 0) {
      out.fill(OUTSIDE, start, start + width);
      continue;
    }
    out.fill(OUTSIDE, start, start + left);
    out.fill(OUTSIDE, start + right, start + width);
    if (y > 0 && ys[y] === ys[y - 1]) {
      out.copyWithin(start + left, start - width + left, start - width + right);
      continue;
    }
    const row = ys[y] * plane.columns;
    if (rgb) {
      for (let x = left; x < right; x++) {
        const i = 3 * (row + xs[x]);
        out[start + x] = OPAQUE | data[i] | (data[i + 1] << 8) | (data[i + 2] << 16);
      }
    } else {
      for (let x = left; x < right; x++) out[start + x] = colours[data[row + xs[x]]];
    }
  }
}

/**
 * Bilinear resampling after the window, like a resized `Image.display`.
 * @param {Uint32Array} out @param {number} width @param {number} height @param {Plane} plane
 * @param {Uint32Array} colours @param {Viewport} viewport
 */
export function drawSmooth(out, width, height, plane, colours, viewport) {
  const xs = sampleIndices(width, viewport.x, viewport.dx, viewport.columns, plane.columns, plane);
  const ys = sampleIndices(height, viewport.y, viewport.dy, viewport.rows, plane.rows, plane);
  const [left, right] = inside(xs);
  const [top, bottom] = inside(ys);
  out.fill(OUTSIDE);
  if (left === right || top === bottom) return;
  const count = right - left;
  const channels = plane.dtype === "rgb8" ? 3 : 1;
  const across = weights(left, right, viewport.x, viewport.dx, plane.columns, plane);
  const down = weights(top, bottom, viewport.y, viewport.dy, plane.rows, plane);
  // Two rows of the plane, interpolated along x; most are used for more than one screen row.
  /** @type {[Uint16Array, Uint16Array]} */
  const rows = [new Uint16Array(count * channels), new Uint16Array(count * channels)];
  const held = [-1, -1];
  const { first: lefts, second: rights, share: shares } = across;
  const greys = channels === 1 ? Uint8Array.from(colours, (colour) => colour & 255) : null;
  const data = patterns(plane);

  /** @param {number} row @param {number} other row that must not be replaced */
  const fetch = (row, other) => {
    let slot = held.indexOf(row);
    if (slot >= 0) return rows[slot];
    slot = held[0] === other ? 1 : 0;
    const line = rows[slot];
    const base = row * plane.columns;
    if (greys) {
      for (let i = 0; i < count; i++) {
        const a = greys[data[base + lefts[i]]];
        const b = greys[data[base + rights[i]]];
        line[i] = (a << 8) + (b - a) * shares[i];
      }
    } else {
      for (let i = 0, j = 0; i < count; i++) {
        const a = 3 * (base + lefts[i]);
        const b = 3 * (base + rights[i]);
        for (let c = 0; c < 3; c++, j++) {
          line[j] = (data[a + c] << 8) + (data[b + c] - data[a + c]) * shares[i];
        }
      }
    }
    held[slot] = row;
    return line;
  };

  for (let y = top; y < bottom; y++) {
    const [first, second, share] = [
      down.first[y - top], down.second[y - top], down.share[y - top],
    ];
    const a = fetch(first, second);
    const b = fetch(second, first);
    const start = y * width + left;
    if (greys) {
      for (let i = 0; i < count; i++) {
        const grey = ((a[i] << 8) + (b[i] - a[i]) * share + 32768) >> 16;
        out[start + i] = OPAQUE | (grey * 0x010101);
      }
    } else {
      for (let i = 0, j = 0; i < count; i++, j += 3) {
        let colour = OPAQUE;
        for (let c = 0; c < 3; c++) {
          colour |= (((a[j + c] << 8) + (b[j + c] - a[j + c]) * share + 32768) >> 16) << (8 * c);
        }
        out[start + i] = colour;
      }
    }
  }
}

/**
 * Indices of the two samples around each screen pixel, and the weight of the second in 256ths.
 * @param {number} from @param {number} to screen pixels
 * @param {number} start @param {number} step @param {number} size of the plane @param {Plane} plane
 */
function weights(from, to, start, step, size, { scale, shift }) {
  const first = new Int32Array(to - from);
  const second = new Int32Array(to - from);
  const share = new Int32Array(to - from);
  for (let i = 0; i < first.length; i++) {
    const position = (start + (from + i + 0.5) * step + shift) / scale - 0.5;
    const low = Math.floor(position);
    share[i] = Math.round((position - low) * 256);
    first[i] = Math.min(Math.max(low, 0), size - 1);
    second[i] = Math.min(Math.max(low + 1, 0), size - 1);
  }
  return { first, second, share };
}

/** Stored values as bit patterns, the indices of the look-up tables. @param {Plane} plane */
function patterns({ data }) {
  if (data instanceof Int16Array) return new Uint16Array(data.buffer);
  if (data instanceof Int8Array) return new Uint8Array(data.buffer);
  return data;
}
