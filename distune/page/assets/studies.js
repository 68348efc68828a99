// All studies of the folder.
"use strict";
(() => {
  const { html, useEffect, useState } = window.htmPreact;

  function Studies({ open, compare }) {
    const [found, setFound] = useState(null);
    const [marked, setMarked] = useState([]);
    useEffect(() => {
      let over = false;
      const look = async () => {
        try {
          const answer = await distune.source.studies();
          if (!over) setFound(answer);
        } catch { if (!over) setFound((before) => ({ ...before, trouble: "the dashboard does not answer" })); }
        if (!over) setTimeout(look, document.hidden ? 15000 : 2000);
      };
      look();
      return () => { over = true; };
    }, []);
    if (!found) return html`<p class="quiet">Looking for studies …</p>`;
    const columns = [
      { title: "", formatter: "rowSelection", headerSort: false, width: 40, hozAlign: "center" },
      { title: "study", field: "name", minWidth: 150, headerFilter: "input" },
      { title: "state", field: "state", formatter: (cell) => cell.getValue() || "cannot be read" },
      { title: "trials", field: "counted", hozAlign: "right", formatter: (cell) => {
        const { counted, planned } = cell.getData();
        return counted === undefined ? "" : planned ? `${counted} of ${planned}` : String(counted); } },
      { title: "metric", field: "metric" },
      distune.numeric({ title: "best", field: "best" }),
      { title: "trend", field: "trend", headerSort: false, width: 110, formatter: trend },
      distune.numeric({ title: "failed", field: "failures" }),
      distune.numeric({ title: "running", field: "running" }),
      { title: "hosts", field: "hosts", formatter: (cell) => (cell.getValue() || []).join(", ") },
      { title: "ran for", field: "elapsed", hozAlign: "right", sorter: "number", formatter: (cell) => distune.duration(cell.getValue()) },
    ];
    return html`
      <header><h1>distune</h1><span class="quiet">${found.logs}</span></header>
      ${found.trouble && html`<p class="bad" role="alert">${found.trouble}</p>`}
      <main class="card" style="margin-top:14px">
        <h2>${found.studies.length} studies ${marked.length > 1 && html`<button onClick=${() => compare(marked)}>compare ${marked.length}</button>`}</h2>
        <${distune.Table} label="studies" columns=${columns} rows=${found.studies} index="name"
          height="calc(100vh - 170px)" onRow=${(row) => row.state && open(row.name)} onMarks=${setMarked} />
      </main>`;
  }

  function trend(cell) {
    const values = cell.getValue() || [];
    if (values.length < 2) return "";
    const low = Math.min(...values), high = Math.max(...values), room = high - low || 1;
    const points = values.map((v, i) => `${(100 * i) / (values.length - 1)},${18 - (16 * (v - low)) / room}`);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 100 20");
    svg.setAttribute("width", "100");
    svg.setAttribute("height", "20");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", points.join(" "));
    line.setAttribute("fill", "none");
    line.setAttribute("stroke", "currentColor");
    svg.append(line);
    return svg;
  }

  distune.Studies = Studies;
})();
