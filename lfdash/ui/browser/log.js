// The log of a run: what the server sent of it, and what is asked for. The server sends only what is new; a line, a page or
// a search is asked for with `setTriggerValue("ask", …)` and answered in `data.reply`.
import {Model} from "./log_model.js";
import {List} from "./log_list.js";
import {STYLE} from "./log_style.js";

const WAIT = 5000, PAUSE = 250, READING = 2000, SETTLES = 5000, NEAR = 40;
const logs = new Map();  // what each place of the page held, also while it is not drawn
let words = {};

const make = (tag, into, properties = {}, attributes = {}) => {
  const element = into.appendChild(Object.assign(document.createElement(tag), properties));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => name in values ? values[name] : all);
const number = (value) => value.toLocaleString(document.documentElement.lang || undefined);
const size = (bytes) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < 4) { bytes /= 1000; unit++; }
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
};

class Log {
  constructor() {
    Object.assign(this, {model: new Model(), fresh: 0, query: "", found: null, here: -1, asks: [], number: 0, told: {}});
    this.host = document.createElement("div");
    this.host.lfLog = this;
    const root = this.host.attachShadow({mode: "open"});
    make("style", root, {textContent: STYLE});
    this.box = make("div", root, {className: "log"});
    this.head();
    this.lines = make("div", this.box, {className: "lines", tabIndex: 0}, {role: "region"});
    this.end = make("button", this.box, {className: "end", hidden: true, onclick: () => this.toEnd()});
    this.none = make("div", this.lines, {className: "note", hidden: true}, {role: "status"});
    this.list = new List(this.lines, (item) => this.draw(item), () => this.moved());
    window.addEventListener("resize", () => this.fit());
    this.lines.addEventListener("keydown", (event) => this.pressed(event));
    this.wrap(localStorage.getItem("lfdash_log_wrap") === "1");
  }

