"use strict";
// The i-th point of the data is the i-th line of the table and the i-th sentence, as the page was written.
(() => {
const { objectives, points } = JSON.parse(document.getElementById("data").textContent);
const table = document.querySelector("#comparison table");
const lines = [...table.tBodies[0].rows];
const sentences = [...document.getElementById("verdicts").children];
const texts = lines.map((line) => line.textContent.toLowerCase());
const [words, reset, shown, unplotted, plot] = ["words", "reset", "shown", "unplotted", "plot"].map((id) => document.getElementById(id));
const [xAxis, yAxis] = ["x", "y"].map((id) => document.getElementById(id));
const QUALITIES = ["accuracy_difference", "loss_difference", "accuracy", "perplexity", "flexible_match", "rougeL"];
const MOST_BARS = 100, MOST_NAMES = 8, LOG_FROM = 6, LETTERS = 11, MARGIN = { l: 80, r: 20, t: 50, b: 65 };
const PLACES = ["right", "left", "center"].flatMap((h) => (h === "center" ? ["top", "bottom"] : ["top", "bottom", "middle"]).map((v) => [h, v]));
const TICKS = [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)));

// ---- colours of the page, light or dark; the plot is drawn again when they change

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// ---- sorting: the number that a cell begins with, else its text; what has no number comes last

function sortKey(cell) {
  const text = cell.textContent.trim(), number = parseFloat(text);
  return Number.isNaN(number) || cell.cellIndex === 0 ? text : number;
}

function sortBy(heading) {
  const body = heading.closest("table").tBodies[0], column = heading.cellIndex;
  const [first, second] = heading.dataset.better === "higher" ? ["descending", "ascending"] : ["ascending", "descending"];
  const direction = heading.getAttribute("aria-sort") === first ? second : first;
  const sign = direction === "ascending" ? 1 : -1;
  const keyed = [...body.rows].map((row) => [sortKey(row.cells[column]), row]);
  const compare = ([a], [b]) =>
    typeof a === typeof b
      ? sign * (typeof a === "number" ? a - b : a.localeCompare(b))
      : typeof a === "number" ? -1 : 1;
  body.append(...keyed.sort(compare).map(([, row]) => row));
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", direction);
}

document.querySelectorAll("th button").forEach((button) => {
  button.addEventListener("click", () => sortBy(button.closest("th")));
});

// ---- filtering: the words and the choices decide over the table, the sentences and the plot at once

const choices = Object.keys(points[0].choices)
  .map((group) => [group, [...new Set(points.map((point) => point.choices[group]))].sort()])
  .filter(([, values]) => values.length > 1)
  .map(([group, values]) => {
    const select = option(document.createElement("select"), "", "all");
    select.dataset.group = group;
    values.forEach((value) => option(select, value, value));
    const label = document.createElement("label");
    label.append(group, select);
    document.getElementById("choices").append(label);
    return select;
  });

function option(select, value, text) {
  select.add(new Option(text, value));
  return select;
}

function isShown(index) {
  const typed = words.value.toLowerCase().split(/\s+/);
  return typed.every((word) => texts[index].includes(word)) &&
    choices.every((select) => !select.value || points[index].choices[select.dataset.group] === select.value);
}

function filter() {
  const kept = points.map((_, index) => index).filter(isShown), visible = new Set(kept);
  lines.forEach((line, index) => { line.hidden = !visible.has(index); });
  sentences.forEach((sentence, index) => { sentence.hidden = !visible.has(index); });
  shown.textContent = `${kept.length} of ${points.length} shown`;
  if (window.Plotly) draw(kept);
}

// ---- the plot

// The points that no other is shown to beat, from the best x to the worst (pareto_front in objectives.py).
function paretoFront(indices, x, y) {
  const costs = new Map(indices.map((index) => [index, [x, y].map((axis) => cost(points[index].at[axis.key], axis))]));
  const beaten = new Set([...beatenIn(costs, 0, 1), ...beatenIn(costs, 1, 0)]);
  return indices.filter((index) => !beaten.has(index)).sort((a, b) => costs.get(a)[0].value - costs.get(b)[0].value);
}

