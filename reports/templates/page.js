// Draws the charts, sorts the tables, shows fewer, opens a cell, turns the page light or dark.
// vegaEmbed comes from the bundle that this is part of.

const root = document.documentElement;

function theme() {
  return root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

// Colours are the page's own variables: a chart follows the theme, and paper, without being
// drawn again. The font is spelt out, since labels are measured with it.
const CONFIG = {
  font: getComputedStyle(root).getPropertyValue("--font").trim(),
  view: { stroke: null },
  axis: { labelColor: "var(--text)", titleColor: "var(--quiet)", gridColor: "var(--line)",
          domainColor: "var(--line)", tickColor: "var(--line)", labelFontSize: 12, titleFontSize: 12,
          titleFontWeight: "normal", titlePadding: 8 },
  rule: { color: "var(--quiet)" },
};

const all = (query, from = document) => [...from.querySelectorAll(query)];
const rows = all("table.map tbody tr");

// What the reader took out: names of contenders, and labels of comparisons.
const out = { contender: new Set(), comparison: new Set() };

function kept(spec) {
  let left = false;
  for (const part of [spec, ...(spec.layer || [])]) {
    if (!part.data?.values) continue;
    part.data.values = part.data.values.filter(
      (row) => !out.contender.has(row.contender) && !out.comparison.has(row.comparison));
    left ||= part.data.values.some((row) => "contender" in row);
  }
  const { step, of } = spec.usermeta || {};
  if (step) {
    const names = [spec, ...(spec.layer || [])].flatMap((part) => part.data?.values || []).map((row) => row[of]);
    spec.height = step * new Set(names.filter((name) => name !== undefined)).size;
  }
  return left;
}

async function drawOne(data) {
  const place = document.getElementById(data.dataset.place);
  const spec = JSON.parse(data.textContent);
  // `ast` with the interpreter: the page's policy forbids eval.
  const options = { actions: false, renderer: "svg", ast: true, config: CONFIG, tooltip: { theme: "page" } };
  try {
    place.view?.finalize();
    if (!kept(spec)) { place.replaceChildren("Nothing of this chart is shown."); return; }
    const { view } = await vegaEmbed(place, spec, options);
    place.view = view;
    place.firstElementChild.setAttribute("aria-hidden", "true");  // the place has role and name
    view.addEventListener("click", (_, item) => {
      const row = rows.find((each) => each.dataset.label === item?.datum?.comparison);
      if (row) challenge(row.dataset.w, item.datum.contender);
    });
    if (!place.dataset.drawn) savable(place, data.dataset.place.replace("chart-", ""));
    place.dataset.drawn = "yes";
  } catch (error) {
    place.textContent = "This chart could not be drawn; its figures are in the tables.";
    console.error(error);
  }
}

async function draw() {
  for (const data of all("script.chart")) {
    await new Promise((done) => setTimeout(done));  // a reader may act between two charts
    await drawOne(data);
  }
  root.dataset.ready = "yes";
}

// --- a chart as a file -----------------------------------------------------------------------

function savable(place, name) {
  const line = document.createElement("p");
  line.className = "save";
  for (const kind of ["SVG", "PNG"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind;
    button.setAttribute("aria-label", `Save as ${kind}: ${place.getAttribute("aria-label").split(";")[0]}`);
    button.addEventListener("click", () => save(place, name, kind));
    line.append(button);
  }
  place.after(line);
}

// A file has no page around it: colours are spelt out, and the page's ground goes beneath.
function alone(place) {
  const svg = place.querySelector("svg").cloneNode(true);
  const style = getComputedStyle(root);
  const [width, height] = ["width", "height"].map((side) => place.querySelector("svg").getBoundingClientRect()[side]);
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [key, set] of Object.entries({ width: "100%", height: "100%", fill: "var(--page)" })) ground.setAttribute(key, set);
  svg.prepend(ground);
  for (const [key, set] of Object.entries({ width, height })) svg.setAttribute(key, set);
  const text = new XMLSerializer().serializeToString(svg)
    .replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim().replaceAll('"', "'"));
  return { text, width, height };
}

