// Annotation of the image by one reader: selection, drawing, verdicts, other people's boxes.

import { AnnotationPanel } from "./annotation_panel.js";
import { fetchJson } from "./api.js";
import { s } from "./dom.js";
import { DrawTool } from "./draw_tool.js";
import { Items, VERDICT } from "./items.js";
import { HANDLES, boxOf, inside, moved, placeOf, resized } from "./marking.js";
import { makeUuid } from "./outbox.js";
import { rowQuery } from "./route.js";

/** @typedef {import("./types").Content} Content */
/** @typedef {import("./types").Target} Target */
/** @typedef {import("./boxes.js").Mark} Mark */
/** @typedef {import("./marking.js").Corners} Corners */
/** @typedef {import("./image.js").ImageView} ImageView */
/** @typedef {{id: string, content: Content, waiting: boolean}} Own */

export const OWN = "#ff6ee6";
/** Milliseconds after the last step by keys until a box is saved. */
const SETTLE = 400;
const HANDLE = 3.5;

export class Annotator {
  /** @param {ImageView} view @param {import("./types").Annotation} about */
  constructor(view, about) {
    this.view = view;
    this.about = about;
    this.labels = [...about.labels];
    this.label = this.labels[0] ?? "";
    this.read = about.read;
    this.selected = "";
    this.shown = { id: "", frame: 0 };
    /** Box that is being drawn, moved or resized, and its image. @type {{image: string, id: string, content: Content} | null} */
    this.draft = null;
    this.timer = 0;
    this.handles = s("g", { class: "handles" });
    view.stage.layer.append(this.handles);
    this.tool = new DrawTool(this);
    this.panel = new AnnotationPanel(this);
    this.items = new Items(about.reader, () => this.refresh(), (text) => this.say(text), (read) => (this.read = read));
    addEventListener("keydown", (event) => this.undoKey(event));
    this.refresh();
  }

  /** @param {string} text */
  say(text) {
    this.view.controls.showMessage(text);
  }

  /** Loads the items of an image that is shown; those of its other frames are known. @param {import("./types").Route} route @param {AbortSignal} signal */
  async load({ id, frame }, signal) {
    this.settle();
    this.select("");
    const { shown } = this;
    this.shown = { id, frame };
    if (shown.id !== id || shown.frame === frame || !this.items.images.has(id)) await this.items.load(id, signal);
  }

  /** Frame of new items; null for an image of one frame. */
  get frame() {
    return (this.view.meta?.frames ?? 1) > 1 ? this.view.frame : null;
  }

  /** Boxes and points of the reader on this frame. @returns {Own[]} */
  get own() {
    const { draft } = this;
    /** @type {Own[]} */
    const list = [];
    for (const [id, { stroke, waiting }] of this.items.of(this.view.id).items) {
      const content = draft?.id === id ? draft.content : stroke;
      if (content?.corners && isOn(content, this.frame)) list.push({ id, content, waiting: waiting > 0 });
    }
    if (draft?.image === this.view.id && isOn(draft.content, this.frame) && !list.some(({ id }) => id === draft.id)) list.push({ ...draft, waiting: true });
    return list;
  }

  get selectedOwn() {
    return this.own.find(({ id }) => id === this.selected);
  }

  /** Rejected boxes of others, on this frame. */
  get rejected() {
    return [...this.items.of(this.view.id).items].filter(([, { stroke }]) => stroke?.kind === "reject" && isOn(stroke, this.frame));
  }

  /** Verdict on the image; "" for none. */
  get verdict() {
    return this.verdictOn(this.view.id);
  }

  /** @param {string} image */
  verdictOn(image) {
    return this.items.of(image).items.get(VERDICT)?.stroke?.kind ?? "";
  }

  /** True once the image and its items are known: a stroke needs the frame and their revisions. */
  get loaded() {
    return this.view.meta?.id === this.view.id && this.items.images.has(this.view.id);
  }

  /** Like `loaded`, with a message if false. */
  get ready() {
    if (!this.loaded) this.say("This image is not loaded yet.");
    return this.loaded;
  }

  // -- display --------------------------------------------------------------------------------

  refresh() {
    this.panel.fill();
    this.view.drawBoxes();
  }

  /** Boxes of others that are not decided, and those of the reader. @param {Mark[]} others @returns {Mark[]} */
  combine(others) {
    const conflicts = this.items.of(this.view.id).conflicts.filter((stroke) => stroke.corners);
    return [
      ...this.undecided(others),
      ...this.own.map(({ id, content, waiting }) => markOf(id, content, waiting ? "waiting" : "own")),
      ...conflicts.map(({ uuid, kind = "box", label, corners }) => markOf(uuid, { kind, label, corners }, "conflict")),
    ];
  }

