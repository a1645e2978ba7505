// Sorting, filtering and picking rows of a table. Without it the pages are complete, in the order of the standings.
// The view is kept in the address, after "#view:", so that it can be bookmarked and shared.
"use strict";

const views = new Map(); // table id to { sort, down, text, least, others, whole, picked, only }, and the facets
const FACETS = ["agent", "network", "method", "zeros"];
const NOTHING = { sort: "", down: false, text: "", least: 0, others: true, whole: false, picked: [], only: false };
for (const name of FACETS) NOTHING[name] = "";

function key(cell) {
  const text = (cell.dataset.sort ?? cell.textContent).trim();
  const number = Number.parseFloat(text.replace(/[[,]/g, "").replace("\u2212", "-"));
  return Number.isNaN(number) ? { text } : { number, text };
}

function compare(a, b, sign) {
  const missing = (one) => one.text === "" || one.text === "\u2014";
  if (missing(a) !== missing(b)) return missing(a) ? 1 : -1;
  if (a.number !== undefined && b.number !== undefined) return sign * (a.number - b.number);
  return sign * a.text.localeCompare(b.text, "en");
}

function entries(table) {
  return [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.classList.contains("part"));
}

function arrange(table, view) {
  const headers = [...table.tHead.rows[0].cells];
  const column = headers.findIndex((header) => header.dataset.key === view.sort);
  headers.forEach((header) => header.removeAttribute("aria-sort"));
  table.classList.toggle("resorted", column >= 0);
  const rows = entries(table);
  if (column < 0) {
    rows.sort((a, b) => a.dataset.place - b.dataset.place);
  } else {
    headers[column].setAttribute("aria-sort", view.down ? "descending" : "ascending");
    const keys = new Map(rows.map((row) => [row, key(row.cells[column])]));
    rows.sort((a, b) => compare(keys.get(a), keys.get(b), view.down ? -1 : 1) || a.dataset.place - b.dataset.place);
  }
  for (const row of rows) row.parentNode.append(row); // each stays in its own part of the table
}

function fits(row, view) {
  if (view.only && view.picked.length) return view.picked.includes(row.dataset.id);
  const published = row.classList.contains("published");
  const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${row.querySelector("th").textContent} ${row.dataset.words ?? ""}`.toLowerCase();
  return (
    words.every((word) => text.includes(word)) &&
    FACETS.every((name) => !view[name] || row.dataset[name] === view[name]) &&
    (published ? view.others : Number(row.dataset.level ?? 9) >= view.least) &&
    (!view.whole || row.dataset.complete === "1")
  );
}

function show(table) {
  const view = views.get(table.id);
  arrange(table, view);
  const rows = entries(table);
  rows.forEach((row) => { row.hidden = !fits(row, view); });
  for (const part of table.querySelectorAll("tr.part")) {
    part.hidden = !rows.some((row) => row.parentNode === part.parentNode && !row.hidden);
  }
  const tools = document.querySelector(`.tools[data-for="${table.id}"]`);
  if (!tools) return;
  const set = (name, value) => { tools.querySelector(name).value = value; };
  const tick = (name, value) => { tools.querySelector(name).checked = value; };
  if (document.activeElement !== tools.querySelector(".text")) set(".text", view.text);
  set(".least", view.least);
  for (const field of tools.querySelectorAll(".facet")) field.value = view[field.dataset.facet];
  tick(".others", view.others);
  tick(".whole", view.whole);
  const only = tools.querySelector(".only");
  only.disabled = view.picked.length < 2 && !view.only;
  only.textContent = view.only ? "Show all" : `Compare selected (${view.picked.length})`;
  rows.forEach((row) => {
    const box = row.querySelector("input.pick");
    if (!box) return;
    box.checked = view.picked.includes(row.dataset.id);
    box.disabled = !box.checked && view.picked.length >= 6;
  });
  const link = tools.querySelector("a.pair");
  const [one, other] = view.picked;
  const pair = view.picked.length === 2 && rows.some((row) => row.dataset.id === one && (row.dataset.paired ?? "").split(" ").includes(other));
  link.hidden = !pair;
  if (pair) link.href = `${tools.dataset.pairs}${[...view.picked].sort().join("--")}.html`;
  const chosen = view.picked.map((id) => rows.find((row) => row.dataset.id === id)).filter(Boolean);
  tools.querySelector(".differences").textContent = pair ? "" : differences(chosen);
  beside(table, view.only ? chosen : []);
  const shown = rows.filter((row) => !row.hidden).length;
  tools.querySelector(".count").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} entries`;
}

// What Student's t is exceeded by in one of forty cases on each side (Abramowitz and Stegun 26.7.5).
function quantile(freedom) {
  const z = 1.959964;
  return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2);
}

// The name of a row's entry, with the settings in which it departs from the published ones.
function label(row) {
  const own = row.querySelector(".departure");
  return [row.querySelector(".name").textContent, own ? `(${own.textContent})` : ""].join(" ").replace(/\s+/g, " ").trim();
}

