// Geometry of drawing: parts of a box under the pointer, dragging, steps by keys.

/** @typedef {[number, number, number, number]} Corners */
/** Sides of a box that a handle moves: -1 left or top, 1 right or bottom, 0 neither. @typedef {[number, number]} Handle */

/** @type {Handle[]} */
export const HANDLES = [[-1, -1], [0, -1], [1, -1], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0]];
/** Minimum side of a box in stored pixels; smaller ones are clicks. */
export const SMALLEST = 0.5;

/** Rounds to a hundredth of a stored pixel. @param {number} value */
function round(value) {
  return Math.round(100 * value) / 100;
}

/** Limits a point to the image. @param {[number, number]} point @param {{columns: number, rows: number}} size @returns {[number, number]} */
export function inside([x, y], { columns, rows }) {
  return [round(Math.min(Math.max(x, 0), columns)), round(Math.min(Math.max(y, 0), rows))];
}

/** Box between two points, limited to the image. @param {[number, number]} from @param {[number, number]} to @param {{columns: number, rows: number}} size @returns {Corners} */
export function boxOf(from, to, size) {
  const [ax, ay] = inside(from, size);
  const [bx, by] = inside(to, size);
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

/** @param {Corners} corners */
export function isArea([x0, y0, x1, y1]) {
  return x1 - x0 >= SMALLEST && y1 - y0 >= SMALLEST;
}

/** Moves a box or a point, which stays in the image. @param {Corners} corners @param {number} dx @param {number} dy @param {{columns: number, rows: number}} size @returns {Corners} */
export function moved([x0, y0, x1, y1], dx, dy, { columns, rows }) {
  const x = Math.min(Math.max(dx, -x0), columns - x1);
  const y = Math.min(Math.max(dy, -y0), rows - y1);
  return [round(x0 + x), round(y0 + y), round(x1 + x), round(y1 + y)];
}

/** Moves the sides of a handle; a box may be turned inside out. @param {Corners} corners @param {Handle} handle @param {number} dx @param {number} dy @param {{columns: number, rows: number}} size @returns {Corners} */
export function resized([x0, y0, x1, y1], [across, down], dx, dy, size) {
  return boxOf([x0 + (across < 0 ? dx : 0), y0 + (down < 0 ? dy : 0)], [x1 + (across > 0 ? dx : 0), y1 + (down > 0 ? dy : 0)], size);
}

/** Position of a handle on the screen. @param {Corners} screen @param {Handle} handle @returns {[number, number]} */
export function placeOf([left, top, right, bottom], [across, down]) {
  return [across < 0 ? left : across > 0 ? right : (left + right) / 2, down < 0 ? top : down > 0 ? bottom : (top + bottom) / 2];
}

/** Handle of a box under a point of the screen; null for none. @param {Corners} screen @param {[number, number]} at @param {number} near @returns {Handle | null} */
export function handleAt(screen, [x, y], near) {
  const distance = (/** @type {Handle} */ handle) => {
    const [hx, hy] = placeOf(screen, handle);
    return Math.max(Math.abs(hx - x), Math.abs(hy - y));
  };
  const best = HANDLES.reduce((one, other) => (distance(other) < distance(one) ? other : one));
  return distance(best) <= near ? best : null;
}

/** True if a point of the screen is on the border of a box, or on a point. @param {Corners} screen @param {[number, number]} at @param {number} near */
export function isOnBorder(screen, at, near) {
  return isWithin(screen, at, near) && !isWithin(screen, at, -near);
}

/** @param {Corners} screen @param {[number, number]} at @param {number} near */
export function isWithin([left, top, right, bottom], [x, y], near) {
  return x >= left - near && x <= right + near && y >= top - near && y <= bottom + near;
}
