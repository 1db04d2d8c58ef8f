// Shows fewer: what the reader leaves out goes from tables and charts, and the address keeps it.
// The page's script is charts.js, filter.js, cell.js and page.js, in this order, as one module.

const filter = document.getElementById("filter");
const boxes = filter ? all("input[type=checkbox]", filter) : [];

// Tables and charts below the filter follow it; those above belong to the choices, which do not.
function follows(each) {
  return filter && filter.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING;
}

function select() {
  const off = {};
  for (const box of boxes) if (!box.checked) (off[box.name] ||= new Set()).add(box.value);
  out.contender = off.contender || new Set();
  const gone = rows.filter((row) => Object.entries(off).some(([facet, values]) => values.has(row.dataset[facet])));
  const ids = new Set(gone.map((row) => row.dataset.w));
  out.comparison = new Set(gone.map((row) => row.dataset.label));
  for (const each of all("[data-c], [data-w]").filter(follows)) {
    const { c, and, w } = each.dataset;  // `and`: a ratio is of two
    each.hidden = out.contender.has(c) || out.contender.has(and) || ids.has(w);
  }
  const count = boxes.filter((box) => box.name === "contender").length;
  const some = out.contender.size + gone.length;
  filter.querySelector("output").textContent = some
    ? `${count - out.contender.size} of ${count} contenders, ${rows.length - gone.length} of ${rows.length} comparisons are shown` : "";
  keepStop();
}

function chosen() {
  select();
  remember();
  return draw();
}

// The address is #PLACE?WHAT IS LEFT OUT: a link to a view.
function address() {
  const [place, query = ""] = location.hash.slice(1).split("?");
  return { place: decoded(place), query: new URLSearchParams(query) };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }  // a % that escapes nothing
}

// What is left out, as the address says it.
function left() {
  return new URLSearchParams(boxes.filter((box) => !box.checked).map((box) => [`no-${box.name}`, box.value])).toString();
}

function remember() {
  const text = left();
  history.replaceState("seen", "", `#${encodeURIComponent(address().place)}${text && `?${text}`}`);
}

// Leaves out what the address says, and nothing else; true where that is news.
function restore() {
  const before = left();
  const { query } = address();
  for (const box of boxes) box.checked = !query.getAll(`no-${box.name}`).includes(box.value);
  if (left()) filter.open = true;
  if (left() || before) select();
  return left() !== before;
}

if (filter && rows.length) {
  filter.hidden = false;
  filter.addEventListener("change", chosen);
  filter.querySelector("form").addEventListener("reset", () => setTimeout(chosen));
}

// Whoever follows a link to a view, or goes back, sees what the address says. An entry of the
// history that is new and says nothing is a link within the page: it keeps what is left out.
function arrive() {
  const { place, query } = address();
  const says = [...query.keys()].some((key) => key.startsWith("no-"));
  if ((says || history.state) && restore()) draw();
  if (left() && !says) remember();
  else history.replaceState("seen", "");
  const target = place && document.getElementById(place);
  if (target?.tagName === "DETAILS") target.open = true;
  if (query.size && target) target.scrollIntoView();
  return target;
}

// The charts that are drawn meanwhile move what an address led to: unless the reader has moved on,
// it is gone to once more. (No scrolling is smooth here: in Chromium the rest of a glide that is
// under way is added to a jump, which then lands beyond.)
async function settle(target, drawing) {
  const moves = ["wheel", "touchmove", "keydown", "pointerdown"];
  const gone = new AbortController();
  for (const kind of moves) addEventListener(kind, () => gone.abort(), { once: true, passive: true, signal: gone.signal });
  await drawing;
  if (target && !gone.signal.aborted) target.scrollIntoView();
  gone.abort();
}
