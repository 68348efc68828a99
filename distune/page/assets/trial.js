// One trial: its curve among the others, its params, its attempts, what it printed.
"use strict";
(() => {
  const { html, useEffect, useRef, useState } = window.htmPreact;

  function Trial({ study, name, number, close, actions }) {
    const row = study.trials[number];
    const now = study.status.running.find((one) => one.trial === number);
    const [found, setFound] = useState(null);
    const [curves, setCurves] = useState({});
    const heading = useRef(null);
    useEffect(() => {
      const from = document.activeElement;
      heading.current.focus();
      return () => { if (from && from.isConnected) from.focus({ preventScroll: true }); };
    }, []);
    useEffect(() => setFound(null), [number]);
    useEffect(() => {
      let over = false;
      distune.source.trial(name, number).then((answer) => { if (!over) setFound(answer); }, () => { if (!over) setFound({ missing: true, attempts: [] }); });
      return () => { over = true; };
    }, [name, number, row && row.outcome, now && now.curve.length, now && now.attempt]);
    useEffect(() => {
      let over = false;
      distune.source.curves(name).then((answer) => { if (!over) setCurves(answer); }, () => {});
      return () => { over = true; };
    }, [name, number]);
    const params = found?.params ?? (row ? study.configurations[row.configuration]?.params : now?.params) ?? {};
    const own = now && now.curve.length ? now.curve.map((y, i) => [i + 1, y]) : found ? curveOf(found, study.status.metric) : [];
    const outcome = row ? row.outcome : now ? "running" : "under way";
    const place = row && study.configurations[row.configuration];
    const hasFailed = row && row.outcome !== "complete" && row.outcome !== "pruned";
    return html`<aside class="drawer" aria-label=${`trial ${number}`}>
      <div class="tools"><h2 tabindex="-1" ref=${heading}>Trial ${number} <span class=${hasFailed ? "bad" : "quiet"}>${outcome}</span></h2>
        <button class="right" onClick=${close}>close</button></div>
      <p>${row && typeof row.value === "number" && html`${study.status.metric} ${distune.value(row.value)}`}
        ${place && place.rank && html` <span class="quiet">rank ${place.rank} of ${study.order.length}</span>`}</p>
      ${actions && html`<${distune.Retry} key=${number} name=${name} number=${number} hasFailed=${hasFailed} />`}
      ${(own.length > 1 || Object.keys(curves).length > 0) && html`<${distune.Chart} key=${number} height=${240} label=${`its learning curve among others: ${distune.findings.trial(study, number, own)}`}
        option=${distune.charts.amongOthers(study, number, own, curves)} />`}
      <h3>Parameters</h3><${Params} params=${params} varying=${distune.varying(study)} />
      <h3>Attempts</h3>
      ${!found && html`<p class="quiet">Reading …</p>`}
      ${found?.missing && html`<p class="quiet">Its attempts are not here.</p>`}
      ${found && found.attempts.map((one) => html`<${Attempt} key=${`${number}.${one.attempt}.${one.purpose}`} one=${one} open=${hasFailed || found.attempts.length === 1} />`)}
      ${found && !found.missing && html`<p class="quiet">seed ${found.seed}${found.repeat ? `, repeat ${found.repeat}` : ""}</p>`}
    </aside>`;
  }

  /** What was searched over first, then what all configurations share. */
  function Params({ params, varying }) {
    const names = Object.keys(params);
    const order = [...varying.filter((one) => names.includes(one)), ...names.filter((one) => !varying.includes(one))];
    return html`<dl class="params">${order.map((one) => html`<div key=${one} class=${varying.includes(one) ? "" : "quiet"}>
      <dt>${one}</dt><dd>${params[one] === null ? "null" : distune.number(params[one])}</dd></div>`)}</dl>`;
  }

  function Attempt({ one, open }) {
    const { result, claim } = one;
    const failure = result && result.failure;
    const left = Object.entries(one.artifacts || {});
    return html`<details open=${open}>
      <summary>attempt ${one.attempt}${one.purpose === "test" ? " (test)" : ""}: ${result ? result.outcome : one.state}
        ${claim && html` <span class="quiet">on ${claim.host} (${claim.device})</span>`}
        ${result && html` <span class="quiet">in ${distune.duration(result.seconds)}</span>`}</summary>
      ${failure && html`<p class="bad">${failure.message}</p>`}
      ${result && result.reason && html`<p>${result.reason}</p>`}
      ${one.checkpoints && one.checkpoints.length > 0 && html`<p class="quiet">checkpoints: ${one.checkpoints.map((c) => `step ${c.step}`).join(", ")}</p>`}
      ${left.length > 0 && html`<p>files: ${left.map(([path, bytes]) => `${path} (${distune.bytes(bytes)})`).join(", ")}</p>`}
      ${failure && failure.traceback && html`<pre tabindex="0" aria-label="traceback">${failure.traceback}</pre>`}
      ${one.output && html`<pre tabindex="0" aria-label="output">${one.output}</pre>`}
    </details>`;
  }

  function curveOf(found, metric) {
    const last = found.attempts.filter((one) => one.purpose === "train" && one.reports.length).pop();
    return last ? last.reports.map((one) => [one.step, one.metrics[metric]]).filter((one) => typeof one[1] === "number") : [];
  }

  distune.Trial = Trial;
})();
