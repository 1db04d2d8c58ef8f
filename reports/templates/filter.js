// Shows fewer: what the reader leaves out goes from tables and charts, and the address keeps it.
// The page's script is charts.js, filter.js, cell.js and page.js, in this order, as one module.

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

function open() {
  const { place, query } = address();
  const target = place && document.getElementById(place);
  if (target?.tagName === "DETAILS") target.open = true;
  // A link within the page keeps what is left out.
  const left = boxes.filter((box) => !box.checked).map((box) => [`no-${box.name}`, box.value]);
  if (left.length && !query.size) remember(new URLSearchParams(left));
  if (query.size && target) target.scrollIntoView();
}
