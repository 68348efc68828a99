// One study: the answer, how it came about, and every configuration.
"use strict";
(() => {
  const { html, useEffect, useMemo, useState } = window.htmPreact;

  function Study({ name, leave, chosen, choose, filter, setFilter }) {
    const [study, setStudy] = useState(null);
    useEffect(() => distune.source.follow(name, setStudy), [name]);
    const counted = study && study.configurations;
    const rows = useMemo(() => study && study.order ? study.order.map((first) => ({ first, ...study.configurations[first] })) : [], [counted]);
    const mattered = distune.useImportance(study, name);
    const varying = useMemo(() => distune.byImportance(study && study.order ? distune.varying(study) : [], mattered), [counted, mattered]);
    const drawn = useMemo(() => study && study.order && {
      front: study.status.objectives && distune.charts.front(study, rows),
    }, [counted]);
    const metric = study && study.status ? study.status.metric : "";
    const kept = useMemo(() => distune.filter.kept(rows, filter, metric), [rows, filter]);
    const filtered = useMemo(() => rows.length > 1 && varying.length > 0 && study.answer.nothing === undefined && {
      parallel: distune.charts.parallel(study, rows, kept, varying.slice(0, 10)),
      slices: varying.slice(0, 12).map((name) => [name, distune.charts.slice(study, rows, kept, name)]),
    }, [rows, kept, varying]);
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
        <${distune.GoTo} study=${study} choose=${choose} />
      </header>
      ${study.trouble && html`<p class="bad" role="alert">${study.trouble}</p>`}
      <${distune.About} about=${distune.source.about} />
      <main class="cards">
        <${distune.Found} study=${study} choose=${choose} />
        <${distune.Words} />
        <${distune.BestSoFar} study=${study} />
        ${status.running.length > 0 && html`<section class="card"><h2>Training now</h2>
          <${distune.Chart} option=${distune.charts.running(study)} label="learning curves of running trials" /></section>`}
        <${distune.Front} study=${study} rows=${rows} option=${drawn.front} choose=${choose} />
        <${distune.Stages} study=${study} />
        <${distune.Importance} found=${mattered} />
        <${distune.Failures} study=${study} choose=${choose} />
        <${distune.Stopped} study=${study} choose=${choose} />
        ${filtered && html`<section class="card wide"><h2>Parameters and what they gave</h2>
          <p class="quiet">A line is a configuration: the better, the stronger; dashed: it failed. The parameters that mattered most come first${varying.length > 12 ? `, ${varying.length} in all` : ""}. Drag along an axis: all charts and the table keep what lies there.</p>
          <${distune.Chart} option=${filtered.parallel} height=${340} wide=${90 + 85 * (Math.min(varying.length, 10) + 1)} label="parallel coordinates" on=${{ axisareaselected: brushed }} />
          <div class="slices">${filtered.slices.map(([of, option]) => html`<div key=${of}><h3>${of}</h3>
            <${distune.Chart} option=${option} height=${180} label=${`${metric} by ${of}`} on=${{ click: (what) => choose(what.data.value[2]) }} /></div>`)}</div>
        </section>`}
        ${filtered && html`<${distune.HeatMap} study=${study} kept=${kept} names=${varying.slice(0, 9)} />`}
        ${chosen !== null && html`<${distune.Trial} study=${study} name=${name} number=${chosen} close=${() => choose(null)} />`}
        <section class="card wide"><h2>Ranking${words.length ? ` (${kept.length} of ${rows.length})` : ""}</h2>
          ${words.length > 0 && html`<p>${words.join(", ")} <button onClick=${() => setFilter({})}>show all</button></p>`}
          <${distune.Table} label="ranking" index="first" rows=${kept} columns=${columns(study, varying)} chosen=${chosen} onRow=${(row) => choose(row.first)} />
          <${distune.SameInAll} study=${study} varying=${varying} /></section>
        <${distune.Sections} choose=${choose} />
        <${distune.Workers} study=${study} />
        <${distune.Timeline} study=${study} />
      </main>
      <footer><${distune.About} about=${distune.source.about} /></footer>`;
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
      ...distune.moreColumns(study),
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
