// Unit tests of the modules without DOM; run by test_modules.py with `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";

const static_ = new URL("../../src/wetread/viewer/static/", import.meta.url);
const { chipsOf, HUES, huesOf, marksOf } = await import(new URL("boxes.js", static_));
const { decode } = await import(new URL("decode.js", static_));
const { endsOf, makeTable, toColours, windowOf } = await import(new URL("lut.js", static_));
const { boxOf, handleAt, isArea, isOnBorder, moved, resized } = await import(new URL("marking.js", static_));
const { iou, judge } = await import(new URL("match.js", static_));
const { format, parse, START, takeToken } = await import(new URL("route.js", static_));
const { drawNearest, drawSmooth, OUTSIDE } = await import(new URL("sampler.js", static_));
const { clampOffset, HIGHEST, layOut, reveal, toContent, toScroll, visibleTiles } = await import(new URL("scroll.js", static_));
const { axesOf, rotated, toStored, turnSides, turnText } = await import(new URL("turns.js", static_));
const { equal, isOf, join, rangeOf, split, toggle, within } = await import(new URL("where.js", static_));

const box = (x0, y0, x1, y1, more = {}) => ({ label: "a", x0, y0, x1, y1, ...more });
const grey = (level) => (0xff000000 | (level * 0x010101)) >>> 0;

test("where: a filter is split at top-level AND only", () => {
  assert.deepEqual(split(""), []);
  assert.deepEqual(split("a = 1 AND b = 'x AND y' and (c = 1 AND d = 2)"), ["a = 1", "b = 'x AND y'", "(c = 1 AND d = 2)"]);
  assert.deepEqual(split("a BETWEEN 1 AND 2 AND b = 3"), ["a BETWEEN 1 AND 2", "b = 3"]);
  assert.deepEqual(split("a = 1 OR b = 2 AND c = 3"), ["a = 1 OR b = 2 AND c = 3"]);
  assert.deepEqual(split(`"odd AND name" = 1`), [`"odd AND name" = 1`]);
});

test("where: a term with OR is put in parentheses", () => {
  const where = join(["a = 1 OR b = 2", "c = 3"]);
  assert.equal(where, "(a = 1 OR b = 2) AND c = 3");
  assert.deepEqual(split(where), ["(a = 1 OR b = 2)", "c = 3"]);
});

test("where: toggle adds and removes values of a column", () => {
  const column = { name: "Modality", type: "text", phi: false };
  let terms = toggle([], column, "CT");
  assert.deepEqual(terms, ["Modality = 'CT'"]);
  terms = toggle(terms, column, "o'b,(c");
  assert.deepEqual(terms, ["Modality IN ('CT', 'o''b,(c')"]);
  assert.ok(isOf(terms[0], column));
  terms = toggle(terms, column, "CT");
  assert.deepEqual(terms, ["Modality = 'o''b,(c'"]);
  assert.deepEqual(toggle(terms, column, "o'b,(c"), []);
  assert.deepEqual(toggle(["x = 1"], column, null), ["x = 1", "Modality IS NULL"]);
});

test("where: names and values are quoted", () => {
  assert.equal(equal({ name: 'a "b"', type: "text" }, "it's"), `"a ""b""" = 'it''s'`);
  assert.equal(equal({ name: "ImageType", type: "list" }, "PRIMARY"), "list_contains(ImageType, 'PRIMARY')");
  const empty = equal({ name: "problems", type: "list" }, null);
  assert.equal(empty, "coalesce(len(problems), 0) = 0");
  assert.ok(isOf(empty, { name: "problems", type: "list", phi: false }));
  assert.deepEqual(rangeOf(within("Rows", 1.5, 20, true), "Rows"), ["1.5", "20"]);
  assert.deepEqual(rangeOf(within("StudyDate", "2020-01-02", "2021-01-01", false), "StudyDate"), ["2020-01-02", "2021-01-01"]);
});

test("route: format and parse are inverse", () => {
  const route = {
    ...START, page: "image", id: "00ff00ff00ff00ff", where: "a = 'x, y & z' AND b > 1", search: "ü?", order: "Rows", desc: true,
    frame: 3, window: "-600,1500.5", invert: true, zoom: 1.25, x: 100.5, y: 7, rotate: 270, flip: true, readers: ["R1", "a,b%"], labels: [], show: "gp",
    iou: 0.4, score: 0, tab: "header",
  };
  assert.deepEqual(parse(format(route)), route);
  assert.deepEqual(parse("#/grid"), START);
  assert.deepEqual(parse(format(START)), START);
});

