// One chart: Vega draws it, this looks after what it shows, and after mouse and keys.

import {nearest, within} from "./deltas.js";
import {domain, place, times, value} from "./numbers.js";
import {around, best} from "./labels.js";
import {coloured, config, faint} from "./theme.js";

const EDGE = {left: 56, right: 14, top: 10, bottom: 40};
const STEP = 1.4;  // of a zoom by a key

const make = (tag, className, parent) => {
  const element = document.createElement(tag);
  element.className = className;
  if (parent) parent.append(element);
  return element;
};

// A short piece of a line, with its dashes.
const swatch = (line, className, parent, colour) => {
  const piece = make("i", className, parent);
  piece.style.setProperty("--line", colour);
  if (!line.dash.length) return;
  let done = 0;
  const parts = line.dash.map((length, place) => `${place % 2 ? "transparent" : "var(--line)"} ${done}px ${done += length}px`);
  piece.style.borderImage = `repeating-linear-gradient(90deg, ${parts.join(", ")}) 3`;
};

export class Picture {
  // name: of the chart; board: the place of the page that it belongs to (curves.js).
  constructor(name, board) {
    Object.assign(this, {name, board, view: null, drawn: "", ready: null, hover: null, asked: false});
    this.root = make("section", "lf-chart");
    this.root.dataset.chart = name;
    const head = make("div", "lf-chart-head", this.root), words = make("div", "lf-chart-words", head);
    this.title = make("div", "lf-chart-title", words);
    this.legend = make("div", "lf-legend", words);
    this.note = make("div", "lf-chart-note", words);
    this.tools = make("div", "lf-chart-tools", head);
    this.plot = make("div", "lf-plot", this.root);
    this.canvas = make("div", "lf-canvas", this.plot);
    this.brush = make("div", "lf-brush", this.plot);
    this.rule = make("div", "lf-rule", this.plot);
    this.tip = make("div", "lf-tip", this.plot);
    this.voice = make("div", "lf-voice", this.plot);
    this.voice.setAttribute("aria-live", "polite");
    this.canvas.setAttribute("aria-hidden", "true");
    Object.assign(this.plot, {tabIndex: 0});
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", name);  // until what it shows is known
    this.listen();
    new ResizeObserver(() => this.soon()).observe(this.plot);
  }

  get chart() { return this.board.state.parts[`chart/${this.name}`]; }
  get axis() { return this.board.state.parts.settings.x; }
  get log() { return Boolean(this.chart.log); }
  get width() { return Math.max(this.plot.clientWidth - EDGE.left - EDGE.right, 40); }
  get whole() { return this.board.state.parts.page.large ? this.board.height : this.chart.height; }
  get height() { return this.whole - EDGE.top - EDGE.bottom; }

  // As high as it will be, also before it is drawn: what is below it does not move then.
  keepPlace() { this.plot.style.height = `${this.whole}px`; }

  // The part of the axis that is shown.
  get range() {
    const {lo, hi} = this.board.state.parts.range || {lo: 0, hi: 1};
    const zoom = this.board.group.zoom;
    if (zoom) return zoom;
    if (hi > lo) return [lo, hi];
    return this.axis === "step" ? [lo - 1, hi + 1] : [lo - Math.abs(lo) * 0.1 - 0.1, hi + Math.abs(hi) * 0.1 + 0.1];
  }

  shows(line) { return !this.board.group.hidden.has(line.follows || line.label); }

  points(line) {
    const {state, group} = this.board, detail = state.parts.detail, fine = state.lines[`${line.id}@`];
    const covers = group.zoom && detail && fine && detail[0] <= group.zoom[0] && detail[1] >= group.zoom[1];
    return (covers ? fine : state.lines[line.id]) || {x: [], y: []};
  }

