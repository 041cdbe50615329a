// Boxes on the image: their roles, colours and line styles.

import { s, set, textWidth } from "./dom.js";
import { iou, judge } from "./match.js";

/** @typedef {import("./types").Box} Box */
/** @typedef {import("./types").Boxes} Boxes */
/** @typedef {"reader" | "consensus" | "hit" | "tp" | "fp" | "fn" | "own" | "waiting" | "conflict"} Role */
/** A box to draw; `text` follows the label. @typedef {{key: string, role: Role, box: Box, colour: string, text: string, overlap: number}} Mark */
/** @typedef {import("./marking.js").Corners} Corners */
/** @typedef {{label: string, colour: string, names: [string, string][], x0: number, y0: number, x1: number, y1: number}} Chip */
/** @typedef {{readers: string[] | null, labels: string[] | null, show: string, iou: number, score: number, judging: boolean}} BoxFilter  judging: predictions were loaded, even if there are none on this image */

/** Reader colours, distinguishable with colour blindness (Okabe and Ito first), distinct from JUDGED. */
export const HUES = [
  "#56b4e9", "#e69f00", "#e58fc0", "#a294ff", "#c9ad86", "#5fd4cb", "#ff9f9f",
];
export const JUDGED = { tp: "#00b383", fp: "#ff7a33", fn: "#f0e442", consensus: "#ffffff", hit: "#ffffff" };

/**
 * Assigns a hue to each reader of an image, by the reader's index in the data set, without duplicates if possible.
 * @param {string[]} here @param {string[]} all
 * @returns {Map<string, string>}
 */
export function huesOf(here, all) {
  const hues = new Map();
  for (const reader of here) {
    const first = Math.max(0, all.indexOf(reader));
    const used = new Set(hues.values());
    const free = HUES.map((_, i) => HUES[(first + i) % HUES.length]).find((hue) => !used.has(hue));
    hues.set(reader, free ?? HUES[first % HUES.length]);
  }
  return hues;
}

/** Ground truth for the predictions: the consensus if there is one. @param {Boxes} boxes */
export function truthOf(boxes) {
  return (boxes.consensus ?? boxes.truth).filter(isDrawn);
}

/** @param {Box} box */
export function isDrawn(box) {
  return box.kind !== "nothing" && Number.isFinite(box.x0) && box.x0 !== null;
}

/**
 * Marks to draw, in order, and the counts of TP, FP and FN.
 * @param {Boxes} boxes @param {BoxFilter} filter @param {Map<string, string>} hues
 */
export function marksOf(boxes, filter, hues) {
  /** @param {Box} box */
  const matches = (box) => isDrawn(box) && (!filter.labels || filter.labels.includes(box.label));
  /** @type {Mark[]} */
  const marks = [];
  const truth = truthOf(boxes).filter(matches);
  const predictions = boxes.predictions.filter(matches);
  const judged = judge(truth, predictions, filter.iou, filter.score);
  const judging = filter.judging && filter.show.includes("p");
  if (filter.show.includes("g")) {
    truth.forEach((box, i) => {
      /** @type {Role} */
      const role = !judging ? "consensus" : judged.taken[i] ? "hit" : "fn";
      if (role === "consensus" && !boxes.consensus) return; // drawn as boxes of the readers
      const text = role === "fn" ? "missed" : "";
      marks.push({ key: `t${i}`, role, box, colour: JUDGED[role], text, overlap: 0 });
    });
  }
  if (filter.show.includes("r")) {
    boxes.truth.forEach((box, i) => {
      const reader = box.reader ?? "";
      if (!matches(box) || (filter.readers && !filter.readers.includes(reader))) return;
      marks.push({ key: `r${i}`, role: "reader", box, colour: hues.get(reader) ?? HUES[0], text: reader, overlap: 0 });
    });
  }
  if (judging) {
    predictions.forEach((box, i) => {
      if (judged.matches[i] === -2) return;
      const role = judged.matches[i] >= 0 ? "tp" : "fp";
      const text = (box.score ?? 1).toFixed(2);
      marks.push({ key: `p${i}`, role, box, colour: JUDGED[role], text, overlap: judged.overlap[i] });
    });
  }
  return { marks, ...judged };
}

/** Minimum IoU for boxes to share a label. */
const SAME = 0.3;

/**
 * Labels on the image: overlapping boxes of several readers share one, with the names of all.
 * @param {Mark[]} marks
 * @returns {Chip[]}
 */
export function chipsOf(marks) {
  /** @type {(Chip & {boxes: Box[]})[]} */
  const chips = [];
  for (const { role, box, colour, text } of marks) {
    if (role === "hit") continue;
    const shared = role === "reader" || role === "consensus";
    const chip = shared && chips.find((one) => one.label === box.label && one.boxes.some((other) => iou(other, box) >= SAME));
    /** @type {[string, string][]} */
    const names = text ? [[text, colour]] : [];
    if (chip) {
      chip.boxes.push(box);
      chip.names.push(...names);
      chip.x0 = Math.min(chip.x0, box.x0);
      chip.y0 = Math.min(chip.y0, box.y0);
      chip.x1 = Math.max(chip.x1, box.x1);
      chip.y1 = Math.max(chip.y1, box.y1);
    } else chips.push({ label: box.label, colour: shared ? "#ffffff" : colour, names, x0: box.x0, y0: box.y0, x1: box.x1, y1: box.y1, boxes: shared ? [box] : [] });
  }
  return chips;
}

