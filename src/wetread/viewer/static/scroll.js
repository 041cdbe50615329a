// Geometry of a grid of any length in a scrolled element of limited height.

export const HIGHEST = 8_000_000;
/** Gap between tiles, also in app.css. */
export const GAP = 10;

/**
 * @typedef {{across: number, tile: number, rowHeight: number, lines: number, content: number,
 *   height: number, view: number}} Geometry
 */

/**
 * Lays out tiles: as many per line as fit, widened to fill it.
 * @param {number} total @param {number} width @param {number} view visible height
 * @param {number} size minimum side of a tile @param {number} caption height below the picture
 * @returns {Geometry} content: height of all lines; height: of the element
 */
export function layOut(total, width, view, size, caption) {
  const across = Math.max(1, Math.floor((width - GAP) / (size + GAP)));
  const tile = Math.max(1, Math.floor((width - GAP) / across) - GAP);
  const rowHeight = tile + caption + GAP;
  const lines = Math.ceil(total / across);
  const content = lines * rowHeight + GAP;
  return { across, tile, rowHeight, lines, content, height: Math.min(content, HIGHEST), view };
}

/** Scroll position -> offset in the content. @param {Geometry} g @param {number} position */
export function toContent(g, position) {
  return g.content <= HIGHEST ? position : position * ratio(g);
}

/** Offset in the content -> scroll position. @param {Geometry} g @param {number} offset */
export function toScroll(g, offset) {
  return g.content <= HIGHEST ? offset : offset / ratio(g);
}

/** @param {Geometry} g */
function ratio(g) {
  return (g.content - g.view) / Math.max(1, g.height - g.view);
}

/** @param {Geometry} g @param {number} offset */
export function clampOffset(g, offset) {
  return Math.min(Math.max(offset, 0), Math.max(0, g.content - g.view));
}

/**
 * Range of the visible tiles, plus one line on either side.
 * @param {Geometry} g @param {number} offset @param {number} total
 * @returns {[number, number]} first, and one after the last
 */
export function visibleTiles(g, offset, total) {
  const first = Math.max(0, Math.floor((offset - GAP) / g.rowHeight) - 1);
  const last = Math.min(g.lines, Math.ceil((offset + g.view) / g.rowHeight) + 1);
  return [first * g.across, Math.min(total, last * g.across)];
}

/** Nearest offset at which a tile is fully visible. @param {Geometry} g @param {number} index @param {number} offset */
export function reveal(g, index, offset) {
  const top = Math.floor(index / g.across) * g.rowHeight;
  if (top < offset) return clampOffset(g, top);
  if (top + g.rowHeight + GAP > offset + g.view) return clampOffset(g, top + g.rowHeight + GAP - g.view);
  return offset;
}
