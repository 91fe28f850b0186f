// The curves of a run or of several: one call a message, for one place of the page. What is drawn here outlives a tab
// of the page that is left and entered again; what the places of one group share (the zoom, the rule, what is hidden)
// is the group's.

import {drawBar, drawTools} from "./bar.js";
import {empty, take} from "./deltas.js";
import {Picture} from "./picture.js";
import {download} from "./save.js";
import {readTheme} from "./theme.js";

const PAUSE = 250;  // ms after the last change until the server is told
const boards = new Map(), groups = new Map();
let vega = null, loading = null;

const loadVega = (url) => {
  if (!loading && url) {
    loading = import(new URL(url, import.meta.url).href).then(() => {
      vega = globalThis.lfdashVega;
      for (const board of boards.values()) board.draw();
    }, () => { loading = null; });
  }
};

const groupOf = (name, settings) => {
  if (!groups.has(name)) {
    if (groups.size > 30) groups.delete(groups.keys().next().value);
    groups.set(name, {
      zoom: settings.zoom || null, hover: null, hidden: new Set(settings.hidden), clip: settings.clip,
    });
  }
  return groups.get(name);
};

class Board {
  constructor(key) {
    Object.assign(this, {key, state: empty(), pictures: new Map(), said: {}, timer: 0, theme: null, group: null, drawnBar: ""});
    this.root = document.createElement("div");
    this.root.className = "lf-curves";
    this.bar = document.createElement("div");
    this.bar.className = "lf-curves-bar";
    this.busy = document.createElement("div");
    this.busy.className = "lf-curves-busy";
    this.busy.setAttribute("role", "status");
    this.grid = document.createElement("div");
    this.root.append(this.bar, this.busy, this.grid);
  }

  get vega() { return vega; }

  // Takes a message of the server.
  take({data, parentElement, setTriggerValue}) {
    this.trigger = setTriggerValue;
    if (this.root.parentElement !== parentElement) parentElement.append(this.root);
    const changed = take(this.state, data);
    if (changed === null) {
      setTriggerValue("asked", {seq: this.state.seq, turn: Date.now()});
      return;
    }
    const {page, settings, file} = this.state.parts;
    if (!page) return;
    loadVega(page.vega);
    this.group = groupOf(page.group, settings);
    this.theme = readTheme(this.root);
    this.root.dataset.theme = this.theme.dark ? "dark" : "light";
    if (file && changed.parts.includes("file")) download(file.url, file.name);
    this.draw();
  }

  draw() {
    const {page, settings, order, reading} = this.state.parts;
    if (!page || !this.theme) return;
    const words = page.words;
    this.busy.textContent = reading !== undefined ? words.reading.replace("{percent}", Math.floor(reading * 100))
      : vega ? "" : words.loading;
    this.busy.hidden = !this.busy.textContent;
    this.busy.classList.toggle("lf-over", reading === undefined);  // the charts' place is there already
    this.grid.className = page.large ? "lf-charts lf-large" : "lf-charts";
    for (const [name, picture] of this.pictures) {
      if (order.includes(name)) continue;
      picture.root.remove();
      if (picture.view) picture.view.finalize();
      this.pictures.delete(name);
    }
    order.forEach((name, at) => {
      if (!this.pictures.has(name)) this.pictures.set(name, new Picture(name, this));
      const picture = this.pictures.get(name);
      if (!picture.drawn) picture.keepPlace();
      if (this.grid.children[at] !== picture.root) this.grid.insertBefore(picture.root, this.grid.children[at] || null);
      if (!picture.tools.firstChild) drawTools(this, picture);
      picture.soon();
    });
    const bar = JSON.stringify([page, settings]);
    if (page.bar && order.length && bar !== this.drawnBar && !this.bar.contains(document.activeElement)) {
      this.drawnBar = bar;
      drawBar(this, this.bar);
    } else if (page.bar && bar !== this.drawnBar && order.length) {
      this.drawnBar = bar;  // not under somebody's hands: what is there is what they chose
    }
    this.bar.hidden = !page.bar || !order.length;
    this.root.classList.add("lf-drawn");  // its place was kept until now (layout.py)
    this.resettable();
  }

