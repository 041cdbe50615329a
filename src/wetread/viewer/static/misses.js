// The images where model and truth disagree, in the order of the list.

import { fetchJson } from "./api.js";

/** @typedef {import("./types").Route} Route */
/** @typedef {import("./types").Misses} Misses */

/**
 * The id of the nearest other image with a miss, from the other end where there is none that way.
 * @param {Route} route @param {number} here the place in the list @param {1 | -1} way
 * @returns {Promise<string | undefined>}
 */
export async function findMiss(route, here, way) {
  const { iou, score, where, search, order, desc } = route;
  /** @type {Misses} */
  const { images } = await fetchJson("misses", { iou, score, where, search, order, desc });
  const others = images.filter(({ id }) => id !== route.id);
  const next = way > 0
    ? others.find(({ offset }) => offset > here) ?? others[0]
    : others.findLast(({ offset }) => offset < here) ?? others.at(-1);
  return next?.id;
}
