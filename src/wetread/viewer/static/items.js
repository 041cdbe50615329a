// Items of the reader by image: what the server has, with the strokes that wait; undo and redo.

import { fetchJson } from "./api.js";
import { makeUuid, Outbox } from "./outbox.js";

/** @typedef {import("./types").Stroke} Stroke */
/** @typedef {import("./types").Content} Content */
/** @typedef {import("./types").Saved} Saved */
/** @typedef {{revision: number, stroke: Content | null, waiting: number}} Item */
/** @typedef {{items: Map<string, Item>, conflicts: Stroke[]}} State */
/** One step of undo: several items of one image. @typedef {{image: string, changes: {item: string, before: Content | null, after: Content | null}[]}} Step */

export const VERDICT = "verdict";
const MOST_STEPS = 200;

export class Items {
  /** @param {string} reader @param {() => void} changed @param {(text: string) => void} report @param {(read: number) => void} counted */
  constructor(reader, changed, report, counted) {
    this.changed = changed;
    /** @type {Map<string, State>} */
    this.images = new Map();
    /** @type {Step[]} */
    this.done = [];
    /** @type {Step[]} */
    this.undone = [];
    this.outbox = new Outbox(reader, {
      saved: (stroke, saved) => {
        const item = this.images.get(stroke.image)?.items.get(stroke.item);
        if (item) item.waiting--;
        counted(saved.read);
        this.changed();
      },
      conflicted: (stroke) => {
        report("Another window has changed this box: both versions are kept, choose one.");
        this.load(stroke.image);
      },
      refused: (stroke, text) => {
        report(`Not saved: ${text}`);
        this.load(stroke.image);
      },
      changed: () => this.changed(),
    });
  }

  /** State of an image that was loaded. @param {string} image @returns {State} */
  of(image) {
    return this.images.get(image) ?? { items: new Map(), conflicts: [] };
  }

  /** Loads an image from the server, and adds the strokes that wait. @param {string} image @param {AbortSignal} [signal] */
  async load(image, signal) {
    const { outbox } = this;
    let seen;
    let answer;
    do {
      seen = outbox.changes;
      /** @type {import("./types").Annotations} */
      answer = await fetchJson(`images/${image}/annotations`, {}, signal);
    } while (seen !== outbox.changes); // a stroke was saved meanwhile
    /** @type {State} */
    const state = { items: new Map(), conflicts: answer.conflicts };
    for (const { item, revision, stroke } of answer.items) state.items.set(item, { revision, stroke: stroke && contentOf(stroke), waiting: 0 });
    this.images.set(image, state);
    for (const stroke of outbox.waiting) if (stroke.image === image) this.show(stroke);
    this.changed();
  }

  /** Shows a stroke before it is saved. @param {Stroke} stroke */
  show(stroke) {
    const state = this.images.get(stroke.image);
    if (!state) return;
    if (stroke.op === "resolve") {
      state.conflicts = state.conflicts.filter(({ uuid }) => uuid !== stroke.item);
      return;
    }
    const waiting = (state.items.get(stroke.item)?.waiting ?? 0) + 1;
    state.items.set(stroke.item, { revision: stroke.base + 1, stroke: stroke.op === "put" ? contentOf(stroke) : null, waiting });
  }

  /** Sends changes of one image; null deletes an item. @param {string} image @param {[string, Content | null][]} changes */
  commit(image, changes) {
    const { items } = this.of(image);
    const step = { image, changes: changes.map(([item, after]) => ({ item, before: items.get(item)?.stroke ?? null, after })) };
    this.done.push(step);
    this.done.splice(0, this.done.length - MOST_STEPS);
    this.undone = [];
    this.apply(image, changes);
  }

  /** @param {string} image @param {[string, Content | null][]} changes */
  apply(image, changes) {
    for (const [item, content] of changes) {
      const base = this.of(image).items.get(item)?.revision ?? 0;
      this.post({ uuid: makeUuid(), op: content ? "put" : "delete", image, item, base, ...content });
    }
    this.changed();
  }

  /** Closes a conflict, with its version of the item or without it. @param {Stroke} conflict @param {boolean} use */
  resolve(conflict, use) {
    const { image, item, uuid } = conflict;
    if (use) this.commit(image, [[item, conflict.op === "put" ? contentOf(conflict) : null]]);
    this.post({ uuid: makeUuid(), op: "resolve", image, item: uuid, base: 0 });
    this.changed();
  }

  /** @param {Stroke} stroke */
  post(stroke) {
    this.show(stroke);
    this.outbox.add(stroke);
  }

  /** Takes back the last step; returns its image, or null if there is none. */
  undo() {
    const step = this.done.pop();
    if (!step) return null;
    this.undone.push(step);
    this.apply(step.image, step.changes.map(({ item, before }) => [item, before]));
    return step.image;
  }

  redo() {
    const step = this.undone.pop();
    if (!step) return null;
    this.done.push(step);
    this.apply(step.image, step.changes.map(({ item, after }) => [item, after]));
    return step.image;
  }
}

/** Content of an item, without what belongs to one stroke. @param {Stroke} stroke @returns {Content} */
function contentOf({ kind = "box", label, frame, corners, target }) {
  return { kind, label, frame, corners, target };
}
