// Draws the charts, without what the reader left out, and saves them. vegaEmbed is in the bundle.
// The page's script is charts.js, filter.js, cell.js and page.js, in this order, as one module.

const root = document.documentElement;
const all = (query, from = document) => [...from.querySelectorAll(query)];
const rows = all("table.map tbody tr");  // one for each comparison

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
  text: { color: "var(--text)" },
  bar: { stroke: "var(--page)", strokeWidth: 0.7 },  // parts of a bar stand apart
};

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

// A place has its chart's height before there is one: what a link leads to stays where it is.
const AXES = 60;  // pixels: beneath a chart and above it
for (const data of all("script.chart")) {
  const place = document.getElementById(data.dataset.place);
  place.style.minHeight = `${JSON.parse(data.textContent).height + AXES}px`;
}

async function drawOne(data) {
  const place = document.getElementById(data.dataset.place);
  // What the reader left out has no width to draw in; what stands above the filter stays as it is.
  if (place.closest("[hidden]") || (place.dataset.drawn && !follows(place))) return;
  const spec = JSON.parse(data.textContent);
  // `ast` with the interpreter: the page's policy forbids eval.
  const options = { actions: false, renderer: "svg", ast: true, config: CONFIG, tooltip: { theme: "page" } };
  try {
    place.view?.finalize();
    if (follows(place) && !kept(spec)) {
      delete place.dataset.drawn;
      place.replaceChildren("Nothing of this chart is shown.");
      return;
    }
    const name = place.getAttribute("aria-label");
    const { view } = await vegaEmbed(place, spec, options);
    place.view = view;
    place.told = spec.description || `${name.split(";")[0]} (${document.title})`;
    // The drawing library puts a role and a name of its own there.
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", name);
    place.removeAttribute("aria-roledescription");
    place.firstElementChild.setAttribute("aria-hidden", "true");  // the place has role and name
    view.addEventListener("click", (_, item) => {
      const row = rows.find((each) => each.dataset.label === item?.datum?.comparison);
      if (row) challenge(row.dataset.w, item.datum.contender);
    });
    if (!place.nextElementSibling?.matches(".save")) savable(place, data.dataset.place.replace("chart-", ""));
    place.dataset.drawn = "yes";  // there is a picture: it may be saved
  } catch (error) {
    delete place.dataset.drawn;
    place.textContent = "This chart could not be drawn; its figures are in the tables.";
    console.error(error);
  } finally {
    place.style.minHeight = "";
  }
}

// One drawing after the other: a newer one ends those before it at their next chart.
let last = Promise.resolve();
let newest = 0;

function draw() {
  const number = ++newest;
  last = last.then(() => drawAll(() => number === newest));
  return last;
}

async function drawAll(wanted) {
  for (const data of all("script.chart")) {
    await new Promise((done) => setTimeout(done));  // a reader may act between two charts
    if (!wanted()) return;
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

const EDGE = 10, LINE = 20;  // pixels: around all, and of a line of title or key

function drawn(tag, given, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, set] of Object.entries(given)) made.setAttribute(key, set);
  parent?.append(made);
  return made;
}

// A file has no page around it: title and key go above, colours are spelt out, and the page's
// ground goes beneath.
function alone(place) {
  const chart = place.querySelector("svg");
  const box = chart.getBoundingClientRect();
  const width = box.width + 2 * EDGE;
  const svg = drawn("svg", { width, "font-family": CONFIG.font, fill: "var(--text)" });
  drawn("rect", { width: "100%", height: "100%", fill: "var(--page)" }, svg);
  let y = EDGE;
  for (const line of wrapped(place.told, box.width)) {
    drawn("text", { x: EDGE, y: y + 14, "font-size": 14, "font-weight": 600 }, svg).textContent = line;
    y += LINE;
  }
  y = keyed(place, svg, y + 4, box.width) + 4;
  const copy = chart.cloneNode(true);
  for (const [key, set] of Object.entries({ x: EDGE, y, width: box.width, height: box.height })) copy.setAttribute(key, set);
  svg.append(copy);
  const height = y + box.height + EDGE;
  svg.setAttribute("height", height);
  const style = getComputedStyle(root);
  const text = new XMLSerializer().serializeToString(svg)
    .replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim().replaceAll('"', "'"));
  return { text, width, height };
}

function wrapped(text, width) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `600 14px ${CONFIG.font}`;
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1) ?? ""} ${word}`.trim();
    if (lines.length && pen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

// The key that stands before a chart, as far as it is shown, in lines of that width; returns
// where it ends. Its parts are where the page has them, moved together.
function keyed(place, svg, y, width) {
  const key = all(".keys").filter((each) => each.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING).at(-1);
  let x = 0;
  for (const entry of key?.children || []) {
    const own = entry.getBoundingClientRect();
    if (!own.width) continue;
    if (x && x + own.width > width) [x, y] = [0, y + LINE];
    const group = drawn("g", { transform: `translate(${EDGE + x - own.left} ${y - own.top})` }, svg);
    const icon = entry.querySelector("i");
    outline(icon, icon.getBoundingClientRect(), group);
    const dash = entry.querySelector("svg");
    if (dash) {
      const at = dash.getBoundingClientRect();
      const line = dash.firstElementChild.cloneNode();
      line.setAttribute("transform", `translate(${at.left} ${at.top})`);
      group.append(line);
    }
    const name = document.createRange();
    name.selectNodeContents(entry.lastChild);
    const at = name.getBoundingClientRect();
    drawn("text", { x: at.left, y: (at.top + at.bottom) / 2, dy: ".35em", "font-size": getComputedStyle(entry).fontSize }, group).textContent = entry.lastChild.textContent;
    x += own.width + 16;
  }
  return x ? y + LINE : y;
}

// A mark of the text is a box that is clipped; a picture needs the shape itself.
function outline(icon, box, parent) {
  const style = getComputedStyle(icon);
  const [kind, inside] = style.clipPath.split(/[()]/);
  const share = (text) => parseFloat(text) / 100;
  if (kind === "circle") {
    const [cx, cy] = [box.left + box.width / 2, box.top + box.height / 2];
    return drawn("circle", { cx, cy, r: share(inside) * box.width, fill: style.backgroundColor }, parent);
  }
  const rim = kind === "inset" ? share(inside) : 0;
  const corners = kind === "polygon"
    ? inside.split(",").map((corner) => corner.trim().split(" ").map(share))
    : [[rim, rim], [1 - rim, rim], [1 - rim, 1 - rim], [rim, 1 - rim]];
  const points = corners.map(([a, b]) => `${box.left + a * box.width},${box.top + b * box.height}`).join(" ");
  return drawn("polygon", { points, fill: style.backgroundColor }, parent);
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
