// Every configuration of a study, best first, in a table.
"use strict";
(() => {
  const { html, useMemo } = window.htmPreact;

  function Ranking({ study, rows, kept, varying, at, go, open }) {
    const hidden = at.hide ? at.hide.split(",") : [];
    const shown = columns(study, rows, varying);
    const flat = useMemo(() => kept.map(({ params, ...row }) => ({
      ...row, ...Object.fromEntries(varying.map((name) => [`params.${name}`, params[name]])),
      ...Object.fromEntries(Object.entries(row.objectives || {}).map(([name, one]) => [`objectives.${name}`, one])),
    })), [kept]);
    const words = distune.filter.words(at.filter);
    const without = (name) => go({ keep: distune.filter.toText(Object.fromEntries(Object.entries(at.filter).filter(([one]) => one !== name))) });
    return html`<section class="card wide" id="ranking" aria-label="ranking"><h2>Ranking</h2>
      <div class="tools">
        <${distune.Search} label="search the configurations" hint="adam lr<0.1 (press /)" value=${at.find || ""} onSearch=${(find) => go({ find }, true)} />
        <${distune.Columns} columns=${shown} hidden=${hidden} setHidden=${(now) => go({ hide: now.join() })} />
        ${Object.keys(at.filter).map((name, i) => html`<button key=${name} class="chip" onClick=${() => without(name)}>${words[i]} <span aria-hidden="true">×</span><span class="unseen">: show all again</span></button>`)}
        <span class="quiet">${kept.length === rows.length ? `${rows.length} configurations` : `${kept.length} of ${rows.length} configurations`}</span>
      </div>
      <${distune.Table} label="ranking" index="first" rows=${flat} columns=${shown} hidden=${hidden} sort=${at.sort || ""}
        onSort=${(sort) => go({ sort })} chosen=${at.trial === undefined ? null : Number(at.trial)} onRow=${(row, instead) => open(row.first, instead)} />
      <${distune.SameInAll} study=${study} varying=${varying} /></section>`;
  }

  function columns(study, rows, varying) {
    const { metric } = study.status;
    const values = rows.map((one) => one.value).filter((one) => typeof one === "number").sort((a, b) => a - b);
    const [low, high] = [values[Math.floor(values.length * 0.1)], values[values.length - 1]];
    const decimals = distune.decimals(rows[0]?.value);
    const value = (cell) => distune.value(cell.getValue(), decimals);
    const share = (cell) => (cell.getValue() - low) / (high - low || 1) || 0;
    const has = (field) => rows.some((one) => typeof one[field] === "number");
    return [
      distune.numeric({ title: "#", field: "rank", frozen: true, width: 52 }),
      distune.numeric({ title: "trial", field: "first", width: 70 }),
      distune.numeric({ title: metric, field: "value", minWidth: 90, maxInitialWidth: innerWidth < 600 ? 118 : 200, formatter: distune.barred(share, value) }),
      ...(has("spread") ? [distune.numeric({ title: "spread", field: "spread", formatter: (cell) => (cell.getValue() === null ? "" : value(cell)) })] : []),
      ...varying.map((name) => distune.numeric({ title: name, field: `params.${name}` })),
      ...distune.moreColumns(study, rows),
      distune.numeric({ title: "time", field: "seconds", formatter: (cell) => distune.duration(cell.getValue()) }),
      { title: "standing", field: "standing" },
      ...(rows.some((one) => one.reason) ? [{ title: "why", field: "reason" }] : []),
    ];
  }

  distune.Ranking = Ranking;
})();
