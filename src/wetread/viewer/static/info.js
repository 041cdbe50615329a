// The panel that says what the picture is and what is wrong with the file.

import { h, short } from "./dom.js";

/** @typedef {import("./types").Meta} Meta */

export class Info {
  constructor() {
    this.element = h("div", { class: "panel-body", id: "panel-info", role: "tabpanel", "aria-label": "Image" });
  }

  /** @param {Meta} meta */
  fill(meta) {
    const { spacing, series } = meta;
    /** @type {[string, string][]} */
    const facts = [["Path", meta.path]];
    if (meta.modality) facts.push(["Modality", meta.modality]);
    if (!meta.error) {
      facts.push(
        ["Size", `${meta.columns} × ${meta.rows}`],
        ["Photometric", meta.photometric],
        ["Stored", `${meta.bits} bits, ${meta.dtype}`],
      );
      if (meta.units) facts.push(["Units", meta.units]);
      if (meta.range) facts.push(["Range", `${short(meta.range[0])} to ${short(meta.range[1])}`]);
      facts.push(["Spacing", spacing ? `${short(spacing.column, 4)} × ${short(spacing.row, 4)} mm, ${spacing.source}` : "not stated"]);
      if (meta.aspect !== 1) facts.push(["Pixel aspect", short(meta.aspect, 4)]);
      if (meta.frames > 1) facts.push(["Frames", String(meta.frames)]);
    }
    if (series.count > 1) facts.push(["In its series", `${series.place + 1} of ${series.count}`]);
    const sections = [section("Image", list(facts))];
    if (meta.steps.length) sections.push(section("How it is shown", h("ol", { class: "steps" }, ...meta.steps.map((step) => h("li", {}, step)))));
    const problems = meta.problems.map((problem) => h(
      "li", { class: `problem ${problem.severity}` },
      h("span", { class: "severity" }, problem.severity), h("code", {}, problem.code), h("span", { class: "problem-text" }, problem.text),
    ));
    sections.push(section("Problems", problems.length ? h("ul", { class: "problems" }, ...problems) : h("p", { class: "quiet" }, "Nothing found wrong with this file.")));
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
