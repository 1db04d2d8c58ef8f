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
