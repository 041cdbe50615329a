// Keyboard shortcuts, opened by `?`; docs/viewer-keys.md lists the same, which a test checks.

import { h, iconButton } from "./dom.js";

/** @type {[string, [string, string][]][]} */
export const KEYS = [
  ["Everywhere", [
    ["?", "show this help"],
    ["Esc", "close, or back to the grid"],
    ["/", "search the grid or the header"],
  ]],
  ["Grid", [
    ["← → ↑ ↓", "select an image"],
    ["PgUp PgDn", "page up or down"],
    ["Home End", "first or last image"],
    ["Enter", "open the selected image"],
    ["+ −", "larger or smaller thumbnails"],
    ["F", "filter by SQL"],
    ["S", "one tile per series, or per image"],
    ["B", "show or hide the boxes on thumbnails"],
  ]],
  ["Image", [
    ["← →", "previous or next image of the filtered list"],
    ["↑ ↓", "previous or next slice or frame; also the mouse wheel"],
    ["PgUp PgDn", "ten slices or frames back or on"],
    ["Home End", "first or last slice or frame"],
    ["Space", "play or pause"],
    ["V", "axial, coronal and sagittal plane of a volume, and back"],
    ["+ −", "zoom at the pointer; also Ctrl and the mouse wheel"],
    ["=", "fit to the screen, neither rotated nor flipped"],
    ["Z", "zoom 1:1, one screen pixel per image pixel"],
    ["A ⇧A", "rotate by 90°, clockwise or counter-clockwise"],
    ["H", "flip left and right"],
    ["K", "show or hide the masks"],
    ["T", "show the header"],
  ]],
  ["Planes", [
    ["click", "place the crosshair in all planes"],
    ["← → ↑ ↓", "move the crosshair by one voxel"],
    ["PgUp PgDn", "previous or next slice of the plane; also the mouse wheel"],
    ["Home End", "first or last slice"],
    ["Tab", "next plane"],
    ["C", "place the crosshair by dragging"],
    ["K", "show or hide the masks"],
  ]],
  ["Window", [
    ["drag", "right: larger width; down: higher center"],
    ["0", "automatic window, from the pixel values"],
    ["1 2", "first or second window of the file"],
    ["3 – 9", "presets for CT in HU"],
    ["F", "full range"],
    ["I", "invert"],
  ]],
  ["Tools", [
    ["W", "adjust the window by dragging"],
    ["D", "pan by dragging; also Shift and drag"],
    ["M", "measure distances by dragging"],
  ]],
  ["Boxes", [
    ["B", "show or hide all boxes"],
    ["⇧1 – ⇧9", "show or hide one reader"],
    ["G", "show or hide the consensus or the ground truth"],
    ["P", "show or hide the predictions"],
    ["L", "show or hide the labels on boxes"],
    ["N ⇧N", "next or previous miss, across images"],
  ]],
  ["Annotate", [
    ["R", "draw boxes; drag inside a selected box to move it"],
    ["O", "set points"],
    ["Enter", "put a box or a point at the pointer, or in the middle"],
    ["1 – 9", "label, of the selected and of new boxes"],
    [", .", "select the previous or next box"],
    ["← → ↑ ↓", "move the selected box"],
    ["⇧← ⇧→ ⇧↑ ⇧↓", "size the selected box"],
    ["Del", "delete the selected box"],
    ["Ctrl+Z Ctrl+⇧+Z", "undo or redo"],
    ["C", "copy your boxes from the slice before"],
    ["Y X", "accept or reject the selected box of others; a label accepts it too"],
    ["E S Q", "no finding, unsure, bad image"],
    ["U", "next unread image"],
  ]],
];

export class Help {
  constructor() {
    const sections = KEYS.map(([title, keys]) => h(
      "section", {}, h("h3", {}, title),
      h("dl", {}, ...keys.flatMap(([key, action]) => [
        h("dt", {}, ...key.split(" ").map((one) => (one === "–" ? one : h("kbd", {}, one)))), h("dd", {}, action),
      ])),
    ));
    this.element = h(
      "dialog", { class: "help", "aria-label": "Keyboard shortcuts" },
      h("header", {}, h("h2", {}, "Keyboard shortcuts"), iconButton("close", "Close (Esc)", () => this.element.close())),
      h("div", { class: "help-keys" }, ...sections),
    );
    this.element.addEventListener("click", (event) => event.target === this.element && this.element.close());
  }

  toggle() {
    if (this.element.open) this.element.close();
    else this.element.showModal();
  }
}
