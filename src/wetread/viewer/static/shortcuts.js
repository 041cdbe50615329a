// Keyboard shortcuts of the image page; help.js lists them.

/** @typedef {import("./image.js").ImageView} ImageView */

/** @type {Record<string, (view: ImageView, event: KeyboardEvent) => void>} */
const ACTIONS = {
  ArrowLeft: (view) => view.neighbour("previous"),
  ArrowRight: (view) => view.neighbour("next"),
  ArrowUp: (view) => view.stack.step(-1),
  ArrowDown: (view) => view.stack.step(1),
  PageUp: (view) => view.stack.step(-10),
  PageDown: (view) => view.stack.step(10),
  Home: (view) => view.stack.toEnd("first"),
  End: (view) => view.stack.toEnd("last"),
  " ": (view) => view.stack.ready(() => view.stack.play()),
  v: (view) => view.stack.ready(() => view.stack.openPlanes()),
  i: (view) => view.change({ invert: !view.route.invert }),
  f: (view) => view.change({ window: "full" }),
  z: (view) => view.stage.zoomTo(1, view.stage.pointer),
  "=": (view) => view.stage.reset(),
  "+": (view) => view.stage.step(1),
  "-": (view) => view.stage.step(-1),
  a: (view, event) => view.stage.rotate(event.shiftKey ? -1 : 1),
  h: (view) => view.stage.flip(),
  w: (view) => view.controls.setTool("window"),
  d: (view) => view.controls.setTool("pan"),
  m: (view) => view.controls.setTool("ruler"),
  b: (view) => view.readers.flipAll(),
  g: (view) => view.readers.flip("layer", "g"),
  p: (view) => view.readers.flip("layer", "p"),
  l: (view) => view.readers.flip("layer", "l"),
  k: (view) => view.labels.store.flip(),
  n: (view, event) => view.nextMiss(event.shiftKey ? -1 : 1),
  t: (view) => view.change({ tab: view.controls.tab === "header" ? "" : "header" }),
  "/": (view) => {
    view.change({ tab: "header" });
    view.header.search.focus();
    view.header.search.select();
  },
  Escape: (view) => view.escape(),
};

/**
 * Runs the action of a key.
 * @param {ImageView} view @param {KeyboardEvent} event
 * @returns {boolean} true if the key has an action
 */
export function press(view, event) {
  const { key, code } = event;
  if (view.annotator?.key(event)) return true;
  if (event.shiftKey && /^Digit[1-9]$/.test(code)) {
    view.readers.flipReader(Number(code[5]) - 1);
    return true;
  }
  const action = ACTIONS[key.length === 1 ? key.toLowerCase() : key];
  if (action) action(view, event);
  else if (/^[0-9]$/.test(key)) choose(view, key);
  else return false;
  return true;
}

/** Chooses the window of a digit. @param {ImageView} view @param {string} key */
function choose(view, key) {
  const { meta } = view;
  if (!meta || meta.colour) return;
  if (key === "0") return view.change({ window: "auto" });
  if (key === "1" || key === "2") {
    if (meta.views.length >= Number(key)) view.change({ window: key });
    else view.controls.showMessage(meta.views.length ? "The file has only one window." : "The file has no window.");
    return;
  }
  const preset = view.app.about.presets.find((one) => one.key === key);
  if (!preset) return;
  if (meta.modality === "CT" && meta.units === "HU") view.change({ window: preset.name });
  else view.controls.showMessage(`The preset “${preset.name}” requires CT in HU.`);
}