  /** Draws the handles of the selected box. */
  draw() {
    this.handles.replaceChildren();
    if (!this.view.meta || this.view.meta.error) return;
    const selected = this.selectedOwn;
    if (selected?.content.kind !== "box" || !selected.content.corners) return;
    const screen = this.screen(selected.content.corners);
    for (const handle of HANDLES) {
      const [x, y] = placeOf(screen, handle);
      this.handles.append(s("rect", { x: x - HANDLE, y: y - HANDLE, width: 2 * HANDLE, height: 2 * HANDLE, fill: "#fff", stroke: "#000" }));
    }
  }

  /** Corners on the screen, in CSS pixels of the stage. @param {Corners} corners @returns {Corners} */
  screen(corners) {
    return this.view.stage.toScreenBox(corners);
  }

  /** Boxes of others without those that the reader has accepted or rejected. @param {Mark[]} marks */
  undecided(marks) {
    const decided = new Set();
    for (const { stroke } of this.items.of(this.view.id).items.values()) {
      if (stroke?.target) decided.add(keyOf(stroke.target));
    }
    return marks.filter((mark) => !decided.has(keyOf(targetOf(mark))));
  }

  /** Boxes of others to accept or reject. */
  get others() {
    return this.undecided(this.view.readers.marks.filter((mark) => mark.role !== "hit"));
  }

  // -- selection ------------------------------------------------------------------------------

  /** @param {string} id of an own item; "" for none */
  select(id) {
    this.selected = id;
    const own = this.selectedOwn;
    if (own?.content.label) this.label = own.content.label;
    if (id) this.view.readers.selected = "";
    this.refresh();
  }

  /** @param {Mark} mark of another reader, the consensus or the model */
  selectOther(mark) {
    this.settle();
    this.selected = "";
    this.view.readers.selected = mark.key;
    this.view.readers.fillList();
    this.refresh();
  }

  /** Selects the next or previous box, those of others first. @param {1 | -1} way */
  turn(way) {
    this.settle();
    const { readers, stage } = this.view;
    const { own, others } = this;
    const keys = [...others.map(({ key }) => key), ...own.map(({ id }) => id)];
    if (!keys.length) return;
    const at = keys.indexOf(this.selected || readers.selected);
    const next = at < 0 ? (way > 0 ? 0 : keys.length - 1) : (at + way + keys.length) % keys.length;
    if (next < others.length) this.selectOther(others[next]);
    else this.select(keys[next]);
    const corners = this.selectedOwn?.content.corners;
    if (corners) stage.reveal({ x0: corners[0], y0: corners[1], x1: corners[2], y1: corners[3] });
    else if (readers.selectedMark) stage.reveal(readers.selectedMark.box);
  }

  // -- changes --------------------------------------------------------------------------------

  /** Sends changes of an image; a box ends the verdict "no finding". @param {[string, Content | null][]} changes @param {string} [image] */
  commit(changes, image = this.view.id) {
    const finding = changes.some(([id, content]) => id !== VERDICT && content?.corners);
    if (finding && this.verdictOn(image) === "nothing") changes.push([VERDICT, null]);
    this.say("");
    this.items.commit(image, changes);
  }

  /** Shows a box before it is saved. @param {string} id @param {Content | null} content */
  sketch(id, content) {
    this.draft = content && { image: this.view.id, id, content };
    this.refresh();
  }

  /** @param {"box" | "point"} kind @param {Corners} corners @returns {Content | null} null without a label */
  make(kind, corners) {
    if (!this.ready) return null;
    if (!this.label) {
      this.say("Add a label first.");
      this.panel.input.focus();
      return null;
    }
    return { kind, label: this.label, frame: this.frame, corners };
  }

  /** Saves a new or changed box. @param {string} id @param {Content} content */
  put(id, content) {
    this.draft = null;
    this.commit([[id, content]]);
    this.select(id);
  }

  /** Saves a box that was moved by keys. */
  settle() {
    clearTimeout(this.timer);
    const { draft } = this;
    if (draft && this.timer) {
      this.draft = null;
      this.commit([[draft.id, draft.content]], draft.image); // another slice may be shown by now
    }
    this.timer = 0;
  }

