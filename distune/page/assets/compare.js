// Studies side by side: the best so far of each, and what it is.
"use strict";
(() => {
  const { html, useEffect, useMemo, useState } = window.htmPreact;

  function Compare({ names, leave }) {
    const [studies, setStudies] = useState({});
    useEffect(() => {
      const ends = names.map((name) => distune.source.follow(name, (study) => setStudies((before) => ({ ...before, [name]: study }))));
      return () => ends.forEach((end) => end());
    }, [names.join()]);
    const there = names.filter((name) => studies[name] && studies[name].order);
    const counted = there.map((name) => studies[name].configurations);
    const drawn = useMemo(() => ["trials", "time"].map((against) =>
      distune.charts.compared(there.map((name) => [name, studies[name]]), against)), counted);
    const params = [...new Set(there.flatMap((name) => studies[name].space.map((one) => one.name)))];
    const metrics = new Set(there.map((name) => studies[name].status.metric));
    return html`
      <header><a href="#" onClick=${(event) => { event.preventDefault(); leave(); }}>all studies</a><h1>${names.join(" and ")}</h1></header>
      <main class="cards">
        ${metrics.size > 1 && html`<p class="bad wide" role="alert">They have unlike metrics (${[...metrics].join(", ")}): the lines mean different things.</p>`}
        <section class="card"><h2>Best so far, by trials</h2><${distune.Chart} option=${drawn[0]} height=${340} label="best so far of each study, by trials" /></section>
        <section class="card"><h2>Best so far, by time</h2><${distune.Chart} option=${drawn[1]} height=${340} label="best so far of each study, by time" /></section>
        <section class="card wide"><h2>Their best configurations</h2><table>
          <thead><tr><th></th>${there.map((name) => html`<th class="right">${name}</th>`)}</tr></thead><tbody>
          ${[["value", (best) => distune.number(best.value)], ["trials", (best, study) => study.status.trials.counted],
             ["ran for", (best, study) => distune.duration(study.status.elapsed)],
             ...params.map((name) => [name, (best) => distune.number(best.params[name])])].map(([title, cell]) => {
            const cells = there.map((name) => { const study = studies[name]; const best = study.configurations[study.order[0]]; return best ? cell(best, study) : ""; });
            return html`<tr class=${new Set(cells.map(String)).size > 1 ? "" : "quiet"}><th>${title}</th>${cells.map((text) => html`<td class="right">${text}</td>`)}</tr>`;
          })}</tbody></table></section>
      </main>`;
  }

  distune.Compare = Compare;
})();
