// All studies of the folder.
"use strict";
(() => {
  const { html, useEffect, useMemo, useState } = window.htmPreact;

  function Studies({ at, go, visit }) {
    const found = useStudies();
    const marked = at.mark ? at.mark.split(",") : [];
    const mark = (name) => go({ mark: (marked.includes(name) ? marked.filter((one) => one !== name) : [...marked, name]).join() }, true);
    const compare = () => { if (marked.length > 1) visit({ compare: marked.join() }); };
    const failing = at.failing !== undefined;
    const text = found ? JSON.stringify(found.studies) : "[]"; // what has not changed is not drawn anew
    const rows = useMemo(() => kept(JSON.parse(text), at.find, failing), [text, at.find, failing]);
    distune.useKeys({
      C: compare, f: () => go({ failing: failing ? null : 1 }), Escape: () => visit({ mark: at.mark }),
    });
    if (!found) return html`<header><h1>distune</h1></header><main><p class="quiet" role="status">Looking for studies …</p></main>`;
    return html`
      <header><h1>distune</h1><span class="quiet">${found.logs}</span></header>
      ${found.trouble && html`<p class="bad" role="alert">${found.trouble}</p>`}
      <main><section class="card" aria-label="all studies">
        <h2>All studies</h2>
        <div class="tools">
          <${distune.Search} label="search the studies" hint="search (press /)" value=${at.find || ""} onSearch=${(find) => go({ find }, true)} />
          <button aria-pressed=${failing} onClick=${() => go({ failing: failing ? null : 1 })}>with failures${failing ? ": shown alone" : ""}</button>
          <button disabled=${marked.length < 2} onClick=${compare}>compare${marked.length > 1 ? ` ${marked.length}` : ""}</button>
          <span class="quiet">${marked.length === 1 ? `${marked[0]} is marked: mark another one to compare them` : `${rows.length} of ${found.studies.length} studies`}</span>
        </div>
        <${distune.Table} label="studies" columns=${columns} rows=${rows} index="name" maxHeight="calc(100vh - 230px)" marked=${marked}
          sort=${at.sort || ""} onSort=${(sort) => go({ sort }, true)} onMark=${mark} onRow=${(row) => row.state && visit({ study: row.name })} />
      </section></main>`;
  }

  /** What the server says, asked for again and again. */
  function useStudies() {
    const [found, setFound] = useState(null);
    useEffect(() => {
      let [over, waiting] = [false, null];
      const look = async () => {
        const answer = await distune.source.studies().catch(() => null);
        if (over) return;
        setFound((before) => answer || { studies: [], ...before, trouble: "the dashboard does not answer" });
        waiting = setTimeout(look, document.hidden ? 15000 : 2000);
      };
      look();
      return () => { over = true; clearTimeout(waiting); };
    }, []);
    return found;
  }

  function kept(studies, find, failing) {
    const words = (find || "").toLowerCase().split(/\s+/).filter(Boolean);
    return studies.filter((one) => (!failing || one.failures > 0)
      && words.every((word) => [one.name, one.objective, one.metric, one.state, one.trouble, ...Object.keys(one.hosts || {})].join(" ").toLowerCase().includes(word)));
  }

  /** What runs now, and where. */
  const now = ({ hosts }) => Object.entries(hosts || {}).map(([host, count]) => `${count} on ${host}`).join(", ");
  const done = ({ counted, planned }) => (counted === undefined ? "" : planned ? `${counted} of ${planned}` : String(counted));

  const columns = [
    { title: "mark", field: "mark", headerSort: false, width: 56, hozAlign: "center", cssClass: "mark", formatter: box },
    { title: "study", field: "name", minWidth: 100 },
    distune.numeric({ title: "trials", field: "counted", minWidth: 90, formatter: distune.barred((cell) => cell.getValue() / cell.getData().planned || 0, (cell) => done(cell.getData())) }),
    distune.numeric({ title: "best", field: "best", formatter: (cell) => (cell.getValue() === undefined ? "" : distune.value(cell.getValue())) }),
    { title: "of", field: "metric" },
    { title: "trend", field: "trend", headerSort: false, width: 118, formatter: trend },
    { title: "state", field: "state", formatter: (cell) => cell.getValue() || `cannot be read: ${cell.getData().trouble}` },
    distune.numeric({ title: "failed", field: "failures" }),
    distune.numeric({ title: "workers", field: "workers" }),
    { title: "trains now", field: "running", formatter: (cell) => now(cell.getData()) },
    distune.numeric({ title: "ran for", field: "elapsed", formatter: (cell) => distune.duration(cell.getValue()) }),
    { title: "begun", field: "created", sorter: "number", formatter: (cell) => (cell.getValue() ? distune.date(cell.getValue()) : "") },
    { title: "objective", field: "objective" },
  ];

  function box(cell) {
    const found = document.createElement("input");
    found.type = "checkbox";
    found.setAttribute("aria-label", `mark ${cell.getData().name}`);
    return found;
  }

  /** The best value so far, as a line without axes. */
  function trend(cell) {
    const values = cell.getValue() || [];
    if (values.length < 2) return "";
    const low = Math.min(...values), high = Math.max(...values), room = high - low || 1;
    const make = (name, attributes) => {
      const found = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
      return found;
    };
    const points = values.map((v, i) => `${(100 * i) / (values.length - 1)},${18 - (16 * (v - low)) / room}`);
    const svg = make("svg", { viewBox: "0 0 100 20", width: 100, height: 20, role: "img",
      "aria-label": `best so far from ${distune.value(values[0])} to ${distune.value(values[values.length - 1])}` });
    svg.append(make("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
    return svg;
  }

  distune.Studies = Studies;
})();