function cost([value, low, high], { direction }) {
  return direction === "minimize" ? { value, low, high } : { value: -value, low: -high, high: -low };
}

// Those that another beats in the first number, and that are not shown to be better in the second.
function beatenIn(costs, first, second) {
  const byHigh = [...costs.values()].sort((a, b) => a[first].high - b[first].high);
  const byLow = [...costs.keys()].sort((a, b) => costs.get(a)[first].low - costs.get(b)[first].low);
  const beaten = [];
  let count = 0, least = Infinity;
  for (const index of byLow) {
    while (byHigh[count][first].high < costs.get(index)[first].low) least = Math.min(least, byHigh[count++][second].low);
    if (least <= costs.get(index)[second].high) beaten.push(index);
  }
  return beaten;
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const digits = (number) => Number(number.toPrecision(4)).toString();

function hover(point) {
  const known = objectives.filter(({ key }) => key in point.at).map(({ key, label }) => {
    const [value, low, high] = point.at[key].map(digits);
    return `${label}: <b>${value}</b>${low === high ? "" : ` [${low}, ${high}]`}`;
  });
  return [`<b>${escaped(point.name)}</b>`, ...known].join("<br>");
}

function bars(indices, axis) {
  const at = indices.map((index) => points[index].at[axis.key]);
  return {
    type: "data", symmetric: false, thickness: 1, width: 3, visible: indices.length <= MOST_BARS,
    array: at.map(([value, , high]) => high - value), arrayminus: at.map(([value, low]) => value - low),
  };
}

function marks(indices, x, y, { name, fill, symbol, places }) {
  return {
    type: "scatter", mode: places ? "markers+text" : "markers", name,
    x: indices.map((index) => points[index].at[x.key][0]),
    y: indices.map((index) => points[index].at[y.key][0]),
    error_x: bars(indices, x), error_y: bars(indices, y),
    text: indices.map((index) => (places?.has(index) ? escaped(points[index].name) : "")),
    textposition: indices.map((index) => places?.get(index) ?? "top right"), textfont: { size: LETTERS },
    hovertext: indices.map((index) => hover(points[index])), hoverinfo: "text",
    hoverlabel: { align: "left", bgcolor: colour("page"), bordercolor: colour("line"), font: { color: colour("ink") } },
    marker: { color: fill, size: 9, symbol },
  };
}

// An axis with its unit, the direction of improvement, and room for the labels of the outermost points.
function axis(objective, indices, arrows) {
  const at = indices.map((index) => points[index].at[objective.key]), less = objective.direction === "minimize";
  const values = at.map(([value]) => value);
  const log = less && Math.min(...values) > 0 && Math.max(...values) > LOG_FROM * Math.min(...values);
  const scale = (value) => (log ? Math.log10(value) : value);
  const ends = at.flat().filter((value) => !log || value > 0).map(scale), [low, high] = [Math.min(...ends), Math.max(...ends)];
  const room = 0.08 * (high - low) || 0.1 * Math.abs(high) || 1;
  const words = `${arrows[less ? 0 : 1]} ${less ? "less" : "more"} is better${log ? ", logarithmic" : ""}`;
  const ticks = log ? { tickvals: TICKS, ticktext: TICKS.map(String) } : {};
  const range = [low - room, high + room];
  const layout = {
    title: { text: `${objective.label}<br><span style="font-size:12px">${words}</span>`, font: { size: 14 } },
    type: log ? "log" : "linear", range, automargin: true, zeroline: false, gridcolor: colour("line"), ...ticks,
  };
  return { scale, range, layout };
}

// Where the names of points are written so that they cover no name, no mark and no edge; one without room is left out.
function placesOf(front, drawn, x, y, across, up) {
  const width = plot.clientWidth - MARGIN.l - MARGIN.r, height = plot.clientHeight - MARGIN.t - MARGIN.b;
  const pixel = (value, { scale, range: [low, high] }, length) => ((scale(value) - low) / (high - low)) * length;
  const centre = (index) => [pixel(points[index].at[x.key][0], across, width), pixel(points[index].at[y.key][0], up, height)];
  const taken = drawn.map(centre).map(([left, low]) => [left - 5, low - 5, left + 5, low + 5]);
  const places = new Map();
  for (const index of front.slice(0, MOST_NAMES)) {
    const [left, low] = centre(index), long = points[index].name.length * LETTERS * 0.6;
    const box = ([h, v]) => {
      const [from, under] = [left + { left: -long - 6, center: -long / 2, right: 6 }[h], low + { bottom: -LETTERS - 8, middle: -7, top: 6 }[v]];
      return [from, under, from + long, under + LETTERS + 2];
    };
    const free = ([a, b, c, d]) => a > 0 && b > 0 && c < width && d < height &&
      taken.every(([left, low, right, high]) => c < left || right < a || d < low || high < b);
    const place = PLACES.find((one) => free(box(one)));
    if (place) {
      taken.push(box(place));
      places.set(index, `${place[1]} ${place[0]}`);
    }
  }
  return places;
}

function draw(indices) {
  const [x, y] = [xAxis, yAxis].map((select) => objectives.find(({ key }) => key === select.value));
  const both = indices.filter((index) => x.key in points[index].at && y.key in points[index].at);
  const baselines = both.filter((index) => points[index].baseline);
  const others = both.filter((index) => !points[index].baseline);
  const testSets = [...new Set(both.map((index) => points[index].testSet))];
  const front = testSets.flatMap((test) => paretoFront(both.filter((index) => points[index].testSet === test), x, y));
  const onFront = new Set(front.filter((index) => !points[index].baseline));
  const [across, up] = [axis(x, both, ["\u2190", "\u2192"]), axis(y, both, ["\u2193", "\u2191"])];
  const places = placesOf([...onFront], both, x, y, across, up);
  const traces = [
    marks(others.filter((index) => !onFront.has(index)), x, y, { name: "another is shown to beat it", fill: colour("faint"), symbol: "circle-open" }),
    marks([...onFront], x, y, { name: "on the Pareto front", fill: colour("accent"), symbol: "circle", places }),
    marks(baselines, x, y, { name: "float32 baseline", fill: colour("ink"), symbol: "diamond" }),
  ];
  const layout = {
    xaxis: across.layout, yaxis: up.layout, hovermode: "closest", margin: MARGIN, showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
    font: { size: 13, color: colour("ink") }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("faint"), activecolor: colour("ink") },
  };
  Plotly.react(plot, traces, layout, { responsive: true, displaylogo: false, displayModeBar: plot.clientWidth > 600 ? "hover" : false });
  const left = indices.length - both.length;
  unplotted.textContent = left ? `${left} of these ${left === 1 ? "does" : "do"} not have both numbers` : "";
}

objectives.forEach(({ key, label }) => [xAxis, yAxis].forEach((select) => option(select, key, label)));
xAxis.value = "speedup";
yAxis.value = QUALITIES.find((name) => objectives.some(({ key }) => key === name)) ?? "artifact_bytes";

reset.addEventListener("click", () => {
  words.value = "";
  choices.forEach((select) => { select.value = ""; });
  filter();
});
words.addEventListener("input", filter);
[xAxis, yAxis, ...choices].forEach((select) => select.addEventListener("change", filter));
dark.addEventListener("change", filter);
addEventListener("resize", filter);  // names that had room may have none
[["beforeprint", true], ["afterprint", false]].forEach(([event, printing]) => addEventListener(event, () => {
  document.documentElement.classList.toggle("printing", printing);  // paper is white
  filter();
}));
filter();

// ---- the plotting library: compressed in the page, which is a third of its size

async function loadPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (sign) => sign.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
  filter();
}

loadPlotly();
})();
