// One study: the answer, how it came about, and every configuration.
"use strict";
(() => {
  const { html, useEffect, useMemo, useState } = window.htmPreact;

  /** Takes a message in: all of a study, or what has changed in it. */
  function merged(before, message) {
    const now = { ...before, ...message };
    for (const key of ["configurations", "trials"]) {
      if (!message[key]) continue;
      now[key] = { ...(before ? before[key] : {}), ...message[key] };
      for (const [id, one] of Object.entries(message[key])) if (one === null) delete now[key][id];
    }
    return now;
  }

  function Study({ name, leave, chosen, choose }) {
    const [study, setStudy] = useState(null);
    useEffect(() => {
      const events = new EventSource(`api/studies/${encodeURIComponent(name)}/events`);
      events.onmessage = (event) => setStudy((before) => merged(before, JSON.parse(event.data)));
      events.onerror = () => setStudy((before) => before && { ...before, trouble: "the dashboard does not answer" });
      return () => events.close();
    }, [name]);
    const [kept, keep] = useState(null); // what a brush has left, by the number of its first trial
    const counted = study && study.configurations;
    const rows = useMemo(() => study && study.order ? study.order.map((first) => ({ first, ...study.configurations[first] })) : [], [counted]);
    const varying = useMemo(() => (study && study.order ? distune.varying(study) : []), [counted]);
    const drawn = useMemo(() => study && study.order && {
      trials: distune.charts.bestSoFar(study, "trials"),
      time: distune.charts.bestSoFar(study, "time"),
      parallel: distune.charts.parallel(study, rows.filter((one) => typeof one.value === "number" && one.standing === "complete"), varying.slice(0, 10)),
    }, [counted]);
    if (!study || !study.status) return html`<p class="quiet">${(study && study.trouble) || `Reading ${name} …`}</p>`;
    const { status } = study;
    const shown = kept ? rows.filter((one) => kept.has(String(one.first))) : rows;
    const brushed = (what, chart) => {
      const series = chart.getModel().getSeries()[0];
      const active = series.getRawIndicesByActiveState("active");
      const all = series.getData();
      keep(active.length === all.count() ? null : new Set(active.map((i) => all.getName(i))));
    };
    return html`
      <header>
        <a href="#" onClick=${(event) => { event.preventDefault(); leave(); }}>all studies</a>
        <h1>${name}</h1>
        <span>${status.state}</span>
        <span class="quiet">${status.trials.counted}${status.trials.planned ? ` of ${status.trials.planned}` : ""} trials · ${distune.duration(status.elapsed)}
          ${status.eta_seconds ? ` · ${distune.duration(status.eta_seconds)} to go` : ""} · ${status.workers.length} workers</span>
      </header>
      ${study.trouble && html`<p class="bad" role="alert">${study.trouble}</p>`}
      <main class="cards">
        <${Answer} study=${study} best=${rows[0]} varying=${varying} />
        <section class="card"><h2>Best so far, by trials</h2><${distune.Chart} option=${drawn.trials} label="best value so far against trials" /></section>
        <section class="card"><h2>Best so far, by time</h2><${distune.Chart} option=${drawn.time} label="best value so far against time" /></section>
        ${status.running.length > 0 && html`<section class="card"><h2>Training now</h2>
          <${distune.Chart} option=${distune.charts.running(study)} label="learning curves of running trials" /></section>`}
        ${rows.length > 1 && html`<section class="card wide"><h2>Parameters and what they gave</h2>
          <p class="quiet">Drag along an axis to keep what lies there; the table follows. ${kept && html`<button onClick=${() => keep(null)}>show all</button>`}</p>
          <${distune.Chart} option=${drawn.parallel} height=${340} label="parallel coordinates" on=${{ axisareaselected: brushed }} /></section>`}
        ${chosen !== null && html`<${distune.Trial} study=${study} name=${name} number=${chosen} close=${() => choose(null)} />`}
        <section class="card wide"><h2>Ranking${kept ? ` (${shown.length} of ${rows.length})` : ""}</h2>
          <${distune.Table} label="ranking" index="first" rows=${shown} columns=${columns(study, varying)} chosen=${chosen} onRow=${(row) => choose(row.first)} /></section>
      </main>`;
  }

  function Answer({ study, best, varying }) {
    const { status } = study;
    if (!best || typeof best.value !== "number") {
      return html`<section class="card wide answer"><h2>No configuration has a result yet</h2></section>`;
    }
    const spread = best.spread ? ` ± ${distune.number(best.spread)}` : "";
    const words = status.confirmation && status.confirmation.words ? status.confirmation.words : [];
    return html`<section class="card wide answer" aria-label="the answer">
      <h2>${status.state === "finished" ? "Best configuration" : "Best so far"}: trial ${best.trials[0]}</h2>
      <div class="value">${status.metric} ${distune.number(best.value)}${spread}</div>
      <p>${distune.setting(best.params, varying)}</p>
      ${words.map((line) => html`<p class="quiet">${line}</p>`)}
      <p><code>${JSON.stringify(best.params)}</code> <button onClick=${() => navigator.clipboard.writeText(JSON.stringify(best.params))}>copy</button></p>
    </section>`;
  }

  function columns(study, varying) {
    const { status } = study;
    const bar = { formatter: "progress", formatterParams: { color: distune.colour("accent-soft"), legend: (v) => distune.number(v), legendColor: distune.colour("ink"), legendAlign: "right", ...reach(study) } };
    return [
      distune.numeric({ title: "#", field: "rank", frozen: true, width: 56 }),
      distune.numeric({ title: "trial", field: "first", width: 66 }),
      { title: status.metric, field: "value", sorter: "number", sorterParams: { alignEmptyValues: "bottom" }, minWidth: 120, ...bar },
      distune.numeric({ title: "spread", field: "spread" }),
      ...varying.map((name) => ({ title: name, field: `params.${name}`, headerFilter: "input", hozAlign: "right", formatter: (cell) => distune.number(cell.getValue()) })),
      { title: "time", field: "seconds", sorter: "number", hozAlign: "right", formatter: (cell) => distune.duration(cell.getValue()) },
      { title: "standing", field: "standing", headerFilter: "list", headerFilterParams: { valuesLookup: true, clearable: true } },
      { title: "why", field: "reason" },
    ];
  }

  function reach(study) {
    const values = Object.values(study.configurations).map((one) => one.value).filter((v) => typeof v === "number").sort((a, b) => a - b);
    return { min: values[Math.floor(values.length * 0.1)] ?? 0, max: values[values.length - 1] ?? 1 };
  }

  Object.assign(distune, { Study, merged });
})();
