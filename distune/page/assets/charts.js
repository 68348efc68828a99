// Charts: from a study's data to what ECharts draws, and the element that holds it.
"use strict";
(() => {
  const { html, useEffect, useRef } = window.htmPreact;

  /** Draws an option of ECharts once it is on the screen, and again when that changes. */
  function Chart({ option, height = 280, label, on = {} }) {
    const place = useRef(null);
    const chart = useRef(null);
    const seen = useRef(false);
    const wanted = useRef(option);
    wanted.current = option;
    const draw = () => {
      if (!seen.current) return;
      if (!chart.current) {
        chart.current = echarts.init(place.current, null, { renderer: "canvas" });
        for (const [event, listener] of Object.entries(on)) {
          chart.current.on(event, (what) => listener(what, chart.current));
        }
      }
      chart.current.setOption({ ...basics(), ...wanted.current }, { notMerge: false, lazyUpdate: true });
    };
    useEffect(() => {
      const looking = new IntersectionObserver((entries) => {
        if (entries.some((one) => one.isIntersecting)) { seen.current = true; draw(); }
      });
      const sizing = new ResizeObserver(() => chart.current && chart.current.resize());
      looking.observe(place.current);
      sizing.observe(place.current);
      return () => { looking.disconnect(); sizing.disconnect(); if (chart.current) chart.current.dispose(); };
    }, []);
    useEffect(draw, [option]);
    return html`<div class="chart" role="img" aria-label=${label} style=${{ height: `${height}px` }} ref=${place}></div>`;
  }

  function basics() {
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    return {
      animation: !still, animationDuration: 200, animationDurationUpdate: 200,
      textStyle: { fontFamily: "system-ui, sans-serif", color: distune.colour("ink") },
      tooltip: { trigger: "item", renderMode: "richText", confine: true },
      grid: { left: 8, right: 14, top: 16, bottom: 8, containLabel: true },
    };
  }

  function axis(name, more = {}) {
    const line = { lineStyle: { color: distune.colour("line") } };
    return {
      type: "value", name, nameLocation: "middle", nameGap: 26, scale: true,
      axisLine: line, splitLine: line, axisTick: { show: false },
      axisLabel: { color: distune.colour("quiet"), formatter: (v) => (typeof v === "number" ? distune.number(v) : v) },
      nameTextStyle: { color: distune.colour("quiet") },
      ...more,
    };
  }

  /** Complete trials of the search as [x, value, number], and the best so far as a line of steps. */
  function progress(study, against) {
    const better = distune.better(study.status.direction);
    const rows = Object.entries(study.trials).map(([n, one]) => ({ n: Number(n), ...one }))
      .filter((one) => one.outcome === "complete" && typeof one.value === "number" && one.stage !== "confirming");
    rows.sort(against === "time" ? (a, b) => (a.elapsed ?? 0) - (b.elapsed ?? 0) : (a, b) => a.n - b.n);
    const dots = [], line = [];
    let best = null;
    rows.forEach((one, i) => {
      const x = against === "time" ? one.elapsed ?? 0 : i + 1;
      dots.push([x, one.value, one.n]);
      if (best === null || better(one.value, best)) { best = one.value; line.push([x, best]); }
    });
    if (line.length) line.push([dots[dots.length - 1][0], best]);
    return { dots, line };
  }

  const along = (against) => against === "time"
    ? axis("time of the study", { axisLabel: { color: distune.colour("quiet"), formatter: distune.duration, hideOverlap: true } })
    : axis("trials");

  /** The best value so far, after each trial or against the time, with every trial as a dot. */
  function bestSoFar(study, against) {
    const { metric, direction } = study.status;
    const { dots, line } = progress(study, against);
    return {
      xAxis: along(against),
      yAxis: axis(metric, { nameGap: 48, ...inside(dots.map((one) => one[1]), direction) }),
      series: [
        { type: "scatter", data: dots, symbolSize: 5, large: dots.length > 2000, itemStyle: { color: distune.colour("faint") },
          tooltip: { formatter: (p) => `trial ${p.data[2]}: ${distune.number(p.data[1])}` } },
        { type: "line", step: "end", data: line, showSymbol: false, lineStyle: { color: distune.colour("accent"), width: 2.5 }, z: 3,
          tooltip: { formatter: (p) => `best so far ${distune.number(p.data[1])}` } },
      ],
    };
  }

  /** The best so far of several studies; told apart by colour, by dashes, and by their names. */
  function compared(studies, against) {
    const colours = ["accent", "mark", "warn", "bad", "quiet"].map(distune.colour);
    const dashes = ["solid", "dashed", "dotted"];
    const lines = studies.map(([name, study]) => [name, progress(study, against).line]);
    return {
      legend: { top: 0, textStyle: { color: distune.colour("ink") } },
      grid: { left: 8, right: 14, top: 34, bottom: 8, containLabel: true },
      xAxis: along(against),
      yAxis: axis(studies.length ? studies[0][1].status.metric : "", { nameGap: 48 }),
      series: lines.map(([name, data], i) => ({
        type: "line", step: "end", name, data, showSymbol: false, color: colours[i % colours.length],
        lineStyle: { width: 2.5, type: dashes[Math.floor(i / colours.length) % 3] },
        tooltip: { formatter: (p) => `${name}: ${distune.number(p.data[1])}` },
      })),
    };
  }

  /** Two objectives against each other; the front stands out by shape, too. */
  function front(study, rows) {
    const [first, second] = Object.keys(study.status.objectives);
    const dot = (one) => [one.objectives[first], one.objectives[second], one.first];
    const known = rows.filter((one) => one.objectives && typeof one.objectives[first] === "number" && typeof one.objectives[second] === "number");
    const on = known.filter((one) => one.front).map(dot).sort((a, b) => a[0] - b[0]);
    return {
      tooltip: { formatter: (p) => `trial ${p.data[2]}: ${distune.number(p.data[0])}, ${distune.number(p.data[1])}` },
      xAxis: axis(first), yAxis: axis(second, { nameGap: 48 }),
      series: [
        { type: "scatter", data: known.filter((one) => !one.front).map(dot), symbolSize: 6, itemStyle: { color: distune.colour("faint") } },
        { type: "line", data: on, step: false, symbol: "diamond", symbolSize: 10, lineStyle: { color: distune.colour("accent"), width: 1 }, itemStyle: { color: distune.colour("accent") } },
      ],
    };
  }

  function importance(found) {
    const rows = [...found.parameters].reverse();
    return {
      grid: { left: 8, right: 20, top: 10, bottom: 8, containLabel: true },
      tooltip: { formatter: (p) => { const one = rows[p.dataIndex]; return `${one.name}: ${Math.round(100 * one.share)} % (${Math.round(100 * one.low)} to ${Math.round(100 * one.high)} %)`; } },
      xAxis: axis("", { min: 0, max: 1, axisLabel: { color: distune.colour("quiet"), formatter: (v) => `${Math.round(100 * v)} %` } }),
      yAxis: { type: "category", data: rows.map((one) => one.name), axisLabel: { color: distune.colour("ink") }, axisTick: { show: false } },
      series: [
        { type: "bar", barWidth: 12, data: rows.map((one) => ({ value: one.share, itemStyle: { color: distune.colour(one.stands_out ? "accent" : "faint") } })),
          markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { type: "dotted", color: distune.colour("quiet") }, data: [{ xAxis: Math.min(found.floor, 1) }] } },
        { type: "custom", silent: true, renderItem: (params, api) => {
            const [low, high] = [api.coord([api.value(1), api.value(0)]), api.coord([api.value(2), api.value(0)])];
            return { type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: { stroke: distune.colour("ink"), lineWidth: 1.5 } };
          }, encode: { x: [1, 2], y: 0 }, data: rows.map((one, i) => [i, one.low, one.high]), z: 5 },
      ],
    };
  }

  /** Who trained when: a bar a trial, from its end and how long it trained. */
  function timeline(study) {
    const rows = Object.entries(study.trials).map(([n, one]) => ({ n: Number(n), ...one })).filter((one) => typeof one.elapsed === "number");
    const workers = [...new Set(rows.map((one) => one.worker))].sort();
    const colours = { complete: distune.colour("accent"), pruned: distune.colour("warn") };
    return {
      grid: { left: 8, right: 14, top: 10, bottom: 8, containLabel: true },
      tooltip: { formatter: (p) => { const one = rows[p.dataIndex]; return `trial ${one.n}: ${one.outcome}, ${distune.duration(one.seconds)}`; } },
      xAxis: along("time"),
      yAxis: { type: "category", data: workers, axisTick: { show: false }, axisLabel: { color: distune.colour("quiet"), width: 110, overflow: "truncate" } },
      dataZoom: [{ type: "inside", filterMode: "weakFilter" }],
      series: [{ type: "custom", progressive: 1000, encode: { x: [1, 2], y: 0 },
        data: rows.map((one) => [workers.indexOf(one.worker), Math.max(0, one.elapsed - one.seconds), one.elapsed]),
        renderItem: (params, api) => {
          const [x1, y] = api.coord([api.value(1), api.value(0)]), [x2] = api.coord([api.value(2), api.value(0)]);
          const height = Math.min(18, api.size([0, 1])[1] * 0.6);
          const outcome = rows[params.dataIndex].outcome;
          return { type: "rect", shape: { x: x1, y: y - height / 2, width: Math.max(1, x2 - x1 - 0.5), height }, style: { fill: colours[outcome] || distune.colour("bad") } };
        } }],
    };
  }

  /** An axis that leaves out the worst tenth, which would press the rest together. */
  function inside(values, direction) {
    if (values.length < 20) return {};
    const sorted = [...values].sort((a, b) => a - b);
    const [low, high] = [sorted[0], sorted[sorted.length - 1]];
    const [bottom, top] = [sorted[Math.floor(sorted.length * 0.1)], sorted[Math.ceil(sorted.length * 0.9) - 1]];
    const room = (high - low) * 0.03;
    return direction === "maximize" ? { min: bottom - room } : { max: top + room };
  }

  /** What runs now: a curve each, by step. */
  function running(study) {
    const { running: attempts, metric } = study.status;
    return {
      xAxis: axis("steps"),
      yAxis: axis(metric, { nameGap: 44 }),
      series: attempts.filter((one) => one.curve.length).map((one) => ({
        type: "line", id: String(one.trial), name: `trial ${one.trial}`, showSymbol: one.curve.length < 3,
        data: one.curve.map((y, i) => [i + 1, y]), tooltip: { formatter: () => `trial ${one.trial}: ${distune.number(one.value)}` },
      })),
    };
  }

  /** One trial's curve, and those of others, pale. */
  function amongOthers(study, number, own, curves) {
    const others = Object.entries(curves).filter(([n, curve]) => Number(n) !== number && curve.length > 1);
    const ends = others.map(([, curve]) => curve[curve.length - 1][2]);
    return {
      xAxis: axis("steps"),
      yAxis: axis(study.status.metric, { nameGap: 44, ...inside(ends, study.status.direction) }),
      series: [
        ...others.map(([n, curve]) => ({
          type: "line", id: n, data: curve.map((one) => [one[0], one[2]]), showSymbol: false, clip: true,
          lineStyle: { color: distune.colour("faint"), width: 1 }, silent: true,
        })),
        { type: "line", id: "own", data: own, showSymbol: own.length < 30, z: 5, lineStyle: { color: distune.colour("mark"), width: 2.5 },
          itemStyle: { color: distune.colour("mark") }, tooltip: { formatter: (p) => `step ${p.data[0]}: ${distune.number(p.data[1])}` } },
      ],
    };
  }

  /** A line a configuration through its parameters and what it reached. Failed ones, too: they end
   *  below, where the metric's axis has a place for them. Dragging along an axis filters. */
  function parallel(study, rows, kept, names) {
    const { metric, direction } = study.status;
    const space = Object.fromEntries(study.space.map((one) => [one.name, one]));
    const all = rows.filter((one) => typeof one.value === "number");
    const [low, high] = [Math.min(...all.map((one) => one.value)), Math.max(...all.map((one) => one.value))];
    const columns = [...names, metric];
    const keep = new Set(kept.map((one) => one.first));
    const best = distune.better(direction);
    const drawn = [...all].sort((a, b) => (best(a.value, b.value) ? 1 : -1)); // the best ones last, on top
    return {
      tooltip: { show: false },
      parallel: { left: 50, right: 64, top: 34, bottom: 22, parallelAxisDefault: {
        nameTextStyle: { color: distune.colour("ink") },
        axisLabel: { color: distune.colour("quiet"), formatter: (v) => (typeof v === "number" ? distune.number(v) : v) },
        axisLine: { lineStyle: { color: distune.colour("quiet") } } } },
      parallelAxis: columns.map((name, dim) => ({
        dim, name, id: name, scale: true, ...scaleOf(space[name], rows, name),
      })),
      series: [{
        type: "parallel", inactiveOpacity: 0.04, activeOpacity: 0.8, progressive: 500, animation: false,
        data: drawn.map((row) => ({
          value: [...names.map((name) => row.params[name] ?? "-"), row.value],
          lineStyle: keep.has(row.first)
            ? { color: shade((row.value - low) / (high - low || 1), direction), width: 1.4, opacity: 0.6 }
            : { color: distune.colour("faint"), width: 0.6, opacity: 0.15 },
        })),
      }],
    };
  }

  function scaleOf(spec, rows, name) {
    const values = rows.map((row) => row.params[name]).filter((v) => v !== undefined);
    if (values.some((v) => typeof v !== "number")) {
      return { type: "category", data: (spec && spec.choices ? spec.choices : [...new Set(values)]).map(String) };
    }
    return { type: spec && spec.log ? "log" : "value" };
  }

  /** What each value of a parameter gave: a dot a configuration, failed ones on the line below. */
  function slice(study, rows, kept, name) {
    const { metric, direction } = study.status;
    const spec = study.space.find((one) => one.name === name);
    const keep = new Set(kept.map((one) => one.first));
    const there = rows.filter((one) => one.params[name] !== undefined);
    const good = there.filter((one) => typeof one.value === "number");
    const failed = there.filter((one) => typeof one.value !== "number");
    const y = inside(good.map((one) => one.value), direction);
    const x = scaleOf(spec, rows, name);
    const value = (one) => (x.type === "category" ? String(one.params[name]) : one.params[name]);
    const dot = (one) => ({
      value: [value(one), one.value, one.first],
      itemStyle: { color: keep.has(one.first) ? distune.colour("accent") : distune.colour("faint"), opacity: keep.has(one.first) ? 0.7 : 0.3 },
    });
    const floor = y.min ?? Math.min(...good.map((one) => one.value));
    return {
      tooltip: { formatter: (p) => `trial ${p.data.value[2]}: ${name} ${distune.number(p.data.value[0])}` },
      xAxis: axis("", { ...x, splitLine: { show: false } }),
      yAxis: axis("", y),
      series: [
        { type: "scatter", data: good.map(dot), symbolSize: 5, large: false, progressive: 2000 },
        { type: "scatter", symbol: "triangle", symbolSize: 7, itemStyle: { color: distune.colour("bad") },
          data: failed.map((one) => ({ value: [value(one), Number.isFinite(floor) ? floor : 0, one.first] })),
          tooltip: { formatter: (p) => `trial ${p.data.value[2]}: no value` } },
      ],
    };
  }

  /** Pale for the worst, strong for the best, in either mode. */
  function shade(share, direction) {
    const good = Math.max(0, Math.min(1, direction === "maximize" ? share : 1 - share));
    return echarts.color.lerp(good, [distune.colour("faint"), distune.colour("warn"), distune.colour("accent")]);
  }
  Object.assign(distune, { Chart, charts: { amongOthers, bestSoFar, compared, front, importance, parallel, running, slice, timeline } });
})();
