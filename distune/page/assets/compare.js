// Studies side by side: the best so far of each, and what it is.
"use strict";
(() => {
  const { html, useEffect, useMemo, useState } = window.htmPreact;

  function Compare({ names, visit }) {
    const [studies, setStudies] = useState({});
    useEffect(() => {
      const ends = names.map((name) => distune.source.follow(name, (study) => setStudies((before) => ({ ...before, [name]: study }))));
      return () => ends.forEach((end) => end());
    }, [names.join()]);
    const leave = () => visit({ mark: names.join() });
    distune.useKeys({ Escape: leave });
    const there = names.filter((name) => studies[name] && studies[name].order).map((name) => [name, studies[name]]);
    const drawn = useMemo(() => ["trials", "time"].map((against) => distune.charts.compared(there, against)),
      there.map(([, study]) => study.configurations).concat(Array(names.length - there.length).fill(null)));
    const metrics = new Set(there.map(([, study]) => study.status.metric));
    const missing = names.filter((name) => !there.some(([one]) => one === name));
    const label = distune.findings.compared(there);
    return html`
      <header><${distune.Home} visit=${visit} mark=${names.join()} /><h1>${names.join(" and ")}</h1></header>
      <main class="cards">
        ${missing.length > 0 && html`<p class="quiet wide" role="status">${missing.map((name) => (studies[name] && studies[name].trouble) || `reading ${name} …`).join("; ")}</p>`}
        ${metrics.size > 1 && html`<p class="bad wide" role="alert">They have unlike metrics (${[...metrics].join(", ")}): the lines mean different things.</p>`}
        ${there.length > 0 && html`<section class="card" aria-label="best so far, by trials"><h2>Best so far, by trials</h2><${distune.Chart} option=${drawn[0]} height=${340} label=${label} /></section>
        <section class="card" aria-label="best so far, by time"><h2>Best so far, by time</h2><${distune.Chart} option=${drawn[1]} height=${340} label=${`by time, ${label}`} /></section>
        <section class="card wide" aria-label="their best configurations"><h2>Their best configurations</h2>
          <p class="quiet">Bold is what they differ in.</p>
          <${SideBySide} studies=${there} visit=${visit} /></section>`}
      </main>`;
  }

  function SideBySide({ studies, visit }) {
    const params = [...new Set(studies.flatMap(([, study]) => study.space.map((one) => one.name)))];
    const rows = [
      ["value", (best) => distune.value(best.value)],
      ["spread", (best) => (typeof best.spread === "number" ? distune.number(best.spread) : "unknown")],
      ["trials", (best, study) => study.status.trials.counted],
      ["ran for", (best, study) => distune.duration(study.status.elapsed)],
      ["sampler", (best, study) => study.status.sampler],
      ...params.map((name) => [name, (best) => distune.number(best.params[name])]),
    ];
    return html`<table><thead><tr><th></th>${studies.map(([name]) => html`<th class="right" scope="col" key=${name}>
        <button onClick=${() => visit({ study: name })}>${name}</button></th>`)}</tr></thead><tbody>
      ${rows.map(([title, cell]) => {
        const cells = studies.map(([, study]) => { const best = study.configurations[study.order[0]]; return best ? cell(best, study) : ""; });
        const differs = new Set(cells.map(String)).size > 1;
        return html`<tr key=${title} class=${differs ? "differs" : "quiet"}><th scope="row">${title}</th>${cells.map((text) => html`<td class="right">${text}</td>`)}</tr>`;
      })}</tbody></table>`;
  }

  distune.Compare = Compare;
})();
