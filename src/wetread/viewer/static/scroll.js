// The geometry of a mosaic of any length in a scrolled element of limited height.

export const HIGHEST = 8_000_000;
/** Gap between tiles, also in app.css. */
export const GAP = 10;

/**
 * @typedef {{across: number, tile: number, rowHeight: number, lines: number, content: number,
 *   height: number, view: number}} Geometry
 */

/**
 * How the tiles lie: as many across as fit, widened to fill the line.
 * @param {number} total @param {number} width @param {number} view height that is seen
 * @param {number} wanted side of a tile @param {number} caption height below the picture
 * @returns {Geometry} content: the height all lines want; height: what the element gets
 */
export function layOut(total, width, view, wanted, caption) {
  const across = Math.max(1, Math.floor((width - GAP) / (wanted + GAP)));
  const tile = Math.max(1, Math.floor((width - GAP) / across) - GAP);
  const rowHeight = tile + caption + GAP;
  const lines = Math.ceil(total / across);
  const content = lines * rowHeight + GAP;
  return { across, tile, rowHeight, lines, content, height: Math.min(content, HIGHEST), view };
}

/** Scroll position -> place in the content. @param {Geometry} g @param {number} position */
export function toContent(g, position) {
  return g.content <= HIGHEST ? position : position * ratio(g);
}

/** Place in the content -> scroll position. @param {Geometry} g @param {number} place */
export function toScroll(g, place) {
  return g.content <= HIGHEST ? place : place / ratio(g);
}

/** @param {Geometry} g */
function ratio(g) {
  return (g.content - g.view) / Math.max(1, g.height - g.view);
}

/** @param {Geometry} g @param {number} place */
export function clampPlace(g, place) {
  return Math.min(Math.max(place, 0), Math.max(0, g.content - g.view));
}

/**
 * The tiles that are seen, and a line more on either side.
 * @param {Geometry} g @param {number} place @param {number} total
 * @returns {[number, number]} first and after the last
 */
export function seen(g, place, total) {
  const first = Math.max(0, Math.floor((place - GAP) / g.rowHeight) - 1);
  const last = Math.min(g.lines, Math.ceil((place + g.view) / g.rowHeight) + 1);
  return [first * g.across, Math.min(total, last * g.across)];
}

/** The nearest place that shows a tile whole. @param {Geometry} g @param {number} index @param {number} place */
export function reveal(g, index, place) {
  const top = Math.floor(index / g.across) * g.rowHeight;
  if (top < place) return clampPlace(g, top);
  if (top + g.rowHeight + GAP > place + g.view) return clampPlace(g, top + g.rowHeight + GAP - g.view);
  return place;
}
