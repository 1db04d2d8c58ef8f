// What a figure rests on: a dialog that gathers what the page says of one cell elsewhere.
// The page's script is charts.js, filter.js, cell.js and page.js, in this order, as one module.

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  parent?.append(made);
  return made;
}

// What a cell says, its parts apart: a small line below stands in a line of its own there.
function words(cell) {
  return [...cell.childNodes].map((part) => part.textContent.trim()).filter(Boolean).join(" ");
}

// Headings and cells of a row, as a list.
function pairs(row, parent) {
  const heads = all("thead th", row.closest("table"));
  const list = element("dl", "", parent);
  [...row.cells].forEach((cell, column) => {
    if (!cell.textContent.trim() || ["workload", "contender"].includes(heads[column].textContent)) return;
    element("dt", words(heads[column]), list);
    element("dd", words(cell), list);
  });
}

// Three figures, in the unit that fits, as `words.py` has it. What is no such unit stays.
const UNITS = {
  s: [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]],
  B: [["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]],
};

function scaled(value, of) {
  const rounded = Number(value.toPrecision(3));
  const units = UNITS[of] || [[of, 1]];
  const [unit, size] = units.find(([, least]) => rounded >= least) || units.at(-1);
  return `${Number((rounded / size).toPrecision(3))} ${unit}`;
}

// The calls of each launch: p5 to p95, the middle half, the median, and p99 hollow. In
// microseconds, as the table has them.
function strip(launches, parent) {
  const flat = launches.flat().filter((value) => value !== null);
  const [low, high] = [Math.min(...flat), Math.max(...flat)];
  const x = (value) => 30 + (550 * Math.log(value / low)) / (Math.log(high / low) || 1);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const mark = (tag, given) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, set] of Object.entries(given)) made.setAttribute(key, set);
    svg.append(made);
    return made;
  };
  const middle = Math.sqrt(low * high);
  const end = 14 * launches.length;
  for (const at of high > low ? [low, middle, high] : [low]) {
    mark("line", { x1: x(at), x2: x(at), y1: 2, y2: end, stroke: "var(--line)" });
    const anchor = { [low]: "start", [high]: "end" }[at] || "middle";
    mark("text", { x: x(at), y: end + 14, "text-anchor": anchor, fill: "var(--quiet)", "font-size": 11 }).textContent = scaled(1e-6 * at, "s");
  }
  mark("title", {});
  svg.lastChild.textContent = "Calls, launch by launch, on a logarithmic axis";
  launches.forEach(([p5, p25, p50, p75, p95, p99], row) => {
    const y = 9 + 14 * row;
    mark("text", { x: 4, y: y + 4, fill: "var(--quiet)", "font-size": 11 }).textContent = row + 1;
    mark("line", { x1: x(p5), x2: x(p95), y1: y, y2: y, stroke: "var(--quiet)" });
    mark("line", { x1: x(p25), x2: x(p75), y1: y, y2: y, stroke: "var(--accent)", "stroke-width": 5 });
    mark("circle", { cx: x(p50), cy: y, r: 4, fill: "var(--text)" });
    if (p99 !== null) mark("circle", { cx: x(p99), cy: y, r: 4, fill: "none", stroke: "var(--quiet)" });
  });
  svg.setAttribute("viewBox", `0 0 600 ${end + 20}`);
  svg.setAttribute("role", "img");
  parent.append(svg);
  element("p", `${scaled(1e-6 * low, "s")} to ${scaled(1e-6 * high, "s")}: a line for each launch, thick where half of its calls are, a dot at the median${launches.some((launch) => launch[5] !== null) ? ", a ring at p99" : ""}.`, parent).className = "quiet";
}

// Failures and warnings name the comparisons and the contenders that they are about, a line each;
// who names none of one kind means all of it, who names nothing speaks of the run.
function about({ of = "", who = "" }, id, contender) {
  const names = (list, one) => !list || list.split("\n").includes(one);
  return (of || who) && names(of, id) && names(who, contender);
}

function challenge(id, contender) {
  const dialog = document.getElementById("cell");
  const body = dialog.querySelector(".held");
  const here = (each) => each.dataset.c === contender;
  const details = document.getElementById(id);
  const row = all("tbody tr", details).find(here);
  dialog.querySelector("h2").textContent = `${contender} in ${details.querySelector(".name").textContent}`;
  body.replaceChildren();
  const figures = all("#figures tbody tr").find((each) => each.dataset.w === id && here(each));
  if (figures) pairs(figures, body);
  if (row?.dataset.calls) {
    element("h3", "Its calls, launch by launch", body);
    strip(JSON.parse(row.dataset.calls), body);
  }
  if (row) {
    element("h3", "Against the leader", body);
    pairs(row, body);
  }
  const told = all("#failed li").filter((each) => about(each.dataset, id, contender));
  if (told.length) {
    element("h3", "Failures, warnings and notes", body);
    const list = element("ul", "", body);
    for (const each of told) element("li", each.textContent, list);
  }
  const column = all("#manifest thead th").findIndex(here);
  if (column > 0) {
    element("h3", "What it ran with", body);
    const list = element("dl", "", body);
    for (const each of all("#manifest tbody tr")) {
      element("dt", each.cells[0].textContent, list);
      element("dd", each.cells[column].textContent, list);
    }
  }
  element("h3", "Measure it again", body);
  element("code", details.querySelector(".again code").textContent, element("p", "", body));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

const SAID = { "★": "winner", "=": "ties", "-": "not measured" };  // to those who hear a cell
for (const cell of all("table.map tbody td")) {
  const button = document.createElement("button");
  button.type = "button";
  button.tabIndex = -1;
  button.append(...cell.childNodes);
  const told = [...button.childNodes].map((part) => part.textContent.trim()).filter(Boolean);
  button.setAttribute("aria-label", `${cell.dataset.c} in ${cell.parentElement.dataset.label}: ${told.map((each) => SAID[each] || each).join(", ")}`);
  button.setAttribute("aria-haspopup", "dialog");
  cell.append(button);
}

// The Tab key comes to one cell of the map, the last that was there; arrows lead to the others.
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
let stop = null;

function stopAt(button) {
  if (stop) stop.tabIndex = -1;
  stop = button;
  if (stop) stop.tabIndex = 0;
}

function seen(button) {
  return !button.closest("[hidden]");
}

// Where the reader left that cell out, it is the first of those that are shown.
function keepStop() {
  if (!stop || !seen(stop)) stopAt(all("table.map td button").find(seen) || null);
}

const map = document.querySelector("table.map");
map?.addEventListener("click", (event) => {
  const cell = event.target.closest("td");
  if (cell) challenge(cell.closest("tr").dataset.w, cell.dataset.c);
});
map?.addEventListener("focusin", (event) => {
  if (event.target.matches("td button")) stopAt(event.target);
});
map?.addEventListener("keydown", (event) => {
  const [down, right] = STEPS[event.key] || [];
  const cell = event.target.closest("td");
  if (!cell || down === undefined) return;
  event.preventDefault();
  let [row, column] = [rows.indexOf(cell.parentElement), cell.cellIndex];
  let button;
  do {
    [row, column] = [row + down, column + right];
    button = rows[row]?.cells[column]?.querySelector("button");
  } while (button && !seen(button));
  button?.focus();
});
keepStop();
