// The keyboard map, over everything: `?`. docs/viewer-keys.md has the same keys; a test compares.

import { h, iconButton } from "./dom.js";

/** @type {[string, [string, string][]][]} */
export const KEYS = [
  ["Everywhere", [
    ["?", "this help"],
    ["Esc", "close, or back to the grid"],
    ["/", "search: the grid, or the header"],
  ]],
  ["Grid", [
    ["← → ↑ ↓", "choose an image"],
    ["PgUp PgDn", "a page up or down"],
    ["Home End", "first or last image"],
    ["Enter", "open it"],
    ["+ −", "larger or smaller pictures"],
    ["F", "filter by SQL"],
  ]],
  ["Image", [
    ["← →", "previous or next image of the filter"],
    ["↑ ↓", "frame, or image of the series; also the wheel"],
    ["Home End", "first or last frame"],
    ["Space", "play the frames"],
    ["+ −", "zoom at the pointer; also Ctrl and the wheel"],
    ["=", "fit"],
    ["Z", "1:1, one pixel of the screen for one of the image"],
    ["T", "header"],
  ]],
  ["Window", [
    ["drag", "right: wider; down: higher center"],
    ["0", "auto: made of the pixels"],
    ["1 2", "the file's first and second window"],
    ["3 – 9", "CT in HU: the presets of the list"],
    ["F", "full range"],
    ["I", "invert"],
  ]],
  ["Tools", [
    ["W", "drag changes the window"],
    ["D", "drag moves the image; also Shift and drag"],
    ["M", "drag measures"],
  ]],
  ["Boxes", [
    ["B", "all boxes on or off"],
    ["⇧1 – ⇧9", "one reader on or off"],
    ["G", "consensus or truth"],
    ["P", "predictions"],
    ["L", "names on boxes"],
    ["N ⇧N", "next or previous miss, on to other images"],
  ]],
];

export class Help {
  constructor() {
    const sections = KEYS.map(([title, keys]) => h(
      "section", {}, h("h3", {}, title),
      h("dl", {}, ...keys.flatMap(([key, what]) => [
        h("dt", {}, ...key.split(" ").map((one) => (one === "–" ? one : h("kbd", {}, one)))), h("dd", {}, what),
      ])),
    ));
    this.element = h(
      "dialog", { class: "help", "aria-label": "Keyboard" },
      h("header", {}, h("h2", {}, "Keyboard"), iconButton("close", "Close (Esc)", () => this.element.close())),
      h("div", { class: "help-keys" }, ...sections),
    );
    this.element.addEventListener("click", (event) => event.target === this.element && this.element.close());
  }

  toggle() {
    if (this.element.open) this.element.close();
    else this.element.showModal();
  }
}
