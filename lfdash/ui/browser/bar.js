// The controls above the large chart, and the menu of each chart.

import {save} from "./save.js";

const make = (tag, className, parent, text) => {
  const element = document.createElement(tag);
  element.className = className;
  if (text) element.textContent = text;
  if (parent) parent.append(element);
  return element;
};

const select = (parent, name, [label, short], choices, now, tell) => {
  const box = make("label", `lf-field lf-field-${name}`, parent);
  if (short) make("span", "lf-field-name", box, short);
  const field = make("select", "", box);
  field.name = name;
  field.setAttribute("aria-label", label);
  for (const [value, words] of choices) {
    const option = make("option", "", field, words);
    option.value = value;
  }
  field.value = now;
  field.onchange = () => tell(field.value);
};

const press = (parent, name, words, help, on) => {
  const button = make("button", `lf-button lf-button-${name}`, parent, words);
  button.type = "button";
  if (help) button.title = help;
  button.onclick = on;
  return button;
};

const toggle = (parent, name, words, help, now, tell) => {
  const button = press(parent, name, words, help, () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    tell(on);
  });
  button.setAttribute("aria-pressed", String(now));
};

const smoothing = (parent, {words, settings, tell}) => {
  const box = make("label", "lf-field lf-field-smooth", parent);
  make("span", "lf-field-name", box, words.smoothing);
  const field = make("input", "", box), said = make("output", "", box);
  const steps = settings.ladder, now = settings.spanUsed;
  const name = (span) => span ? words.span.replace("{steps}", span.toLocaleString("en-US")) : words.off;
  Object.assign(field, {type: "range", min: 0, max: steps.length - 1, step: 1, title: words.smoothing_help});
  field.value = Math.max(steps.indexOf(now), 0);
  const show = () => {
    field.style.setProperty("--lf-share", `${field.value / Math.max(steps.length - 1, 1) * 100}%`);
    said.textContent = name(steps[field.value]);
    field.setAttribute("aria-valuetext", said.textContent);
  };
  field.oninput = show;
  field.onchange = () => tell({span: steps[field.value]});
  show();
};

// The menu from which a chart is saved. csv: asks the server for all values.
const menu = (parent, picture, words, name, csv) => {
  const box = make("details", csv ? "lf-menu" : "lf-menu lf-menu-small", parent), head = make("summary", "lf-button", box, csv ? words.save : "");
  head.setAttribute("aria-label", `${words.save}: ${picture().chart.title}`);
  const list = make("div", "lf-menu-list", box);
  const entry = (kind, act) => press(list, kind, words[kind], "", () => { box.open = false; act(); });
  entry("png", () => save(picture(), "png", name()));
  entry("svg", () => save(picture(), "svg", name()));
  entry("spec", () => save(picture(), "json", name()));
  if (csv) entry("csv", csv);
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") { box.open = false; head.focus(); } });
  box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) box.open = false; });
};

const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {  // not asked from a page of its own machine, or not allowed
    const field = make("textarea", "", document.body);
    field.value = text;
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
};

// Draws the bar anew when what it shows changed.
export const drawBar = (board, bar) => {
  const {page, settings} = board.state.parts, {words} = page;
  const tell = (said) => board.tell(said);
  bar.replaceChildren();
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", words.bar);
  if (settings.charts.length > 1)
    select(bar, "chart", [words.chart, ""], settings.charts, settings.chart, (chart) => tell({chart}));
  smoothing(bar, {words, settings, tell});
  const reset = press(bar, "reset", words.reset, words.reset_help, () => board.zoom(null));
  reset.disabled = !board.group.zoom;
  const fold = press(bar, "more", words.more, "", () => {
    fold.setAttribute("aria-expanded", String(more.classList.toggle("lf-open")));
  });
  fold.setAttribute("aria-expanded", "false");
  const more = make("div", "lf-more", bar);
  select(more, "x", [words.x, "x:"], settings.axes, settings.x, (x) => { board.zoom(null); tell({x}); });
  toggle(more, "log", words.log, words.log_help, settings.log, (log) => tell({log}));
  toggle(more, "clip", words.clip, words.clip_help, settings.clip, (clip) => { board.clip(clip); tell({clip}); });
};

// What stands beside the legend of a chart: the menu, and for the large one the link.
export const drawTools = (board, picture) => {
  const {page, settings} = board.state.parts, {words, bar} = page;
  const name = () => `${page.file}-${bar ? settings.chart : picture.name}`.replace(/[^\w.-]+/g, "-");
  menu(picture.tools, () => picture, words, name, bar && page.csv ? () => board.tell({csv: Date.now()}) : null);
  if (!bar) return;
  const link = press(picture.tools, "link", words.link, words.link_help, async () => {
    const done = await copy(board.link());
    link.textContent = done ? words.copied : board.link();
    setTimeout(() => { link.textContent = words.link; }, 2000);
  });
};
