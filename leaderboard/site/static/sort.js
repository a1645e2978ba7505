// Lets a reader sort a table by a column. Without it the pages are complete, in the order of the standings.
"use strict";

function key(cell) {
  const text = (cell.dataset.sort ?? cell.textContent).trim();
  const number = Number.parseFloat(text.replace(/[\[,]/g, "").replace("\u2212", "-"));
  return Number.isNaN(number) ? { text } : { number, text };
}

function compare(a, b, sign) {
  const missing = (one) => one.text === "" || one.text === "\u2014";
  if (missing(a) !== missing(b)) return missing(a) ? 1 : -1;
  if (a.number !== undefined && b.number !== undefined) return sign * (a.number - b.number);
  return sign * a.text.localeCompare(b.text, "en");
}

function sortBy(table, header, column) {
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: key(row.cells[column]) }));
  rows.sort((a, b) => compare(a.key, b.key, descending ? -1 : 1));
  table.tBodies[0].append(...rows.map((item) => item.row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    if (header.dataset.nosort !== undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortBy(table, header, column));
  });
}
