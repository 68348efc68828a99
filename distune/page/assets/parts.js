// Parts of a study's page: how the search went, what failed, who trained what, what mattered.
"use strict";
(() => {
  const { html, useEffect, useMemo, useState } = window.htmPreact;

  /** A choice of one of some things. */
  function Choose({ title, options, chosen, choose }) {
    return html`<label class="quiet">${title} <select value=${chosen} onChange=${(event) => choose(event.target.value)}>
      ${options.map((one) => html`<option key=${one} value=${one} selected=${one === chosen}>${one}</option>`)}</select></label>`;
  }

  /** Rows under a header; the columns in `numeric` are set flush right. */
  function Rows({ header, rows, numeric = [] }) {
    const side = (i) => (numeric.includes(i) ? "right" : "");
    return html`<div class="scroll"><table><thead><tr>${header.map((one, i) => html`<th class=${side(i)}>${one}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((cell, i) => html`<td class=${side(i)}>${cell}</td>`)}</tr>`)}</tbody></table></div>`;
  }

  /** The first rows, and all of them on demand. */
  function Long({ header, rows, numeric, first = 12 }) {
    const [all, setAll] = useState(false);
    const more = rows.length - first;
    return html`<${Rows} header=${header} rows=${all ? rows : rows.slice(0, first)} numeric=${numeric} />
      ${more > 0 && html`<p><button onClick=${() => setAll(!all)}>${all ? "show fewer" : `show ${more} more`}</button></p>`}`;
  }

  const trialButton = (n, choose) => html`<button onClick=${() => choose(n)}>${n}</button>`;

  const BANDS = "Dashed: the median over 1,000 reshuffled orders of the same trials, since the order of a random search is chance; dark band: half of these orders; light band: nine in ten.";

  function BestSoFar({ study }) {
    const times = { "time the study ran": "time", "seconds of training": "training" };
    const [time, setTime] = useState("time the study ran");
    const { bands } = distune.source;
    const [byTrials, byTime] = useMemo(() => [distune.charts.bestSoFar(study, "trials", bands), distune.charts.bestSoFar(study, times[time], bands)], [study.configurations, time]);
    if (study.answer.nothing !== undefined) return null;
    const said = distune.findings.bestSoFar(study);
    return html`
      <section class="card" id="progress" aria-label="best so far, by trials"><h2>Best so far, by trials</h2><${distune.Chart} option=${byTrials} label=${said} />
        <p class="quiet">Line: the best value of a single trial so far, as they were counted. Failed, diverged and stopped trials count, and have no value; so do those that break a constraint. ${bands && BANDS}</p></section>
      <section class="card" aria-label="best so far, by time"><h2>Best so far, by time</h2><${Choose} title="time" options=${Object.keys(times)} chosen=${time} choose=${setTime} />
        <${distune.Chart} key=${time} option=${byTime} label=${`${said}, in ${distune.duration(study.status.elapsed)}`} />
        <p class="quiet">${time === "seconds of training" ? "Summed over the trials, as if one worker had trained one after the other." : "The study's own clock, with all its workers; a trial stands where it was counted."}</p></section>`;
  }

  function Front({ study, rows, option, choose, keep }) {
    if (!option) return null;
    const goals = Object.keys(study.status.objectives), on = rows.filter((one) => one.front);
    const names = distune.varying(study), [up, across] = goals;
    const drawn = ([x, y]) => keep({ [across]: distune.filter.range(...x), [up]: distune.filter.range(...y) });
    return html`<section class="card wide" aria-label="the front"><h2>The front</h2>
      <${distune.Chart} option=${option} height=${340} label=${distune.findings.front(rows)} drag="rect" on=${{ click: (what) => choose(what.data.value[2]), drawn }} />
      <p class="quiet">A dot is a configuration, at the means of its repeats (${Object.entries(study.status.objectives).map(([name, way]) => `${way} ${name}`).join(", ")}).${" "}
        ${on.length} on the front: beaten by no other in one objective and at least matched in all; the first is the winner, the best by ${goals[0]}.${goals.length > 2 ? " What it has of the others the table says." : ""}<span class="mouse"> Drag over some to keep these.</span></p>
      <${Long} header=${["trial", ...goals, "params"]} numeric=${[0, ...goals.map((_, i) => i + 1)]}
        rows=${on.map((one) => [trialButton(one.first, choose), ...goals.map((name) => (name === "seconds" ? distune.duration : distune.number)(one.objectives[name])), distune.setting(one.params, names)])} /></section>`;
  }

  function Stages({ study }) {
    const { stages, metric } = study.status;
    if (!stages.length) return null;
    const found = ({ tunes, winner, state }) => (winner ? distune.setting(winner.params, tunes)
      : `${tunes.join(", ")}${state === "over" ? ": no result, so nothing changes" : ""}`);
    return html`<section class="card wide" aria-label="stages"><h2>Stages</h2>
      <${Rows} header=${["", "stage", "state", "trials", metric, "found"]} numeric=${[0, 3, 4]}
        rows=${stages.map((one, i) => [i + 1, one.name, one.state, `${one.counted}/${one.trials}`, one.winner ? distune.number(one.winner.value) : "", found(one)])} />
      <p class="quiet">One after the other: each starts from the best configuration of the one before and changes only the parameters named here. ${metric} is that of the stage's own best configuration.</p></section>`;
  }

  function Failures({ study, choose }) {
    const groups = study.failures || [];
    if (!groups.length) return null;
    return html`<section class="card wide" aria-label="what failed"><h2 class="bad">What failed</h2>
      <${Long} header=${["trials", "how", "message", "what they have in common", "look at", "on"]} numeric=${[0]}
        rows=${groups.map((one) => [one.trials.length, one.outcomes.join(", "), one.message, one.shared, one.trials.slice(0, 5).map((n) => html`${trialButton(n, choose)} `), one.workers.slice(0, 3).join(", ")])} />
      <p class="quiet">Messages that differ only in numbers are one. ${study.answer.nothing === undefined && "Triangles and dashed lines below are these trials. "}The last attempt at each is meant; distune show TRIAL prints all of them in full.</p></section>`;
  }

  function Stopped({ study, choose }) {
    const stopped = Object.entries(study.trials).filter(([, one]) => one.reason);
    if (!stopped.length) return null;
    const seconds = stopped.reduce((sum, [, one]) => sum + (one.seconds || 0), 0), names = distune.varying(study);
    const params = (one) => (study.configurations[one.configuration] || { params: {} }).params;
    return html`<section class="card wide" aria-label="what was stopped"><h2>What was stopped</h2>
      <${Long} header=${["trial", study.status.metric, "stopped at", "params"]} numeric=${[0, 1]} first=${5}
        rows=${stopped.slice(0, 500).map(([n, one]) => [trialButton(Number(n), choose), distune.number(one.value), one.reason, distune.setting(params(one), names)])} />
      <p class="quiet">${stopped.length} trials, which had trained for ${distune.duration(seconds)} together.</p></section>`;
  }

  function Workers({ study }) {
    const { workers, running } = study.status;
    if (!workers.length && !running.length) return null;
    return html`<section class="card wide" aria-label="workers"><h2>Workers</h2>
      <${Rows} header=${["worker", "host", "device", "state", "trains", "done", "failed"]} numeric=${[5, 6]}
        rows=${workers.map((one) => [one.worker, one.host, one.device, html`<span class=${one.trouble ? "bad" : ""}>${one.state || "silent"} ${one.trouble}</span>`,
          running.filter((r) => r.worker === one.worker).map((r) => `trial ${r.trial}${r.fraction ? ` ${Math.round(100 * r.fraction)} %` : ""}`).join(", "), one.completed, one.failed])} /></section>`;
  }

  function Timeline({ study, kept }) {
    const besides = distune.source.besides || [];
    const option = useMemo(() => distune.charts.timeline(study, kept, besides), [study.trials, kept]);
    const many = new Set([...Object.values(study.trials), ...besides].map((one) => one.worker)).size;
    if (!option.series.length) return null;
    return html`<section class="card wide" id="timeline" aria-label="who trained when"><h2>Who trained when</h2>
      <${distune.Chart} option=${option} height=${100 + 26 * many} label=${distune.findings.timeline(study)} />
      <p class="quiet">A bar is an attempt; pale: its configuration is not kept. Ctrl and the wheel zoom.</p></section>`;
  }

  /** What mattered, as far as it is known; it is asked for anew every twenty trials. */
  function useImportance(study, name) {
    const [found, setFound] = useState(null);
    const many = study && study.trials ? Math.floor(Object.keys(study.trials).length / 20) : 0;
    useEffect(() => {
      let over = false;
      if (many || !distune.source.isLive) distune.source.importance(name).then((answer) => { if (!over) setFound(answer); }, () => {});
      return () => { over = true; };
    }, [name, many]);
    return found;
  }

  /** Names of parameters, the most important first. */
  function byImportance(names, found) {
    const places = new Map(((found && found.parameters) || []).map((one, i) => [one.name, i]));
    return [...names].sort((a, b) => (places.get(a) ?? 1e9) - (places.get(b) ?? 1e9));
  }

  function Importance({ found }) {
    if (!found || found.unknown === "") return null;
    if (found.unknown) return html`<section class="card wide" aria-label="what mattered"><h2>What mattered</h2><p class="quiet">${found.unknown}</p></section>`;
    return html`<section class="card wide" aria-label="what mattered"><h2>What mattered</h2>
      ${found.headline && html`<p>${found.headline}</p>`}
      <${distune.Chart} option=${distune.charts.importance(found)} height=${70 + 30 * found.parameters.length} label=${`importance of the parameters: ${found.parameters.map((one) => `${one.name} ${Math.round(100 * one.share)} %`).join(", ")}`} />
      <p class="quiet">Lines: the spread; dotted: what chance alone gives; pale: what does not pass it. ${found.how}</p>
      ${found.rows && html`<details><summary>in numbers</summary><${Rows} header=${["parameter", "importance", "spread", "judged on", ""]} rows=${found.rows} numeric=${[1, 2, 3]} /><p class="quiet">${found.caveats}</p></details>`}</section>`;
  }

  function HeatMap({ study, kept, names, keep }) {
    const [chosen, setChosen] = useState([null, null]);
    const there = (name, other) => (names.includes(name) && name !== other ? name : names.find((one) => one !== other));
    const first = there(chosen[0]), second = there(chosen[1], first);
    const option = useMemo(() => names.length > 1 && distune.charts.heatMap(study, kept, first, second), [kept, first, second]);
    if (!option) return null;
    return html`<section class="card wide" aria-label="heat map"><h2>Two parameters at a time</h2>
      <${Choose} title="across" options=${names} chosen=${first} choose=${(name) => setChosen([name, second === name ? first : second])} />${" "}
      <${Choose} title="up" options=${names.filter((one) => one !== first)} chosen=${second} choose=${(name) => setChosen([first, name])} />
      <${distune.Chart} key=${`${first} ${second}`} option=${option} height=${340} label=${`median ${study.status.metric} by ${first} and ${second}`}
        on=${{ click: ({ data }) => keep(distune.charts.cellOf(study, kept, [first, second], data)) }} />
      <p class="quiet">Colour and number: the median ${study.status.metric} of the configurations in a cell, whatever their other params; the stronger, the better. Cells without one are empty. A click on a cell keeps these.</p></section>`;
  }

  /** What is the same in all configurations, in a line. */
  function SameInAll({ study, varying }) {
    const best = study.configurations[study.order[0]];
    const same = best ? Object.keys(best.params).filter((name) => !varying.includes(name)) : [];
    return same.length ? html`<p class="quiet">The same in all: ${distune.setting(best.params, same)}.</p>` : null;
  }

  /** Columns of the ranking that this study has something in. */
  function moreColumns(study, all) {
    const { status } = study;
    const has = (get) => all.some((one) => { const v = get(one); return v !== undefined && v !== null && v !== "" && v !== 0; });
    const test = Object.keys(all[0] || {}).find((key) => key.startsWith("test_"));
    const numeric = (title, field) => distune.numeric({ title, field });
    return [
      status.repeats > 1 && numeric("repeats", "repeats"),
      has((one) => one.confirmed) && numeric("confirmed", "confirmed"),
      has((one) => one.search_saw) && numeric("search saw", "search_saw"),
      test && has((one) => one[test]) && numeric("test", test),
      has((one) => one.parameters) && numeric("size", "parameters"),
      ...Object.keys(status.objectives || {}).filter((name) => ![status.metric, "seconds", "parameters"].includes(name)).map((name) => numeric(name, `objectives.${name}`)),
      status.objectives && { title: "front", field: "front", formatter: (cell) => (cell.getValue() ? "◇" : "") },
      status.constraints && { title: "breaks", field: "violations", formatter: (cell) => (cell.getValue() || []).map((one) => `${one.name} ${distune.number(one.excess)} ${one.limit === "max" ? "above" : "below"} ${distune.number(one.bound)}`).join(", ") },
    ].filter(Boolean);
  }

  Object.assign(distune, { BestSoFar, Choose, Failures, Front, HeatMap, Importance, Long, Rows, SameInAll, Stages, Stopped, Timeline, Workers, byImportance, moreColumns, useImportance });
})();