  first() { return this.pictures.values().next().value; }

  axisWord() {
    const {axes, x} = this.state.parts.settings;
    return axes.find(([name]) => name === x)[1];
  }

  resettable() {
    const button = this.bar.querySelector(".lf-button-reset");
    if (button) button.disabled = !this.group.zoom;
  }

  // All charts of the group, wherever on the page they are.
  others() { return [...boards.values()].filter((board) => board.group === this.group && board.root.isConnected); }

  redraw() {
    for (const board of this.others()) {
      board.resettable();
      for (const picture of board.pictures.values()) picture.soon();
    }
  }

  hover(x) {
    if (this.group.hover === x) return;
    this.group.hover = x;
    for (const board of this.others()) for (const picture of board.pictures.values()) picture.point();
  }

  // Shows a part of the axis, all of it for null. move: the part keeps its width.
  zoom(range, move) {
    const {lo, hi} = this.state.parts.range || {lo: 0, hi: 1};
    let wanted = range;
    if (wanted) {
      let [low, high] = wanted;
      if (move && low < lo) [low, high] = [lo, high + lo - low];
      if (move && high > hi) [low, high] = [low + hi - high, hi];
      [low, high] = [Math.max(low, lo), Math.min(high, hi)];
      const least = Math.max((hi - lo) * 1e-6, Number.EPSILON);
      [low, high] = this.rounded(low, high);
      wanted = high - low < least || (low <= lo && high >= hi) ? (high - low < least ? this.group.zoom : null) : [low, high];
    }
    if (JSON.stringify(wanted) === JSON.stringify(this.group.zoom)) return;
    this.group.zoom = wanted;
    this.redraw();
    this.tell({zoom: wanted});
  }

  // Ends that can be read in an address: whole steps, six digits of anything else.
  rounded(low, high) {
    if (this.state.parts.settings.x === "step" && high - low > 10) return [Math.round(low), Math.round(high)];
    const digits = 6 + Math.max(0, Math.ceil(Math.log10(Math.max(Math.abs(low), Math.abs(high)) / (high - low))));
    return [low, high].map((one) => Number(one.toPrecision(Math.min(digits, 15))));
  }

  // Leaves room for the beginning of the log on a small screen.
  get height() { return Math.round(Math.min(Math.max(window.innerHeight / 2 - 116, 230), 460)); }

  toggle(label) {
    const {hidden} = this.group;
    if (!hidden.delete(label)) hidden.add(label);
    for (const board of this.others()) for (const picture of board.pictures.values()) {
      for (const button of picture.legend.children)
        button.setAttribute("aria-pressed", String(!hidden.has(button.textContent)));
    }
    this.redraw();
    this.tell({hidden: [...hidden]});
  }

  clip(on) {
    this.group.clip = on;
    this.redraw();
  }

  // Tells the server, once nothing changes any more.
  tell(said) {
    Object.assign(this.said, said);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const told = this.said;
      this.said = {};
      this.trigger("told", told);
    }, PAUSE);
  }

  // The address of what is shown.
  link() {
    const {page, settings} = this.state.parts, words = new URLSearchParams(settings.query);
    const address = new URL(location.href);
    for (const name of page.fields) address.searchParams.delete(name);
    for (const [name, value] of words) address.searchParams.set(name, value);
    for (const [name, value] of Object.entries(page.shown)) address.searchParams.set(name, value);
    if (this.group.zoom) address.searchParams.set("zoom", this.group.zoom.join("~"));
    else address.searchParams.delete("zoom");
    return address.href;
  }
}

export default (message) => {
  const key = message.data.key;
  if (!boards.has(key)) boards.set(key, new Board(key));
  boards.get(key).take(message);
};
