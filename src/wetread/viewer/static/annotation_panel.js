// Panel of the reader: progress, what is saved, labels, verdict, boxes, conflicts.

import { count, h, iconButton, plural, set } from "./dom.js";

/** @typedef {import("./annotator.js").Annotator} Annotator */

/** @type {["nothing" | "unsure" | "bad image", string, string][]} */
const VERDICTS = [["nothing", "No finding", "E"], ["unsure", "Unsure", "S"], ["bad image", "Bad image", "Q"]];

/** True if boxes of others may be shown. @param {import("./types").About} about */
function hasOthers({ readers, predictions }) {
  return readers.length > 0 || predictions;
}

export class AnnotationPanel {
  /** @param {Annotator} annotator */
  constructor(annotator) {
    this.annotator = annotator;
    this.progress = h("span", { class: "number" });
    this.saved = h("span", { class: "saved", role: "status" });
    this.retry = h("button", { type: "button", class: "facet-more", hidden: true, onclick: () => annotator.items.outbox.retry() }, "Try again");
    this.labels = h("div", { class: "labels", role: "group", "aria-label": "Labels" });
    this.input = h("input", { type: "text", placeholder: "Add a label", "aria-label": "Add a label", autocomplete: "off", maxlength: 64 });
    this.input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      if (event.key === "Enter") annotator.addLabel(this.input.value);
      this.input.value = "";
      annotator.view.stage.element.focus();
    });
    this.verdicts = VERDICTS.map(([kind, text, key]) => h("button", { type: "button", class: "choice", "data-verdict": kind, onclick: () => annotator.judge(kind) }, text, h("kbd", {}, key)));
    this.list = h("ul", { class: "own-list", "aria-label": "Your boxes" });
    this.shown = "";
    this.element = h(
      "section", { class: "annotate", "aria-label": "Your annotations" },
      h("div", { class: "annotate-head" }, h("b", { class: "reader" }, annotator.about.reader), this.progress, h("span", { class: "grow" }), this.saved, this.retry),
      h("div", { class: "label-row" }, this.labels, this.input),
      h("div", { class: "choices", role: "group", "aria-label": "Verdict on the image" }, ...this.verdicts),
      h(
        "div", { class: "choices" },
        this.action("Next unread", "U", "Next unread image", () => annotator.nextUnread()),
        ...(hasOthers(annotator.view.app.about) ? [
          this.action("Accept", "Y", "Accept the selected box of others", () => annotator.accept()),
          this.action("Reject", "X", "Reject the selected box of others", () => annotator.reject()),
        ] : []),
        this.action("Copy slice", "C", "Copy your boxes from the slice before", () => annotator.copy()),
        this.action("Undo", "", "Undo (Ctrl+Z)", () => annotator.step("undo")),
        this.action("Redo", "", "Redo (Ctrl+Shift+Z)", () => annotator.step("redo")),
      ),
      this.list,
    );
  }

  /** @param {string} text @param {string} key @param {string} title @param {() => void} onclick */
  action(text, key, title, onclick) {
    return h("button", { type: "button", class: "choice", title, onclick }, text, key && h("kbd", {}, key));
  }

  fill() {
    const { annotator } = this;
    if (!annotator.items) return; // while the annotator is made
    this.progress.textContent = `${count(annotator.read)} of ${plural(annotator.view.app.about.images, "image")} read`;
    set(this.element, { "aria-busy": String(!annotator.loaded) });
    this.fillSaved();
    this.fillLabels();
    for (const button of this.verdicts) set(button, { "aria-pressed": String(button.dataset.verdict === annotator.verdict) });
    this.fillList();
  }

  /** What is on the disk of the server. */
  fillSaved() {
    const { waiting, reason } = this.annotator.items.outbox;
    const text = reason ? `Not saved: ${reason} ${plural(waiting.length, "change")} waiting.` : waiting.length ? "Saving …" : "Saved";
    if (this.saved.textContent !== text) this.saved.textContent = text;
    set(this.saved, { "data-state": reason ? "waiting" : waiting.length ? "saving" : "saved" });
    this.retry.hidden = !reason;
  }

  fillLabels() {
    const { annotator } = this;
    const { labels } = annotator;
    if (this.labels.childElementCount !== labels.length) {
      this.labels.replaceChildren(...labels.map((label, i) => h("button", { type: "button", class: "choice", "data-label": label, onclick: () => annotator.choose(label) }, h("span", { class: "grow" }, label), i < 9 && h("kbd", {}, String(i + 1)))));
    }
    for (const button of this.labels.children) set(button, { "aria-pressed": String(button instanceof HTMLElement && button.dataset.label === annotator.label) });
  }

  /** Rows are made again only when they change, so that they keep the focus. */
  fillList() {
    const { annotator } = this;
    const { own, rejected } = annotator;
    const { conflicts } = annotator.items.of(annotator.view.id);
    const key = JSON.stringify([annotator.view.id, own.map(({ id, content }) => [id, content.label, content.kind]), rejected.map(([id]) => id), conflicts.map(({ uuid }) => uuid)]);
    if (key !== this.shown) {
      this.shown = key;
      this.list.replaceChildren(
        ...own.map(({ id, content }) => h(
          "li", { "data-item": id },
          h("button", { type: "button", class: "mark-row", onclick: () => annotator.select(annotator.selected === id ? "" : id) }, h("span", { class: "grow" }, content.label ?? ""), h("span", { class: "number" }, content.kind)),
          iconButton("close", `Delete ${content.label} (Del)`, () => annotator.remove(id)),
        )),
        ...rejected.map(([id, { stroke }]) => h(
          "li", { class: "rejected" },
          h("span", { class: "mark-row" }, h("span", { class: "grow" }, `rejected: ${stroke?.target?.label}`), h("span", { class: "number" }, stroke?.target?.from ?? "")),
          iconButton("close", `Take back the rejection of ${stroke?.target?.label}`, () => annotator.remove(id)),
        )),
        ...conflicts.map((stroke) => h(
          "li", { class: "conflict", role: "group", "aria-label": "Conflict" },
          h("span", { class: "grow" }, stroke.op === "delete" ? "Another window deleted this box" : `Other version: ${stroke.label ?? stroke.kind}`),
          h("button", { type: "button", class: "facet-more", onclick: () => annotator.items.resolve(stroke, true) }, "Use it"),
          h("button", { type: "button", class: "facet-more", onclick: () => annotator.items.resolve(stroke, false) }, "Discard"),
        )),
      );
    }
    for (const row of this.list.querySelectorAll("li[data-item]")) {
      if (row instanceof HTMLElement && row.firstElementChild) set(row.firstElementChild, { "aria-pressed": String(row.dataset.item === annotator.selected) });
    }
  }
}
