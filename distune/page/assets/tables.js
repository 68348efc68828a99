// Tables: sorted and scrolled by Tabulator, which draws only the rows that are seen.
"use strict";
(() => {
  const { html, useEffect, useRef } = window.htmPreact;

  /** `rows` may change at any time: what has changed is drawn anew, and nothing scrolls away.
   *  `sort` is "-lr" for the largest first; `hidden` has the fields of columns that are not shown;
   *  `chosen` the row that is open. `j` and `k` move over the rows, and enter opens one. */
  function Table({ columns, rows, index, height = "420px", maxHeight, label, chosen = null, marked = [], hidden = [], sort = "", onRow, onMark, onSort }) {
    const place = useRef(null);
    const table = useRef(null);
    const cursor = useRef(null);
    const hasFocus = useRef(false); // a row; also while that is drawn anew, which takes the focus away
    const isHeld = useRef(false); // a button is down: what is drawn anew before it is up loses the click
    const isLate = useRef(false);
    const latest = useRef({});
    const before = useRef({});
    latest.current = { columns: Object.fromEntries(columns.map((one) => [one.field, one])), rows, chosen, marked, hidden, sort, onRow, onMark, onSort };
    const layout = JSON.stringify(columns.map((one) => one.field));

    const dress = (row) => {
      const id = row.getData()[index];
      const element = row.getElement();
      element.classList.toggle("chosen", id === latest.current.chosen);
      element.setAttribute("aria-selected", String(id === latest.current.chosen || latest.current.marked.includes(id)));
      element.tabIndex = id === cursor.current ? 0 : -1;
      const box = element.querySelector("input[type=checkbox]");
      if (box) box.checked = latest.current.marked.includes(id);
    };
    const redress = (id) => {
      const row = table.current && id !== null && table.current.getRow(id);
      if (row) dress(row);
    };
    const regain = () => {
      const isLost = hasFocus.current && document.activeElement === document.body;
      const row = isLost && table.current && cursor.current !== null && table.current.getRow(cursor.current);
      if (row) row.getElement().focus({ preventScroll: true });
    };
    const put = () => {
      isLate.current = isHeld.current;
      if (isHeld.current) return Promise.resolve();
      return table.current.replaceData(latest.current.rows).then(regain);
    };

    useEffect(() => {
      table.current = null;
      // Through `latest`, since what a column shows may depend on rows that come later.
      const made = new Tabulator(place.current, {
        data: [], index, ...(maxHeight ? { maxHeight } : { height }), layout: "fitDataFill", movableColumns: true, placeholder: "nothing here",
        columns: columns.map((one) => ({
          ...one, visible: !hidden.includes(one.field),
          ...(one.formatter && { formatter: (cell) => asNode(latest.current.columns[one.field].formatter(cell)) }),
        })),
        initialSort: sorters(sort), rowFormatter: dress, nestedFieldSeparator: false,
        columnDefaults: { headerSortTristate: true, maxInitialWidth: 280, sorter: inOrder, titleFormatter: (cell) => asNode(cell.getValue()) },
      });
      made.on("tableBuilt", () => { table.current = made; named(place.current); put(); });
      made.on("rowClick", (event, row) => {
        const id = row.getData()[index];
        const { onMark, onRow } = latest.current;
        if (onMark && event.target.closest(".mark")) { event.preventDefault(); onMark(id); } else onRow(row.getData());
      });
      made.on("dataSorted", (by) => {
        const text = by.map((one) => (one.dir === "desc" ? "-" : "") + one.field).join();
        if (table.current && text !== latest.current.sort) latest.current.onSort?.(text);
      });
      return () => { table.current = null; made.destroy(); };
    }, [layout]);
    useEffect(() => { if (table.current) put(); }, [rows]);
    useEffect(() => {
      const released = () => setTimeout(() => { // after the click
        isHeld.current = false;
        if (isLate.current && table.current) put();
      }, 50);
      const ends = ["pointerup", "pointercancel", "dragend"];
      const pressed = () => { hasFocus.current = false; }; // until a row is what is pressed
      window.addEventListener("pointerdown", pressed, true);
      for (const end of ends) window.addEventListener(end, released, true);
      return () => {
        window.removeEventListener("pointerdown", pressed, true);
        for (const end of ends) window.removeEventListener(end, released, true);
      };
    }, []);
    useEffect(() => {
      for (const id of [before.current.chosen ?? null, chosen, ...(before.current.marked ?? []), ...marked]) redress(id);
      before.current = { chosen, marked };
    });
    useEffect(() => {
      const made = table.current;
      if (!made) return;
      const now = made.getSorters().map((one) => (one.dir === "desc" ? "-" : "") + one.field).join();
      if (now !== sort) { if (sort) made.setSort(sorters(sort)); else { made.clearSort(); put(); } }
    }, [sort]);
    useEffect(() => {
      if (!table.current) return;
      for (const column of table.current.getColumns()) {
        if (column.isVisible() === hidden.includes(column.getField())) column.toggle();
      }
    }, [hidden.join()]);

    const move = (by) => {
      if (!table.current) return;
      const there = table.current.getRows("active");
      if (!there.length) return;
      const at = there.findIndex((row) => row.getData()[index] === (cursor.current ?? chosen));
      const row = there[Math.max(0, Math.min(there.length - 1, at < 0 ? 0 : at + by))];
      const [old, id] = [cursor.current, row.getData()[index]];
      cursor.current = id;
      hasFocus.current = true; // also if it is drawn anew before it gets it
      redress(old);
      table.current.scrollToRow(row, "nearest", false).catch(() => {}).then(() => {
        if (!table.current || cursor.current !== id) return;
        redress(id);
        const now = table.current.getRow(id); // the row may be another by now
        if (!now) return;
        now.getElement().focus({ preventScroll: true });
        now.getElement().scrollIntoView({ block: "nearest" });
        if (chosen !== null && id !== chosen) onRow(now.getData(), true);
      });
    };
    const within = (event) => event.target.closest(".tabulator") !== place.current;
    const onCursor = (what) => (event) => {
      const here = event.target === document.body || event.target.closest(".tabulator-row, .tabulator-tableholder");
      const row = here && table.current && cursor.current !== null && table.current.getRow(cursor.current);
      if (!row) return true;
      return what(row.getData());
    };
    const arrow = (by) => (event) => within(event) || move(by);
    distune.useKeys({
      j: () => move(1), k: () => move(-1), ArrowDown: arrow(1), ArrowUp: arrow(-1),
      Enter: onCursor((data) => { onRow(data); }),
      ...(onMark && { c: onCursor((data) => { onMark(data[index]); }) }),
    });
    const came = (event) => { hasFocus.current = Boolean(event.target.closest(".tabulator-row")); };
    const left = (event) => {
      if (event.relatedTarget) hasFocus.current = false;
      else setTimeout(regain); // the table draws itself anew, as when its height changes
    };
    return html`<div class="table" aria-label=${label} ref=${place} onPointerDown=${() => { isHeld.current = true; }} onfocusin=${came} onfocusout=${left}></div>`;
  }

  /** A column's head can be reached by Tab, and sorts by enter. */
  function named(place) {
    for (const head of place.querySelectorAll(".tabulator-col.tabulator-sortable")) {
      head.tabIndex = 0;
      head.addEventListener("keydown", (event) => {
        if (event.target === head && event.key === "Enter") { event.preventDefault(); head.click(); }
      });
    }
  }

  /** Tabulator takes text for HTML, and what comes from the share is none. */
  const asNode = (shown) => (shown instanceof Node ? shown : document.createTextNode(shown ?? ""));

  const sorters = (text) => (text ? [{ column: text.replace(/^-/, ""), dir: text.startsWith("-") ? "desc" : "asc" }] : []);

  const isEmpty = (value) => value === null || value === undefined || value === "";

  /** Numbers by size, words by the alphabet; what is not there comes last either way. */
  function inOrder(a, b, rowA, rowB, column, direction) {
    if (isEmpty(a) || isEmpty(b)) return (isEmpty(a) - isEmpty(b)) * (direction === "asc" ? 1 : -1);
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }

  const numeric = (more = {}) => ({ hozAlign: "right", formatter: (cell) => distune.number(cell.getValue()), ...more });

  /** A number with a bar behind it, from 0 to 1. */
  const barred = (share, text) => (cell) => {
    const percent = Math.round(100 * Math.max(0, Math.min(1, share(cell))));
    cell.getElement().style.backgroundImage = `linear-gradient(to right, var(--accent-soft) ${percent}%, transparent ${percent}%)`;
    return text(cell);
  };

  /** Which columns are shown: a menu of boxes to tick. */
  function Columns({ columns, hidden, setHidden }) {
    const toggled = (field) => (hidden.includes(field) ? hidden.filter((one) => one !== field) : [...hidden, field]);
    const leave = (event) => { if (event.key === "Escape" && event.currentTarget.open) { event.preventDefault(); event.currentTarget.open = false; event.currentTarget.firstElementChild.focus(); } };
    return html`<details class="menu" onKeyDown=${leave}><summary>columns${hidden.length ? ` (${hidden.length} hidden)` : ""}</summary><div role="group" aria-label="columns">
      ${columns.filter((one) => one.title).map(({ field, title }) => html`<label key=${field}>
        <input type="checkbox" checked=${!hidden.includes(field)} onChange=${() => setHidden(toggled(field))} /> ${title}</label>`)}
    </div></details>`;
  }

  Object.assign(distune, { Columns, Table, barred, numeric });
})();
