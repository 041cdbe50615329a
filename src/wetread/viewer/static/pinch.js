// Zoom and pan with two fingers.

/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {[number, number]} Point */

export class Pinch {
  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** Fingers on the stage, in CSS pixels. @type {Map<number, Point>} */
    this.fingers = new Map();
    /** Distance and zoom at the start, and the point of the image between the fingers. @type {{distance: number, zoom: number, point: Point} | null} */
    this.held = null;
    stage.element.addEventListener("pointermove", (event) => this.move(event));
    for (const type of ["pointerup", "pointercancel"]) stage.element.addEventListener(type, (event) => this.release(/** @type {PointerEvent} */ (event)));
  }

  /** Adds a finger; returns true if it is not the only one. @param {PointerEvent} event */
  press(event) {
    if (event.pointerType !== "touch") return false;
    this.fingers.set(event.pointerId, this.stage.at(event));
    const [middle, distance] = this.measure();
    this.held = this.fingers.size > 1 ? { distance, zoom: this.stage.zoom, point: this.stage.toImage(...middle) } : null;
    return this.held !== null;
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (!this.fingers.has(event.pointerId)) return;
    this.fingers.set(event.pointerId, this.stage.at(event));
    if (!this.held) return;
    const [middle, distance] = this.measure();
    this.stage.zoomTo((this.held.zoom * distance) / this.held.distance, middle, this.held.point);
  }

  /** @param {PointerEvent} event */
  release(event) {
    this.fingers.delete(event.pointerId);
    this.held = null;
  }

  /** Middle and distance of the first two fingers. @returns {[Point, number]} */
  measure() {
    const [[ax, ay], [bx, by] = [ax, ay]] = this.fingers.values();
    return [[(ax + bx) / 2, (ay + by) / 2], Math.max(1, Math.hypot(ax - bx, ay - by))];
  }
}
