// Quarter turns and flips of an image: directions of stored columns and rows on the screen.

/** Rotation in degrees clockwise, 0, 90, 180 or 270; then left and right exchanged. @typedef {{rotate: number, flip: boolean}} Turn */
/** Columns and rows on the screen: 1 if they run to the right or down, else -1; swapped if columns are vertical. @typedef {{swapped: boolean, columns: number, rows: number}} Axes */

/** @param {Turn} turn @returns {Axes} */
export function axesOf({ rotate, flip }) {
  const swapped = rotate % 180 !== 0;
  const [columns, rows] = [rotate >= 180 ? -1 : 1, rotate === 90 || rotate === 180 ? -1 : 1];
  return { swapped, columns: flip && !swapped ? -columns : columns, rows: flip && swapped ? -rows : rows };
}

/** Rotates by 90° on the screen. @param {Turn} turn @param {1 | -1} way clockwise, or back @returns {Turn} */
export function rotated({ rotate, flip }, way) {
  return { rotate: (rotate + (flip ? -90 : 90) * way + 360) % 360, flip };
}

/** Vector on the screen -> along stored columns and rows. @param {Axes} axes @param {number} across @param {number} down @returns {[number, number]} */
export function toStored({ swapped, columns, rows }, across, down) {
  return swapped ? [down * columns, across * rows] : [across * columns, down * rows];
}

/** Sides of the screen from those of the image: left, right, top, bottom. @template T @param {Axes} axes @param {T[]} sides @returns {T[]} */
export function turnSides({ swapped, columns, rows }, [left, right, top, bottom]) {
  const across = columns < 0 ? [right, left] : [left, right];
  const down = rows < 0 ? [bottom, top] : [top, bottom];
  return swapped ? [...down, ...across] : [...across, ...down];
}

/** Text on the image: "rotated 90°, flipped"; "" for neither. @param {Turn} turn */
export function turnText({ rotate, flip }) {
  return [rotate ? `rotated ${rotate}°` : "", flip ? "flipped" : ""].filter(Boolean).join(", ");
}
