// Sliders of the thresholds at which predictions are compared with the ground truth.

import { count, h } from "./dom.js";

/** @typedef {import("./types").Box} Box */
/** @typedef {import("./types").Route} Route */
/** @typedef {"iou" | "score"} Field */

/**
 * Slider of a threshold.
 * @param {string} name @param {Field} field @param {number} value
 * @param {(patch: Partial<Route>) => void} change
 */
export function slider(name, field, value, change) {
  const output = h("output", {}, shown(value));
  const [min, max, step] = field === "iou" ? [0.1, 0.9, 0.01] : [0, 1, 0.001];
  const input = h("input", { type: "range", min, max, step, "data-field": field, "aria-label": name });
  input.value = String(value);
  input.addEventListener("input", () => {
    output.textContent = shown(Number(input.value));
    change({ [field]: Number(input.value) });
  });
  return h("label", { class: "slider" }, h("span", { class: "grow" }, name), input, output);
}

/** Sets the sliders in an element, except for one in use. @param {Element} element @param {Route} route */
export function setSliders(element, route) {
  for (const input of element.querySelectorAll("input[data-field]")) {
    if (!(input instanceof HTMLInputElement) || input === document.activeElement) continue;
    const value = route[/** @type {Field} */ (input.dataset.field)];
    input.value = String(value);
    const output = input.parentElement?.querySelector("output");
    if (output) output.textContent = shown(value);
  }
}

/** A threshold or score: two decimals, three where they matter. @param {number} value */
export function shown(value) {
  return Math.abs(value - +value.toFixed(2)) < 5e-4 ? value.toFixed(2) : value.toFixed(3);
}

/**
 * Note on the predictions of an image that a minimum score hides; "" if it hides none.
 * @param {Box[]} predictions @param {number} score
 */
export function hiddenNote(predictions, score) {
  const scores = predictions.map((box) => box.score ?? 1);
  const below = scores.filter((one) => one < score);
  return belowText(below.length, scores.length, score, Math.max(...below));
}

/** @param {number} hidden @param {number} all @param {number} score @param {number} highest */
export function belowText(hidden, all, score, highest) {
  return hidden ? `${count(hidden)} of ${count(all)} below ${shown(score)}, highest ${highest.toFixed(2)}` : "";
}

/** Reason of the first minimum score. @param {{score: number, f1: number | null} | null} start */
export function startNote(start) {
  if (!start) return "";
  return start.f1 === null
    ? `starts at ${shown(start.score)}: ten predictions per image on average`
    : `starts at ${shown(start.score)}: the best F1 of all images, ${start.f1.toFixed(2)}`;
}
