// Matching of predictions to ground-truth boxes, as in wetread.evaluation.matching.match_free.

/** @typedef {import("./types").Box} Box */
/** @typedef {{matches: number[], overlap: number[], taken: boolean[], tp: number, fp: number, fn: number}} Judged */

/** @param {Box} a @param {Box} b @returns {number} intersection over union */
export function iou(a, b) {
  const width = Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0);
  const height = Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / (area(a) + area(b) - shared);
}

/** @param {Box} box */
function area(box) {
  return (box.x1 - box.x0) * (box.y1 - box.y0);
}

/**
 * Matches the boxes of one image and frame: in order of descending score, each prediction takes the
 * free ground-truth box of its label with the highest IoU of at least the threshold.
 *
 * @param {Box[]} truth
 * @param {Box[]} predictions
 * @param {number} threshold of the IoU
 * @param {number} score predictions below it are ignored
 * @returns {Judged} matches: index of the ground-truth box of each prediction, -1 for none, -2 below
 *   the score; overlap: IoU with it, or the highest with any; taken: by ground-truth box
 */
export function judge(truth, predictions, threshold, score) {
  const taken = truth.map(() => false);
  const matches = predictions.map(() => -2);
  const overlap = predictions.map(() => 0);
  const order = predictions
    .map((_, i) => i)
    .filter((i) => (predictions[i].score ?? 1) >= score)
    .sort((a, b) => (predictions[b].score ?? 1) - (predictions[a].score ?? 1) || a - b);
  for (const i of order) {
    let best = -1;
    let most = 0;
    let near = 0;
    truth.forEach((box, t) => {
      if (box.label !== predictions[i].label) return;
      const share = iou(box, predictions[i]);
      near = Math.max(near, share);
      if (!taken[t] && share >= threshold && share > most) [best, most] = [t, share];
    });
    matches[i] = best;
    overlap[i] = best < 0 ? near : most;
    if (best >= 0) taken[best] = true;
  }
  const tp = taken.filter(Boolean).length;
  return { matches, overlap, taken, tp, fp: order.length - tp, fn: truth.length - tp };
}
