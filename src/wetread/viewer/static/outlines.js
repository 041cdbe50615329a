// Boxes on a thumbnail.

import { HUES, JUDGED } from "./boxes.js";
import { s } from "./dom.js";

/** @typedef {import("./types").Row} Row */

/**
 * Layer with the boxes of an image, over a thumbnail that fits its square.
 * @param {Row} row @param {number} width of the thumbnail @param {number} height @param {string[]} readers of the data set
 */
export function drawOutlines(row, width, height, readers) {
  const [across, down] = [width / (row.Columns || 1), height / (row.Rows || 1)];
  const shapes = (row.outlines ?? []).map(([x0, y0, x1, y1, name]) => {
    const style = { class: name === "FP" ? "dashed" : "", stroke: colourOf(name, readers) };
    if (x1 <= x0 || y1 <= y0) return s("circle", { cx: x0 * across, cy: y0 * down, r: width / 50, ...style });
    return s("rect", { x: x0 * across, y: y0 * down, width: (x1 - x0) * across, height: (y1 - y0) * down, ...style });
  });
  return s("svg", { class: "outlines", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...shapes);
}

/** @param {string} name TP, FP or a reader @param {string[]} readers */
function colourOf(name, readers) {
  if (name === "TP") return JUDGED.tp;
  if (name === "FP") return JUDGED.fp;
  return HUES[Math.max(0, readers.indexOf(name)) % HUES.length];
}
