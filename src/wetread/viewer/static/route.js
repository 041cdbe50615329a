// The address <-> what is shown: everything a reload must bring back.

/** @typedef {import("./types").Route} Route */

/** @type {Route} */
export const START = {
  page: "grid", id: "", where: "", search: "", order: "", desc: false,
  frame: 0, window: "", invert: false, zoom: null, x: null, y: null,
  readers: null, labels: null, show: null, iou: 0.5, score: 0.3, tab: "",
};

/**
 * The state that a fragment names; what it does not name is as at the start.
 * @param {string} fragment with or without its #
 * @returns {Route}
 */
export function parse(fragment) {
  const [path, query = ""] = splitOnce(fragment.replace(/^#/, ""), "?");
  const given = new URLSearchParams(query);
  const image = /^\/image\/([0-9a-f]{16})$/.exec(path);
  return {
    page: image ? "image" : "grid",
    id: image ? image[1] : "",
    where: given.get("where") ?? "",
    search: given.get("search") ?? "",
    order: given.get("order") ?? "",
    desc: given.get("desc") === "1",
    frame: Math.max(0, Math.trunc(number(given, "frame") ?? 0)),
    window: given.get("window") ?? "",
    invert: given.get("invert") === "1",
    zoom: positive(number(given, "zoom")),
    x: number(given, "x"),
    y: number(given, "y"),
    readers: list(given, "readers"),
    labels: list(given, "labels"),
    show: given.get("show"),
    iou: clamp(number(given, "iou") ?? START.iou),
    score: clamp(number(given, "score") ?? START.score),
    tab: given.get("tab") ?? "",
  };
}

/**
 * The fragment of a state, as short as can be.
 * @param {Route} route
 * @returns {string}
 */
export function format(route) {
  const said = new URLSearchParams();
  for (const name of /** @type {const} */ (["where", "search", "order"])) {
    if (route[name]) said.set(name, route[name]);
  }
  if (route.desc) said.set("desc", "1");
  if (route.page === "image") {
    if (route.frame) said.set("frame", String(route.frame));
    if (route.window) said.set("window", route.window);
    if (route.invert) said.set("invert", "1");
    for (const name of /** @type {const} */ (["zoom", "x", "y"])) {
      const value = route[name];
      if (value !== null) said.set(name, String(+value.toFixed(4)));
    }
    for (const name of /** @type {const} */ (["readers", "labels"])) {
      const value = route[name];
      if (value) said.set(name, value.map((one) => encodeURIComponent(one)).join(","));
    }
    if (route.show !== null) said.set("show", route.show);
    if (route.iou !== START.iou) said.set("iou", String(route.iou));
    if (route.score !== START.score) said.set("score", String(route.score));
    if (route.tab) said.set("tab", route.tab);
  }
  const query = said.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  const path = route.page === "image" ? `/image/${route.id}` : "/grid";
  return `#${path}${query && `?${query}`}`;
}

/**
 * The token of a fragment, and the fragment without it.
 * @param {string} fragment
 * @returns {{token: string | null, rest: string}}
 */
export function takeToken(fragment) {
  const text = fragment.replace(/^#/, "");
  const [path, query] = text.startsWith("/") ? splitOnce(text, "?") : ["", text];
  const given = new URLSearchParams(query);
  const token = given.get("token");
  if (token === null) return { token, rest: fragment };
  given.delete("token");
  const rest = given.toString();
  return { token, rest: path ? `#${path}${rest && `?${rest}`}` : "" };
}

/** @param {string} text @param {string} mark @returns {[string, string]} */
function splitOnce(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {URLSearchParams} given @param {string} name */
function number(given, name) {
  const text = given.get(name);
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

/** @param {number | null} value */
function positive(value) {
  return value !== null && value > 0 ? value : null;
}

/** @param {URLSearchParams} given @param {string} name */
function list(given, name) {
  const text = given.get(name);
  return text === null ? null : text.split(",").filter(Boolean).map(decoded);
}

/** A name with a comma in it is encoded twice. @param {string} text */
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