  /** Moves the selected item, or the corner of a box that is the lower right one on the screen, by steps of a pixel of the screen. @param {number} across @param {number} down @param {boolean} resize */
  nudge(across, down, resize) {
    const { meta, stage } = this.view;
    const own = this.selectedOwn;
    if (!meta || !own?.content.corners) return;
    const step = Math.max(1, Math.round(stage.ratio / stage.zoom));
    const { corners, kind } = own.content;
    const [dx, dy] = stage.toStored(across * step, down * step);
    const next = resize && kind === "box" ? resized(corners, stage.toStored(1, 1), dx, dy, meta) : moved(corners, dx, dy, meta);
    if (next[2] - next[0] < 1 && kind === "box") return;
    if (next[3] - next[1] < 1 && kind === "box") return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), SETTLE);
    this.sketch(own.id, { ...own.content, corners: next });
  }

  /** Puts a box or a point at the pointer, or in the middle of the view. */
  place() {
    const { meta, stage } = this.view;
    if (!meta || meta.error) return;
    const { clientWidth, clientHeight } = stage.element;
    const [x, y] = stage.pointer ?? [clientWidth / 2, clientHeight / 2];
    const kind = stage.tool === "point" ? "point" : "box";
    const point = inside(stage.toImage(x, y), meta);
    const by = Math.min(clientWidth, clientHeight) / 8;
    const corners = kind === "point" ? /** @type {Corners} */ ([...point, ...point]) : boxOf(stage.toImage(x - by, y - by), stage.toImage(x + by, y + by), meta);
    const content = this.make(kind, corners);
    if (content) this.put(makeUuid(), content);
  }

  remove(id = this.selected) {
    this.settle();
    if (!id || !this.ready) return;
    this.commit([[id, null]]);
    this.select("");
  }

  /** Chooses a label: of the selected item, of a box of others to accept, and of new items. @param {string} label */
  choose(label) {
    this.settle();
    this.label = label;
    const own = this.selectedOwn;
    if (own && own.content.label !== label) this.commit([[own.id, { ...own.content, label }]]);
    else if (!own && this.view.readers.selectedMark) this.accept(label);
    this.refresh();
  }

  /** @param {string} text */
  addLabel(text) {
    const label = text.trim();
    if (!label) return;
    if (!this.labels.includes(label)) this.labels.push(label);
    this.choose(label);
  }

  /** Sets or removes the verdict. @param {"nothing" | "unsure" | "bad image"} kind */
  judge(kind) {
    this.settle();
    if (!this.ready) return;
    const boxes = [...this.items.of(this.view.id).items.values()].some(({ stroke }) => stroke?.corners);
    if (kind === "nothing" && boxes) return this.say("There are boxes or points: delete them first.");
    this.commit([[VERDICT, this.verdict === kind ? null : { kind }]]);
  }

  /** Copies the selected box of others, as a box of this reader. @param {string} [label] */
  accept(label) {
    const mark = this.view.readers.selectedMark;
    if (!mark) return this.say("Select a box of another reader or of the model first (. and ,).");
    const { box } = mark;
    if (!this.ready) return;
    const kind = box.kind === "point" ? "point" : "box";
    this.put(makeUuid(), { kind, label: label ?? box.label, frame: this.frame, corners: [box.x0, box.y0, box.x1, box.y1], target: targetOf(mark) });
  }

  reject() {
    const mark = this.view.readers.selectedMark;
    if (!mark) return this.say("Select a box of another reader or of the model first (. and ,).");
    if (!this.ready) return;
    this.view.readers.selected = "";
    this.commit([[makeUuid(), { kind: "reject", frame: this.frame, target: targetOf(mark) }]]);
  }

  /** Image and frame of the slice before: in the stack, else in the file or the series. @returns {[string, number] | null} */
  get before() {
    const { meta, id, frame, stack } = this.view;
    const at = stack.find(id, frame);
    if (stack.slices && at >= 0) return at > 0 ? [stack.slices[at - 1][0], stack.slices[at - 1][1]] : null;
    if (meta && meta.frames > 1) return frame > 0 ? [id, frame - 1] : null;
    return meta?.series.previous ? [meta.series.previous, 0] : null;
  }

  /** Copies the boxes and points of the slice before. */
  async copy() {
    this.settle();
    if (!this.ready) return;
    const { id } = this.view;
    const { before } = this;
    if (!before) return this.say("There is no slice before this one.");
    try {
      if (before[0] !== id) await this.items.load(before[0]);
    } catch (error) {
      return this.say(/** @type {Error} */ (error).message);
    }
    if (this.view.id !== id) return;
    /** @type {[string, Content][]} */
    const copies = [];
    for (const { stroke } of this.items.of(before[0]).items.values()) {
      const there = stroke?.frame === before[1] || (before[0] !== id && (stroke?.frame ?? null) === null);
      if (stroke?.corners && there) copies.push([makeUuid(), { ...stroke, frame: this.frame, target: undefined }]);
    }
    if (copies.length) this.commit(copies);
    else this.say("The slice before has no boxes of yours.");
  }

  async nextUnread() {
    this.settle();
    const { view } = this;
    try {
      const { id, read } = await fetchJson("unread", { id: view.id, ...rowQuery(view.route) });
      this.read = read;
      this.refresh();
      if (id && id !== view.id) view.openOther(id);
      else this.say(id ? "The other images of the list are read." : "All images of the list are read.");
    } catch (error) {
      this.say(/** @type {Error} */ (error).message);
    }
  }

  /** @param {"undo" | "redo"} way */
  step(way) {
    this.settle();
    const image = this.items[way]();
    if (!image) return this.say(`Nothing to ${way}.`);
    if (image !== this.view.id) this.view.openOther(image);
    if (!this.selectedOwn) this.select("");
  }

  // -- keys -----------------------------------------------------------------------------------

  /** True while digits are labels and arrows move the selected item. */
  get marking() {
    const { tool } = this.view.stage;
    return tool === "box" || tool === "point" || Boolean(this.selectedOwn) || Boolean(this.view.readers.selected);
  }

  /** @param {KeyboardEvent} event @returns {boolean} true if the key has an action */
  key(event) {
    const { key } = event;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (arrow && this.selectedOwn) {
      this.nudge(arrow[0], arrow[1], event.shiftKey);
      return true;
    }
    if (/^[1-9]$/.test(key) && this.marking) {
      const label = this.labels[Number(key) - 1];
      if (label) this.choose(label);
      else this.say(`There is no label ${key}.`);
      return true;
    }
    const action = KEYS[key.length === 1 ? key.toLowerCase() : key];
    if (!action) return false;
    return action(this) !== false;
  }

  /** @param {KeyboardEvent} event */
  undoKey(event) {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || (key !== "z" && key !== "y") || this.view.element.hidden) return;
    if (event.target instanceof HTMLInputElement && event.target.type !== "range") return;
    event.preventDefault();
    this.step(key === "y" || event.shiftKey ? "redo" : "undo");
  }
}

