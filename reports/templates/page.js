// Draws the charts, sorts the tables, and turns the page from light to dark.
// vegaEmbed comes from the bundle that this is part of.

const root = document.documentElement;

function theme() {
  return root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function colours() {
  const style = getComputedStyle(root);
  const [text, quiet, line] = ["--text", "--quiet", "--line"].map((name) => style.getPropertyValue(name).trim());
  return {
    view: { stroke: null },
    font: style.getPropertyValue("--font").trim(),
    axis: { labelColor: text, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line,
            labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
    legend: { labelColor: text, titleColor: quiet, labelFontSize: 12 },
    rule: { color: quiet },
  };
}

async function draw() {
  for (const data of document.querySelectorAll("script.chart")) {
    const place = document.getElementById(data.dataset.place);
    const spec = JSON.parse(data.textContent);
    if (place.clientWidth < 500) {  // a phone: shorter labels leave room for the dots
      for (const layer of spec.layer || [spec]) {
        if (layer.encoding?.y?.axis?.labelLimit) layer.encoding.y.axis.labelLimit = 110;
      }
    }
    // `ast` with the interpreter: the page's policy forbids eval.
    const options = { actions: false, renderer: "svg", ast: true, config: colours(), tooltip: { theme: theme() } };
    try {
      await vegaEmbed(place, spec, options);
      place.dataset.drawn = "yes";
    } catch (error) {
      place.textContent = "This chart could not be drawn; its table is below.";
      console.error(error);
    }
  }
  root.dataset.ready = "yes";
}

function value(cell) {
  const number = cell.dataset.value;
  return number === undefined ? cell.textContent.trim().toLowerCase() : Number(number);
}

function sortable(table) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a.cells[column]), value(b.cells[column])];
        if (Number.isNaN(x)) return 1;  // what was not measured stays at the end
        if (Number.isNaN(y)) return -1;
        const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
        return falling ? -order : order;
      });
      body.append(...rows);
    });
  });
}

function open(hash) {
  const target = hash && document.getElementById(decodeURIComponent(hash.slice(1)));
  if (target?.tagName === "DETAILS") target.open = true;
}

document.querySelectorAll("table.sortable").forEach(sortable);
addEventListener("hashchange", () => open(location.hash));
open(location.hash);

try {
  const kept = localStorage.getItem("bakeoff-theme");
  if (kept) root.dataset.theme = kept;
} catch { /* a page from a file may keep nothing */ }

const toggle = document.getElementById("theme");
toggle.hidden = false;
toggle.addEventListener("click", () => {
  root.dataset.theme = theme() === "dark" ? "light" : "dark";
  try { localStorage.setItem("bakeoff-theme", root.dataset.theme); } catch { /* as above */ }
  draw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));

draw();
