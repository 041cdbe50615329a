// Toolbar and status bar of the image: window, tools, frames, value under the pointer.

import { count, h, iconButton, set, short } from "./dom.js";
import { endsOf, windowOf } from "./lut.js";
import { turnText } from "./turns.js";
import { choices, nameOf } from "./windows.js";

/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").Route} Route */
/** @typedef {import("./types").Window} Window */
/** @typedef {import("./types").Position} Position */
/** @typedef {import("./image.js").ImageView} ImageView */
/** @typedef {"center" | "width" | "low" | "high"} Field */

/** @type {[string, string][]} */
const TABS = [["boxes", "Boxes"], ["masks", "Masks"], ["header", "Header"], ["info", "Image"]];

export class Controls {
  /** @param {ImageView} view */
  constructor(view) {
    this.view = view;
    /** @type {Window | null} */
    this.window = null;
    this.tab = "";
    this.title = h("span", { class: "path" });
    this.number = h("span", { class: "quiet position" });
    this.previous = iconButton("left", "Previous image (←)", () => view.neighbour("previous"));
    this.next = iconButton("right", "Next image (→)", () => view.neighbour("next"));
    this.list = h("select", { "aria-label": "Window", class: "window-list", onchange: () => view.change({ window: this.list.value }) });
    /** @type {Record<Field, HTMLInputElement>} */
    this.fields = {
      center: this.field("center", "C", "Window center"), width: this.field("width", "W", "Window width"),
      low: this.field("low", "Low", "Lower limit of the window"), high: this.field("high", "High", "Upper limit of the window"),
    };
    this.windowGroup = h(
      "div", { class: "group window-group", role: "group", "aria-label": "Window" },
      this.list, ...Object.values(this.fields).map((input) => /** @type {Node} */ (input.parentElement)),
    );
    this.invert = iconButton("invert", "Invert (I)", () => view.change({ invert: !view.route.invert }));
    /** @type {Record<string, HTMLButtonElement>} */
    this.tools = {
      window: iconButton("window", "Adjust the window by dragging (W)", () => this.setTool("window")),
      pan: iconButton("pan", "Pan by dragging (D)", () => this.setTool("pan")),
      ruler: iconButton("ruler", "Measure distances (M)", () => this.setTool("ruler")),
    };
    if (view.app.about.annotation) {
      this.tools.box = iconButton("box", "Draw a box (R)", () => this.setTool("box"));
      this.tools.point = iconButton("point", "Set a point (O)", () => this.setTool("point"));
    }
    this.zoom = h("span", { class: "zoom" });
    this.fit = iconButton("fit", "Fit to the screen, not rotated (=)", () => view.stage.reset());
    this.rotate = iconButton("rotate", "Rotate by 90° (A)", (event) => view.stage.rotate(event.shiftKey ? -1 : 1));
    this.flip = iconButton("flip", "Flip left and right (H)", () => view.stage.flip());
    this.turned = h("span", { class: "turned", role: "status" });
    this.bar = h(
      "header", { class: "bar" },
      iconButton("grid", "Back to the grid (Esc)", () => view.toGrid()), this.previous, this.next,
      h("h1", { class: "what" }, this.title, this.number),
      this.windowGroup, this.invert,
      h("div", { class: "group", role: "group", "aria-label": "Tools" }, ...Object.values(this.tools)),
      h("div", { class: "group", role: "group", "aria-label": "Zoom" }, this.fit, h("button", { type: "button", class: "tool word", title: "Zoom 1:1 (Z)", "aria-label": "Zoom 1:1 (Z)", onclick: () => view.stage.zoomTo(1) }, "1:1")),
      h("div", { class: "group", role: "group", "aria-label": "Rotation" }, this.rotate, this.flip),
      h("span", { class: "bar-end" }, ...view.app.tools()),
    );
    const { boxes, predictions, masks } = view.app.about;
    const tabs = TABS.filter(([name]) => (name !== "boxes" || boxes || predictions) && (name !== "masks" || masks));
    this.tabButtons = tabs.map(([name, text]) => h(
      "button", { type: "button", role: "tab", "data-tab": name, "aria-controls": `panel-${name}`, onclick: () => view.change({ tab: name === defaultTab(view) ? "" : name }) }, text,
    ));
    this.problems = h("span", { class: "badge" });
    this.tabButtons.at(-1)?.append(this.problems);
    this.tabs = h(
      "div", { class: "tabs" },
      h("div", { role: "tablist", "aria-label": "Panels", class: "tablist" }, ...this.tabButtons),
      iconButton("close", "Close the panel", () => view.change({ tab: "off" })),
    );
    this.tabs.addEventListener("keydown", (event) => this.turn(event));
    this.open = h("button", { type: "button", class: "tool word panel-open", onclick: () => view.change({ tab: "" }) }, "Panel");
    this.probe = h("span", { class: "probe" });
    this.caption = h("span", { class: "caption" });
    this.level = h("span", { class: "quiet" });
    this.message = h("span", { class: "message", role: "status" });
    this.status = h("footer", { class: "status" }, this.probe, this.message, view.stack.element, this.caption, this.zoom, this.level, this.open);
    this.setTool("window");
  }

