// Images with false positives or false negatives, in the order of the list.

import { fetchJson } from "./api.js";
import { rowQuery } from "./route.js";

/** @typedef {import("./types").Route} Route */
/** @typedef {import("./types").Misses} Misses */

/**
 * Id of the next image with a miss in a direction, wrapping around at the end of the list.
 * @param {Route} route @param {number} here offset in the list @param {1 | -1} way
 * @returns {Promise<string | undefined>}
 */
export async function findMiss(route, here, way) {
  /** @type {Misses} */
  const { images } = await fetchJson("misses", rowQuery(route));
  const others = images.filter(({ id }) => id !== route.id);
  const next = way > 0
    ? others.find(({ offset }) => offset > here) ?? others[0]
    : others.findLast(({ offset }) => offset < here) ?? others.at(-1);
  return next?.id;
}