/** Actions of keys; false leaves the key to the viewer. @type {Record<string, (annotator: Annotator) => unknown>} */
const KEYS = {
  r: (annotator) => annotator.view.controls.setTool("box"),
  o: (annotator) => annotator.view.controls.setTool("point"),
  Enter: (annotator) => (["box", "point"].includes(annotator.view.stage.tool) ? annotator.place() : false),
  ".": (annotator) => annotator.turn(1),
  ",": (annotator) => annotator.turn(-1),
  Delete: (annotator) => annotator.remove(),
  Backspace: (annotator) => annotator.remove(),
  e: (annotator) => annotator.judge("nothing"),
  s: (annotator) => annotator.judge("unsure"),
  q: (annotator) => annotator.judge("bad image"),
  y: (annotator) => annotator.accept(),
  x: (annotator) => annotator.reject(),
  c: (annotator) => annotator.copy(),
  u: (annotator) => annotator.nextUnread(),
  Escape: (annotator) => {
    if (!annotator.selected && !annotator.view.readers.selected) return false;
    annotator.settle();
    annotator.view.readers.selected = "";
    annotator.select("");
  },
};

/** Makes the annotator of a viewer in which a reader writes; else null. @param {ImageView} view */
export function annotate(view) {
  const about = view.app.about.annotation;
  if (!about) return null;
  const annotator = new Annotator(view, about);
  view.stage.listener.marked = (tool, at, pointer) => annotator.tool.press(tool, at, pointer);
  view.controls.tabs.after(annotator.panel.element);
  view.controls.setTool("box");
  return annotator;
}

/** @param {Content} content @param {number | null} frame */
function isOn(content, frame) {
  return frame === null || content.frame === null || content.frame === undefined || content.frame === frame;
}

/** @param {string} key @param {Content} content @param {"own" | "waiting" | "conflict"} role @returns {Mark} */
function markOf(key, { kind, label = "", corners = [0, 0, 0, 0] }, role) {
  const [x0, y0, x1, y1] = corners;
  return { key, role, colour: OWN, text: role === "conflict" ? "other window" : "", overlap: 0, box: { label, x0, y0, x1, y1, kind } };
}

/** @param {Mark} mark @returns {Target} */
function targetOf({ role, box }) {
  const from = role === "reader" ? box.reader || "ground truth" : role === "tp" || role === "fp" ? "model" : "consensus";
  return { from, label: box.label, corners: [box.x0, box.y0, box.x1, box.y1] };
}

/** @param {Target} target */
function keyOf({ from, label, corners }) {
  return JSON.stringify([from, label, corners]);
}
