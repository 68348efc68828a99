// One study: the answer, how it came about, and every configuration.
"use strict";
(() => {
  const { html, useEffect, useMemo, useRef, useState } = window.htmPreact;

  const FAILED = ["failed", "timeout", "out-of-memory", "diverged"];

  function Study({ at, go, visit }) {
    const name = at.study;
    const [study, setStudy] = useState(null);
    const [about, setAbout] = useState({});
    useEffect(() => distune.source.follow(name, setStudy), [name]);
    useEffect(() => { distune.source.server().then(setAbout, () => {}); }, []);
    const isThere = Boolean(study && study.status && study.order);
    const counted = study && study.configurations;
    const rows = useMemo(() => (isThere ? study.order.map((first) => ({ first, ...study.configurations[first] })) : []), [counted]);
    const mattered = distune.useImportance(study, name);
    const columns = useMemo(() => (isThere ? distune.varying(study) : []), [counted]); // which keep their places
    const varying = useMemo(() => distune.byImportance(columns, mattered), [columns, mattered]);
    const metric = isThere ? study.status.metric : "";
    const kept = useMemo(() => distune.filter.kept(rows, at.filter, metric, at.find), [rows, at.filter, at.find]);
    const front = useMemo(() => isThere && study.status.objectives && distune.charts.front(study, rows, kept), [rows, kept]);
    const filtered = useMemo(() => rows.length > 1 && varying.length > 0 && study.answer.nothing === undefined && {
      parallel: distune.charts.parallel(study, rows, kept, varying.slice(0, 10)),
      slices: varying.slice(0, 12).map((of) => [of, distune.charts.slice(study, rows, kept, of)]),
    }, [rows, kept, varying]);
    const keep = (more) => go({ keep: distune.filter.toText({ ...at.filter, ...more }) });
    const open = (trial, instead) => go({ trial }, instead);
    const close = () => go({ trial: null });
    const leave = () => (at.trial !== undefined ? close() : distune.source.isLive && visit({}));
    distune.useKeys({
      Escape: leave, f: () => show("failures"),
      ...(distune.source.isLive && { c: () => visit({ mark: name }) }),
    });
    if (!isThere) {
      return html`<header>${distune.source.isLive && html`<${distune.Home} visit=${visit} />`}<h1>${name}</h1></header>
        <main><p class="quiet" role="status">${(study && study.trouble) || `Reading ${name} …`}</p></main>`;
    }
    const { status } = study;
    const { findings } = distune;
    const failures = FAILED.reduce((sum, one) => sum + (status.trials.outcomes[one] || 0), 0);
    const hasWorkers = status.workers.length > 0 || status.running.length > 0;
    return html`
      <header>
        ${distune.source.isLive && html`<${distune.Home} visit=${visit} mark=${at.mark} />`}
        <h1>${name}</h1>
        <strong role="status" aria-label="state">${status.state}</strong>
        <span class="quiet">${progressOf(status)}</span>
        <${distune.GoTo} study=${study} choose=${open} />
        <nav class="sections" aria-label="sections">
          ${[...(study.answer.nothing === undefined ? [["progress", "progress"]] : []), ...(filtered ? [["parameters", "parameters"]] : []), ["ranking", "ranking"],
             ...(failures ? [["failures", `failures (${failures})`]] : []), ["timeline", "timeline"]].map(([id, title]) =>
               html`<button key=${id} onClick=${() => show(id)}>${title}</button>`)}
        </nav>
      </header>
      ${study.trouble && html`<p class="bad" role="alert">${study.trouble}</p>`}
      <${distune.About} />
      ${about.actions && html`<${distune.Actions} study=${study} name=${name} best=${rows[0]} />`}
      <main class="cards">
        <${distune.Answer} study=${study} logs=${about.logs} choose=${open} />
        <${distune.Words} />
        <${distune.BestSoFar} study=${study} />
        ${status.running.length > 0 && html`<section class="card wide" aria-label="training now"><h2>Training now</h2>
          ${status.running.some((one) => one.curve.length) ? html`<${distune.Chart} option=${distune.charts.running(study)} label=${`learning curves: ${findings.running(study)}`} />`
            : html`<p class="quiet chart" style="height:280px">Nothing has been reported yet.</p>`}
          <p>${status.running.map((one) => html`<button key=${one.trial} onClick=${() => open(one.trial)}>trial ${one.trial}<span class="quiet"> on ${one.host || one.worker}</span></button> `)}</p></section>`}
        <${distune.Front} study=${study} rows=${rows} option=${front} choose=${open} keep=${keep} />
        <${distune.Stages} study=${study} />
        <${distune.Importance} found=${mattered} />
        ${failures > 0 && html`<div class="wide" id="failures" tabindex="-1"><${distune.Failures} study=${study} choose=${open} /></div>`}
        <${distune.Stopped} study=${study} choose=${open} />
        ${filtered && html`<section class="card wide" id="parameters" aria-label="parameters and what they gave"><h2>Parameters and what they gave</h2>
          <p class="quiet">A line is a configuration: the better, the stronger; dashed: it failed. The parameters that mattered most come first, ten at most. Drag along an axis: all charts and the table keep what lies there.</p>
          <${Brushed} key=${varying.slice(0, 10).join()} filter=${at.filter} setFilter=${(next) => go({ keep: distune.filter.toText(next) })}
            option=${filtered.parallel} label=${findings.parallel(study, rows, kept, varying)} /></section>`}
        <${distune.Ranking} study=${study} rows=${rows} kept=${kept} varying=${columns} at=${at} go=${go} open=${open} />
        ${filtered && html`<section class="card wide" aria-label="slices"><h2>One parameter at a time</h2>
          <p class="quiet">A dot is a configuration; a triangle one that failed.<span class="mouse"> Drag across one to keep what lies there.</span></p>
          <div class="slices">${filtered.slices.map(([of, option]) => html`<div key=${of}><h3>${of}</h3>
            <${distune.Chart} option=${option} height=${180} label=${findings.slice(study, rows, of)} drag="lineX"
              on=${{ click: (what) => open(what.value[2]), drawn: (range) => keep(distune.charts.sliceOf(study, rows, of, range)) }} /></div>`)}</div>
        </section>`}
        ${filtered && html`<${distune.HeatMap} study=${study} kept=${kept} names=${varying.slice(0, 9)} keep=${keep} />`}
        <${distune.Sections} choose=${open} />
        ${hasWorkers && html`<div class="wide" id="workers"><${distune.Workers} study=${study} /></div>`}
        <${distune.Timeline} study=${study} kept=${kept} />
      </main>
      <${distune.About} />
      ${at.trial !== undefined && html`<${distune.Trial} study=${study} name=${name} number=${Number(at.trial)} close=${close} actions=${about.actions} />`}`;
  }

  /** Parallel coordinates, of which a drag along an axis is the filter, and the other way round. */
  function Brushed({ filter, setFilter, option, label }) {
    const wanted = useRef(null);
    wanted.current = { filter, setFilter, option };
    const place = useRef(null);
    const drag = useRef(null); // the filter that a drag has come to; it holds when that ends
    const [drawn, setDrawn] = useState(option);
    const set = (next) => { if (drag.current) drag.current.next = next; else wanted.current.setFilter(next); };
    useEffect(() => { if (!drag.current) setDrawn(option); }, [option]);
    useEffect(() => {
      const ended = () => {
        if (!drag.current) return;
        const { next } = drag.current;
        drag.current = null;
        setDrawn(wanted.current.option);
        if (next) wanted.current.setFilter(next);
      };
      const ends = ["pointerup", "pointercancel"];
      ends.forEach((one) => window.addEventListener(one, ended));
      return () => ends.forEach((one) => window.removeEventListener(one, ended));
    }, []);
    const brushed = (what, chart) => {
      const at = chart.getOption().parallelAxis.find((one) => one.id === what.parallelAxisId);
      const { filter } = wanted.current;
      const { [at.id]: before, ...others } = filter;
      const [found] = what.intervals || [];
      const one = found && distune.filter.range(...found);
      if (!one) set(others);
      else if (at.type !== "category") set({ ...filter, [at.id]: one });
      else set({ ...filter, [at.id]: { among: at.data.slice(Math.ceil(one.between[0]), Math.floor(one.between[1]) + 1) } });
    };
    /** The filter of the address, or one that was taken back, as areas of the axes. */
    const mark = (chart) => {
      if (drag.current) return;
      for (const [i, at] of chart.getOption().parallelAxis.entries()) {
        const one = wanted.current.filter[at.id];
        const places = one?.among?.map((value) => at.data?.indexOf(value)) ?? [];
        const intervals = one?.between ? [one.between] : places.length ? [[Math.min(...places) - 0.4, Math.max(...places) + 0.4]] : [];
        if (JSON.stringify(intervals) !== JSON.stringify(chart.getModel().getComponent("parallelAxis", i).activeIntervals)) {
          chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId: at.id, intervals }, { silent: true });
        }
      }
    };
    const text = JSON.stringify(filter);
    useEffect(() => {
      const chart = echarts.getInstanceByDom(place.current.querySelector(".chart"));
      if (chart) mark(chart);
    }, [text]);
    return html`<div ref=${place} onPointerDown=${() => { drag.current = {}; }}><${distune.Chart} option=${drawn} height=${340} wide=${90 + 85 * drawn.parallelAxis.length} label=${label} on=${{ axisareaselected: brushed, finished: (what, chart) => mark(chart) }} /></div>`;
  }

  const progressOf = (status) => [
    `${status.trials.counted}${status.trials.planned ? ` of ${status.trials.planned}` : ""} trials`,
    distune.duration(status.elapsed),
    ...(status.eta_seconds ? [`${distune.duration(status.eta_seconds)} to go`] : []),
    ...(distune.source.isLive ? [`${status.workers.length} workers`] : []),
  ].join(" · ");

  /** Scrolls a part of the page to the top, and takes the focus there. */
  function show(id) {
    const part = document.getElementById(id);
    if (!part) return;
    part.scrollIntoView({ block: "start" });
    part.tabIndex = -1;
    part.focus({ preventScroll: true });
  }

  distune.Study = Study;
})();
