// Tables: sorted, filtered and scrolled by Tabulator, which draws only the rows that are seen.
"use strict";
(() => {
  const { html, useEffect, useRef } = window.htmPreact;

  /** `rows` may change at any time: what has changed is drawn anew, and nothing scrolls away. */
  function Table({ columns, rows, index, height = "420px", label, chosen, onRow, onMarks, sort }) {
    const place = useRef(null);
    const table = useRef(null);
    const ready = useRef(false);
    const latest = useRef(rows);
    latest.current = rows;
    const layout = JSON.stringify(columns.map((one) => one.field));
    useEffect(() => {
      ready.current = false;
      const made = new Tabulator(place.current, {
        data: latest.current, index,
        columns: columns.map((one) => ({ ...one, ...(typeof one.formatter === "function" && { formatter: (cell) => asNode(one.formatter(cell)) }) })),
        height, layout: "fitDataFill", movableColumns: true,
        selectableRows: onMarks ? true : onRow ? 1 : false, placeholder: "nothing yet", initialSort: sort || [],
        columnDefaults: { headerSortTristate: true, formatter: (cell) => asNode(cell.getValue()), titleFormatter: (cell) => asNode(cell.getValue()) },
      });
      made.on("tableBuilt", () => { ready.current = true; made.replaceData(latest.current); });
      if (onRow) {
        made.on("rowClick", (event, row) => {
          const box = onMarks && event.target.closest(".tabulator-cell").querySelector("input[type=checkbox]");
          if (!box) onRow(row.getData());
        });
      }
      if (onMarks) made.on("rowSelectionChanged", (data) => onMarks(data.map((one) => one[index])));
      table.current = made;
      return () => { ready.current = false; made.destroy(); };
    }, [layout]);
    useEffect(() => { if (ready.current) table.current.replaceData(rows); }, [rows]);
    useEffect(() => {
      if (ready.current && chosen !== undefined && chosen !== null) {
        table.current.deselectRow();
        if (table.current.getRow(chosen)) table.current.selectRow(chosen);
      }
    }, [chosen, rows]);
    return html`<div role="region" aria-label=${label} ref=${place}></div>`;
  }

  /** Text as such: Tabulator takes a string for markup. */
  const asNode = (found) => (found instanceof Node ? found : document.createTextNode(found ?? ""));

  const numeric = (more = {}) => ({
    hozAlign: "right", sorter: "number", sorterParams: { alignEmptyValues: "bottom" },
    formatter: (cell) => distune.number(cell.getValue()), ...more,
  });

  Object.assign(distune, { Table, numeric });
})();
