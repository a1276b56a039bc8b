
"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);

  // Light and dark: the system's, until the button is pressed.
  const theme = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Use ${isDark() ? "light" : "dark"} colours`);
  };
  try {
    const kept = localStorage.getItem("gradcheck-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch { /* a page from a file may have no storage */ }
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("gradcheck-theme", root.dataset.theme); } catch { /* as above */ }
    label();
  });
  system.addEventListener("change", label);
  label();
  theme.hidden = false;

  const table = byId("checks");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];

  // Sorting: by a button in each head.
  const value = (row, column, kind) => {
    const text = row.cells[column].dataset.value;
    return kind === "number" ? Number(text.replace("inf", "Infinity")) : text.toLowerCase();
  };
  const compare = (a, b) => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(b) - Number.isNaN(a);
    return a < b ? -1 : a > b ? 1 : 0;
  };
  const sort = (column) => {
    const head = heads[column];
    const kind = head.dataset.kind;
    const before = head.getAttribute("aria-sort");
    // Of numbers the largest are asked for first.
    const first = kind === "number" ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const direction = before === first ? second : first;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const keyed = rows.map((row, i) => [value(row, column, kind), i, row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]) || a[1] - b[1]);
    body.append(...keyed.map((item) => item[2]));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(column));
    head.replaceChildren(button);
  });

  // Filters: rows, and the details that belong to them.
  const text = byId("text");
  const verdict = byId("verdict");
  const words = rows.map((row) => `${row.textContent} ${row.dataset.names}`.toLowerCase());
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    const kind = verdict.value;
    let shown = 0;
    rows.forEach((row, i) => {
      const fits = !kind || row.dataset.status === kind || row.dataset.verdict === kind;
      row.hidden = !(fits && words[i].includes(wanted));
      shown += !row.hidden;
      if (row.dataset.details) byId(row.dataset.details).hidden = row.hidden;
    });
    const all = `${rows.length} check${rows.length === 1 ? "" : "s"}`;
    byId("count").textContent = shown === rows.length ? all : `${shown} of ${all}`;
    byId("nothing").hidden = shown > 0;
    table.hidden = shown === 0;
    const failures = byId("failures");
    if (failures) {
      failures.hidden = !document.querySelector("article:not([hidden])");
    }
  };
  text.addEventListener("input", filter);
  verdict.addEventListener("change", filter);
  filter();
  byId("controls").hidden = false;
})();
