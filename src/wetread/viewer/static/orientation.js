// Sides of the patient at the edges of an image, and its corner text and scale bar.

import { h, s, short, textWidth } from "./dom.js";

/** Letters of the axes of DICOM: x to the left, y to the back, z to the head. */
const LETTERS = [["R", "L"], ["A", "P"], ["F", "H"]];
const LEAST = 0.2;
/** Lengths of a scale bar in mm. */
const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200];

/**
 * Letters of a direction, the main one first: "L", or "LP" for an oblique one.
 * @param {number[]} vector direction cosines
 */
export function lettersOf(vector) {
  return vector
    .map((value, axis) => ({ size: Math.abs(value), letter: LETTERS[axis][value > 0 ? 1 : 0] }))
    .filter(({ size }) => size > LEAST)
    .sort((a, b) => b.size - a.size)
    .slice(0, 2)
    .map(({ letter }) => letter)
    .join("");
}

/**
 * Letters at the left, right, top and bottom of an image.
 * @param {number[] | undefined} orientation Image Orientation (Patient): row, then column vector
 * @returns {string[]} empty without orientation
 */
export function sidesOf(orientation) {
  if (!orientation || orientation.length !== 6 || !orientation.every(Number.isFinite)) return [];
  const [row, column] = [orientation.slice(0, 3), orientation.slice(3)];
  const back = (/** @type {number[]} */ vector) => vector.map((value) => -value);
  return [lettersOf(back(row)), lettersOf(row), lettersOf(back(column)), lettersOf(column)];
}

/**
 * Longest scale bar that fits.
 * @param {number} perMm CSS pixels per mm @param {number} room CSS pixels
 * @returns {number} mm; 0 for none
 */
export function barLength(perMm, room) {
  return LENGTHS.findLast((mm) => mm * perMm <= room) ?? 0;
}

/** Text and marks at the edges of a stage. */
export class Overlay {
  /** @param {SVGElement} layer of the stage */
  constructor(layer) {
    this.group = s("g", { class: "overlay" });
    layer.append(this.group);
    this.corner = h("div", { class: "corner", "aria-hidden": "true" });
  }

  /**
   * @param {string[]} sides letters at the left, right, top and bottom
   * @param {number} perMm CSS pixels per mm; 0 without spacing
   * @param {number} width @param {number} height of the stage
   */
  draw(sides, perMm, width, height) {
    const [left, right, top, bottom] = sides;
    /** @type {[string, number, number, string][]} */
    const places = [[left, 8, height / 2 + 4, "start"], [right, width - 8, height / 2 + 4, "end"], [top, width / 2, 16, "middle"], [bottom, width / 2, height - 8, "middle"]];
    const texts = places.filter(([text]) => text).map(([text, x, y, anchor]) => s("text", { x, y, class: "side", "text-anchor": anchor }, text));
    this.group.replaceChildren(...texts, ...this.bar(perMm, width, height));
  }

  /** @param {number} perMm @param {number} width @param {number} height */
  bar(perMm, width, height) {
    const mm = perMm > 0 ? barLength(perMm, Math.min(width / 3, 240)) : 0;
    if (!mm) return [];
    const [x, y, long] = [width - 10, height - 12, mm * perMm];
    const path = `M${x - long} ${y - 5}v5h${long}v-5`;
    const text = mm < 10 ? `${mm} mm` : `${mm / 10} cm`;
    return [
      s("path", { d: path, class: "halo", "stroke-width": 4 }), s("path", { d: path, class: "scale" }),
      s("text", { x: x - long / 2 - textWidth(text) / 2, y: y - 8, class: "side" }, text),
    ];
  }

  /** @param {string[]} lines */
  setCorner(lines) {
    this.corner.replaceChildren(...lines.filter(Boolean).map((line) => h("div", {}, line)));
  }
}

/** Text of a masked value. */
export const MASK = "•••";

/**
 * Lines of the corner: series, date; without masked values.
 * @param {Record<string, unknown>} description @param {string | null} modality
 */
export function cornerOf(description, modality) {
  const { SeriesNumber: number, SeriesDescription: text, StudyDate: date } = Object.fromEntries(Object.entries(description).map(([name, value]) => [name, value === MASK ? null : value]));
  const series = [number === null || number === undefined ? "" : `series ${number}`, text].filter(Boolean).join(" · ");
  return [[modality, series].filter(Boolean).join(" "), date ? String(date) : ""];
}

/** Position along the normal: "120.5 mm". @param {number | null} mm */
export function positionText(mm) {
  return mm === null ? "" : `${short(mm, 6)} mm`;
}
