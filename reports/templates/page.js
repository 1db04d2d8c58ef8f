// Sorts the tables and shows where they go on, moves the sliders, turns the page light or dark,
// and starts all.
// The page's script is charts.js, filter.js, cell.js and page.js, in this order, as one module.

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

// A box that holds more columns than it shows says so at its edge.
function edges(box) {
  const { scrollLeft, clientWidth, scrollWidth } = box;
  box.classList.toggle("moved", scrollLeft > 0);
  box.classList.toggle("more", scrollLeft + clientWidth < scrollWidth - 1);
}

const sizes = new ResizeObserver((seen) => seen.forEach(({ target }) => edges(target.closest(".scroll"))));
for (const box of all(".scroll")) {
  sizes.observe(box);
  sizes.observe(box.firstElementChild);
  box.addEventListener("scroll", () => edges(box), { passive: true });
}

// A limit on a slider: what each profile chooses there is marked in the table of steps.
function slides(input) {
  const table = document.querySelector(`table.steps[data-measure="${input.dataset.measure}"]`);
  const steps = [...table.querySelectorAll("li")];
  const ends = steps.map((step) => Math.log(Number(step.dataset.from)));
  const [low, high] = [Math.min(...ends) - 0.1, Math.max(...ends) + 0.1];
  const show = () => {
    const at = Math.exp(low + (high - low) * input.value / input.max);
    const text = scaled(at, input.dataset.unit);
    input.closest(".slide").querySelector("output").textContent = text;
    input.setAttribute("aria-valuetext", text);
    for (const list of table.querySelectorAll("ol")) {
      const able = [...list.children].filter((step) => Number(step.dataset.from) <= at);
      for (const step of list.children) {
        step.classList.toggle("on", step === able.at(-1));
        step.setAttribute("aria-current", step === able.at(-1));
      }
    }
  };
  input.closest(".slide").hidden = false;
  input.addEventListener("input", show);
  show();
}

root.dataset.scripted = "yes";  // what speaks of charts and presses is shown
document.querySelectorAll(".slide input").forEach(slides);
document.querySelectorAll("table.sortable").forEach(sortable);
restore();
addEventListener("hashchange", arrive);
const target = arrive();

const toggle = document.getElementById("theme");
toggle.hidden = false;
toggle.addEventListener("click", () => {
  root.dataset.theme = theme() === "dark" ? "light" : "dark";
  try { localStorage.setItem("bakeoff-theme", root.dataset.theme); } catch { /* a page from a file may keep nothing */ }
});

settle(target, draw());
