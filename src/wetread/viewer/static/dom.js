// DOM helpers: text is always set as textContent, styles through the CSSOM.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name @param {Attributes} [attributes] functions are listeners, true is an empty attribute
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  set(element, attributes);
  element.append(.../** @type {(Node | string)[]} */ (children.filter(isNode)));
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} name @param {Attributes} [attributes] @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  set(element, attributes);
  element.append(.../** @type {(Node | string)[]} */ (children.filter(isNode)));
  return element;
}

/** @param {Element} element @param {Attributes} attributes */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * Replaces the children of an element. The focus stays on the control of the same name, else on the one in its place.
 * @param {Element} element @param {...(Node | string)} children
 * @returns {boolean} false if the focus was inside, and no control is left
 */
export function refill(element, ...children) {
  const controls = () => /** @type {HTMLElement[]} */ ([...element.querySelectorAll("button, input, select")]);
  const before = controls();
  const at = before.findIndex((one) => one === document.activeElement);
  const name = at < 0 ? "" : nameOf(before[at]);
  element.replaceChildren(...children);
  if (at < 0) return true;
  const after = controls();
  const place = Math.min(at, after.length - 1);
  const same = [after[place], ...after].find((one) => one && nameOf(one) === name);
  (same ?? after[place])?.focus();
  return after.length > 0;
}

/** @param {HTMLElement} control */
function nameOf(control) {
  return control.getAttribute("aria-label") ?? (control.querySelector(".grow") ?? control).textContent;
}

/** @param {Child} child */
function isNode(child) {
  return child !== null && child !== undefined && child !== false;
}

/** @type {Record<string, string>} Paths on a grid of 16, line width 1.5. */
const ICONS = {
  grid: "M2.5 2.5h4v4h-4z M9.5 2.5h4v4h-4z M2.5 9.5h4v4h-4z M9.5 9.5h4v4h-4z",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  window: "M8 2.2a5.8 5.8 0 1 0 0 11.6z M8 2.2a5.8 5.8 0 0 1 0 11.6",
  pan: "M8 2v12 M2 8h12 M6 4l2-2 2 2 M6 12l2 2 2-2 M4 6 2 8l2 2 M12 6l2 2-2 2",
  cross: "M8 1.5v4.5 M8 10v4.5 M1.5 8h4.5 M10 8h4.5",
  ruler: "M2 11 11 2l3 3-9 9z M5 8l1.5 1.5 M7.5 5.5 9 7 M10 3l1.5 1.5",
  invert: "M2.5 2.5h11v11h-11z M2.5 13.5l11-11v11z",
  fit: "M2.5 6v-3.5h3.5 M10 2.5h3.5v3.5 M13.5 10v3.5h-3.5 M6 13.5h-3.5v-3.5",
  rotate: "M12.8 6.3A5.3 5.3 0 1 0 13.3 9.3 M13.2 2.5v4h-4",
  flip: "M8 1.5v13 M6 4v8H1.5z M10 4v8h4.5z",
  play: "M5 3l8 5-8 5z",
  pause: "M5 3v10 M11 3v10",
  help: "M5.8 6a2.2 2.2 0 1 1 3.3 1.9c-.8.5-1.1.9-1.1 1.7 M8 12.3v.2",
  theme: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6z M8 1.5v1 M8 13.5v1 M1.5 8h1 M13.5 8h1 M3.4 3.4l.7.7 M11.9 11.9l.7.7 M3.4 12.6l.7-.7 M11.9 4.1l.7-.7",
  close: "M4 4l8 8 M12 4l-8 8",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z M10.3 10.3 14 14",
  up: "M8 13V3 M4 7l4-4 4 4",
  down: "M8 3v10 M4 9l4 4 4-4",
  filter: "M2 3h12l-4.7 5.5v4.5l-2.6-1.3v-3.2z",
  report: "M3.5 1.8h6l3 3v9.4h-9z M6 8h4 M6 11h4",
  box: "M2.5 4.5h11v7h-11z M2 4h1 M13 4h1 M2 12h1 M13 12h1",
  point: "M8 2v4 M8 10v4 M2 8h4 M10 8h4",
  boxes: "M2.5 2.5h7v7h-7z M6.5 6.5h7v7h-7z",
};
/** Filled, not drawn. */
const SOLID = new Set(["play"]);

/** @param {string} name */
export function icon(name) {
  return s(
    "svg", { viewBox: "0 0 16 16", class: SOLID.has(name) ? "icon solid" : "icon", "aria-hidden": "true" },
    s("path", { d: ICONS[name] }),
  );
}

/**
 * Icon button.
 * @param {string} name @param {string} label action, with its key in parentheses
 * @param {(event: MouseEvent) => void} onclick @param {Attributes} [more]
 */
export function iconButton(name, label, onclick, more = {}) {
  return h("button", { type: "button", class: "tool", "aria-label": label, title: label, onclick, ...more }, icon(name));
}

/** @type {CanvasRenderingContext2D | null} */
let measure = null;

/** Width of a label on the image, in CSS pixels. @param {string} text */
export function textWidth(text) {
  measure ??= document.createElement("canvas").getContext("2d");
  if (!measure) return 7 * text.length;
  measure.font = '11.5px system-ui, "DejaVu Sans", sans-serif';
  return Math.ceil(measure.measureText(text).width);
}

/** Formats an integer: 12,345. @param {number} value */
export function count(value) {
  return value.toLocaleString("en-US");
}

/** Formats a number with a limited number of digits. @param {number} value @param {number} digits */
export function short(value, digits = 6) {
  return String(+value.toPrecision(digits)).replace("-", "−");
}

/** Formats a count with its noun. @param {number} n @param {string} noun */
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** Runs `task` once, `wait` ms after the last call. @param {() => void} task @param {number} wait */
export function debounce(task, wait) {
  let timer = 0;
  const run = () => {
    clearTimeout(timer);
    timer = setTimeout(task, wait);
  };
  run.cancel = () => clearTimeout(timer);
  return run;
}