// The differences of the chosen entries to the first of them, with Welch's intervals: for pairs that have no page.
function differences(rows) {
  const known = rows.filter((row) => row.dataset.error);
  if (known.length < 2) return "";
  const shown = (value) => (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(2);
  const [first, ...others] = known.map((row) => ({
    name: label(row),
    value: Number(row.dataset.value),
    squared: Number(row.dataset.error) ** 2,
    freedom: Number(row.dataset.freedom),
  }));
  const parts = others.map((other) => {
    const squared = first.squared + other.squared;
    const freedom = squared ** 2 / (first.squared ** 2 / first.freedom + other.squared ** 2 / other.freedom);
    const half = quantile(freedom) * Math.sqrt(squared);
    const value = first.value - other.value;
    return `less ${other.name}: ${shown(value)} [${shown(value - half)}, ${shown(value + half)}]`;
  });
  return `${first.name} ${parts.join("; ")}. Intervals adjusted for nothing, no verdict.`;
}

// Chosen entries beside each other, from a file of the task's that is loaded when it is first asked for.
function beside(table, chosen) {
  const place = document.querySelector(`.sides[data-for="${table.id}"]`);
  if (!place) return;
  place.hidden = chosen.length < 2;
  if (place.hidden) return;
  if (self.chosenFrom) {
    place.replaceChildren(...sides(self.chosenFrom, chosen));
  } else if (!place.dataset.asked) {
    const script = document.createElement("script");
    place.dataset.asked = "1";
    script.src = place.dataset.from;
    script.addEventListener("load", () => show(table));
    document.head.append(script);
  }
}

function sides(known, chosen) {
  const held = chosen.map((row) => ({
    row,
    swatch: row.querySelector(".swatch"),
    name: label(row),
    ...known.entries[row.dataset.id],
  }));
  const parts = [node("h3", {}, "Side by side")];
  const curves = drawing(held.filter((one) => one.curve.length), known.unit);
  if (curves) parts.push(curves);
  const games = known.games.map((game, place) => [game, ...held.map((one) => one.games[place]?.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }) ?? "\u2014")]);
  parts.push(grid(`Mean by game, ${known.scale}`, held, games));
  const names = [...new Set(held.flatMap((one) => Object.keys(one.settings)))].sort();
  const differing = names
    .map((name) => [name, ...held.map((one) => one.settings[name] ?? "\u2014")])
    .filter(([, ...values]) => new Set(values).size > 1);
  parts.push(differing.length ? grid("Settings that differ", held, differing) : node("p", {}, "No setting is known to differ."));
  return parts;
}

function node(name, attributes, ...children) {
  const vector = ["svg", "path", "text", "g"].includes(name);
  const made = vector ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function grid(title, held, rows) {
  const heads = held.map((one) => node("th", { scope: "col", class: "num" }, one.swatch.cloneNode(true), node("span", { class: "entry" }, one.name)));
  const head = node("thead", {}, node("tr", {}, node("th", { scope: "col", class: "first" }, title), ...heads));
  const body = rows.map(([name, ...values]) =>
    node("tr", {}, node("th", { scope: "row", class: "first" }, name), ...values.map((value) => node("td", { class: "num" }, value))));
  const table = node("table", { class: "games" }, head, node("tbody", {}, ...body));
  return node("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": title }, table);
}

function drawing(held, unit) {
  const points = held.flatMap((one) => one.curve).filter(([, value]) => value !== null);
  if (!points.length) return null;
  const ends = [Math.max(...points.map(([at]) => at)), Math.max(...points.map(([, value]) => value)), Math.min(0, ...points.map(([, value]) => value))];
  const step = [1, 2, 2.5, 5, 10].map((one) => one * 10 ** Math.floor(Math.log10((ends[1] - ends[2] || 1) / 4))).find((one) => one * 4.001 >= ends[1] - ends[2]);
  const [low, high] = [Math.floor(ends[2] / step) * step, Math.ceil(ends[1] / step) * step];
  const x = (at) => (50 + (572 * at) / ends[0]).toFixed(1);
  const y = (value) => (216 - (208 * (value - low)) / (high - low || 1)).toFixed(1);
  const ticks = node("g", { class: "ticks", fill: "currentColor" });
  const rules = [];
  for (let value = low; value <= high + step / 2; value += step) {
    rules.push(`M50 ${y(value)}H622`);
    ticks.append(node("text", { x: 44, y: Number(y(value)) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(3)))));
  }
  const last = ends[0] >= 1e6 ? `${ends[0] / 1e6}M` : ends[0] >= 1e3 ? `${ends[0] / 1e3}k` : ends[0];
  ticks.append(node("text", { x: 622, y: 233, "text-anchor": "end" }, `${last} ${unit}`));
  const lines = held.map((one) => {
    const drawn = one.swatch.querySelector("line");
    let pen = "M";
    const path = one.curve.map(([at, value]) => {
      const piece = value === null ? "" : `${pen}${x(at)} ${y(value)}`;
      pen = value === null ? "M" : "L";
      return piece;
    });
    return node("path", { d: path.join(""), fill: "none", stroke: drawn.getAttribute("stroke"), "stroke-width": "2.2", "stroke-dasharray": drawn.getAttribute("stroke-dasharray") ?? "none" });
  });
  const label = `IQM against ${unit} of ${held.map((one) => one.name).join(", ")}`;
  return node("svg", { class: "lines", viewBox: "0 0 640 240", role: "img", "aria-label": label },
    node("path", { d: rules.join(""), stroke: "currentColor", "stroke-opacity": "0.14" }), ticks, ...lines);
}

