// A file without an image: what it is, and the text of a structured report or another document.

import { fetchJson, isAbort } from "./api.js";
import { h } from "./dom.js";

/** @typedef {import("./types").Meta} Meta */
/** @typedef {import("./types").Document} Contents */

/** @param {HTMLElement} element @param {Meta} meta @param {string} text @param {AbortSignal} signal */
export async function showDocument(element, meta, text, signal) {
  const head = [h("h2", {}, meta.absent ?? ""), h("p", {}, text)];
  element.replaceChildren(...head);
  if (!meta.document) return;
  try {
    /** @type {Contents} */
    const found = await fetchJson(`images/${meta.id}/document`, {}, signal);
    if (found.lines.length && !signal.aborted) element.replaceChildren(...head, linesOf(found));
  } catch (error) {
    if (!isAbort(error)) element.append(h("p", {}, /** @type {Error} */ (error).message));
  }
}

/** @param {Contents} contents */
function linesOf({ lines, more }) {
  const rows = lines.map(([depth, relation, name, value, masked]) => {
    const row = h(
      "div", { class: "document-line", role: "listitem" },
      relation && relation !== "CONTAINS" ? h("span", { class: "relation" }, relation.toLowerCase()) : "",
      h("span", { class: "concept" }, name), value && h("span", { class: masked ? "masked" : "content" }, masked ? "masked" : value),
    );
    row.style.paddingLeft = `${16 * depth}px`;
    return row;
  });
  return h(
    "div", { class: "document", role: "list", "aria-label": "Contents", tabindex: 0 }, ...rows,
    lines.some(([, , , , masked]) => masked) ? h("p", {}, "Names, dates and texts are masked: wetread view --show-phi shows them.") : "",
    more ? h("p", {}, "The file has more lines, which are not shown.") : "",
  );
}
