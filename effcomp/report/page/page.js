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
const QUALITIES = ["accuracy", "macro_f1", "perplexity", "flexible_match", "rougeL"];
const MOST_BARS = 100, MOST_NAMES = 12, LOG_FROM = 6;
const TICKS = [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
const BLUE = "#1f6feb", GREY = "#8a949e", INK = "#57606a";

// ---- sorting: the number that a cell begins with, else its text; what has no number comes last

function sortKey(cell) {
  const text = cell.textContent.trim(), number = parseFloat(text);
  return Number.isNaN(number) || cell.cellIndex === 0 ? text : number;
}

function sortBy(heading) {
  const body = heading.closest("table").tBodies[0], column = heading.cellIndex;
  const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
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
  draw(kept);
}

// ---- the plot

function paretoFront(indices, x, y) {
  const sign = (objective) => (objective.direction === "minimize" ? 1 : -1);
  const cost = (index, axis) => sign(axis) * points[index].at[axis.key][0];
  const sorted = [...indices].sort((a, b) => cost(a, x) - cost(b, x) || cost(a, y) - cost(b, y));
  const front = [];
  for (const index of sorted) {
    const last = front.at(-1);
    const equal = last !== undefined && cost(index, x) === cost(last, x) && cost(index, y) === cost(last, y);
    if (last === undefined || cost(index, y) < cost(last, y) || equal) front.push(index);
  }
  return front;
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

function marks(indices, x, y, { name, colour, symbol, labelled }) {
  return {
    type: "scatter", mode: labelled ? "markers+text" : "markers", name,
    x: indices.map((index) => points[index].at[x.key][0]),
    y: indices.map((index) => points[index].at[y.key][0]),
    error_x: bars(indices, x), error_y: bars(indices, y),
    text: indices.map((index) => escaped(points[index].name)),
    textposition: indices.map((_, place) => (place % 2 ? "bottom right" : "top right")), textfont: { size: 11 },
    hovertext: indices.map((index) => hover(points[index])), hoverinfo: "text",
    hoverlabel: { align: "left", bgcolor: "#ffffff", bordercolor: "#d0d7de", font: { color: "#1c2128" } },
    marker: { color: colour, size: 9, symbol },
  };
}

function axis(objective, indices) {
  const values = indices.map((index) => points[index].at[objective.key][0]).filter((value) => value > 0);
  const less = objective.direction === "minimize";
  const log = less && Math.max(...values) > LOG_FROM * Math.min(...values);
  const title = `${objective.label} (${less ? "less" : "more"} is better${log ? ", logarithmic" : ""})`;
  const ticks = log ? { tickvals: TICKS, ticktext: TICKS.map(String) } : {};
  return { title: { text: title }, type: log ? "log" : "linear", automargin: true, zeroline: false, ...ticks };
}

function draw(indices) {
  const [x, y] = [xAxis, yAxis].map((select) => objectives.find(({ key }) => key === select.value));
  const both = indices.filter((index) => x.key in points[index].at && y.key in points[index].at);
  const testSets = Map.groupBy(both, (index) => points[index].testSet);
  const fronts = [...testSets.values()].map((alike) => paretoFront(alike, x, y));
  const front = fronts.flat(), onFront = new Set(front);
  const baselines = both.filter((index) => points[index].baseline);
  const others = both.filter((index) => !points[index].baseline);
  const labelled = front.length <= MOST_NAMES;
  const borders = fronts.map((corners) => ({
    type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
    line: { shape: "hv", color: INK, width: 1, dash: "dot" },
    x: corners.map((index) => points[index].at[x.key][0]), y: corners.map((index) => points[index].at[y.key][0]),
  }));
  const traces = [
    ...borders,
    marks(others.filter((index) => !onFront.has(index)), x, y, { name: "behind it", colour: GREY, symbol: "circle" }),
    marks(others.filter((index) => onFront.has(index)), x, y, { name: "on the Pareto front", colour: BLUE, symbol: "circle", labelled }),
    marks(baselines, x, y, { name: "float32 baseline", colour: "#1c2128", symbol: "diamond" }),
  ];
  const layout = {
    xaxis: axis(x, both), yaxis: axis(y, both), hovermode: "closest", margin: { l: 70, r: 20, t: 40, b: 60 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, font: { size: 13, color: "#1c2128" },
  };
  Plotly.react(plot, traces, layout, { responsive: true, displaylogo: false });
  const left = indices.length - both.length;
  unplotted.textContent = left ? `${left} of these have not both numbers and are not drawn` : "";
}

objectives.forEach(({ key, label }) => [xAxis, yAxis].forEach((select) => option(select, key, label)));
const quality = objectives.find(({ key }) => QUALITIES.includes(key));
xAxis.value = "latency_p50_ms";
yAxis.value = quality ? quality.key : "artifact_bytes";

reset.addEventListener("click", () => {
  words.value = "";
  choices.forEach((select) => { select.value = ""; });
  filter();
});
words.addEventListener("input", filter);
[xAxis, yAxis, ...choices].forEach((select) => select.addEventListener("change", filter));
filter();
})();