function write() {
  const parts = [...views].map(([id, view]) => {
    const changed = Object.entries(view).filter(([name, value]) => String(value) !== String(NOTHING[name]));
    const fields = changed.map(([name, value]) => [name, Array.isArray(value) ? value.join(" ") : String(value)]);
    return fields.length ? `${id}?${new URLSearchParams(fields)}` : "";
  });
  const text = parts.filter(Boolean).join("/");
  history.replaceState(null, "", text ? `#view:${text}` : location.pathname + location.search);
}

function read() {
  for (const id of views.keys()) views.set(id, { ...NOTHING, picked: [] });
  if (!location.hash.startsWith("#view:")) return;
  for (const part of location.hash.slice(6).split("/")) {
    const [id, query] = part.split("?");
    if (!views.has(id)) continue;
    const given = new URLSearchParams(query);
    const view = views.get(id);
    view.sort = given.get("sort") ?? "";
    view.down = given.get("down") === "true";
    view.text = given.get("text") ?? "";
    view.least = Number(given.get("least")) || 0;
    view.others = given.get("others") !== "false";
    view.whole = given.get("whole") === "true";
    view.picked = (given.get("picked") ?? "").split(" ").filter(Boolean).slice(0, 6);
    view.only = given.get("only") === "true";
    for (const name of FACETS) view[name] = given.get(name) ?? "";
  }
}

function change(table, changes) {
  views.set(table.id, { ...views.get(table.id), ...changes });
  show(table);
  write();
}

function sortable(table) {
  entries(table).forEach((row, place) => { row.dataset.place = place; });
  for (const header of table.tHead.rows[0].cells) {
    if (header.dataset.nosort !== undefined) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const view = views.get(table.id);
      const again = view.sort === header.dataset.key;
      const first = header.classList.contains("num") && !["rank", "low"].includes(header.dataset.key);
      if (again && view.down !== first) change(table, { sort: "", down: false });
      else change(table, { sort: header.dataset.key, down: again ? !view.down : first });
    });
  }
}

function pickable(table, tools) {
  for (const row of entries(table)) {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.className = "pick";
    box.setAttribute("aria-label", `Select ${row.querySelector(".name").textContent}`);
    row.querySelector("th .pair").prepend(box);
    box.addEventListener("change", () => {
      const others = views.get(table.id).picked.filter((id) => id !== row.dataset.id);
      change(table, { picked: box.checked ? [...others, row.dataset.id] : others });
    });
  }
  for (const field of tools.querySelectorAll(".facet")) {
    const name = field.dataset.facet;
    const values = [...new Set(entries(table).map((row) => row.dataset[name] ?? ""))].filter(Boolean);
    values.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    field.append(...values.map((value) => new Option(value, value)));
    field.parentNode.hidden = values.length < 2;
    field.addEventListener("change", () => change(table, { [name]: field.value }));
  }
  const on = (name, event, changes) => tools.querySelector(name).addEventListener(event, (e) => change(table, changes(e.target)));
  on(".text", "input", (field) => ({ text: field.value }));
  on(".least", "change", (field) => ({ least: Number(field.value) }));
  on(".others", "change", (field) => ({ others: field.checked }));
  on(".whole", "change", (field) => ({ whole: field.checked }));
  on(".only", "click", () => ({ only: !views.get(table.id).only }));
  on(".reset", "click", () => ({ ...NOTHING, picked: [] }));
  tools.hidden = false;
}

// A folded page has its other rows in a file beside it, which came before this one.
const folded = [...document.querySelectorAll("table")];
for (const [table, body, rows] of self.moreRows ?? []) folded[table].tBodies[body].insertAdjacentHTML("beforeend", rows);
if (self.moreRows) document.querySelectorAll("p.more").forEach((note) => note.remove());

const tables = [...document.querySelectorAll("table.sortable")];
for (const [number, table] of tables.entries()) {
  table.id ||= `sortable-${number}`;
  [...table.tHead.rows[0].cells].forEach((header, column) => { header.dataset.key ??= `column${column}`; });
  views.set(table.id, { ...NOTHING });
  sortable(table);
  const tools = document.querySelector(`.tools[data-for="${table.id}"]`);
  if (tools) pickable(table, tools);
}
if (tables.length) {
  const restore = () => { read(); tables.forEach(show); };
  restore();
  window.addEventListener("hashchange", restore);
}

for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
