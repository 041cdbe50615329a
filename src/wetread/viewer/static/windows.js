// Windows: names in the address, resolution, dragging.

import { short } from "./dom.js";

/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").Window} Window */
/** @typedef {import("./types").Preset} Preset */

/** True for CT in HU, the only images with presets. @param {Meta} meta */
export function hasHounsfield(meta) {
  return meta.modality === "CT" && meta.units === "HU";
}

/**
 * Windows of the list: [name in the address, text].
 * @param {Meta} meta @param {Preset[]} presets
 * @returns {[string, string][]}
 */
export function choices(meta, presets) {
  /** @type {[string, string][]} */
  const list = meta.views.map((view, i) => [String(i + 1), `${i + 1} · ${view.name || (view.kind === "lut" ? "VOI LUT" : "file")}`]);
  list.push(["auto", "auto"], ["full", "full range"]);
  if (hasHounsfield(meta)) list.push(...presets.map((preset) => /** @type {[string, string]} */ ([preset.name, preset.name])));
  return list;
}

/**
 * Resolves the name of a window: "", "auto", "full", "1", "lung", the file's own name, "center,width".
 * @param {string} name @param {Meta} meta @param {Preset[]} presets
 * @returns {Window & {key: string}} key: its name for the server
 */
export function resolve(name, meta, presets) {
  const numbers = /^(-?[\d.e+-]+),([\d.e+-]+)$/i.exec(name);
  if (numbers) {
    const [center, width] = [Number(numbers[1]), Number(numbers[2])];
    if (Number.isFinite(center) && width > 0) {
      return { center, width, function: meta.function, name: "", lut: false, key: `${center},${width}` };
    }
  }
  if (name === "auto" || name === "full") return own(name, meta);
  const lower = name.toLowerCase();
  let at = /^\d+$/.test(name) ? Number(name) - 1 : -1;
  if (at < 0 && name) {
    const preset = presets.find((one) => one.name === lower);
    if (preset && hasHounsfield(meta)) {
      const { center, width } = preset;
      return { center, width, function: "LINEAR", name: preset.name, lut: false, key: preset.name };
    }
    at = meta.views.findIndex((view) => view.name.toLowerCase() === lower);
  }
  const view = meta.views[at] ?? meta.views[0];
  if (!view) return own("auto", meta);
  const key = String(meta.views.indexOf(view) + 1);
  const { center, width } = view;
  return { center, width, function: view.function, name: view.name, lut: view.kind === "lut", key };
}

/** @param {"auto" | "full"} name @param {Meta} meta @returns {Window & {key: string}} */
function own(name, meta) {
  const { center, width } = meta[name] ?? { center: 0.5, width: 1 };
  return { center, width, function: "LINEAR_EXACT", name, lut: false, key: name };
}

/**
 * Window after dragging by (dx, dy) screen pixels: right for a larger width, down for a higher center.
 * 1,024 pixels correspond to the range of the image, for any bit depth.
 * @param {Window} window @param {number} dx @param {number} dy @param {Meta} meta
 * @returns {string} its name
 */
export function dragged(window, dx, dy, meta) {
  const reach = (meta.range && meta.range[1] - meta.range[0]) || 1;
  const step = reach / 1024;
  const least = meta.function === "LINEAR" && reach > 16 ? 1 : reach / 4096;
  const width = Math.max(window.width + dx * step, least);
  return nameOf(window.center + dy * step, width, step);
}

/** @param {number} center @param {number} width @param {number} [step] precision */
export function nameOf(center, width, step = 0) {
  const digits = step > 0 ? Math.min(Math.max(1 - Math.floor(Math.log10(step)), 0), 12) : 12;
  return `${+center.toFixed(digits)},${+width.toFixed(digits)}`;
}

/** Caption of a window: "lung −600/1500". @param {Window} window */
export function label(window) {
  if (window.lut) return `VOI LUT ${window.name}`.trim();
  const plain = window.function === "LINEAR" || window.name === "auto" || window.name === "full";
  const shape = plain ? "" : window.function.replace("_", " ");
  return `${window.name} ${short(window.center)}/${short(window.width)} ${shape}`.trim();
}
