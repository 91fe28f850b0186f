// How numbers are written, and what the axes show.

export const value = (number) => {
  if (!Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return number.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  if (size >= 1000) return number.toLocaleString("en-US", {maximumFractionDigits: 1});
  return String(Number(number.toPrecision(5)));
};

export const clock = (seconds) => {
  const whole = Math.round(seconds), two = (part) => String(part).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole % 3600 / 60);
  return (hours ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(whole % 60)}`;
};

export const place = (axis, x) => {
  if (axis === "seconds") return clock(x);
  if (axis === "epoch") return String(Number(x.toPrecision(4)));
  return Math.round(x).toLocaleString("en-US");
};

const PERIODS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

// Where a clock's axis has its words.
export const times = (low, high) => {
  let period = PERIODS.find((one) => (high - low) / one <= 8) || Math.ceil((high - low) / 8 / 86400) * 86400;
  const found = [];
  for (let at = Math.ceil(low / period) * period; at <= high && found.length < 50; at += period) found.push(at);
  return found;
};

const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.round(share * (sorted.length - 1)))];

// What the axis of values shows of `values`: {low, high, least, most}, the last two of all values; clip: not of those
// that lie far from nearly all others. log: of a logarithmic axis.
export const domain = (values, {clip, log}) => {
  const known = values.filter((one) => Number.isFinite(one) && (!log || one > 0)).sort((a, b) => a - b);
  if (!known.length) return log ? {low: 0.1, high: 1} : {low: 0, high: 1};
  const least = known[0], most = known[known.length - 1];
  let low = least, high = most;
  if (clip && known.length > 4) {
    const far = log ? Math.log : (one) => one, back = log ? Math.exp : (one) => one;
    const from = far(quantile(known, 0.05)), to = far(quantile(known, 0.95)), more = to - from;
    if (to > from) {
      low = Math.max(least, back(from - more));
      high = Math.min(most, back(to + more));
    }
  }
  if (log) {
    const more = Math.pow(high / low, 0.04) * (high === low ? 1.5 : 1);
    return {low: low / more, high: high * more, least, most};
  }
  const more = high > low ? (high - low) * 0.05 : Math.abs(high) * 0.1 || 1;
  return {low: low - more, high: high + more, least, most};
};
