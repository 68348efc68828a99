// One study: the answer, how it came about, and every configuration.
"use strict";
(() => {
  const { html, useEffect, useMemo, useState } = window.htmPreact;

  function Study({ name, leave, chosen, choose, filter, setFilter }) {
    const [study, setStudy] = useState(null);
    useEffect(() => distune.source.follow(name, setStudy), [name]);
    const counted = study && study.configurations;
    const rows = useMemo(() => study && study.order ? study.order.map((first) => ({ first, ...study.configurations[first] })) : [], [counted]);
    const varying = useMemo(() => (study && study.order ? distune.varying(study) : []), [counted]);
    const drawn = useMemo(() => study && study.order && {
      trials: distune.charts.bestSoFar(study, "trials"),
      time: distune.charts.bestSoFar(study, "time"),
      timeline: distune.charts.timeline(study),
      front: study.status.objectives && distune.charts.front(study, rows),
    }, [counted]);
    const metric = study && study.status ? study.status.metric : "";
    const kept = useMemo(() => distune.filter.kept(rows, filter, metric), [rows, filter]);
    const filtered = useMemo(() => rows.length > 1 && {
      parallel: distune.charts.parallel(study, rows, kept, varying.slice(0, 10)),
      slices: varying.slice(0, 12).map((name) => [name, distune.charts.slice(study, rows, kept, name)]),
    }, [rows, kept]);
    if (!study || !study.status) return html`<p class="quiet">${(study && study.trouble) || `Reading ${name} …`}</p>`;
    const { status } = study;
    const brushed = (what, chart) => {
      const at = chart.getOption().parallelAxis.find((one) => one.id === what.parallelAxisId);
      const [first] = what.intervals || [];
      const next = { ...filter };
      delete next[at.id];
      if (first && at.type === "category") {
        next[at.id] = { among: at.data.slice(Math.ceil(Math.min(...first)), Math.floor(Math.max(...first)) + 1) };
      } else if (first) {
        next[at.id] = { between: [Math.min(...first), Math.max(...first)] };
      }
      setFilter(next);
    };
    const words = distune.filter.words(filter);
    return html`
      <header>
        ${leave && html`<a href="#" onClick=${(event) => { event.preventDefault(); leave(); }}>all studies</a>`}
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
        ${drawn.front && html`<section class="card"><h2>The front</h2><${distune.Chart} option=${drawn.front} label="two objectives against each other" on=${{ click: (what) => choose(what.data[2]) }} /></section>`}
        <${distune.Importance} study=${study} name=${name} />
        <${distune.Failures} study=${study} varying=${varying} choose=${choose} />
        ${filtered && html`<section class="card wide"><h2>Parameters and what they gave</h2>
          <p class="quiet">Drag along an axis: all charts and the table keep what lies there.</p>
          <${distune.Chart} option=${filtered.parallel} height=${340} label="parallel coordinates" on=${{ axisareaselected: brushed }} />
          <div class="slices">${filtered.slices.map(([of, option]) => html`<div key=${of}><h3>${of}</h3>
            <${distune.Chart} option=${option} height=${180} label=${`${metric} by ${of}`} on=${{ click: (what) => choose(what.data.value[2]) }} /></div>`)}</div>
        </section>`}
        ${chosen !== null && html`<${distune.Trial} study=${study} name=${name} number=${chosen} close=${() => choose(null)} />`}
        <section class="card wide"><h2>Ranking${words.length ? ` (${kept.length} of ${rows.length})` : ""}</h2>
          ${words.length > 0 && html`<p>${words.join(", ")} <button onClick=${() => setFilter({})}>show all</button></p>`}
          <${distune.Table} label="ranking" index="first" rows=${kept} columns=${columns(study, varying)} chosen=${chosen} onRow=${(row) => choose(row.first)} /></section>
        <${distune.Workers} study=${study} />
        <section class="card wide"><h2>Who trained when</h2><${distune.Chart} option=${drawn.timeline} height=${80 + 26 * new Set(Object.values(study.trials).map((one) => one.worker)).size} label="what each worker trained when" /></section>
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

  distune.Study = Study;
})();