test("route: invalid addresses get defaults", () => {
  assert.equal(parse("#/image/../../etc/passwd").page, "grid");
  assert.equal(parse("#/image/00FF").page, "grid");
  const route = parse("#/image/00ff00ff00ff00ff?frame=-2&zoom=0&x=abc&iou=7&rotate=45&readers=%E0%A4%A");
  assert.deepEqual([route.frame, route.zoom, route.x, route.iou, route.rotate], [0, null, null, 1, 0]);
});

test("route: the token is split from every form of address", () => {
  assert.deepEqual(takeToken("#token=abc"), { token: "abc", rest: "" });
  assert.deepEqual(takeToken("#/image/00ff00ff00ff00ff?token=abc"), { token: "abc", rest: "#/image/00ff00ff00ff00ff" });
  assert.deepEqual(takeToken("#/grid?where=a&token=abc"), { token: "abc", rest: "#/grid?where=a" });
  assert.deepEqual(takeToken("#/grid?where=a"), { token: null, rest: "#/grid?where=a" });
});

test("match: greedy by score, each truth once, its own label only, IoU at the threshold counts", () => {
  const truth = [box(0, 0, 10, 10), box(0, 0, 10, 10, { label: "b" })];
  const found = [box(0, 0, 10, 5, { score: 0.5 }), box(0, 0, 10, 10, { score: 0.9 }), box(0, 0, 9, 9, { label: "c", score: 1 })];
  assert.equal(iou(truth[0], found[0]), 0.5);
  const judged = judge(truth, found, 0.5, 0);
  assert.deepEqual(judged.matches, [-1, 0, -1]);
  assert.deepEqual([judged.tp, judged.fp, judged.fn], [1, 2, 1]);
  const strict = judge(truth, found, 0.5, 0.6);
  assert.deepEqual(strict.matches, [-2, 0, -1]);
  const alone = judge([truth[0]], [found[0]], 0.5, 0);
  assert.deepEqual([alone.tp, alone.fp, alone.fn], [1, 0, 0]);
});

test("lut: endsOf and windowOf are inverse", () => {
  for (const shape of ["LINEAR", "LINEAR_EXACT", "SIGMOID"]) {
    const window = { center: 40, width: 400, function: shape };
    assert.deepEqual(windowOf(...endsOf(window), shape), { center: 40, width: 400 });
  }
  assert.deepEqual(endsOf({ center: 40, width: 400, function: "LINEAR" }), [-160, 239]);
});

test("lut: padding is black, inverted or not", () => {
  const chain = { slope: 1, intercept: 0, invert: true, padding: [7, 9] };
  const table = makeTable("uint8", chain, { center: 50, width: 100, function: "LINEAR_EXACT" });
  assert.deepEqual([table[6], table[7], table[9], table[10]].map((value) => value === 0), [false, true, true, false]);
  assert.deepEqual([...toColours(Uint8Array.of(0, 255))], [grey(0), grey(255)]);
  assert.deepEqual([...toColours(Uint8Array.of(0, 255), true)], [grey(255), grey(0)]);
});

test("decode: a wrong number of bytes is an error", () => {
  assert.throws(() => decode(new Uint8Array(5), 2, 2, "uint16", 1, 0), /5 bytes/);
  assert.throws(() => decode(new Uint8Array(4), 2, 2, "complex", 1, 0), /complex/);
});

test("sampler: 1:1 copies the plane, outside is the background", () => {
  const plane = { rows: 2, columns: 3, scale: 1, shift: 0, dtype: "int16", data: Int16Array.of(-1, 0, 1, 2, 3, 4) };
  const colours = new Uint32Array(65536);
  plane.data.forEach((value) => (colours[value & 0xffff] = value + 10));
  const out = new Uint32Array(5 * 4);
  drawNearest(out, 5, 4, plane, colours, { x: -1, y: -1, dx: 1, dy: 1, columns: 3, rows: 2 });
  const row = (...values) => [OUTSIDE, ...values, OUTSIDE];
  assert.deepEqual([...out], [...Array(5).fill(OUTSIDE), ...row(9, 10, 11), ...row(12, 13, 14), ...Array(5).fill(OUTSIDE)]);
});

/** Picture of letters after quarter turns clockwise, then a flip. */
const turnedPicture = (lines, { rotate, flip }) => {
  for (let n = 0; n < rotate / 90; n++) lines = [...lines[0]].map((_, x) => lines.map((line) => line[x]).reverse());
  return flip ? lines.map((line) => [...line].reverse()) : lines;
};
const TURNS = [0, 90, 180, 270].flatMap((rotate) => [false, true].map((flip) => ({ rotate, flip })));

