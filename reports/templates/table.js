// The results table: sorting, filtering, choosing columns, copying, and selecting a row.
window.lightsharp = window.lightsharp ?? {};
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const table = byId("results-table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows]; // in the order of the report
  const filter = byId("table-filter");
  const fallback = byId("table-copy");
  const grids = JSON.parse(byId("table-grids").textContent);
  const names = new Intl.Collator("en", { numeric: true });

  function tell(text) {
    byId("table-status").textContent = text;
  }

  function asButton(cell, nodes) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    cell.insertBefore(button, nodes[0]);
    button.append(...nodes);
    return button;
  }

  // Sorting: the better way first, then the other, then as it was.

  function keyOf(cell, kind) {
    const text = cell.dataset.value;
    return text === undefined ? null : kind === "text" ? text : Number(text);
  }

  function sorted(place, ascending) {
    const kind = heads[place].dataset.sort;
    const sign = ascending ? 1 : -1;
    const compare = kind === "text" ? names.compare : (a, b) => a - b;
    const keyed = rows.map((row) => ({ row, key: keyOf(row.cells[place], kind) }));
    keyed.sort((a, b) =>
      a.key === null || b.key === null ? (a.key === null) - (b.key === null) : sign * compare(a.key, b.key),
    );
    return keyed.map(({ row }) => row);
  }

  function sortBy(place) {
    const head = heads[place];
    const ways = head.dataset.direction === "higher" ? ["descending", "ascending"] : ["ascending", "descending"];
    const way = [...ways, null][ways.indexOf(head.getAttribute("aria-sort")) + 1];
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    if (way) head.setAttribute("aria-sort", way);
    body.append(...(way ? sorted(place, way === "ascending") : rows));
    tell(way ? `Sorted by ${head.dataset.title}, ${way}.` : "In the order of the report.");
  }

  // Filtering: every word must be in a row's name, steps or status.

  function applyFilter() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.dataset.text.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    tell(words.length ? `${shown} of ${rows.length} rows.` : "");
  }

  function showColumn(place, shown) {
    for (const row of [table.tHead.rows[0], ...rows]) row.cells[place].hidden = !shown;
  }

  // Selecting: by a click on a row, by lightsharp.selectRow, or by a link that names a row.

  function mark(row) {
    for (const other of rows) {
      other.classList.toggle("selected", other === row);
      if (other === row) other.setAttribute("aria-current", "true");
      else other.removeAttribute("aria-current");
    }
    document.dispatchEvent(new CustomEvent("lightsharp:select", { detail: { name: row.dataset.name } }));
  }

  function selectRow(name) {
    const row = rows.find((one) => one.dataset.name === name);
    if (!row) return false;
    if (row.hidden) {
      filter.value = "";
      applyFilter();
    }
    mark(row);
    row.scrollIntoView({ block: "center" });
    row.querySelector("button").focus({ preventScroll: true });
    return true;
  }
  window.lightsharp.selectRow = selectRow;

  // Copying: the text of the report's other files, cut to the rows and columns that are shown, in the order shown; where
  // the clipboard is refused, it can be taken by hand.

  function shownText(grid) {
    const lineText = ({ start, cells, between, end }) =>
      start + cells.filter((_, place) => !heads[place].hidden).join(between) + end;
    const shown = [...body.rows].filter((row) => !row.hidden).flatMap((row) => grid.rows[rows.indexOf(row)]);
    return [...grid.head, ...shown].map(lineText).join("") + grid.tail;
  }

  function leftOut() {
    const count = (all) => [all.filter((one) => !one.hidden).length, all.length];
    const [[someRows, allRows], [someColumns, allColumns]] = [count(rows), count(heads)];
    const parts = [
      ...(someRows < allRows ? [`${someRows} of ${allRows} rows`] : []),
      ...(someColumns < allColumns ? [`${someColumns} of ${allColumns} columns`] : []),
    ];
    return parts.length ? `: ${parts.join(", ")}` : "";
  }

  async function copy(button) {
    const text = shownText(grids[button.dataset.copy]);
    try {
      await navigator.clipboard.writeText(text);
      fallback.hidden = true;
      tell(`Copied as ${button.textContent}${leftOut()}.`);
    } catch {
      fallback.value = text;
      fallback.hidden = false;
      fallback.focus();
      fallback.select();
      tell("The browser did not allow copying. The text is below and selected: copy it by hand.");
    }
  }

  heads.forEach((head, place) => asButton(head, [...head.childNodes]).addEventListener("click", () => sortBy(place)));
  for (const row of rows) asButton(row.cells[0], [row.cells[0].firstChild]).title = "Select this row";
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!event.target.closest("a") && getSelection().isCollapsed) mark(row);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-select]");
    if (link && selectRow(link.dataset.select)) event.preventDefault();
  });
  filter.addEventListener("input", applyFilter);
  const menu = byId("table-columns");
  menu.addEventListener("change", (event) => showColumn(Number(event.target.value), event.target.checked));
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
  byId("table-tools").hidden = false;
})();
