// The lines that the browser holds of a log, and what is shown of them. No page in here: tests run it alone.
export const PLAIN = 0, PROGRESS = 1, METRIC = 2, MOST_ROWS = 12000, MOST_TEXT = 4000000;

const rowOf = (sent) => sent[1] === -1
  ? {at: sent[0], fold: true, end: sent[2], progress: sent[3], metrics: sent[4]}
  : {at: sent[0], kind: sent[1] & 3, level: (sent[1] >> 2) & 3, text: sent[2], cut: sent[3] || 0, begun: (sent[1] & 16) !== 0};

export const repeats = (row) => row.fold || row.kind !== PLAIN;

export class Model {
  constructor() { this.clear(); }

  clear() {
    this.rows = [];
    this.begin = 0;        // the first line that is held begins here
    this.end = 0;          // where the next news go on
    this.rest = false;     // whether there is more before the first one
    this.attached = true;  // whether the last one is the log's last
    this.mark = -1;        // the line that was jumped to
  }

  // All lines that are held, from a page.
  reset(page) {
    const mark = page.mark === undefined ? -1 : page.mark;
    this.clear();
    Object.assign(this, {rows: page.rows.map(rowOf), begin: page.begin, end: page.end, rest: page.rest, mark});
    this.attached = !page.more;
  }

  // What is new. Returns how many lines of it are worth a look, or null when something before it is missing.
  news(from, to, sent) {
    if (from > this.end) return null;
    if (!this.attached) return 0;
    while (this.rows.length && this.rows.at(-1).at >= from) this.rows.pop();
    const rows = sent.map(rowOf);
    this.rows.push(...rows);
    this.end = to;
    this.compact();
    return rows.reduce((sum, row) => sum + (row.fold ? row.metrics : row.kind !== PROGRESS && row.text && !row.begun ? 1 : 0), 0);
  }

  older(page) {
    if (page.place !== this.begin) return;
    this.rows.unshift(...page.rows.map(rowOf));
    Object.assign(this, {begin: page.begin, rest: page.rest});
  }

  newer(page) {
    if (page.place !== this.end || this.attached) return;
    this.rows.push(...page.rows.map(rowOf));
    Object.assign(this, {end: page.end, attached: !page.more});
  }

  // Lines of a fold take its place; what is before them stays folded.
  unfold(page) {
    const rows = page.rows.map(rowOf);
    const [from, to] = [page.begin, page.end];
    const kept = [];
    for (const row of this.rows) {
      if (!row.fold && row.at >= from && row.at < to) continue;
      if (row.fold && row.end > from && row.at < to) {
        const progress = rows.filter((one) => one.kind === PROGRESS).length;
        const left = {progress: Math.max(0, row.progress - progress), metrics: Math.max(0, row.metrics - rows.length + progress)};
        if (row.at < from && left.progress + left.metrics) kept.push({...row, ...left, end: from, opened: true});
        continue;
      }
      kept.push(row);
    }
    this.rows = [...kept, ...rows.map((row) => ({...row, opened: true}))].sort((one, other) => one.at - other.at);
  }

  // The repetition that a row is in: [first, last] places of its rows.
  run(place) {
    let first = place, last = place;
    const inside = (row) => repeats(row) || row.text === "";
    while (first > 0 && inside(this.rows[first - 1])) first--;
    while (first < place && !repeats(this.rows[first])) first++;
    while (last + 1 < this.rows.length && inside(this.rows[last + 1])) last++;
    return [first, last];
  }

  // The repetition at the end holds few rows, however long it goes on.
  compact() {
    let first = this.rows.length;
    while (first > 0 && (repeats(this.rows[first - 1]) || this.rows[first - 1].text === "")) first--;
    while (first < this.rows.length && !repeats(this.rows[first])) first++;
    const run = this.rows.slice(first);
    if (run.length < 4 || run.some((row) => row.opened)) return;
    const kept = visible(run, this.mark);
    const hidden = run.filter((row) => !kept.has(row) && repeats(row));
    if (hidden.length < 2) return;
    const fold = {at: hidden[0].at, fold: true, end: hidden.at(-1).fold ? hidden.at(-1).end : hidden.at(-1).at + 1, ...counts(hidden)};
    this.rows.splice(first, run.length, fold, ...[...kept].sort((one, other) => one.at - other.at));
  }

  // Forgets what is far from what is looked at; atEnd: that is the end.
  trim(atEnd) {
    let text = this.rows.reduce((sum, row) => sum + (row.text || "").length, 0);
    let gone = 0;
    const left = () => this.rows.length - gone;
    while ((left() > MOST_ROWS || text > MOST_TEXT) && left() > 500) {
      const row = atEnd ? this.rows[gone] : this.rows[this.rows.length - 1 - gone];
      text -= (row.text || "").length;
      gone++;
    }
    if (!gone) return;
    if (atEnd) {
      this.rows.splice(0, gone);
      Object.assign(this, {begin: this.rows[0].at, rest: true});
    } else {
      const [dropped] = this.rows.splice(this.rows.length - gone, gone);
      Object.assign(this, {end: dropped.at, attached: false});
    }
  }

  // What is shown, from top to bottom: {row}, {fold: true, first, last, progress, metrics, open}, {more: true, row}.
  items() {
    const items = [];
    for (let place = 0; place < this.rows.length; place++) {
      const row = this.rows[place];
      if (!repeats(row)) { items.push({key: `l${row.at}`, at: row.at, row}); continue; }
      let last = place;
      while (last + 1 < this.rows.length && (repeats(this.rows[last + 1]) || this.rows[last + 1].text === "")) last++;
      this.itemsOf(this.rows.slice(place, last + 1), items);
      place = last;
    }
    return items;
  }

  itemsOf(run, items) {
    const open = run.some((row) => row.opened), kept = visible(run, this.mark);
    const hidden = run.filter((row) => !kept.has(row));
    const sum = counts(hidden);
    // its last line names it: what comes before it grows when older lines come in
    const fold = {key: `f${run.at(-1).at}`, at: run[0].at, fold: true, first: run[0].at, open, ...sum};
    if (sum.progress + sum.metrics || open) items.push(fold);
    for (const row of open ? run : [...kept].sort((one, other) => one.at - other.at)) {
      if (row.fold) items.push({key: `m${row.at}`, at: row.at, more: true, row});
      else if (row.text !== "") items.push({key: `l${row.at}`, at: row.at, row, inside: true});
    }
  }

  // Opens a repetition, or closes it. Returns the folded rows in it, which have to be asked for.
  toggle(at) {
    const place = this.rows.findIndex((row) => row.at === at);
    if (place < 0) return [];
    const [first, last] = this.run(place);
    const run = this.rows.slice(first, last + 1), open = run.some((row) => row.opened);
    for (const row of run) row.opened = !open;
    return open ? [] : run.filter((row) => row.fold);
  }

  has(at) { return this.rows.some((row) => row.at === at && !row.fold); }
}

// The rows of a repetition that are shown while it is folded.
const visible = (run, mark) => {
  const kept = new Map();
  for (const row of run) if (!row.fold && row.kind !== PLAIN) kept.set(row.kind, row);
  return new Set([...kept.values(), ...run.filter((row) => !row.fold && (row.at === mark || row.begun))]);
};

const counts = (rows) => rows.reduce((sum, row) => ({
  progress: sum.progress + (row.fold ? row.progress : row.kind === PROGRESS ? 1 : 0),
  metrics: sum.metrics + (row.fold ? row.metrics : row.kind === METRIC ? 1 : 0),
}), {progress: 0, metrics: 0});
