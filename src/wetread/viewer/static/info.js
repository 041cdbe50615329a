// Image panel: properties, processing steps and problems.

import { h, short } from "./dom.js";

/** @typedef {import("./types").Meta} Meta */

export class Info {
  constructor() {
    this.element = h("div", { class: "panel-body", id: "panel-info", role: "tabpanel", "aria-label": "Image" });
  }

  /**
   * @param {Meta} meta @param {import("./types").Series | null} of @param {(id: string, frame: number) => void} open
   */
  fill(meta, of, open) {
    const { spacing, series } = meta;
    /** @type {[string, string][]} */
    const facts = [["Path", meta.path]];
    if (meta.modality) facts.push(["Modality", meta.modality]);
    if (!meta.error) {
      facts.push(
        ["Size", `${meta.columns} × ${meta.rows}`],
        ["Photometric", meta.photometric],
        ["Stored values", `${meta.bits} bits, ${meta.dtype}`],
      );
      if (meta.units) facts.push(["Units", meta.units]);
      if (meta.range) facts.push(["Value range", `${short(meta.range[0])} to ${short(meta.range[1])}`]);
      facts.push(["Spacing", spacing ? `${short(spacing.column, 4)} × ${short(spacing.row, 4)} mm, ${spacing.source}` : "not specified"]);
      if (meta.aspect !== 1) facts.push(["Pixel aspect", short(meta.aspect, 4)]);
      if (meta.frames > 1) facts.push(["Frames", String(meta.frames)]);
    }
    if (series.count > 1 && !of) facts.push(["Position in series", `${series.position + 1} of ${series.count}`]);
    const sections = [section("Image", list(facts))];
    if (meta.steps.length) sections.push(section("Processing steps", h("ol", { class: "steps" }, ...meta.steps.map((step) => h("li", {}, step)))));
    const problems = meta.problems.map((problem) => h(
      "li", { class: `problem ${problem.severity}` },
      h("span", { class: "severity" }, problem.severity), h("code", {}, problem.code), h("span", { class: "problem-text" }, problem.text),
    ));
    sections.push(section("Problems", problems.length ? h("ul", { class: "problems" }, ...problems) : h("p", { class: "quiet" }, "No problems in this file.")));
    if (of) sections.push(section("Series", seriesOf(of, open)));
    this.element.replaceChildren(...sections);
  }
}

/** @param {[string, string][]} facts */
function list(facts) {
  return h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** @param {string} title @param {Element} content */
function section(title, content) {
  return h("section", {}, h("h2", {}, title), content);
}

/** Size and problems of a series. @param {import("./types").Series} series @param {(id: string, frame: number) => void} open */
function seriesOf(series, open) {
  const { files, slices, volumes, problems } = series;
  const facts = list([["Files", String(files)], ["Slices", String(slices)], ["Volumes", String(volumes)]]);
  const items = problems.map((problem) => h(
    "li", { class: `problem ${problem.severity}` },
    h("span", { class: "severity" }, problem.severity), h("code", {}, problem.code),
    h("button", { type: "button", class: "clear", onclick: () => open(problem.id, problem.frame ?? 0), title: problem.path }, "show"),
    h("span", { class: "problem-text" }, problem.text),
  ));
  return h("div", {}, facts, items.length ? h("ul", { class: "problems" }, ...items) : h("p", { class: "quiet" }, "No problems in this series."));
}
