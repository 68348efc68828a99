// What a chart says, in words: for who does not see it. Pure functions.
"use strict";
distune.findings = (() => {
  const decimalsOf = (study) => distune.decimals(study.configurations[study.order[0]]?.value);
  const value = (study, one) => distune.value(one, decimalsOf(study));

  function bestSoFar(study) {
    const best = study.configurations[study.order[0]];
    const { metric, trials } = study.status;
    return best && typeof best.value === "number"
      ? `best ${metric} so far: ${value(study, best.value)} after ${trials.counted} trials`
      : `no ${metric} yet after ${trials.counted} trials`;
  }

  const running = (study) => study.status.running.map((one) =>
    `trial ${one.trial}${typeof one.value === "number" ? ` at ${value(study, one.value)}` : ""}`).join(", ");

  const parallel = (study, rows, kept, names) =>
    `parallel coordinates of ${kept.length} of ${rows.length} configurations; ${rows.length ? `the best has ${distune.setting(rows[0].params, names)}` : "none yet"}`;

  function slice(study, rows, name) {
    const best = rows.find((one) => one.params[name] !== undefined && typeof one.value === "number");
    return `${study.status.metric} by ${name}: ${best ? `the best, ${value(study, best.value)}, at ${distune.number(best.params[name])}` : "nothing yet"}`;
  }

  function timeline(study) {
    const all = Object.values(study.trials);
    const workers = new Set(all.map((one) => one.worker)).size;
    return `when each of ${workers} workers trained: ${all.length} trials in ${distune.duration(study.status.elapsed)}`;
  }

  const front = (rows) => `${rows.filter((one) => one.front).length} of ${rows.length} configurations are on the front`;

  function trial(study, number, own) {
    if (!own.length) return `trial ${number} has no curve yet`;
    const end = own[own.length - 1][1];
    const ends = Object.values(study.trials).map((one) => one.value).filter((one) => typeof one === "number");
    const better = distune.better(study.status.direction);
    const share = Math.round((100 * ends.filter((one) => better(end, one)).length) / (ends.length || 1));
    return `trial ${number} stands at ${value(study, end)} after ${own.length} steps, better than ${share} % of the trials`;
  }

  const compared = (studies) => studies.map(([name, study]) => `${name}: ${bestSoFar(study)}`).join("; ");

  return { bestSoFar, compared, front, parallel, running, slice, timeline, trial };
})();
