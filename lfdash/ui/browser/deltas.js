// What this browser has of one place of the page; the other half of lfdash/ui/curves/deltas.py.

export const empty = () => ({seq: 0, parts: {}, lines: {}});

// Takes a message. Returns {names of parts, ids of lines} that changed; null where it stands on one that never came.
export const take = (state, message) => {
  if (message.base === null) Object.assign(state, empty());
  else if (message.base !== state.seq) return message.seq === state.seq ? {parts: [], lines: []} : null;
  state.seq = message.seq;
  const parts = message.parts || {}, lines = message.lines || {};
  for (const [name, value] of Object.entries(parts)) {
    if (value === null) delete state.parts[name];
    else state.parts[name] = value;
  }
  for (const [id, change] of Object.entries(lines)) {
    if (change === null) { delete state.lines[id]; continue; }
    const [keep, x, y] = change;
    const line = state.lines[id] || (state.lines[id] = {x: [], y: []});
    line.x.length = line.y.length = keep;
    for (const value of x) line.x.push(value);
    for (const value of y) line.y.push(value);
  }
  return {parts: Object.keys(parts), lines: Object.keys(lines)};
};

// The place of the value nearest to `wanted` in ascending values; -1 where there are none.
export const nearest = (values, wanted) => {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  if (low > 0 && (low === values.length || wanted - values[low - 1] <= values[low] - wanted)) return low - 1;
  return values.length ? low : -1;
};

// [first, last + 1] of the places within [low, high], and one beyond each end.
export const within = (values, low, high) => {
  let first = nearest(values, low), last = nearest(values, high);
  if (first < 0) return [0, 0];
  if (values[first] >= low && first > 0) first -= 1;
  if (values[last] <= high && last < values.length - 1) last += 1;
  return [first, last + 1];
};
