// A chart as a picture or a specification, made here.

import {coloured, config, PAPER} from "./theme.js";

// The whole specification with what is shown, for paper: light, with title and legend.
const whole = (picture) => {
  const [low, high] = picture.range, rows = picture.rows(low, high), ticks = {x_lo: low, x_hi: high, y_lo: rows.y.low, y_hi: rows.y.high};
  const spec = coloured(picture.chart.spec, PAPER.background, null);
  for (const param of spec.params) if (param.name in ticks) param.value = ticks[param.name];
  for (const param of spec.params) if (param.name === "x_ticks") param.value = picture.view.signal("x_ticks");
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
  const {view} = await picture.board.vega(document.createElement("div"), spec, {
    mode: "vega-lite", actions: false, defaultStyle: false,
  });
  if (kind === "svg") download(blob(await view.toSVG(), "image/svg+xml"), `${name}.svg`);
  else download(await view.toImageURL("png", 2), `${name}.png`);
  view.finalize();
};
