// Requests to the server: addresses relative to the page, with the token; request queue.

import { takeToken } from "./route.js";

/** @typedef {Record<string, string | number | boolean | null | undefined>} Query */

/** An error response; `status` is 0 if the server did not respond. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message @param {string} [code] of a problem */
  constructor(status, message, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Status of a proxy whose viewer has stopped. */
const GONE = new Set([502, 503, 504]);
/** @type {(status: number) => void} */
let report = () => {};

/** Calls a listener with the status of every response, 0 for none. @param {(status: number) => void} listener */
export function whenReached(listener) {
  report = listener;
}

const KEY = `wetread ${location.pathname}`;
let token = "";

/** Reads the token from the address or the session storage. @returns {boolean} true if there is one */
export function findToken() {
  const { token: received, rest } = takeToken(location.hash);
  if (received !== null) {
    sessionStorage.setItem(KEY, received);
    history.replaceState(null, "", location.pathname + location.search + rest);
  }
  token = received ?? sessionStorage.getItem(KEY) ?? "";
  return token !== "";
}

/** @param {string} path below api/ @param {Query} [query] */
function address(path, query = {}) {
  const url = new URL(`api/${path}`, document.baseURI);
  url.hash = "";
  for (const [name, value] of Object.entries(query)) {
    if (value === true) url.searchParams.set(name, "1");
    else if (value || value === 0) url.searchParams.set(name, String(value));
  }
  return url;
}

/**
 * @param {string} path @param {Query} [query] @param {AbortSignal} [signal]
 * @param {string} [json] to send by POST
 * @returns {Promise<Response>}
 */
export async function fetchFrom(path, query, signal, json) {
  const type = json === undefined ? undefined : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(address(path, query), {
      method: json === undefined ? "GET" : "POST", body: json,
      headers: { "X-Wetread-Token": token, ...type }, signal, cache: "no-store", credentials: "same-origin",
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    report(0);
    throw new ApiError(0, "The viewer does not respond.");
  }
  report(GONE.has(response.status) ? 0 : response.status);
  if (response.ok) return response;
  /** @type {{error?: string, code?: string}} */
  let body = {};
  try {
    body = await response.json();
  } catch { /* not JSON: the page of a proxy */ }
  throw new ApiError(response.status, body.error || `The server responded with status ${response.status}.`, body.code);
}

/**
 * @template T
 * @param {string} path @param {Query} [query] @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function fetchJson(path, query, signal) {
  return (await fetchFrom(path, query, signal)).json();
}

/** @template T @param {string} path @param {unknown} value @returns {Promise<T>} */
export async function postJson(path, value) {
  return (await fetchFrom(path, {}, undefined, JSON.stringify(value))).json();
}

/** @param {string} path @param {Query} [query] @param {AbortSignal} [signal] */
export async function fetchPicture(path, query, signal) {
  return (await fetchFrom(path, query, signal)).blob();
}

/** @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Task queue: at most `limit` tasks at a time, first in, first out; aborted tasks are skipped. */
export class Queue {
  /** @param {number} limit */
  constructor(limit) {
    this.limit = limit;
    this.running = 0;
    /** @type {{task: () => Promise<void>, signal: AbortSignal}[]} */
    this.waiting = [];
  }

  /** @param {(signal: AbortSignal) => Promise<void>} task @returns {AbortController} */
  add(task) {
    const controller = new AbortController();
    this.waiting.push({ task: () => task(controller.signal), signal: controller.signal });
    this.next();
    return controller;
  }

  next() {
    while (this.running < this.limit) {
      const job = this.waiting.shift();
      if (!job) return;
      if (job.signal.aborted) continue;
      this.running++;
      job.task().catch(() => {}).finally(() => {
        this.running--;
        this.next();
      });
    }
  }
}
