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

  /** The best value so far, after each trial or against the time, with every trial as a dot. */
  function bestSoFar(study, against) {
    const { metric, direction } = study.status;
    const better = distune.better(direction);
    const numbers = Object.keys(study.trials).map(Number).sort((a, b) => a - b);
    const rows = numbers.map((n) => ({ n, ...study.trials[n] }))
      .filter((one) => one.outcome === "complete" && typeof one.value === "number" && one.stage !== "confirming");
    if (against === "time") rows.sort((a, b) => (a.elapsed ?? 0) - (b.elapsed ?? 0));
    const dots = [], line = [];
    let best = null;
    rows.forEach((one, i) => {
      const x = against === "time" ? one.elapsed : i + 1;
      dots.push([x, one.value, one.n]);
      if (best === null || better(one.value, best)) { best = one.value; line.push([x, best]); }
    });
    if (line.length) line.push([dots[dots.length - 1][0], best]);
    return {
      xAxis: axis(against === "time" ? "seconds of the study" : "trials"),
      yAxis: axis(metric, { nameGap: 44, ...inside(dots.map((one) => one[1]), direction) }),
      series: [
        { type: "scatter", data: dots, symbolSize: 5, large: dots.length > 2000, itemStyle: { color: distune.colour("faint") },
          tooltip: { formatter: (p) => `trial ${p.data[2]}: ${distune.number(p.data[1])}` } },
        { type: "line", step: "end", data: line, showSymbol: false, lineStyle: { color: distune.colour("accent"), width: 2.5 }, z: 3,
          tooltip: { formatter: (p) => `best so far ${distune.number(p.data[1])}` } },
      ],
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
  Object.assign(distune, { Chart, charts: { amongOthers, bestSoFar, parallel, running, slice } });
})();