  head() {
    const bar = make("div", this.box, {className: "bar"});
    this.search = make("input", bar, {type: "search", oninput: () => this.typed(), maxLength: 200, spellcheck: false});
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); this.next(event.shiftKey); }
      if (event.key === "Escape" && this.search.value) { this.search.value = ""; this.typed(); }
    });
    const steps = make("span", bar, {className: "group"});
    this.up = make("button", steps, {textContent: "↑", onclick: () => this.next(true)});
    this.down = make("button", steps, {textContent: "↓", onclick: () => this.next(false)});
    this.count = make("span", bar, {className: "found"}, {role: "status"});
    const levels = make("span", bar, {className: "group"}, {role: "group"});
    this.levels = [0, 1, 2].map((level) => make("button", levels, {onclick: () => this.filter(level)}));
    this.wraps = make("button", bar, {onclick: () => this.wrap(!this.list.wrapped)});
    this.trace = make("button", bar, {onclick: () => this.ask({what: "traceback"})});
    make("span", bar, {className: "space"});
    this.where = make("span", bar, {className: "where"});
  }

  // -- what comes ---------------------------------------------------------------------------------------

  take(data, send) {
    this.send = send;
    if (data.words) words = data.words;
    if (data.session === this.session && data.turn <= this.turn) return;
    Object.assign(this, {session: data.session, turn: data.turn});
    this.told = {...this.told, ...data.told};
    this.fit();
    if (data.page && data.page.all) this.whole(data.page);
    else if (data.rows) this.news(data);
    else if (data.to !== undefined && data.to > this.model.end && this.model.attached) this.ask({what: "end"});
    if (!words.log_all) this.ask({what: "told"});
    if (data.reply) this.answered(data.reply);
    clearTimeout(this.reading);
    // what is said beside the lines is known when all of it is read
    if (this.told.indexed < 1) this.reading = setTimeout(() => this.host.isConnected && this.ask({what: "told"}), READING);
    this.say();
  }

  // As high as the window has room for below, so that its end can be seen; a height that somebody chose stays.
  fit() {
    const main = this.host.closest('[data-testid="stMain"]'), {style} = this.box;
    if (!main || (style.height && style.height !== this.height)) return;
    const state = `${window.innerHeight} ${this.told.tall}`;
    if (state === this.fitted && performance.now() > this.settled) return;
    this.fitted = state;
    const top = this.host.getBoundingClientRect().top + main.scrollTop;
    const room = window.innerHeight - top - 20;
    style.height = `${Math.round(room >= 150 ? Math.min(room, window.innerHeight * 0.75) : this.told.tall ? 400 : 320)}px`;
    this.height = style.height;
  }

  // What stands above it may be drawn after it.
  watch() {
    const main = this.host.closest('[data-testid="stMainBlockContainer"]');
    if (this.watching) this.watching.disconnect();
    this.watching = new ResizeObserver(() => (performance.now() < this.settled ? this.fit() : this.watching.disconnect()));
    if (main) this.watching.observe(main);
  }

  whole(page) {
    if (page.kept && !this.list.follows) { this.model.attached = false; return; }
    this.model.reset(page);
    this.fresh = 0;
    this.list.follows = page.mark === undefined;
    this.show();
    if (page.mark !== undefined) this.point(page.mark);
  }

  news(data) {
    const fresh = this.model.news(data.from, data.to, data.rows);
    if (fresh === null) {  // a message was left out
      this.model.attached = false;
      if (this.list.follows) this.ask({what: "end"});
      return;
    }
    if (this.list.follows) { this.fresh = 0; this.model.trim(true); } else this.fresh += fresh;
    if (!this.model.attached) this.fresh += data.rows.filter((row) => row[1] !== -1 && !(row[1] & 19)).length;
    this.show();
  }

  answered(reply) {
    const asked = this.asks[0];
    if (!asked || asked.id !== reply.id) return;
    this.asks.shift();
    clearTimeout(this.timer);
    if (reply.page && reply.page.all) this.whole(reply.page);
    else if (reply.page) this.paged(asked, reply.page);
    if (reply.found) this.matched(asked, reply.found);
    this.sendNext();
  }

  paged(asked, page) {
    if (asked.what === "older") { this.model.older(page); this.model.trim(false); }
    if (asked.what === "newer") { this.model.newer(page); this.model.trim(true); }
    if (asked.what === "lines") this.model.unfold(page);
    this.show();
  }

  show() { this.list.set(this.model.items()); }

  // -- what is asked for --------------------------------------------------------------------------------

  ask(what) {
    if (["older", "newer", "end", "told"].includes(what.what) && this.asks.some((one) => one.what === what.what)) return;
    const wordless = !words.log_all;
    this.asks.push({...what, id: `${this.session}.${++this.number}`, level: this.level || 0, ...(wordless && {wordless})});
    if (this.asks.length === 1) this.sendNext();
  }

  sendNext() {
    clearTimeout(this.timer);
    const [asked] = this.asks;
    if (!asked || !this.send) return;
    this.send(asked);
    this.timer = setTimeout(() => {
      if ((asked.tries = (asked.tries || 0) + 1) > 3) this.asks.shift();
      this.sendNext();
    }, WAIT);
  }

  moved() {
    const [first, last] = this.list.seen();
    const {model, list} = this;
    if (model.rest && (first < NEAR || list.tops.at(-1) < this.lines.clientHeight)) this.ask({what: "older", place: model.begin});
    if (!model.attached && last > list.items.length - NEAR) this.ask({what: "newer", place: model.end});
    if (list.follows && !model.attached) list.follows = false;
    if (list.follows) this.fresh = 0;
    this.say();
  }

  toEnd() {
    this.fresh = 0;
    this.here = -1;
    if (this.model.attached) this.list.toEnd(); else this.ask({what: "end"});
  }

  filter(level) {
    Object.assign(this, {level, found: null, here: -1, around: ""});
    if (this.query) this.find({});
    this.ask({what: "end"});
    this.say();
  }

  wrap(on) {
    localStorage.setItem("lfdash_log_wrap", on ? "1" : "0");
    this.list.wrap(on);
    this.say();
  }

  pressed(event) {
    if (event.key === "End" && !this.model.attached) { event.preventDefault(); this.toEnd(); }
    if ((event.ctrlKey || event.metaKey) && event.key === "f") { event.preventDefault(); this.search.focus(); }
  }

  // -- searching ----------------------------------------------------------------------------------------

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.takeQuery(), PAUSE);
  }

  takeQuery() {
    clearTimeout(this.typing);
    const query = this.search.value.trim();
    if (query === this.query) return;
    Object.assign(this, {query, found: null, here: -1, around: ""});
    this.list.redraw();
    if (query) this.find({});
    this.say();
  }

  find(more) {
    this.asks = this.asks.filter((one, place) => !place || one.what !== "find");
    this.ask({what: "find", query: this.query, ...more});
  }

  next(back) {
    this.takeQuery();  // Enter may come before the pause after the last letter
    if (!this.query) return;
    const seen = this.list.items[this.list.seen()[back ? 1 : 0]];
    const from = this.here >= 0 ? this.here + (back ? 0 : 1) : seen ? seen.at + (back ? 1 : 0) : 0;
    this.find({place: from, back});
  }

  matched(asked, found) {
    if (asked.query !== this.query) return;
    this.found = {...this.found, ...found};
    const {back, wrapped} = asked;
    if (found.place !== undefined && found.place !== null) {
      this.around = wrapped ? (back ? "log_wrapped_end" : "log_wrapped_start") : "";
      this.point(found.place, true);
    } else if (found.place === null && found.reached > 0 && found.reached < this.told.size) this.find({place: found.reached, back, wrapped});
    else if (found.place === null && !wrapped) this.find({place: back ? this.told.size : 0, back, wrapped: true});  // once around
    clearTimeout(this.looking);
    if (!found.done) this.looking = setTimeout(() => this.query === asked.query && this.find({}), 400);
    this.say();
  }

  point(place, asks) {
    this.here = place;
    if (this.model.mark !== place) { this.model.mark = place; this.list.items = this.model.items(); this.list.set(this.list.items); }
    if (this.list.show(place)) this.list.redraw();
    else if (asks) this.ask({what: "around", place});
  }

  // -- what is seen -------------------------------------------------------------------------------------

  draw(item) {
    if (item.fold || item.more) return this.drawFold(item);
    const {row} = item, node = document.createElement("div");
    node.className = `line l${row.level}${item.inside ? " inside" : ""}${row.at === this.here ? " here" : ""}`;
    this.mark(node, row.text || "\u200b");
    if (row.cut) make("i", node, {textContent: ` … + ${size(row.cut)}`});
    return node;
  }

  mark(node, text) {
    const query = this.query.toLowerCase(), lower = query && text.toLowerCase();
    let done = 0;
    if (query && lower.length === text.length) for (let place = lower.indexOf(query); place >= 0; place = lower.indexOf(query, done)) {
      node.append(text.slice(done, place));
      make("mark", node, {textContent: text.slice(place, place + query.length)});
      done = place + query.length;
    }
    node.append(text.slice(done));
  }

  drawFold(item) {
    const sum = item.more ? item.row : item;
    const parts = [["progress", sum.progress], ["metrics", sum.metrics]].filter(([, count]) => count)
      .map(([name, count]) => fill(words[`log_${name}`] || "{n}", {n: number(count)}));
    const button = document.createElement("button");
    button.className = "fold";
    button.textContent = `${item.more ? "  ⋯" : item.open ? "▾" : "▸"} ${parts.join(" · ")}`;
    if (!item.more) button.setAttribute("aria-expanded", String(Boolean(item.open)));
    button.onclick = () => {
      this.list.follows = false;
      const folds = item.more ? [item.row] : this.model.toggle(item.first);
      for (const row of folds.slice(-4)) this.ask({what: "lines", begin: row.at, end: row.end});
      this.show();
    };
    return button;
  }

  say() {
    if (!words.log_all) return;
    const {told, found, model} = this, level = this.level || 0;
    const set = (element, property, value) => { if (element[property] !== value) element[property] = value; };
    set(this.search, "placeholder", words.log_search);
    this.search.setAttribute("aria-label", words.log_search);
    for (const [button, name] of [[this.up, "log_previous"], [this.down, "log_next"]]) {
      set(button, "title", words[name]);
      button.setAttribute("aria-label", words[name]);
      set(button, "disabled", !this.query || Boolean(found && found.done && !found.count));
    }
    const counts = [null, told.warnings, told.errors];
    ["log_all", "log_warnings", "log_errors"].forEach((name, place) => {
      const many = counts[place] ? ` ${number(counts[place])}${told.indexed < 1 ? "+" : ""}` : "";
      set(this.levels[place], "textContent", words[name] + many);
      this.levels[place].setAttribute("aria-pressed", String(level === place));
    });
    set(this.wraps, "textContent", words.log_wrap);
    this.wraps.setAttribute("aria-pressed", String(this.list.wrapped));
    set(this.trace, "textContent", words.log_traceback);
    set(this.trace, "hidden", !told.traceback);
    set(this.count, "textContent", this.query ? this.countWords(found) : "");
    set(this.count, "hidden", !this.query);
    this.lines.setAttribute("aria-label", words.log_region);
    const none = level && told.indexed >= 1 && !this.list.items.length && !this.asks.length;
    set(this.none, "textContent", none ? words[level === 1 ? "log_no_warnings" : "log_no_errors"] : "");
    set(this.none, "hidden", !none);
    set(this.end, "hidden", this.list.follows);
    set(this.end, "textContent", this.fresh ? `↓ ${fill(words.log_new, {n: number(this.fresh)})}` : `↓ ${words.log_end}`);
    set(this.where, "textContent", this.whereWords());
  }

  countWords(found) {
    if (!found) return "…";
    const many = number(found.count) + (found.done ? "" : ` · ${Math.floor(100 * found.share)} %`);
    if (!found.count && found.done) return words.log_none;
    const here = found.number === undefined || found.number === null ? many : `${number(found.number + 1)} / ${many}`;
    return this.around ? `${here} · ${words[this.around]}` : here;
  }

  whereWords() {
    const {told, model, list} = this, whole = told.size || 0;
    const first = list.items[list.seen()[0]];
    const share = first && whole && (model.rest || !model.attached) ? ` · ${Math.floor(100 * first.at / whole)} %` : "";
    const busy = this.asks.some((one) => ["older", "newer", "end", "around"].includes(one.what)) ? " · …" : "";
    return list.follows ? size(whole) : size(whole) + share + busy;
  }
}

export default ({key, data, parentElement, setTriggerValue}) => {
  const place = `${data.run}`;
  let log = logs.get(place);
  if (!log) {
    log = new Log();
    logs.set(place, log);
    for (const old of [...logs.keys()].slice(0, -3)) logs.delete(old);
  }
  if (log.host.parentElement !== parentElement) {
    for (const other of [...parentElement.children]) if (other.dataset.lflog) other.remove();
    log.host.dataset.lflog = "1";
    parentElement.appendChild(log.host);
    log.settled = performance.now() + SETTLES;
    log.watch();
    log.list.again();
  }
  log.take(data, (asked) => setTriggerValue("ask", asked));
};