/** Marks in the order in which they get a label: the selected one, missed boxes, then by score. @param {Mark[]} marks @param {string} selected */
function byWeight(marks, selected) {
  const weight = (/** @type {Mark} */ mark) => (mark.key === selected ? 3 : mark.role === "fn" ? 2 : mark.box.score ?? 1);
  return [...marks].sort((a, b) => weight(b) - weight(a));
}

/** Line width and dashes by role, to be distinguishable without colours. @type {Record<Role, [number, string]>} */
const STROKES = {
  reader: [1.5, ""], consensus: [3, ""], hit: [1.25, "1 4"], tp: [2.25, ""], fp: [2.25, "9 5"], fn: [2.75, "2 4"],
  own: [2.25, ""], waiting: [2.25, "6 3"], conflict: [2.25, "2 4"],
};
const CHIP = 17;
/** More labels than this hide the image: those of lower scores are only in the list. */
const MOST_CHIPS = 20;

export class BoxLayer {
  /** @param {SVGSVGElement} layer @param {(corners: Corners) => Corners} toScreen stored box -> left, top, right, bottom */
  constructor(layer, toScreen) {
    this.toScreen = toScreen;
    this.group = s("g", { class: "marks" });
    layer.append(this.group);
  }

  /** @param {Mark[]} marks @param {string} selected key @param {boolean} chips @param {number} width of the stage */
  draw(marks, selected, chips, width) {
    this.group.replaceChildren();
    for (const mark of marks) {
      const [left, top, right, bottom] = this.toScreen([mark.box.x0, mark.box.y0, mark.box.x1, mark.box.y1]);
      const [line, dashes] = STROKES[mark.role];
      const rect = { x: left, y: top, width: Math.max(right - left, 1), height: Math.max(bottom - top, 1) };
      const group = s("g", { class: `mark ${mark.role}${mark.key === selected ? " selected" : ""}`, "data-key": mark.key });
      const around = line + (mark.key === selected ? 1.5 : 0);
      if (mark.box.kind === "point") {
        const round = { cx: left, cy: top, r: 7, fill: "none" };
        group.append(
          s("circle", { ...round, class: "halo", "stroke-width": around + 2 }),
          s("circle", { ...round, stroke: mark.colour, "stroke-width": around, "stroke-dasharray": dashes }),
        );
      } else {
        group.append(
          s("rect", { ...rect, class: "halo", "stroke-width": around + 2 }),
          s("rect", { ...rect, fill: "none", stroke: mark.colour, "stroke-width": around, "stroke-dasharray": dashes, "stroke-linecap": dashes === "1 4" ? "round" : null }),
        );
      }
      this.group.append(group);
    }
    /** @type {[number, number, number][]} chips already placed: left, top, width */
    const taken = [];
    if (!chips) return;
    const chosen = marks.find((mark) => mark.key === selected)?.box;
    for (const chip of chipsOf(byWeight(marks, selected)).slice(0, MOST_CHIPS)) {
      const drawn = this.chip(chip, width, taken, chosen !== undefined && chip.x0 <= chosen.x0 && chip.y1 >= chosen.y1 && chip.label === chosen.label);
      if (drawn) this.group.append(drawn);
    }
  }

  /**
   * Draws a label outside of its boxes, without overlapping other labels; null where boxes crowd.
   * @param {Chip} chip @param {number} limit @param {[number, number, number][]} taken
   * @param {boolean} always even over other labels
   */
  chip({ label, colour, names, x0, y0, x1, y1 }, limit, taken, always) {
    const [left, top, , bottom] = this.toScreen([x0, y0, x1, y1]);
    const width = textWidth([label, ...names.map(([name]) => name)].join("  ")) + 13;
    const x = Math.max(0, Math.min(left, limit - width));
    const free = (/** @type {number} */ y) => !taken.some(([a, b, w]) => x < a + w && a < x + width && Math.abs(y - b) < CHIP);
    const steps = [0, 1, 2];
    const above = steps.map((n) => top - CHIP - 3 - n * (CHIP + 1)).filter((y) => y >= 0);
    const below = steps.map((n) => bottom + 3 + n * (CHIP + 1));
    const y = [...above, ...below].find(free) ?? (always ? Math.max(top, 0) : null);
    if (y === null) return null;
    taken.push([x, y, width]);
    names.sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
    const words = names.map(([name, tint]) => s("tspan", { fill: tint, dx: 6 }, name));
    return s(
      "g", { class: "chip", transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` },
      s("rect", { width, height: CHIP, rx: 3, class: "chip-back" }),
      s("text", { x: 6, y: 12.5, fill: colour }, label, ...words),
    );
  }

  /** @param {number} opacity */
  fade(opacity) {
    set(this.group, { opacity });
  }
}
