// Drawing by mouse, touch or pen: new boxes and points, moving and resizing.

import { boxOf, handleAt, inside, isArea, isOnBorder, isWithin, moved, resized } from "./marking.js";
import { makeUuid } from "./outbox.js";

/** @typedef {import("./annotator.js").Annotator} Annotator */
/** @typedef {import("./annotator.js").Own} Own */
/** @typedef {import("./types").Content} Content */
/** @typedef {import("./marking.js").Corners} Corners */
/** Point on the stage in CSS pixels. @typedef {[number, number]} Point */
/** @typedef {{move: (to: Point) => void, end: (kept: boolean) => void}} Drag */

/** Distance in CSS pixels within which an edge is grabbed. */
const NEAR = 6;
const NEAR_TOUCH = 16;

export class DrawTool {
  /** @param {Annotator} annotator */
  constructor(annotator) {
    this.annotator = annotator;
  }

  /** Starts a drag, which is dropped if another slice is shown before its end. @param {string} tool @param {Point} at @param {string} pointer @returns {Drag | null} */
  press(tool, at, pointer) {
    const { view } = this.annotator;
    const { id, frame } = view;
    const drag = this.start(tool, at, pointer);
    const isHere = () => view.id === id && view.frame === frame;
    return drag && { move: (to) => void (isHere() && drag.move(to)), end: (kept) => drag.end(kept && isHere()) };
  }

  /** @param {string} tool @param {Point} at @param {string} pointer @returns {Drag | null} */
  start(tool, at, pointer) {
    const { annotator } = this;
    const { meta } = annotator.view;
    annotator.settle();
    if (!meta || meta.error || !annotator.ready) return null;
    const near = pointer === "mouse" ? NEAR : NEAR_TOUCH;
    const selected = annotator.selectedOwn;
    if (selected?.content.kind === "box" && selected.content.corners) {
      const handle = handleAt(annotator.screen(selected.content.corners), at, near);
      const sides = handle && annotator.view.stage.toStored(...handle);
      if (sides) return this.change(selected, at, (corners, dx, dy) => resized(corners, sides, dx, dy, meta));
    }
    const grabbed = this.find(at, near);
    if (grabbed) return this.change(grabbed, at, (corners, dx, dy) => moved(corners, dx, dy, meta));
    return tool === "point" ? this.point(at) : this.box(at);
  }

  /** Own item whose border is under a point, or that is selected and contains it. @param {Point} at @param {number} near */
  find(at, near) {
    const { annotator } = this;
    return annotator.own.findLast(({ id, content }) => {
      if (!content.corners) return false;
      const screen = annotator.screen(content.corners);
      if (content.kind === "point") return isWithin(screen, at, near + 2);
      return isOnBorder(screen, at, near) || (id === annotator.selected && isWithin(screen, at, 0));
    });
  }

  /** Drag of an item. @param {Own} own @param {Point} from @param {(corners: Corners, dx: number, dy: number) => Corners} change @returns {Drag} */
  change(own, from, change) {
    const { annotator } = this;
    const { stage } = annotator.view;
    const start = stage.toImage(...from);
    const before = /** @type {Corners} */ (own.content.corners);
    /** @type {Content} */
    let content = own.content;
    annotator.select(own.id);
    return {
      move: (to) => {
        const [x, y] = stage.toImage(...to);
        content = { ...own.content, corners: change(before, x - start[0], y - start[1]) };
        annotator.sketch(own.id, content);
      },
      end: (kept) => {
        annotator.draft = null;
        const { corners } = content;
        const valid = corners && (content.kind === "point" || isArea(corners)) && String(corners) !== String(before);
        if (kept && valid) annotator.put(own.id, content);
        else annotator.refresh();
      },
    };
  }

  /** Drag of a new box; a click selects. @param {Point} from @returns {Drag} */
  box(from) {
    const { annotator } = this;
    const { stage, meta } = annotator.view;
    const id = makeUuid();
    let to = from;
    const content = () => meta && annotator.make("box", boxOf(stage.toImage(...from), stage.toImage(...to), meta));
    return {
      move: (point) => {
        to = point;
        if (Math.hypot(to[0] - from[0], to[1] - from[1]) < 3) return;
        annotator.sketch(id, content());
      },
      end: (kept) => {
        const { draft } = annotator;
        annotator.draft = null;
        if (kept && draft?.content.corners && isArea(draft.content.corners)) annotator.put(id, draft.content);
        else if (kept) this.click(to);
        else annotator.refresh();
      },
    };
  }

  /** New point, where the pointer is released. @param {Point} from @returns {Drag} */
  point(from) {
    const { annotator } = this;
    const { stage, meta } = annotator.view;
    let to = from;
    return {
      move: (point) => (to = point),
      end: (kept) => {
        if (!kept || !meta) return;
        const at = inside(stage.toImage(...to), meta);
        const content = annotator.make("point", [...at, ...at]);
        if (content) annotator.put(makeUuid(), content);
      },
    };
  }

  /** Selects the smallest box under a point: an own one, else one of others. @param {Point} at */
  click(at) {
    const { annotator } = this;
    const area = (/** @type {Corners} */ [left, top, right, bottom]) => (right - left) * (bottom - top);
    const own = annotator.own
      .map(({ id, content }) => ({ id, screen: annotator.screen(content.corners ?? [0, 0, 0, 0]) }))
      .filter(({ screen }) => isWithin(screen, at, 0)).sort((a, b) => area(a.screen) - area(b.screen));
    if (own.length) return annotator.select(own[0].id);
    const others = annotator.others
      .map((mark) => ({ mark, screen: annotator.screen([mark.box.x0, mark.box.y0, mark.box.x1, mark.box.y1]) }))
      .filter(({ mark, screen }) => isWithin(screen, at, mark.box.kind === "point" ? NEAR + 2 : 0)).sort((a, b) => area(a.screen) - area(b.screen));
    if (others.length) return annotator.selectOther(others[0].mark);
    annotator.view.readers.selected = "";
    annotator.select("");
  }
}
