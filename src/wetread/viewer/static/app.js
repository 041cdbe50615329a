// The application: the address holds the state; the grid and the image display it.

import { ApiError, fetchJson, findToken } from "./api.js";
import { Banner } from "./banner.js";
import { debounce, h, iconButton } from "./dom.js";
import { Grid } from "./grid.js";
import { Help } from "./help.js";
import { ImageView } from "./image.js";
import { MaskStore } from "./mask_store.js";
import { format, parse } from "./route.js";
import { VolumeView } from "./volume.js";
import { join } from "./where.js";

/** @typedef {import("./types").About} About */
/** @typedef {import("./types").Route} Route */

const THEME = "wetread theme";

export class App {
  /** @param {About} about @param {HTMLElement} root */
  constructor(about, root) {
    this.about = about;
    this.score = about.start?.score ?? 0;
    /** @type {Route} */
    this.route = parse(location.hash, this.score);
    this.help = new Help();
    this.masks = new MaskStore(about.masks);
    this.grid = new Grid(this);
    this.image = new ImageView(this);
    this.volume = new VolumeView(this);
    this.root = root;
    this.banner = new Banner(() => this.reconnected());
    root.replaceChildren(this.banner.element, this.grid.element, this.image.element, this.help.element);
    this.saveSoon = debounce(() => this.save(), 200);
    addEventListener("popstate", () => this.follow());
    addEventListener("hashchange", () => this.follow());
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("pagehide", () => this.save());
    history.replaceState(null, "", this.address());
    this.render();
  }

  /** Fragment of the state. */
  address() {
    return format(this.route, this.score);
  }

  /** Follows a change of the address: back, forward, or typed. */
  follow() {
    if (location.hash.includes("token=")) {
      findToken();
      location.reload();
      return;
    }
    if (location.hash === this.address()) return;
    this.saveSoon.cancel();
    this.route = parse(location.hash, this.score);
    this.render();
  }

  /** Navigates. @param {Partial<Route>} patch @param {boolean} [replace] without a history entry */
  go(patch, replace = false) {
    this.save();
    this.route = { ...this.route, ...patch };
    history[replace ? "replaceState" : "pushState"](null, "", this.address());
    this.render();
  }

  /** Records a state that is already displayed in the address. @param {Partial<Route>} patch */
  update(patch) {
    this.route = { ...this.route, ...patch };
    this.saveSoon();
  }

  save() {
    this.saveSoon.cancel();
    if (location.hash !== this.address()) history.replaceState(null, "", this.address());
  }

  /** Loads again what failed while the server did not respond. */
  reconnected() {
    if (this.route.page === "image") this.image.id = "";
    this.grid.retry();
    this.render();
  }

  /** @param {string[]} terms conditions */
  filterBy(terms) {
    this.go({ where: join(terms) });
  }

  render() {
    const { page } = this.route;
    const focused = document.activeElement;
    const views = { grid: this.grid, image: this.image, volume: this.volume };
    const others = Object.entries(views).filter(([name]) => name !== page).map(([, view]) => view);
    for (const view of others) if (!view.element.hidden) view.leave();
    if (page === "image") this.grid.opened = this.route.id;
    views[page].show(this.route);
    if (!focused || focused === document.body || others.some((view) => view.element.contains(focused))) views[page].focus();
  }

  /** Buttons of all pages. */
  tools() {
    return [
      // The opener passes the token on, for the links from the report into the viewer.
      this.about.report && h("a", { class: "tool word", href: this.about.report, target: "_blank", rel: "opener" }, "Report"),
      iconButton("theme", "Light or dark theme", switchTheme),
      h("button", { type: "button", class: "tool word", "aria-label": "Keyboard shortcuts (?)", title: "Keyboard shortcuts (?)", onclick: () => this.help.toggle() }, "?"),
    ];
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (target instanceof HTMLElement && usesKey(target, event.key)) return;
    if (event.key === "?") this.help.toggle();
    else if (this.help.element.open) return;
    else {
      const page = { grid: this.grid, image: this.image, volume: this.volume }[this.route.page];
      if (!page.key(event)) return;
    }
    event.preventDefault();
  }
}

/** True if an element handles a key itself. @param {HTMLElement} element @param {string} key */
function usesKey(element, key) {
  if (element instanceof HTMLInputElement && element.type === "checkbox") return key === " ";
  if (element instanceof HTMLButtonElement || element instanceof HTMLAnchorElement || element.tagName === "SUMMARY") return key === " " || key === "Enter";
  return element instanceof HTMLInputElement || element instanceof HTMLSelectElement || element instanceof HTMLTextAreaElement || element.isContentEditable;
}

function switchTheme() {
  const { dataset } = document.documentElement;
  const dark = (dataset.theme ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark")) === "dark";
  dataset.theme = dark ? "light" : "dark";
  localStorage.setItem(THEME, dataset.theme);
}

/** Replaces the page by an error message. @param {HTMLElement} root @param {string} title @param {string} text */
function showError(root, title, text) {
  root.replaceChildren(h("main", { class: "blank", role: "alert" }, h("h1", {}, title), h("p", {}, text), h("button", { type: "button", onclick: () => location.reload() }, "Try again")));
}

async function start() {
  const root = document.getElementById("app");
  if (!root) return;
  const theme = localStorage.getItem(THEME);
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const advice = "Open the address printed by wetread view. It ends with the token of this session, #token=…, which is required to load any data.";
  if (!findToken()) {
    addEventListener("hashchange", () => location.reload(), { once: true });
    return showError(root, "The token is missing", advice);
  }
  try {
    new App(await fetchJson("about"), root);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401 || error.status === 403) showError(root, "The token is invalid", `${advice} A restarted server has a new token.`);
    else showError(root, "Loading failed", error.message);
  }
}

start();