  soon() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.render(); });
  }

  render() {
    if (!this.chart || !this.board.vega || !this.plot.isConnected || !this.plot.clientWidth) return;
    const drawn = JSON.stringify([this.chart.spec, this.board.theme, this.whole]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.embed(drawn);
    }
    const {view} = this;
    if (this.ready !== drawn) return;  // what is there is of another specification
    const [low, high] = this.range, rows = this.rows(low, high);
    view.signal("x_lo", low).signal("x_hi", high).signal("y_lo", rows.y.low).signal("y_hi", rows.y.high)
      .signal("faint", faint(this.board.theme));
    if (this.axis === "seconds") view.signal("x_ticks", times(low, high));
    for (const [id, values] of Object.entries(rows.data)) view.data(id, values);
    view.width(this.width).height(this.height).runAsync();
    this.say(rows.y);
    this.point();
  }

  // Has Vega draw the chart anew; `drawn` tells what for.
  async embed(drawn) {
    const {theme, state, vega} = this.board;
    const spec = coloured(this.chart.spec, theme.background, theme.dark ? state.parts.page.dark : null);
    delete spec.title;
    Object.assign(spec, {
      padding: EDGE, autosize: {type: "none"}, width: this.width, height: this.height, config: config(theme, false),
    });
    this.keepPlace();
    this.title.textContent = this.chart.title;
    this.title.hidden = state.parts.page.bar && state.parts.settings.charts.length > 1;  // the bar says it
    this.drawLegend();
    const canvas = make("div", "lf-canvas");
    canvas.setAttribute("aria-hidden", "true");
    const {view} = await vega(canvas, spec, {
      mode: "vega-lite", actions: false, logLevel: 1, renderer: "canvas", tooltip: false, hover: false, defaultStyle: false,
    });
    if (drawn !== this.drawn) return view.finalize();
    if (this.view) this.view.finalize();
    this.canvas.replaceWith(canvas);
    Object.assign(this, {canvas, view, ready: drawn});
    this.soon();
  }

  // {data: rows of each set, y: what the axis of values shows}
  rows(low, high) {
    const ticks = (this.board.state.parts.ticks || []).filter((one) => one.x >= low && one.x <= high);
    const data = {dots: [], marks: [], ticks}, seen = [], doubled = this.chart.lines.some((line) => line.faint);
    for (const line of this.chart.lines) {
      const points = this.shows(line) ? this.points(line) : {x: [], y: []};
      const [first, end] = within(points.x, low, high), rows = [];
      for (let at = first; at < end; at += 1) {
        if (this.log && !(points.y[at] > 0)) continue;
        rows.push({x: points.x[at], y: points.y[at]});
        seen.push({y: points.y[at], again: doubled && line.id.endsWith("~")});  // the same, smoothed
      }
      data[line.id] = rows;
      if (rows.length === 1 && !line.points) data.dots.push({...rows[0], label: line.label});
    }
    const y = domain(seen.map((one) => one.y), {clip: this.board.group.clip, log: this.log});
    const logged = seen.filter((one) => !one.again);
    y.total = logged.length;
    y.out = logged.filter((one) => one.y < y.low || one.y > y.high).length;
    data.marks = this.marks(low, high, y, data);
    return {data, y};
  }

  // The values that are marked, each with the place of its words where they hide least.
  marks(low, high, y, data) {
    const words = this.board.state.parts.page.words, shown = [];
    const far = (one) => [(one.x - low) / (high - low) * this.width, (1 - this.share(one.y, y)) * this.height];
    for (const mark of this.board.state.parts[`marks/${this.name}`] || []) {
      const line = this.chart.lines.find((one) => one.id === mark.line);
      if (!line || !this.shows(line) || mark.x < low || mark.x > high || mark.y < y.low || mark.y > y.high) continue;
      const text = mark.kind === "best" ? words.best.replace("{name}", mark.label).replace("{value}", value(mark.y)) : value(mark.y);
      shown.push({...mark, text});
    }
    const found = shown.find((one) => one.kind === "best");
    for (const mark of shown) {
      if (mark.kind !== "last" || !found || shown.length > 2) continue;
      const [x, down] = far(mark), [bestX, bestDown] = far(found);
      if (Math.abs(x - bestX) < 150 && Math.abs(down - bestDown) < 16) mark.text = "";
    }
    const lines = () => this.chart.lines.map((line) => (data[line.id] || []).map(far)), taken = [];
    const drawn = shown.some((one) => one.text) ? lines() : [];
    for (const mark of shown) {
      const place = best(around(far(mark), mark.text), {drawn, taken, width: this.width, height: this.height});
      Object.assign(mark, {side: place.side, dy: place.dy});
      if (mark.text) taken.push(place);
    }
    return shown;
  }

  share(one, y) {
    if (this.log) return Math.log(one / y.low) / Math.log(y.high / y.low);
    return (one - y.low) / (y.high - y.low);
  }

  drawLegend() {
    const {group} = this.board;
    this.legend.replaceChildren();
    if (this.chart.lines.length < 2 && !group.hidden.size) return;
    const dark = this.board.theme.dark && this.board.state.parts.page.dark;
    for (const line of this.chart.lines) {
      if (line.follows) continue;
      const button = make("button", "lf-legend-entry", this.legend), line_colour = (dark && dark[line.colour]) || line.colour;
      button.type = "button";
      button.setAttribute("aria-pressed", String(this.shows(line)));
      swatch(line, line.points ? "lf-swatch lf-dotted" : line.faint ? "lf-swatch lf-faint" : "lf-swatch", button, line_colour);
      button.append(line.label);
      button.onclick = () => this.board.toggle(line.label);
    }
  }

  // What a screen reader says of the chart, and what is left out of it.
  say(y) {
    const words = this.board.state.parts.page.words, told = [this.chart.title];
    for (const line of this.chart.lines) {
      const points = this.board.state.lines[line.id];
      if (line.faint || !this.shows(line) || !points || !points.x.length) continue;
      const at = points.x.length - 1;
      told.push(words.last.replace("{name}", line.label).replace("{value}", value(points.y[at]))
        .replace("{x}", `${this.board.axisWord()} ${place(this.axis, points.x[at])}`));
    }
    for (const mark of this.board.state.parts[`marks/${this.name}`] || []) {
      const line = this.chart.lines.find((one) => one.id === mark.line);
      if (mark.kind === "best" && line)
        told.push(words.best.replace("{name}", mark.label).replace("{value}", value(mark.y)));
    }
    told.push(words.keys);
    const label = told.join(". ");
    if (this.plot.getAttribute("aria-label") !== label) this.plot.setAttribute("aria-label", label);
    const ends = [
      y.least < y.low ? words.least.replace("{value}", value(y.least)) : "",
      y.most > y.high ? words.most.replace("{value}", value(y.most)) : "",
    ].filter(Boolean).join(", ");
    this.note.textContent = y.out ? words.clipped.replace("{count}", y.out).replace("{total}", y.total).replace("{ends}", ends) : "";
  }

  // Where on the axis a place of the page lies.
  across(clientX) {
    const [low, high] = this.range, share = (clientX - this.plot.getBoundingClientRect().left - EDGE.left) / this.width;
    return low + Math.min(Math.max(share, 0), 1) * (high - low);
  }

  left(x) {
    const [low, high] = this.range;
    return EDGE.left + (x - low) / (high - low) * this.width;
  }

  // The x of the point nearest to a place.
  snap(x) {
    let found = null;
    for (const line of this.chart.lines) {
      if (!this.shows(line)) continue;
      const {x: xs} = this.points(line), at = nearest(xs, x);
      if (at >= 0 && (found === null || Math.abs(xs[at] - x) < Math.abs(found - x))) found = xs[at];
    }
    return found;
  }

  // The rule with all values, where the pointer is over this chart or another of the group.
  point() {
    const {group} = this.board, x = group.hover, [low, high] = this.range;
    const shown = x !== null && x >= low && x <= high && this.view;
    this.rule.hidden = this.tip.hidden = !shown;
    if (!shown) return;
    const at = this.left(x);
    this.rule.style.cssText = `left:${at}px;top:${EDGE.top}px;height:${this.height}px`;
    this.tip.replaceChildren(...this.values(x));
    const right = at > this.plot.clientWidth / 2;
    this.tip.style.left = right ? "" : `${at + 10}px`;
    this.tip.style.right = right ? `${this.plot.clientWidth - at + 10}px` : "";
  }

  values(x) {
    const rows = [], dark = this.board.theme.dark && this.board.state.parts.page.dark;
    const head = make("b", "");
    head.textContent = `${this.board.axisWord()} ${place(this.axis, x)}`;
    rows.push(head);
    for (const line of this.chart.lines) {
      if (!this.shows(line)) continue;
      const points = this.points(line), at = nearest(points.x, x);
      if (at < 0) continue;
      const row = make("span", "lf-tip-row");
      swatch(line, line.faint ? "lf-swatch lf-faint" : "lf-swatch", row, (dark && dark[line.colour]) || line.colour);
      make("span", "lf-tip-name", row).textContent = line.label;
      const other = points.x[at] !== x ? ` (${place(this.axis, points.x[at])})` : "";
      make("span", "lf-tip-value", row).textContent = value(points.y[at]) + other;
      rows.push(row);
    }
    const close = (this.range[1] - this.range[0]) / this.width * 4, words = this.board.state.parts.page.words;
    for (const tick of this.board.state.parts.ticks || []) {
      if (Math.abs(tick.x - x) > close) continue;
      const row = make("span", "lf-tip-row");
      row.textContent = words[tick.kind].replace("{step}", place("step", tick.step));
      rows.push(row);
    }
    return rows;
  }

  zoomBy(factor, middle) {
    const [low, high] = this.range;
    this.board.zoom([middle - (middle - low) * factor, middle + (high - middle) * factor]);
  }

  listen() {
    const {plot} = this;
    let from = null;
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.ctrlKey) return;
      from = event.clientX;
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointermove", (event) => {
      this.board.hover(this.snap(this.across(event.clientX)));
      if (from === null) return;
      const [one, other] = [from, event.clientX].map((x) => this.left(this.across(x))).sort((a, b) => a - b);
      this.brush.hidden = other - one < 5;
      this.brush.style.cssText = `left:${one}px;width:${other - one}px;top:${EDGE.top}px;height:${this.height}px`;
    });
    const end = (event, done) => {
      const began = from;
      from = null;
      this.brush.hidden = true;
      if (began === null || !done || Math.abs(event.clientX - began) < 5) return;
      this.board.zoom([this.across(began), this.across(event.clientX)].sort((a, b) => a - b));
    };
    plot.addEventListener("pointerup", (event) => end(event, true));
    plot.addEventListener("pointercancel", (event) => end(event, false));
    plot.addEventListener("pointerleave", () => this.board.hover(null));
    plot.addEventListener("dblclick", () => this.board.zoom(null));
    plot.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;  // the page scrolls
      event.preventDefault();
      this.zoomBy(Math.exp(Math.max(Math.min(event.deltaY, 200), -200) * 0.002), this.across(event.clientX));
    }, {passive: false});
    plot.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { end(event, false); this.board.hover(null); }
      if (event.ctrlKey || event.metaKey || event.altKey || !this.key(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
    plot.addEventListener("blur", () => this.board.hover(null));
    this.brush.hidden = this.rule.hidden = this.tip.hidden = true;
  }

  key(event) {
    const [low, high] = this.range, middle = this.board.group.hover ?? (low + high) / 2;
    const side = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.key === "+" || event.key === "=") this.zoomBy(1 / STEP, middle);
    else if (event.key === "-") this.zoomBy(STEP, middle);
    else if (event.key === "0") this.board.zoom(null);
    else if (side && event.shiftKey) this.board.zoom([low + side * (high - low) / 5, high + side * (high - low) / 5], true);
    else if (side) this.read(side);
    else return false;
    return true;
  }

  // Goes to the next value, and reads it aloud.
  read(side) {
    const [low, high] = this.range, now = this.board.group.hover;
    const line = this.chart.lines.filter((one) => this.shows(one)).sort((a, b) => this.points(b).x.length - this.points(a).x.length)[0];
    if (!line) return;
    const {x} = this.points(line), [first, end] = within(x, low, high);
    const inside = x.slice(first, end).filter((one) => one >= low && one <= high);
    if (!inside.length) return;
    const at = now === null ? (side > 0 ? 0 : inside.length - 1) : nearest(inside, now) + side;
    this.board.hover(inside[Math.min(Math.max(at, 0), inside.length - 1)]);
    this.voice.textContent = [...this.tip.children].map((row) => row.innerText.replace(/\s+/g, " ")).join(", ");
  }
}
