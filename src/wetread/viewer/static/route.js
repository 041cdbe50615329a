// The state in the fragment of the address: everything that a reload restores.

/** @typedef {import("./types").Route} Route */

/** View of a whole image, neither rotated nor flipped. */
export const FITTED = { zoom: null, x: null, y: null, rotate: 0, flip: false };

/** @type {Route} */
export const START = {
  page: "grid", id: "", where: "", search: "", order: "", desc: false, group: "",
  series: "", stack: 0, at: null,
  frame: 0, window: "", invert: false, ...FITTED,
  readers: null, labels: null, show: null, iou: 0.5, score: 0, tab: "", outlines: true,
};

/**
 * Parses a fragment; missing values have their defaults.
 * @param {string} fragment with or without its #
 * @param {number} [score] default of the minimum score
 * @returns {Route}
 */
export function parse(fragment, score = START.score) {
  const [path, query = ""] = splitOnce(fragment.replace(/^#/, ""), "?");
  const parameters = new URLSearchParams(query);
  const image = /^\/image\/([0-9a-f]{16})$/.exec(path);
  const volume = /^\/volume\/([0-9a-f]{16})\/(\d{1,6})$/.exec(path);
  const group = parameters.get("group");
  return {
    page: image ? "image" : volume ? "volume" : "grid",
    id: image ? image[1] : "",
    series: volume ? volume[1] : "",
    stack: volume ? Number(volume[2]) : 0,
    at: point(parameters.get("at")),
    group: group === "series" || group === "study" ? group : "",
    where: parameters.get("where") ?? "",
    search: parameters.get("search") ?? "",
    order: parameters.get("order") ?? "",
    desc: parameters.get("desc") === "1",
    frame: Math.max(0, Math.trunc(number(parameters, "frame") ?? 0)),
    window: parameters.get("window") ?? "",
    invert: parameters.get("invert") === "1",
    zoom: positive(number(parameters, "zoom")),
    x: number(parameters, "x"),
    y: number(parameters, "y"),
    rotate: ["90", "180", "270"].includes(parameters.get("rotate") ?? "") ? Number(parameters.get("rotate")) : 0,
    flip: parameters.get("flip") === "1",
    readers: list(parameters, "readers"),
    labels: list(parameters, "labels"),
    show: parameters.get("show"),
    iou: clamp(number(parameters, "iou") ?? START.iou),
    score: clamp(number(parameters, "score") ?? score),
    tab: parameters.get("tab") ?? "",
    outlines: parameters.get("outlines") !== "0",
  };
}

/**
 * Formats a state as a fragment, without default values.
 * @param {Route} route @param {number} [score] default of the minimum score
 * @returns {string}
 */
export function format(route, score = START.score) {
  const query = new URLSearchParams();
  for (const name of /** @type {const} */ (["where", "search", "order"])) {
    if (route[name]) query.set(name, route[name]);
  }
  if (route.desc) query.set("desc", "1");
  if (route.group) query.set("group", route.group);
  if (route.iou !== START.iou) query.set("iou", String(route.iou));
  if (route.score !== score) query.set("score", String(route.score));
  if (!route.outlines) query.set("outlines", "0");
  if (route.page !== "grid") {
    if (route.page === "image" && route.frame) query.set("frame", String(route.frame));
    if (route.page === "volume" && route.at) query.set("at", route.at.map((mm) => String(+mm.toFixed(4))).join(","));
    if (route.window) query.set("window", route.window);
    if (route.invert) query.set("invert", "1");
    for (const name of /** @type {const} */ (["zoom", "x", "y"])) {
      const value = route[name];
      if (value !== null) query.set(name, String(+value.toFixed(4)));
    }
  }
  if (route.page === "image") {
    if (route.rotate) query.set("rotate", String(route.rotate));
    if (route.flip) query.set("flip", "1");
    for (const name of /** @type {const} */ (["readers", "labels"])) {
      const value = route[name];
      if (value) query.set(name, value.map((one) => encodeURIComponent(one)).join(","));
    }
    if (route.show !== null) query.set("show", route.show);
    if (route.tab) query.set("tab", route.tab);
  }
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  const path = route.page === "image" ? `/image/${route.id}` : route.page === "volume" ? `/volume/${route.series}/${route.stack}` : "/grid";
  return `#${path}${text && `?${text}`}`;
}

/** Filter and order of a state, as query of the server. @param {Route} route */
export function rowQuery({ where, search, order, desc, iou, score, group }) {
  return { where, search, order, desc, iou, score, group };
}

/**
 * Splits the token from a fragment.
 * @param {string} fragment
 * @returns {{token: string | null, rest: string}}
 */
export function takeToken(fragment) {
  const text = fragment.replace(/^#/, "");
  const [path, query] = text.startsWith("/") ? splitOnce(text, "?") : ["", text];
  const parameters = new URLSearchParams(query);
  const token = parameters.get("token");
  if (token === null) return { token, rest: fragment };
  parameters.delete("token");
  const rest = parameters.toString();
  return { token, rest: path ? `#${path}${rest && `?${rest}`}` : "" };
}

/** @param {string} text @param {string} mark @returns {[string, string]} */
function splitOnce(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {URLSearchParams} parameters @param {string} name */
function number(parameters, name) {
  const text = parameters.get(name);
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

/** Position in mm: "x,y,z". @param {string | null} text @returns {[number, number, number] | null} */
function point(text) {
  const [x, y, z, ...rest] = (text ?? "").split(",").map((part) => (part.trim() ? Number(part) : NaN));
  return [x, y, z].every(Number.isFinite) && !rest.length ? [x, y, z] : null;
}

/** @param {number | null} value */
function positive(value) {
  return value !== null && value > 0 ? value : null;
}

/** @param {URLSearchParams} parameters @param {string} name */
function list(parameters, name) {
  const text = parameters.get(name);
  return text === null ? null : text.split(",").filter(Boolean).map(decoded);
}

/** Decodes a name; names with commas are encoded twice. @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {number} value */
function clamp(value) {
  return Math.min(Math.max(value, 0), 1);
}
