// Distance measurement, in mm if the header has a pixel spacing.

import { s, textWidth } from "./dom.js";

/** @typedef {import("./types").Spacing} Spacing */
/** @typedef {[number, number]} Point */

/** Text for the source of a spacing. @type {Record<string, string>} */
const PLANES = {
  PixelSpacing: "PixelSpacing",
  ImagerPixelSpacing: "at the detector: ImagerPixelSpacing",
  NominalScannedPixelSpacing: "NominalScannedPixelSpacing",
};

/**
 * Text of a distance, with the source of the spacing.
 * @param {Point} from @param {Point} to stored edge coordinates @param {Spacing | null} spacing
 */
export function distance(from, to, spacing) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  if (!spacing) return `${Math.hypot(dx, dy).toFixed(1)} px (no spacing in the header)`;
  const length = Math.hypot(dx * spacing.column, dy * spacing.row);
  return `${length.toFixed(length < 10 ? 2 : 1)} mm (${PLANES[spacing.source] ?? spacing.source})`;
}

/**
 * @param {SVGGElement} group @param {[Point, Point] | null} ends on the screen @param {string} text
 * @param {Point} size of the screen, inside which the text stays
 */
export function drawRuler(group, ends, text, size) {
  group.replaceChildren();
  if (!ends) return;
  const [[x1, y1], [x2, y2]] = ends;
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [nx, ny] = [(-(y2 - y1) / length) * 6, ((x2 - x1) / length) * 6];
  const path = `M${x1} ${y1}L${x2} ${y2}M${x1 - nx} ${y1 - ny}l${2 * nx} ${2 * ny}M${x2 - nx} ${y2 - ny}l${2 * nx} ${2 * ny}`;
  const width = textWidth(text) + 12;
  const x = Math.max(0, Math.min(x2 + 10 + width <= size[0] ? x2 + 10 : x2 - 10 - width, size[0] - width));
  const y = Math.max(0, Math.min(y2 - 9, size[1] - 18));
  group.append(
    s("path", { d: path, class: "halo", "stroke-width": 4 }),
    s("path", { d: path, class: "ruler-line" }),
    s(
      "g", { class: "chip", transform: `translate(${x} ${y})` },
      s("rect", { width, height: 18, rx: 3, class: "chip-back" }),
      s("text", { x: 6, y: 13, class: "ruler-text" }, text),
    ),
  );
}
