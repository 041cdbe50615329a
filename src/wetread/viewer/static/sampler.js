// Stored values -> the pixels of the screen, at the screen's resolution.

/** @typedef {import("./types").Plane} Plane */
/**
 * Where the image lies: the stored (x, y) at the left top corner of the screen, stored columns and
 * rows for each pixel of the screen, and how many there are.
 * @typedef {{x: number, y: number, dx: number, dy: number, columns: number, rows: number}} Frame
 */

/** Beside the image: a shade that is no grey of its own. */
export const OUTSIDE = 0xff15110e;
const OPAQUE = 0xff000000;

/**
 * Which sample each screen pixel takes along one axis; -1 outside of the image.
 * @param {number} count of screen pixels @param {number} start @param {number} step
 * @param {number} stored size of the image @param {number} size of the plane @param {Plane} plane
 */
function places(count, start, step, stored, size, { scale, shift }) {
  const at = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const place = start + (i + 0.5) * step;
    at[i] = place >= 0 && place < stored ? Math.min(Math.floor((place + shift) / scale), size - 1) : -1;
  }
  return at;
}

/** @param {Int32Array} at @returns {[number, number]} the stretch that is inside */
function inside(at) {
  let first = 0;
  let last = at.length;
  while (first < last && at[first] < 0) first++;
  while (last > first && at[last - 1] < 0) last--;
  return [first, last];
}

/**
 * The nearest sample for every pixel: exact at 1:1 and at every whole zoom.
 * @param {Uint32Array} out width x height pixels
 * @param {number} width @param {number} height @param {Plane} plane
 * @param {Uint32Array} colours of every bit pattern; not used for RGB
 * @param {Frame} frame
 */
export function drawNearest(out, width, height, plane, colours, frame) {
  const xs = places(width, frame.x, frame.dx, frame.columns, plane.columns, plane);
  const ys = places(height, frame.y, frame.dy, frame.rows, plane.rows, plane);
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
 * The samples around every pixel, mixed after the window, as a shrunk `Image.display` mixes them.
 * @param {Uint32Array} out @param {number} width @param {number} height @param {Plane} plane
 * @param {Uint32Array} colours @param {Frame} frame
 */
export function drawSmooth(out, width, height, plane, colours, frame) {
  const xs = places(width, frame.x, frame.dx, frame.columns, plane.columns, plane);
  const ys = places(height, frame.y, frame.dy, frame.rows, plane.rows, plane);
  const [left, right] = inside(xs);
  const [top, bottom] = inside(ys);
  out.fill(OUTSIDE);
  if (left === right || top === bottom) return;
  const count = right - left;
  const channels = plane.dtype === "rgb8" ? 3 : 1;
  const across = weights(left, right, frame.x, frame.dx, plane.columns, plane);
  const down = weights(top, bottom, frame.y, frame.dy, plane.rows, plane);
  // Two rows of the plane, mixed along x, wait here; most are used for more than one row.
  /** @type {[Uint16Array, Uint16Array]} */
  const mixed = [new Uint16Array(count * channels), new Uint16Array(count * channels)];
  const held = [-1, -1];
  const { first: lefts, second: rights, share: shares } = across;
  const greys = channels === 1 ? Uint8Array.from(colours, (colour) => colour & 255) : null;
  const data = patterns(plane);

  /** @param {number} row @param {number} other the row that must stay */
  const fetch = (row, other) => {
    let slot = held.indexOf(row);
    if (slot >= 0) return mixed[slot];
    slot = held[0] === other ? 1 : 0;
    const line = mixed[slot];
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
 * The two samples around each screen pixel, and the share of the second in 256ths.
 * @param {number} from @param {number} to screen pixels
 * @param {number} start @param {number} step @param {number} size of the plane @param {Plane} plane
 */
function weights(from, to, start, step, size, { scale, shift }) {
  const first = new Int32Array(to - from);
  const second = new Int32Array(to - from);
  const share = new Int32Array(to - from);
  for (let i = 0; i < first.length; i++) {
    const place = (start + (from + i + 0.5) * step + shift) / scale - 0.5;
    const low = Math.floor(place);
    share[i] = Math.round((place - low) * 256);
    first[i] = Math.min(Math.max(low, 0), size - 1);
    second[i] = Math.min(Math.max(low + 1, 0), size - 1);
  }
  return { first, second, share };
}

/** The bit patterns, which the tables are ordered by. @param {Plane} plane */
function patterns({ data }) {
  if (data instanceof Int16Array) return new Uint16Array(data.buffer);
  if (data instanceof Int8Array) return new Uint8Array(data.buffer);
  return data;
}
