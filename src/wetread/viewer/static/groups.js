// The grid by series or studies: choice, and texts of the tiles.

import { count, h, plural } from "./dom.js";
import { MASK } from "./orientation.js";

/** @typedef {import("./types").Row} Row */
/** @typedef {import("./types").Route} Route */
/** @typedef {import("./app.js").App} App */

/** @type {[Route["group"], string][]} */
const KINDS = [["", "images"], ["series", "series"], ["study", "studies"]];

export class GroupSelect {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.list = h("select", { "aria-label": "One tile per", onchange: () => this.choose(/** @type {Route["group"]} */ (this.list.value)) }, ...KINDS.map(([value, text]) => h("option", { value }, text)));
    this.element = h("label", { class: "group-by" }, h("span", {}, "Show"), this.list);
  }

  /** @param {Route} route */
  fill(route) {
    this.list.value = route.group;
  }

  /** @param {Route["group"]} group */
  choose(group) {
    this.app.go({ group });
  }

  /** Changes between images and series. */
  turn() {
    this.choose(this.app.route.group ? "" : "series");
  }
}

/** @param {Route["group"]} group @param {number} total */
export function groupNoun(group, total) {
  return group === "series" ? `${count(total)} series` : total === 1 ? "1 study" : `${count(total)} studies`;
}

/** Name of a tile: the description, or the folder of the files. @param {Row} row */
export function pathOfGroup({ path, member, group }) {
  const { SeriesNumber: number, SeriesDescription: text } = group?.description ?? {};
  const known = typeof text === "string" && text !== MASK ? text : "";
  const folders = (member ? `${path}/${member}` : path).split("/").slice(0, -1);
  const folder = folders.slice(-2).join("/") || path;
  const prefix = group?.kind === "series" && typeof number === "number" ? `${number} · ` : "";
  return prefix + (known || folder);
}

/** Line below the name. @param {Row} row @returns {(string | null)[]} */
export function groupFacts({ Modality, group, frames }) {
  if (!group || group.kind === "file") return [Modality, "no series"];
  const { kind, files, matching, slices = 0, stacks = 0, series = 0 } = group;
  const some = matching < files ? `${count(matching)} of ${plural(files, "file")}` : "";
  if (kind === "study") return [`${count(series)} series`, some || plural(files, "file")];
  const frame = slices < 2 && (frames ?? 0) > 1 ? plural(frames ?? 0, "frame") : slices ? plural(slices, stacks && slices > 1 ? "slice" : "image") : plural(files, "file");
  return [Modality, frame, stacks > 1 ? `${stacks} stacks` : "", some];
}

/** Reason why a tile has no picture. @param {Row} row */
export function noPicture({ read_status, Modality, file_type }) {
  if (read_status === "not_dicom") return file_type ? `not DICOM: ${file_type}` : "not DICOM";
  if (read_status !== "ok" && read_status !== "partial") return read_status.replaceAll("_", " ");
  return Modality ? `${Modality}: no image` : "no image";
}
