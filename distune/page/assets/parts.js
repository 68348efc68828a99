// Parts of a study's page: what failed, who trained what, what mattered.
"use strict";
(() => {
  const { html, useEffect, useState } = window.htmPreact;

  /** Failed trials by what they say, numbers aside; and what the settings of each kind have in common. */
  function failureKinds(study) {
    const kinds = new Map();
    for (const [number, one] of Object.entries(study.trials)) {
      if (!["failed", "timeout", "out-of-memory", "diverged"].includes(one.outcome)) continue;
      const message = one.failure || one.outcome;
      const kind = message.replace(/0x[0-9a-f]+|\d[\d.e+-]*/gi, "#");
      if (!kinds.has(kind)) kinds.set(kind, { message, numbers: [], configurations: [] });
      const found = kinds.get(kind);
      found.numbers.push(Number(number));
      found.configurations.push(study.configurations[one.configuration]);
    }
    return [...kinds.values()].sort((a, b) => b.numbers.length - a.numbers.length);
  }

  /** "optimizer rmsprop, lr 0.3 to 0.9": where all of some lie, if others lie elsewhere. */
  function inCommon(study, some, varying) {
    if (some.length < 2) return "";
    const all = Object.values(study.configurations);
    const words = [];
    for (const name of varying) {
      const own = some.map((one) => one && one.params[name]).filter((v) => v !== undefined);
      if (own.length < some.length) continue;
      if (own.every((v) => typeof v === "number")) {
        const [low, high] = [Math.min(...own), Math.max(...own)];
        const elsewhere = all.filter((one) => one.params[name] < low || one.params[name] > high).length;
        if (elsewhere > 0.4 * all.length) words.push(low === high ? `${name} ${distune.number(low)}` : `${name} ${distune.number(low)} to ${distune.number(high)}`);
      } else if (new Set(own).size === 1) {
        words.push(`${name} ${own[0]}`);
      }
    }
    return words.join(", ");
  }

  function Failures({ study, varying, choose }) {
    const kinds = failureKinds(study);
    if (!kinds.length) return null;
    return html`<section class="card wide"><h2 class="bad">What failed</h2>
      <table><thead><tr><th>trials</th><th>message</th><th>all of them have</th><th>look at</th></tr></thead><tbody>
        ${kinds.slice(0, 20).map((kind) => html`<tr>
          <td class="right">${kind.numbers.length}</td><td>${kind.message}</td>
          <td>${inCommon(study, kind.configurations, varying)}</td>
          <td>${kind.numbers.slice(0, 3).map((n) => html`<button onClick=${() => choose(n)}>${n}</button> `)}</td></tr>`)}
      </tbody></table></section>`;
  }

  function Workers({ study }) {
    const { workers, running } = study.status;
    if (!workers.length && !running.length) return null;
    return html`<section class="card wide"><h2>Workers</h2>
      <table><thead><tr><th>worker</th><th>host</th><th>device</th><th>state</th><th>trains</th><th class="right">done</th><th class="right">failed</th></tr></thead><tbody>
        ${workers.map((one) => html`<tr key=${one.worker}>
          <td>${one.worker}</td><td>${one.host}</td><td>${one.device}</td>
          <td class=${one.trouble ? "bad" : ""}>${one.state || "silent"} ${one.trouble}</td>
          <td>${running.filter((r) => r.worker === one.worker).map((r) => `trial ${r.trial}${r.fraction ? ` ${Math.round(100 * r.fraction)} %` : ""}`).join(", ")}</td>
          <td class="right">${one.completed}</td><td class="right">${one.failed}</td></tr>`)}
      </tbody></table></section>`;
  }

  function Importance({ study, name }) {
    const [found, setFound] = useState(null);
    const many = Math.floor(Object.keys(study.trials).length / 20); // a new answer every twenty trials
    useEffect(() => {
      let over = false;
      if (many) distune.source.importance(name).then((answer) => { if (!over) setFound(answer); }, () => {});
      return () => { over = true; };
    }, [name, many]);
    if (!found) return null;
    if (found.unknown) return html`<section class="card"><h2>What mattered</h2><p class="quiet">${found.unknown}</p></section>`;
    return html`<section class="card"><h2>What mattered</h2>
      <p class="quiet">The share of each parameter, and where nine of ten resamples have it. What does not pass the dotted line may be chance.</p>
      <${distune.Chart} option=${distune.charts.importance(found)} height=${60 + 30 * found.parameters.length} label="importance of the parameters" /></section>`;
  }

  Object.assign(distune, { Failures, Importance, Workers });
})();
