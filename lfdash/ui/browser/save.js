// A chart as a picture or a specification, made here.

import {coloured, config, PAPER} from "./theme.js";

// Makes the entries of a legend look as their lines: those of one colour differ by their width and their dashes. compiled:
// Vega's own specification; Vega-Lite has no words for this.
const likeLines = (compiled, lines) => {
  const by = (of, other) => {
    const each = JSON.stringify(Object.fromEntries(lines.map((line) => [line.label, of(line)])));
    return {signal: `((${each})[datum.value] || ${other})`};  // Vega measures the entries with another datum
  };
  for (const one of compiled.legends || []) {
    one.encode = {...one.encode, symbols: {update: {
      strokeWidth: by((line) => line.faint ? 1 : 2.5, 2), opacity: by((line) => line.faint ? 0.6 : 1, 1),
      strokeDash: by((line) => line.dash, "[]"),
    }}};
  }
  return compiled;
};

const dashes = (spec, id) => (spec.layer.find((one) => one.data.name === id)?.mark.strokeDash) || [];

// The whole specification with what is shown, for paper: light, with title and legend.
const whole = (picture) => {
  const [low, high] = picture.range, rows = picture.rows(low, high), ticks = {x_lo: low, x_hi: high, y_lo: rows.y.low, y_hi: rows.y.high};
  const spec = coloured(picture.chart.spec, PAPER.background, null);
  for (const param of spec.params) if (param.name in ticks) param.value = ticks[param.name];
  for (const param of spec.params) if (param.name === "x_ticks") param.value = picture.view.signal("x_ticks");
  const {run} = picture.board.state.parts.page;
  if (run) spec.title = `${run} · ${spec.title}`;
  return {
    ...spec, datasets: rows.data, width: picture.width, height: Math.max(picture.height, 200), padding: 12,
    config: {...config(PAPER, true), background: "#ffffff"},
  };
};

export const download = (url, name) => {
  const link = document.createElement("a");
  Object.assign(link, {href: url, download: name});
  document.body.append(link);
  link.click();
  link.remove();
};

const blob = (text, type) => {
  const url = URL.createObjectURL(new Blob([text], {type}));
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return url;
};

export const save = async (picture, kind, name) => {
  const spec = whole(picture);
  if (kind === "json") {
    const text = JSON.stringify({$schema: "https://vega.github.io/schema/vega-lite/v6.json", ...spec}, null, 1);
    download(blob(text, "application/json"), `${name}.vl.json`);
    return;
  }
  const lines = picture.chart.lines.map((line) => ({...line, dash: dashes(picture.chart.spec, line.id)}));
  const {view} = await picture.board.vega(document.createElement("div"), spec, {
    mode: "vega-lite", actions: false, logLevel: 1, defaultStyle: false, patch: (compiled) => likeLines(compiled, lines),
  });
  if (kind === "svg") download(blob(await view.toSVG(), "image/svg+xml"), `${name}.svg`);
  else download(await view.toImageURL("png", 2), `${name}.png`);
  view.finalize();
};
