// Strokes on their way to the server: one after another, in order, again until each is answered.

import { ApiError, postJson } from "./api.js";

/** @typedef {import("./types").Stroke} Stroke */
/** @typedef {import("./types").Saved} Saved */
/**
 * @typedef {object} Answers
 * @property {(stroke: Stroke, saved: Saved) => void} saved it is on the disk
 * @property {(stroke: Stroke) => void} conflicted another window was faster; the server keeps both
 * @property {(stroke: Stroke, text: string) => void} refused it will never be saved
 * @property {() => void} changed the number or the state of the waiting strokes
 */

/** Seconds between attempts while the server does not respond, or its disk is full. */
const WAITS = [0.5, 1, 2, 4];
/** Answers after which the same stroke may be saved later. */
const LATER = new Set([0, 401, 421, 499, 500, 502, 503, 504, 507]);

/** UUID of version 4; `crypto.randomUUID` requires HTTPS or this machine. */
export function makeUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join("-");
}

export class Outbox {
  /** @param {string} reader whose strokes they are: another reader may follow at the same address @param {Answers} answers */
  constructor(reader, answers) {
    this.answers = answers;
    this.key = `wetread strokes ${location.pathname} ${reader}`;
    /** @type {Stroke[]} */
    this.waiting = restore(this.key);
    /** Reason why the first stroke waits; "" while it is being sent. */
    this.reason = "";
    /** Number of strokes added and answered, to notice that a state is outdated. */
    this.changes = 0;
    this.attempts = 0;
    this.sending = false;
    this.timer = 0;
    addEventListener("online", () => this.retry());
    addEventListener("beforeunload", (event) => this.waiting.length && event.preventDefault());
    if (this.waiting.length) this.send();
  }

  /** @param {Stroke} stroke */
  add(stroke) {
    this.waiting.push(stroke);
    this.store();
    this.send();
  }

  retry() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.send();
  }

  async send() {
    if (this.sending || this.timer) return;
    this.sending = true;
    while (this.waiting.length && !this.timer) await this.sendFirst();
    this.sending = false;
  }

  async sendFirst() {
    const [stroke] = this.waiting;
    try {
      /** @type {Saved} */
      const saved = await postJson("strokes", stroke);
      this.done();
      this.answers.saved(stroke, saved);
    } catch (error) {
      const { status, message } = error instanceof ApiError ? error : new ApiError(0, String(error));
      if (LATER.has(status)) return this.wait(status === 0 ? "The viewer does not respond." : message);
      this.done();
      if (status === 409) this.answers.conflicted(stroke);
      else this.answers.refused(stroke, message);
    }
  }

  done() {
    this.waiting.shift();
    this.reason = "";
    this.attempts = 0;
    this.store();
  }

  /** @param {string} reason */
  wait(reason) {
    this.reason = reason;
    const seconds = WAITS[Math.min(this.attempts++, WAITS.length - 1)];
    this.timer = setTimeout(() => this.retry(), 1000 * seconds);
    this.answers.changed();
  }

  /** Keeps what waits over a reload of the page. */
  store() {
    this.changes++;
    if (this.waiting.length) sessionStorage.setItem(this.key, JSON.stringify(this.waiting));
    else sessionStorage.removeItem(this.key);
    this.answers.changed();
  }
}

/** @param {string} key @returns {Stroke[]} */
function restore(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "[]");
  } catch {
    return [];
  }
}
