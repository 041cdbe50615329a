// Resampling of stored values to screen pixels.

/** @typedef {import("./types").Plane} Plane */
/**
 * Position of the image: stored (x, y) at the top left corner of the screen, stored columns and rows
 * per screen pixel (negative where they run to the left or up), and their numbers; swapped if
 * columns are vertical on the screen.
 * @typedef {{x: number, y: number, dx: number, dy: number, columns: number, rows: number, swapped?: boolean}} Viewport
 */
/**
 * Stored columns or rows along one axis of the screen: start and step in stored pixels, their number,
 * number of samples, and distance of two samples in the data.
 * @typedef {{start: number, step: number, stored: number, size: number, stride: number}} Axis
 */

/** Background: a colour that no grey level has. */
export const OUTSIDE = 0xff15110e;
const OPAQUE = 0xff000000;

/** Stored coordinates -> pixels of the screen, as an affine matrix. @param {Viewport} viewport */
export function placementOf({ x, y, dx, dy, swapped }) {
  return new DOMMatrix(swapped ? [0, 1 / dx, 1 / dy, 0, -y / dy, -x / dx] : [1 / dx, 0, 0, 1 / dy, -x / dx, -y / dy]);
}

/** Horizontal and vertical axis of the screen. @param {Viewport} viewport @param {Plane} plane @returns {[Axis, Axis]} */
function axesOf({ x, y, dx, dy, columns, rows, swapped }, plane) {
  const column = { start: x, step: dx, stored: columns, size: plane.columns, stride: 1 };
  const row = { start: y, step: dy, stored: rows, size: plane.rows, stride: plane.columns };
  return swapped ? [row, column] : [column, row];
}

/**
 * Offset in the data of each screen pixel along one axis; -1 outside of the image.
 * @param {number} count of screen pixels @param {Axis} axis @param {Plane} plane
 */
function offsets(count, { start, step, stored, size, stride }, { scale, shift }) {
  const at = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const position = start + (i + 0.5) * step;
    at[i] = position >= 0 && position < stored ? Math.min(Math.floor((position + shift) / scale), size - 1) * stride : -1;
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
  const [horizontal, vertical] = axesOf(viewport, plane);
  const xs = offsets(width, horizontal, plane);
  const ys = offsets(height, vertical, plane);
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
    const base = ys[y];
    if (rgb) {
      for (let x = left; x < right; x++) {
        const i = 3 * (base + xs[x]);
        out[start + x] = OPAQUE | data[i] | (data[i + 1] << 8) | (data[i + 2] << 16);
      }
    } else {
      for (let x = left; x < right; x++) out[start + x] = colours[data[base + xs[x]]];
    }
  }
}

/**
 * Bilinear resampling after the window, like a resized `Image.display`.
 * @param {Uint32Array} out @param {number} width @param {number} height @param {Plane} plane
 * @param {Uint32Array} colours @param {Viewport} viewport
 */
export function drawSmooth(out, width, height, plane, colours, viewport) {
  const [horizontal, vertical] = axesOf(viewport, plane);
  const [left, right] = inside(offsets(width, horizontal, plane));
  const [top, bottom] = inside(offsets(height, vertical, plane));
  out.fill(OUTSIDE);
  if (left === right || top === bottom) return;
  const count = right - left;
  const channels = plane.dtype === "rgb8" ? 3 : 1;
  const across = weights(left, right, horizontal, plane);
  const down = weights(top, bottom, vertical, plane);
  // Two lines of the plane, interpolated along the screen row; most are used for more than one.
  /** @type {[Uint16Array, Uint16Array]} */
  const lines = [new Uint16Array(count * channels), new Uint16Array(count * channels)];
  const held = [-1, -1];
  const { first: lefts, second: rights, share: shares } = across;
  const greys = channels === 1 ? Uint8Array.from(colours, (colour) => colour & 255) : null;
  const data = patterns(plane);

  /** @param {number} base offset of the line @param {number} other line that must not be replaced */
  const fetch = (base, other) => {
    let slot = held.indexOf(base);
    if (slot >= 0) return lines[slot];
    slot = held[0] === other ? 1 : 0;
    const line = lines[slot];
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
    held[slot] = base;
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
 * Offsets of the two samples around each screen pixel, and the weight of the second in 256ths.
 * @param {number} from @param {number} to screen pixels @param {Axis} axis @param {Plane} plane
 */
function weights(from, to, { start, step, size, stride }, { scale, shift }) {
  const first = new Int32Array(to - from);
  const second = new Int32Array(to - from);
  const share = new Int32Array(to - from);
  for (let i = 0; i < first.length; i++) {
    const position = (start + (from + i + 0.5) * step + shift) / scale - 0.5;
    const low = Math.floor(position);
    share[i] = Math.round((position - low) * 256);
    first[i] = Math.min(Math.max(low, 0), size - 1) * stride;
    second[i] = Math.min(Math.max(low + 1, 0), size - 1) * stride;
  }
  return { first, second, share };
}

/** Stored values as bit patterns, the indices of the look-up tables. @param {Plane} plane */
function patterns({ data }) {
  if (data instanceof Int16Array) return new Uint16Array(data.buffer);
  if (data instanceof Int8Array) return new Uint8Array(data.buffer);
  return data;
}