async function save(place, name, kind) {
  const { text, width, height } = alone(place);
  let address = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  if (kind === "PNG") {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
    canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
    address = canvas.toDataURL("image/png");
  }
  const link = Object.assign(document.createElement("a"), { href: address, download: `${name}.${kind.toLowerCase()}` });
  link.click();
}

// --- fewer -----------------------------------------------------------------------------------

const filter = document.getElementById("filter");
const boxes = filter ? all("input[type=checkbox]", filter) : [];

function select() {
  const off = {};
  for (const box of boxes) if (!box.checked) (off[box.name] ||= new Set()).add(box.value);
  out.contender = off.contender || new Set();
  const gone = rows.filter((row) => Object.entries(off).some(([facet, values]) => values.has(row.dataset[facet])));
  const ids = new Set(gone.map((row) => row.dataset.w));
  out.comparison = new Set(gone.map((row) => row.dataset.label));
  for (const each of all("[data-c], [data-w]")) {
    each.hidden = out.contender.has(each.dataset.c) || ids.has(each.dataset.w);
  }
  const count = boxes.filter((box) => box.name === "contender").length;
  const some = out.contender.size + gone.length;
  filter.querySelector("output").textContent = some
    ? `${count - out.contender.size} of ${count} contenders, ${rows.length - gone.length} of ${rows.length} comparisons are shown` : "";
}

function chosen() {
  select();
  remember(new URLSearchParams(boxes.filter((box) => !box.checked).map((box) => [`no-${box.name}`, box.value])));
  return draw();
}

// The address is #PLACE?WHAT IS LEFT OUT: a link to a view.
function address() {
  const [place, query = ""] = location.hash.slice(1).split("?");
  return { place: decodeURIComponent(place), query: new URLSearchParams(query) };
}

function remember(query) {
  const { place } = address();
  const text = query.toString();
  history.replaceState(null, "", `#${encodeURIComponent(place)}${text && `?${text}`}`);
}

function restore() {
  const { query } = address();
  if (![...query.keys()].some((key) => key.startsWith("no-"))) return;
  for (const box of boxes) box.checked = !query.getAll(`no-${box.name}`).includes(box.value);
  filter.open = true;
  select();
}

if (filter && rows.length) {
  filter.hidden = false;
  filter.addEventListener("change", chosen);
  filter.querySelector("form").addEventListener("reset", () => setTimeout(chosen));
}

// --- what a figure rests on ------------------------------------------------------------------

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  parent?.append(made);
  return made;
}

// Headings and cells of a row, as a list.
function pairs(row, parent) {
  const heads = all("thead th", row.closest("table"));
  const list = element("dl", "", parent);
  [...row.cells].forEach((cell, column) => {
    if (!cell.textContent.trim() || ["workload", "contender"].includes(heads[column].textContent)) return;
    element("dt", heads[column].textContent, list);
    element("dd", cell.textContent, list);
  });
}

