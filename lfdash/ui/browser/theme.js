// The page's own colours and letters, for what Vega draws.

const brightness = (colour) => {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  return 0.299 * red + 0.587 * green + 0.114 * blue;
};

export const readTheme = (element) => {
  const style = getComputedStyle(element), of = (name, other) => style.getPropertyValue(name).trim() || other;
  const background = of("--st-background-color", "#ffffff");
  return {
    background, dark: brightness(background) < 128, text: of("--st-text-color", "#31333f"),
    font: of("--st-font", "sans-serif"),
  };
};

export const faint = (theme) => theme.dark ? 0.62 : 0.45;  // opacity of what is drawn behind another

export const PAPER = {background: "#ffffff", dark: false, text: "#262730", font: "sans-serif"};

export const config = (theme, legend) => {
  const faded = theme.dark ? "#c3c7cf" : "#5a5f69", lines = theme.dark ? "#2b2f38" : "#e8eaee";
  return {
    background: null, font: theme.font, view: {stroke: null},
    legend: legend ? {labelColor: theme.text, symbolType: "stroke", symbolSize: 300} : {disable: true},
    axis: {
      labelColor: faded, titleColor: faded, gridColor: lines, domainColor: lines, tickColor: lines, titleFontWeight: "normal",
      labelFontSize: 11, titleFontSize: 11, labelOverlap: true, labelSeparation: 8, titlePadding: 4,
    },
    axisX: {grid: false, tickCount: 8}, axisY: {tickCount: 5, labelLimit: 52, minExtent: 0},
    title: {color: theme.text, fontSize: 13, anchor: "start"}, text: {color: theme.text}, style: {},
  };
};

const HALO = "#fefefe";  // stands for what is behind (lfdash/ui/curves/specs.py)

// The specification with the colours of the page. dark: those of a dark one by those of a light one; null on a light one.
export const coloured = (spec, background, dark) => {
  const walk = (one) => {
    if (typeof one === "string") return one === HALO ? background : (dark && dark[one]) || one;
    if (Array.isArray(one)) return one.map(walk);
    if (one && typeof one === "object") return Object.fromEntries(Object.entries(one).map(([k, v]) => [k, walk(v)]));
    return one;
  };
  return walk(spec);
};
