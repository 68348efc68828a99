// One trial: its curve among the others, its attempts, what it printed.
"use strict";
(() => {
  const { html, useEffect, useState } = window.htmPreact;

  function Trial({ study, name, number, close }) {
    const row = study.trials[number] || {};
    const [found, setFound] = useState(null);
    const [curves, setCurves] = useState({});
    useEffect(() => {
      let over = false;
      const put = (set) => (answer) => { if (!over) set(answer); };
      setFound(null);
      distune.source.trial(name, number).then(put(setFound), () => put(setFound)({ params: study.configurations[row.configuration]?.params ?? {}, attempts: [] }));
      distune.source.curves(name).then(put(setCurves), () => {});
      return () => { over = true; };
    }, [name, number, study.trials[number] && study.trials[number].outcome]);
    const own = found ? curveOf(found, study.status.metric) : [];
    return html`<section class="card wide" aria-label=${`trial ${number}`}>
      <h2>Trial ${number} <span class=${row.outcome === "failed" ? "bad" : "quiet"}>${row.outcome || "under way"}</span>
        <button style="float:right" onClick=${close}>close</button></h2>
      <div class="cards">
        <div>
          ${(own.length > 1 || Object.keys(curves).length > 0) && html`<${distune.Chart} label="its learning curve among others"
            option=${distune.charts.amongOthers(study, number, own, curves)} />`}
        </div>
        <div>
          ${found && html`<p>${distune.setting(found.params, Object.keys(found.params))}</p>
            <p class="quiet">seed ${found.seed}${found.repeat ? `, repeat ${found.repeat}` : ""}</p>
            ${found.attempts.map((one) => html`<${Attempt} one=${one} />`)}`}
        </div>
      </div>
    </section>`;
  }

  function Attempt({ one }) {
    const { result, claim } = one;
    const failure = result && result.failure;
    return html`<details open=${Boolean(failure)}>
      <summary>attempt ${one.attempt}${one.purpose === "test" ? " (test)" : ""}: ${result ? result.outcome : one.state}
        ${claim && html` <span class="quiet">on ${claim.host} (${claim.device})</span>`}
        ${result && html` <span class="quiet">in ${distune.duration(result.seconds)}</span>`}</summary>
      ${failure && html`<p class="bad">${failure.message}</p>`}
      ${result && result.reason && html`<p class="quiet">${result.reason}</p>`}
      ${failure && failure.traceback && html`<pre>${failure.traceback}</pre>`}
      ${one.output && html`<pre>${one.output}</pre>`}
    </details>`;
  }

  function curveOf(found, metric) {
    const last = found.attempts.filter((one) => one.purpose === "train" && one.reports.length).pop();
    return last ? last.reports.map((one) => [one.step, one.metrics[metric]]).filter((one) => typeof one[1] === "number") : [];
  }

  distune.Trial = Trial;
})();