// The calls of each launch: p5 to p95, the middle half, the median, and p99 hollow.
function strip(launches, parent) {
  const flat = launches.flat().filter((value) => value !== null);
  const [low, high] = [Math.min(...flat), Math.max(...flat)];
  const x = (value) => 10 + (580 * Math.log(value / low)) / (Math.log(high / low) || 1);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const mark = (tag, given) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, set] of Object.entries(given)) made.setAttribute(key, set);
    svg.append(made);
  };
  mark("title", {});
  svg.lastChild.textContent = "Calls, launch by launch, on a logarithmic axis";
  launches.forEach(([p5, p25, p50, p75, p95, p99], row) => {
    const y = 9 + 14 * row;
    mark("line", { x1: x(p5), x2: x(p95), y1: y, y2: y, stroke: "var(--quiet)" });
    mark("line", { x1: x(p25), x2: x(p75), y1: y, y2: y, stroke: "var(--accent)", "stroke-width": 5 });
    mark("circle", { cx: x(p50), cy: y, r: 4, fill: "var(--text)" });
    if (p99 !== null) mark("circle", { cx: x(p99), cy: y, r: 4, fill: "none", stroke: "var(--quiet)" });
  });
  svg.setAttribute("viewBox", `0 0 600 ${14 * launches.length + 6}`);
  svg.setAttribute("role", "img");
  parent.append(svg);
  const told = (value) => value < 1000 ? `${Number(value.toPrecision(3))} us` : `${Number((value / 1000).toPrecision(3))} ms`;
  element("p", `${told(low)} to ${told(high)}: a line for each launch, thick where half of its calls are, a dot at the median${launches.some((launch) => launch[5] !== null) ? ", a ring at p99" : ""}.`, parent).className = "quiet";
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
  const told = all("#failed li").filter(({ dataset: { of, who } }) =>
    of === contender || (of === id && (!who || who === contender)) || of === `${id} ${contender}`);
  if (told.length) {
    element("h3", "Failures and warnings", body);
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

for (const cell of all("table.map tbody td")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...cell.childNodes);
  cell.append(button);
}
document.querySelector("table.map")?.addEventListener("click", (event) => {
  const cell = event.target.closest("td");
  if (cell) challenge(cell.closest("tr").dataset.w, cell.dataset.c);
});

function value(cell) {
  const number = cell.dataset.value;
  return number === undefined ? cell.textContent.trim().toLowerCase() : Number(number);
}

function sortable(table) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a.cells[column]), value(b.cells[column])];
        // What was not measured stays at the end.
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
        return falling ? -order : order;
      });
      body.append(...rows);
    });
  });
}

function open() {
  const { place, query } = address();
  const target = place && document.getElementById(place);
  if (target?.tagName === "DETAILS") target.open = true;
  // A link within the page keeps what is left out.
  const left = boxes.filter((box) => !box.checked).map((box) => [`no-${box.name}`, box.value]);
  if (left.length && !query.size) remember(new URLSearchParams(left));
  if (query.size && target) target.scrollIntoView();
}

// A limit on a slider: what each profile chooses there is marked in the table of steps.
function slides(input) {
  const table = document.querySelector(`table.steps[data-measure="${input.dataset.measure}"]`);
  const steps = [...table.querySelectorAll("li")];
  const ends = steps.map((step) => Math.log(Number(step.dataset.from)));
  const [low, high] = [Math.min(...ends) - 0.1, Math.max(...ends) + 0.1];
  const show = () => {
    const at = Math.exp(low + (high - low) * input.value / input.max);
    input.closest(".slide").querySelector("output").textContent = told(at, input.dataset.unit);
    for (const list of table.querySelectorAll("ol")) {
      const able = [...list.children].filter((step) => Number(step.dataset.from) <= at);
      for (const step of list.children) step.classList.toggle("on", step === able.at(-1));
    }
  };
  input.closest(".slide").hidden = false;
  input.addEventListener("input", show);
  show();
}

function told(value, unit) {
  if (unit !== "B") return `${Number(value.toPrecision(2))} ${unit}`;
  return value >= 1e9 ? `${(value / 1e9).toPrecision(2)} GB` : `${Number((value / 1e6).toPrecision(2))} MB`;
}

document.querySelectorAll(".slide input").forEach(slides);
document.querySelectorAll("table.sortable").forEach(sortable);
restore();
addEventListener("hashchange", open);
open();

try {
  const kept = localStorage.getItem("bakeoff-theme");
  if (kept) root.dataset.theme = kept;
} catch { /* a page from a file may keep nothing */ }

const toggle = document.getElementById("theme");
toggle.hidden = false;
toggle.addEventListener("click", () => {
  root.dataset.theme = theme() === "dark" ? "light" : "dark";
  try { localStorage.setItem("bakeoff-theme", root.dataset.theme); } catch { /* as above */ }
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));

draw();