  /** @param {Field} name @param {string} text @param {string} label */
  field(name, text, label) {
    const input = h("input", { type: "text", inputmode: "decimal", "aria-label": label, "data-field": name, autocomplete: "off", size: 7 });
    input.addEventListener("change", () => this.enter(name));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") (this.enter(name), input.blur(), this.view.stage.element.focus());
      else if (event.key === "Escape") (this.fill(), input.blur(), this.view.stage.element.focus());
      else return;
      event.stopPropagation();
    });
    h("label", { class: `field ${name}` }, h("span", {}, text), input);
    return input;
  }

  /** Applies a typed number. @param {Field} name */
  enter(name) {
    const { window: old } = this;
    const value = Number(this.fields[name].value.replace("−", "-").replace(",", "."));
    if (!old || !this.fields[name].value.trim() || !Number.isFinite(value)) return this.fill();
    const shape = this.view.meta?.function ?? old.function;
    const [low, high] = endsOf(old);
    const { center, width } = name === "low" ? windowOf(value, high, shape)
      : name === "high" ? windowOf(low, value, shape)
        : name === "center" ? { center: value, width: old.width } : { center: old.center, width: value };
    if (width > 0) this.view.change({ window: nameOf(center, width) });
    else this.showMessage(name === "width" ? "The window width must be positive." : "The lower limit must be below the upper limit.");
    this.fill();
  }

  fill() {
    const { window: now } = this;
    for (const input of Object.values(this.fields)) input.disabled = !now || now.lut;
    if (!now || now.lut) {
      for (const input of Object.values(this.fields)) input.value = "";
      return;
    }
    const [low, high] = endsOf(now);
    const values = { center: now.center, width: now.width, low, high };
    for (const name of /** @type {Field[]} */ (Object.keys(values))) {
      const text = String(+values[name].toPrecision(9));
      this.fields[name].value = text;
      this.fields[name].style.width = `calc(${Math.max(5, text.length)}ch + 16px)`;
    }
  }

  /** Clears everything that describes the previous image. */
  clear() {
    this.title.textContent = "";
    this.number.textContent = "";
    this.caption.textContent = "";
    this.level.textContent = "";
    this.zoom.textContent = "";
    this.problems.hidden = true;
    this.showMessage("");
    this.setProbe(null);
  }

  /** @param {string} path */
  setTitle(path) {
    this.title.textContent = path;
    this.title.title = path;
  }

  /** @param {Meta} meta */
  setMeta(meta) {
    this.setTitle(meta.path);
    const worst = ["error", "warning", "info"].find((severity) => meta.problems.some((one) => one.severity === severity));
    set(this.problems, { class: `badge ${worst ?? ""}`, hidden: !meta.problems.length });
    this.problems.textContent = String(meta.problems.length);
    this.windowGroup.hidden = meta.colour || Boolean(meta.error);
    this.invert.hidden = meta.colour || Boolean(meta.error);
    const options = choices(meta, this.view.app.about.presets).map(([value, text]) => h("option", { value }, text));
    this.own = h("option", { value: "", disabled: true }, "custom");
    this.list.replaceChildren(...options, this.own);
    if (!this.view.stack.slices) this.view.stack.setAt(this.view.frame);
  }

  /** @type {HTMLOptionElement | undefined} */
  own;

  /** @param {(Window & {key: string}) | null} now @param {Route} route @param {(window: Window) => string} label */
  setWindow(now, route, label) {
    this.window = now;
    set(this.invert, { "aria-pressed": String(route.invert) });
    this.caption.textContent = now ? label(now) : "";
    if (now) this.list.value = now.key.includes(",") ? "" : now.key;
    if (!Object.values(this.fields).some((input) => input === document.activeElement)) this.fill();
  }

  /** @param {Position} position */
  setPosition(position) {
    this.number.textContent = position.offset === null ? "not in the filtered list" : `${count(position.offset + 1)} / ${count(position.total)}`;
    this.previous.disabled = !position.previous;
    this.next.disabled = !position.next;
  }

  /** @param {number} zoom @param {boolean} fitted */
  setZoom(zoom, fitted) {
    this.zoom.textContent = `${short(zoom * 100, zoom < 1 ? 2 : 3)} %`;
    set(this.fit, { "aria-pressed": String(fitted) });
  }

  /** @param {import("./turns.js").Turn} turn */
  setTurn(turn) {
    const text = turnText(turn);
    if (this.turned.textContent !== text) this.turned.textContent = text; // announced once
    set(this.flip, { "aria-pressed": String(turn.flip) });
  }

  /** @param {number} scale */
  setLevel(scale) {
    this.level.textContent = scale === 1 ? "" : `1/${scale} resolution`;
  }

  /** @param {string} tool */
  setTool(tool) {
    this.view.stage.tool = tool;
    this.view.stage.element.dataset.tool = tool;
    for (const [name, button] of Object.entries(this.tools)) set(button, { "aria-pressed": String(name === tool) });
  }

  /** @param {{x: number, y: number, mm: string | null, text: string} | null} probe */
  setProbe(probe) {
    if (!probe) this.probe.replaceChildren();
    else this.probe.replaceChildren(h("b", {}, probe.text), h("span", {}, `x ${probe.x}, y ${probe.y}`), probe.mm ? h("span", { class: "quiet" }, probe.mm) : "");
  }

  /** @param {string} text */
  showMessage(text) {
    this.message.textContent = text;
  }

  /** @param {string} requested by the address: "" the default, "off" none @param {ImageView} view */
  setTab(requested, view) {
    const tab = this.tabButtons.some((button) => button.dataset.tab === requested) ? requested : requested === "off" ? "off" : defaultTab(view);
    this.tab = tab;
    view.panel.hidden = tab === "off";
    view.panel.dataset.tab = tab;
    this.open.hidden = tab !== "off";
    for (const button of this.tabButtons) {
      const chosen = button.dataset.tab === tab;
      set(button, { "aria-selected": String(chosen), tabindex: chosen ? 0 : -1 });
    }
    view.readers.element.hidden = tab !== "boxes";
    view.labels.panel.element.hidden = tab !== "masks";
    view.header.element.hidden = tab !== "header";
    view.info.element.hidden = tab !== "info";
    if (tab === "header" && view.id) view.header.load(view.id);
  }

  /** Switches tabs by arrow keys. @param {KeyboardEvent} event */
  turn(event) {
    const at = this.tabButtons.findIndex((button) => button === document.activeElement);
    const way = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (at < 0 || !way) return;
    event.preventDefault();
    event.stopPropagation();
    const next = this.tabButtons[(at + way + this.tabButtons.length) % this.tabButtons.length];
    next.focus();
    next.click();
  }
}

/** @param {ImageView} view */
function defaultTab(view) {
  const { about } = view.app;
  if (about.boxes || about.predictions) return "boxes";
  return view.labels.store.files.length ? "masks" : "info";
}
