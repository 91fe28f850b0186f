// Where the words beside a point of a chart stand, so that they hide as little as they can.

const LETTER = 5.9, TALL = 12;  // px of a letter of 11 px, about, and of a line of them
const ABOVE_BELOW = [-10, 16, -24, 30, -40, 46];  // px from the point to the foot of its words

// The boxes in which the words of a point at [x, y] may stand, the most usual first: [{side, dy, x, y, width, height}].
// side: "left": the words begin at the point; "right": they end there.
export const around = ([x, y], text) => {
  const wide = [...text].reduce((sum, letter) => sum + (letter > "\u2e80" ? 2 : 1), 0) * LETTER;
  return ABOVE_BELOW.flatMap((dy) => ["left", "right"].map((side) => (
    {side, dy, x: side === "left" ? x + 2 : x - 2 - wide, y: y + dy - TALL + 3, width: wide, height: TALL})));
};

// How much of a line, [[x, y], ...] in px, lies in a box: px across.
const crossing = (points, box) => {
  const right = box.x + box.width, foot = box.y + box.height;
  let first = 0, end = points.length, hidden = 0;
  while (first < end) {
    const middle = (first + end) >> 1;
    if (points[middle][0] < box.x) first = middle + 1;
    else end = middle;
  }
  for (let at = Math.max(first, 1); at < points.length && points[at - 1][0] <= right; at += 1) {
    const [x0, y0] = points[at - 1], [x1, y1] = points[at];
    const from = Math.max(x0, box.x), to = Math.min(x1, right);
    if (to < from) continue;
    const yAt = (x) => x1 > x0 ? y0 + (y1 - y0) * (x - x0) / (x1 - x0) : y1;
    if (Math.max(yAt(from), yAt(to)) >= box.y && Math.min(yAt(from), yAt(to)) <= foot) hidden += to - from + 1;
  }
  return hidden;
};

const over = (one, other) => Math.max(0, Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x))
  * (one.y < other.y + other.height && other.y < one.y + one.height ? 1 : 0);

// The best of some boxes. drawn: lines, in px. taken: boxes of other words. width, height: of the chart.
export const best = (boxes, {drawn, taken, width, height}) => {
  let found = boxes[0], least = Infinity;
  for (const box of boxes) {
    const outside = Math.max(0, -box.x) + Math.max(0, box.x + box.width - width) + (box.y < 0 || box.y + box.height > height ? 500 : 0);
    const cost = 20 * outside + 4 * taken.reduce((sum, other) => sum + over(box, other), 0)
      + drawn.reduce((sum, points) => sum + crossing(points, box), 0) + Math.abs(box.dy) * 0.3;
    if (cost < least) [found, least] = [box, cost];
  }
  return found;
};