test("sampler: rotated and flipped pictures", () => {
  const plane = { rows: 2, columns: 3, scale: 1, shift: 0, dtype: "uint8", data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
  const greys = Uint32Array.from({ length: 256 }, (_, i) => grey(i));
  for (const turn of TURNS) {
    const expected = turnedPicture([[1, 2, 3], [4, 5, 6]], turn).map((line) => line.map(grey));
    const { swapped, columns, rows } = axesOf(turn);
    const viewport = { x: columns < 0 ? 3 : 0, y: rows < 0 ? 2 : 0, dx: columns, dy: rows, columns: 3, rows: 2, swapped };
    for (const draw of [drawNearest, drawSmooth]) {
      const out = new Uint32Array(6);
      draw(out, ...(swapped ? [2, 3] : [3, 2]), plane, greys, viewport);
      assert.deepEqual([...out], expected.flat());
    }
  }
});

test("turns: sides, keys and vectors agree with a turned picture", () => {
  for (const turn of TURNS) {
    const [[, top], [left, , right], [, bottom]] = turnedPicture(["-T-", "L-R", "-B-"].map((line) => [...line]), turn);
    const axes = axesOf(turn);
    assert.deepEqual(turnSides(axes, ["L", "R", "T", "B"]), [left, right, top, bottom]);
    const [x, y] = toStored(axes, 1, 0); // to the right of the screen
    assert.equal(right, x > 0 ? "R" : x < 0 ? "L" : y > 0 ? "B" : "T");
    for (const way of [1, -1]) {
      const next = axesOf(rotated(turn, way));
      const around = [bottom, top, left, right]; // clockwise: left comes from the bottom
      assert.deepEqual(turnSides(next, ["L", "R", "T", "B"]), way > 0 ? around : [top, bottom, right, left]);
    }
  }
  assert.deepEqual(TURNS.map(turnText).slice(0, 4), ["", "flipped", "rotated 90°", "rotated 90°, flipped"]);
});

test("sampler: a whole zoom repeats every sample", () => {
  const plane = { rows: 1, columns: 2, scale: 1, shift: 0, dtype: "uint8", data: Uint8Array.of(5, 6) };
  const out = new Uint32Array(6 * 3);
  drawNearest(out, 6, 3, plane, Uint32Array.from({ length: 256 }, (_, i) => i), { x: 0, y: 0, dx: 1 / 3, dy: 1 / 3, columns: 2, rows: 1 });
  assert.deepEqual([...out], [5, 5, 5, 6, 6, 6, 5, 5, 5, 6, 6, 6, 5, 5, 5, 6, 6, 6]);
});

test("sampler: bilinear keeps a constant plane, and half way is the mean", () => {
  const colours = Uint32Array.from({ length: 256 }, (_, i) => grey(i));
  const flat = { rows: 8, columns: 8, scale: 1, shift: 0, dtype: "uint8", data: new Uint8Array(64).fill(200) };
  const out = new Uint32Array(13 * 13);
  drawSmooth(out, 13, 13, flat, colours, { x: 0, y: 0, dx: 8 / 13, dy: 8 / 13, columns: 8, rows: 8 });
  assert.deepEqual(new Set(out), new Set([grey(200)]));
  const step = { rows: 1, columns: 2, scale: 1, shift: 0, dtype: "uint8", data: Uint8Array.of(100, 200) };
  const three = new Uint32Array(3);
  drawSmooth(three, 3, 1, step, colours, { x: 0.25, y: 0, dx: 0.5, dy: 1, columns: 2, rows: 1 });
  assert.deepEqual([...three], [grey(100), grey(150), grey(200)]);
  const colour = { rows: 1, columns: 1, scale: 1, shift: 0, dtype: "rgb8", data: Uint8Array.of(1, 2, 3) };
  drawSmooth(three, 3, 1, colour, colours, { x: 0, y: 0, dx: 1, dy: 1, columns: 1, rows: 1 });
  assert.deepEqual([...three], [0xff030201, OUTSIDE, OUTSIDE]);
});

test("sampler: reduced samples respect the shift and the size of the image", () => {
  const colours = Uint32Array.from({ length: 256 }, (_, i) => grey(i));
  // Every fourth of 9 stored pixels: the samples 0, 40 and 80 are the pixels 0, 4 and 8.
  const plane = { rows: 1, columns: 3, scale: 4, shift: 1.5, dtype: "uint8", data: Uint8Array.of(0, 40, 80) };
  const out = new Uint32Array(10);
  const frame = { x: 0, y: 0, dx: 1, dy: 1, columns: 9, rows: 1 };
  drawSmooth(out, 10, 1, plane, colours, frame);
  assert.deepEqual([...out], [0, 10, 20, 30, 40, 50, 60, 70, 80].map(grey).concat(OUTSIDE));
  drawNearest(out, 10, 1, plane, colours, frame);
  assert.deepEqual([...out], [0, 0, 40, 40, 40, 40, 80, 80, 80].map(grey).concat(OUTSIDE));
  drawNearest(out, 10, 1, { ...plane, shift: 0 }, colours, frame);
  assert.deepEqual([...out], [0, 0, 0, 0, 40, 40, 40, 40, 80].map(grey).concat(OUTSIDE));
});

test("scroll: a million rows, first to last, at any width", () => {
  for (const width of [320, 1000, 2560]) {
    const g = layOut(1_000_000, width, 800, 200, 40);
    assert.ok(g.height <= HIGHEST && g.tile > 0 && g.across * (g.tile + 10) <= width);
    assert.equal(visibleTiles(g, 0, 1_000_000)[0], 0);
    const end = clampOffset(g, Infinity);
    assert.equal(visibleTiles(g, end, 1_000_000)[1], 1_000_000);
    assert.ok(Math.abs(toContent(g, g.height - g.view) - end) < 1);
    for (const place of [0, 12345, end / 3, end]) assert.ok(Math.abs(toContent(g, toScroll(g, place)) - place) < 1e-3);
    const index = 654_321;
    const place = reveal(g, index, 0);
    const [first, last] = visibleTiles(g, place, 1_000_000);
    assert.ok(first <= index && index < last && last - first < 400);
  }
});

test("boxes: without predictions all ground-truth boxes are false negatives", () => {
  const boxes = { truth: [box(0, 0, 9, 9, { reader: "R1" })], consensus: null, predictions: [] };
  const filter = { readers: null, labels: null, show: "gp", iou: 0.5, score: 0, judging: true };
  const { marks, fn } = marksOf(boxes, filter, new Map());
  assert.deepEqual([marks.map((mark) => mark.role), fn], [["fn"], 1]);
  assert.deepEqual(marksOf(boxes, { ...filter, judging: false }, new Map()).marks, []);
  const agreed = { ...boxes, consensus: [] }; // two readers, who agree on nothing
  assert.deepEqual(marksOf(agreed, filter, new Map()).fn, 0);
});

test("boxes: overlapping boxes of several readers share a label", () => {
  const truth = [box(0, 0, 9, 9, { reader: "R10" }), box(1, 0, 9, 9, { reader: "R2" }), box(50, 50, 60, 60, { reader: "R2" })];
  const filter = { readers: null, labels: null, show: "r", iou: 0.5, score: 0, judging: false };
  const { marks } = marksOf({ truth, consensus: null, predictions: [] }, filter, new Map());
  const chips = chipsOf(marks);
  assert.deepEqual(chips.map((chip) => chip.names.map(([name]) => name)), [["R10", "R2"], ["R2"]]);
});

test("boxes: readers of an image have distinct hues", () => {
  const all = Array.from({ length: 17 }, (_, i) => `R${i + 1}`);
  const hues = huesOf(["R1", `R${HUES.length + 1}`, "R3"], all);
  assert.equal(new Set(hues.values()).size, 3);
  assert.equal(hues.get("R1"), HUES[0]);
});

test("marking: boxes stay in the image, whatever the direction of the drag", () => {
  const size = { columns: 100, rows: 50 };
  assert.deepEqual(boxOf([30, 40], [-5, 60], size), [0, 40, 30, 50]);
  assert.deepEqual(moved([10, 10, 20, 20], 200, -200, size), [90, 0, 100, 10]);
  assert.deepEqual(resized([10, 10, 20, 20], [1, 1], 5, -3, size), [10, 10, 25, 17]);
  assert.deepEqual(resized([10, 10, 20, 20], [-1, 0], 15, 9, size), [20, 10, 25, 20]); // inside out
  assert.equal(isArea([1, 1, 1.2, 9]), false);
});

test("marking: handles and borders", () => {
  const screen = [10, 10, 110, 60];
  assert.deepEqual(handleAt(screen, [112, 58], 6), [1, 1]);
  assert.deepEqual(handleAt(screen, [60, 12], 6), [0, -1]);
  assert.equal(handleAt(screen, [80, 30], 6), null);
  assert.equal(isOnBorder(screen, [80, 12], 6), true);
  assert.equal(isOnBorder(screen, [80, 35], 6), false);
});
