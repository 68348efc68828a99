// Charts: from a study's data to what ECharts draws, and the element that holds it.
"use strict";
(() => {
  const { html, useEffect, useRef } = window.htmPreact;

  /** Charts that wait for being drawn: one after another, so that the page moves between two. */
  const waiting = new Set();
  function soon(draw) {
    if (!waiting.size) setTimeout(next);
    waiting.add(draw);
  }
  function next() {
    const [draw] = waiting;
    waiting.delete(draw);
    if (waiting.size) setTimeout(next); // also where this one cannot be drawn
    draw.current();
  }

  /** Draws an option of ECharts once it is on the screen, or printed, and again when that changes;
   *  `note` of it is said below. On a screen narrower than `wide` it can be moved sideways. With
   *  `drag`, a range of x ("lineX") or a rectangle ("rect") can be drawn with a mouse, and `on`
   *  is told as "drawn": [low, high], or two of these. */
  function Chart({ option: given, height = 280, wide = 0, label, on = {}, drag = null }) {
    const { note, ...option } = given;
    const place = useRef(null);
    const chart = useRef(null);
    const seen = useRef(false);
    const latest = useRef(null);
    latest.current = { option, on };
    const isHeld = useRef(false); // a range is being drawn: what is drawn anew meanwhile loses it
    const [isOver, isArmed] = [useRef(false), useRef(false)]; // a mouse; it can draw a range
    const arm = () => {
      if (!chart.current || !drag || !window.matchMedia("(pointer: fine)").matches) return; // a finger scrolls
      isArmed.current = true;
      chart.current.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: drag, brushMode: "single" } });
    };
    const draw = useRef(null);
    draw.current = () => {
      if (!seen.current || isHeld.current) return;
      if (!chart.current) {
        chart.current = echarts.init(place.current, null, { renderer: "canvas" });
        for (const event of Object.keys(on)) {
          chart.current.on(event, (what) => latest.current.on[event](what, chart.current));
        }
        if (drag) chart.current.on("brushEnd", ({ areas: [area] }) => { if (area) latest.current.on.drawn(area.coordRange); });
      }
      chart.current.setOption({ ...basics(), ...(drag && { brush: { xAxisIndex: 0 }, toolbox: { show: false } }), ...latest.current.option }, { replaceMerge: ["series"] });
      if (isArmed.current) chart.current.dispatchAction({ type: "brush", areas: [] }); // what was drawn is the filter now
      isArmed.current = false;
      if (isOver.current) arm(); // else when a mouse comes: of 10,000 dots it takes as long as drawing them
    };
    useEffect(() => {
      const looking = new IntersectionObserver((entries) => {
        if (entries.some((one) => one.isIntersecting)) { seen.current = true; soon(draw); }
      });
      const sizing = new ResizeObserver(() => chart.current && chart.current.resize());
      const printing = () => { seen.current = true; draw.current(); };
      const released = () => { if (isHeld.current) { isHeld.current = false; soon(draw); } };
      const ends = ["pointerup", "pointercancel"];
      window.addEventListener("beforeprint", printing);
      for (const end of ends) window.addEventListener(end, released);
      looking.observe(place.current);
      sizing.observe(place.current);
      return () => {
        window.removeEventListener("beforeprint", printing);
        for (const end of ends) window.removeEventListener(end, released);
        looking.disconnect();
        sizing.disconnect();
        seen.current = false;
        if (chart.current) chart.current.dispose();
      };
    }, []);
    useEffect(() => { if (seen.current) soon(draw); }, [given]);
    return html`<div class="scroll"><div class="chart" role="img" aria-label=${label} style=${{ height: `${height}px`, minWidth: `${wide}px` }} ref=${place}
      onPointerEnter=${() => { isOver.current = true; arm(); }} onPointerLeave=${() => { isOver.current = false; }}
      onPointerDown=${() => { isHeld.current = Boolean(drag); }}></div></div>
      ${note && html`<p class="quiet note">${note}</p>`}`;
  }

  function basics() {
    return {
      animation: false,
      textStyle: { fontFamily: "system-ui, sans-serif", color: distune.colour("ink") },
      tooltip: { trigger: "item", renderMode: "richText", confine: true },
      grid: grid(),
    };
  }

  /** Where a chart is drawn: all of its labels and names have room. */
  const grid = (more = {}) => ({ left: 4, right: 16, top: 16, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all", ...more });

  function axis(name, more = {}) {
    const line = { lineStyle: { color: distune.colour("line") } };
    return {
      type: "value", name, nameLocation: "middle", nameGap: 6, scale: true,
      axisLine: line, splitLine: line, axisTick: { show: false },
      nameTextStyle: { color: distune.colour("quiet"), padding: 4 },
      ...more,
      axisLabel: { color: distune.colour("quiet"), hideOverlap: true, formatter: (v) => (typeof v === "number" ? distune.number(v) : v), ...more.axisLabel },
    };
  }

  /** Round numbers from one to another: steps of 1, 2 or 5. */
  function ticks(low, high, many = 5) {
    const raw = (high - low) / many || 1, unit = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((one) => one * unit).find((one) => one >= raw * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(12)));
    return found;
  }

  /** Those of a log scale: 16, 32, 64 between powers of two; else 1e-4, 0.001, 0.01; of little more
   *  than a decade also what lies between: 0.01, 0.02, 0.05. */
  function logTicks(low, high) {
    const isPower = (v) => Number.isInteger(v) && Number.isInteger(Math.log2(v));
    const two = isPower(low) && Number.isInteger(high) && high < 1e5 && (low > 1 || isPower(high));
    const base = two ? 2 : 10;
    const log = (v) => Math.log(v) / Math.log(base);
    const [first, last] = [Math.floor(log(low) + 1e-9), Math.ceil(log(high) - 1e-9)];
    const every = Math.ceil((last - first) / 7) || 1;
    const between = two || log(high / low) >= 2 ? [1] : [1, 2, 5];
    const found = [];
    for (let power = first; power <= last; power += every) for (const one of between) found.push(Number((one * base ** power).toPrecision(12)));
    return found.filter((one) => one >= low * 0.9999 && one <= high * 1.0001);
  }

  const at = (values) => ({ axisLabel: { customValues: values }, axisTick: { show: false, customValues: values } });
  const logAxis = (low, high) => ({ type: "log", min: low, max: high, ...at(logTicks(low, high)) });

  /** How an axis of the metric shows values best: `low`, `high`, whether on a `log` scale, and in a
   *  `note` what it leaves out: the worst tenth, where that would press all others into one line.
   *  With `failed`, there is a place beyond the worst for what has no value. */
  function judged(values, direction, failed = false) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    let low = sorted.length ? sorted[0] : 0, high = sorted.length ? sorted[sorted.length - 1] : 1, note = "";
    const log = direction === "minimize" && low > 0 && high / low >= 40;
    const bad = direction === "maximize" ? sorted : [...sorted].reverse();
    const [worst, tenth, best] = [bad[0], bad[Math.floor(bad.length / 10)], bad[bad.length - 1]];
    if (!log && bad.length >= 10 && best !== tenth && Math.abs(worst - tenth) > 2 * Math.abs(best - tenth)) {
      const room = Math.abs(best - tenth) * 0.06;
      [low, high] = direction === "maximize" ? [tenth - room, best + room] : [best - room, tenth + room];
      const beyond = sorted.filter((v) => v < low || v > high).length;
      note = `The scale leaves out the worst tenth: ${beyond} of ${sorted.length}, ${direction === "maximize" ? "down" : "up"} to ${distune.number(worst)}.`;
    } else if (!log) {
      const room = (high - low || Math.abs(high) || 1) * 0.04;
      [low, high] = [low - room, high + room];
    }
    const shown = log ? logTicks(low, high) : ticks(low, high);
    let none = null;
    if (failed) {
      const down = direction === "maximize";
      if (log) none = down ? low / (high / low) ** 0.13 : high * (high / low) ** 0.13;
      else none = down ? low - 0.13 * (high - low) : high + 0.13 * (high - low);
    }
    const values_ = none === null ? shown : [...shown, none];
    const inside = (v) => Math.max(low, Math.min(high, v));
    const share = (v) => {
      const part = log ? Math.log(inside(v) / low) / Math.log(high / low) : (inside(v) - low) / (high - low || 1);
      return direction === "maximize" ? part : 1 - part;
    };
    return { low, high, note, none, inside, share, axis: {
      type: log ? "log" : "value", min: none === null ? low : Math.min(low, none), max: none === null ? high : Math.max(high, none),
      axisTick: { show: false, customValues: values_ },
      axisLabel: { customValues: values_, hideOverlap: false, formatter: (v) => (none !== null && Math.abs(v / none - 1) < 1e-6 ? "failed" : distune.number(v)) },
    } };
  }

  /** Trials of the search as they were counted, as [x, value, number], and the best so far as a line
   *  of steps. One that failed or was stopped counts as a trial, and has no value. */
  function progress(study, against) {
    const better = distune.better(study.status.direction);
    const rows = Object.entries(study.trials).map(([n, one]) => ({ n: Number(n), ...one })).filter((one) => one.stage !== "confirming");
    const ended = (one) => (typeof one.elapsed === "number" ? one.elapsed : Infinity);
    rows.sort((a, b) => (ended(a) === ended(b) ? a.n - b.n : ended(a) - ended(b)));
    const keeps = (one) => !(study.configurations[one.configuration]?.violations || []).length;
    const dots = [], line = [];
    let best = null, x = 0, trained = 0;
    rows.forEach((one, i) => {
      trained += Math.max(0, one.seconds || 0);
      x = against === "time" ? one.elapsed ?? x : against === "training" ? trained : i + 1;
      if (one.outcome !== "complete" || typeof one.value !== "number" || !keeps(one)) return;
      dots.push([x, one.value, one.n]);
      if (best === null || better(one.value, best)) { best = one.value; line.push([x, best]); }
    });
    if (line.length) line.push([x, best]);
    return { dots, line };
  }

  const along = (against) => against === "trials" ? axis("trials", { minInterval: 1, max: "dataMax" })
    : axis(against === "training" ? "training time, summed over the trials" : "time that the study had run", timeAxis());

  /** Seconds from 0, with as few ticks as have room. */
  const timeAxis = () => ({ min: 0, max: "dataMax", axisLabel: { formatter: (v) => distune.duration(Math.round(v * 10) / 10), hideOverlap: true, showMaxLabel: false } });

  /** The best value so far, after each trial or against the time, with every trial as a dot; over
   *  where it would stand in other orders of the same trials, if `bands` says so. */
  function bestSoFar(study, against, bands) {
    const { metric, direction } = study.status;
    const { dots, line } = progress(study, against);
    const scale = judged(dots.map((one) => one[1]), direction);
    const around = bands && bands[against];
    const many = around && against === "trials" && dots.length > 100;
    return {
      note: scale.note,
      tooltip: { formatter: () => "" },
      xAxis: many ? axis("trials", logAxis(1, Math.max(...around.x))) : along(against),
      yAxis: axis(metric, { ...scale.axis }),
      series: [
        ...(around ? bandsOf(around) : []),
        { type: "scatter", data: dots, symbolSize: dots.length > 2000 ? 3 : 5, large: dots.length > 2000, itemStyle: { color: distune.colour("quiet"), opacity: dots.length > 2000 ? 0.2 : 0.55 },
          tooltip: { formatter: (p) => `trial ${p.data[2]}: ${distune.number(p.data[1])}` } },
        { type: "line", step: "end", data: line, showSymbol: false, lineStyle: { color: distune.colour("accent"), width: 2.5 }, z: 3,
          tooltip: { formatter: (p) => `best so far ${distune.number(p.data[1])}` } },
      ],
    };
  }

  function bandsOf({ x, quantiles }) {
    const steps = (level) => x.map((one, i) => [one, level[i]]).filter((one) => one[1] !== null);
    return [
      band(x, quantiles[0], quantiles[4], distune.colour("faint"), 0.28, "end"),
      band(x, quantiles[1], quantiles[3], distune.colour("faint"), 0.45, "end"),
      { type: "line", step: "end", data: steps(quantiles[2]), showSymbol: false, z: 1, silent: true, lineStyle: { color: distune.colour("quiet"), width: 1.5, type: "dashed" } },
    ];
  }

  /** What lies between two curves, as one area. With `step`, each value holds until the next one. */
  function band(x, low, high, colour, opacity, step, name) {
    const known = x.map((_, i) => i).filter((i) => low[i] !== null && high[i] !== null);
    const edge = (of) => known.flatMap((i, k) => (step && k ? [[x[i], of[known[k - 1]]], [x[i], of[i]]] : [[x[i], of[i]]]));
    const points = [...edge(low), ...edge(high).reverse()];
    return { type: "custom", name, color: colour, silent: true, z: 0, clip: true, data: points.length ? [[x[known[0]], low[known[0]]]] : [],
      renderItem: (params, api) => ({ type: "polygon", shape: { points: points.map((one) => api.coord(one)) }, style: { fill: colour, opacity } }) };
  }

  /** The best so far of several studies; told apart by colour, by dashes, and by their names. */
  function compared(studies, against) {
    const colours = ["accent", "mark", "warn", "bad", "quiet"].map(distune.colour);
    const dashes = ["solid", "dashed", "dotted"];
    const lines = studies.map(([name, study]) => [name, progress(study, against).line]);
    return {
      legend: { top: 0, textStyle: { color: distune.colour("ink") } },
      grid: grid({ top: 34 }),
      xAxis: along(against),
      yAxis: axis(studies.length ? studies[0][1].status.metric : "", {}),
      series: lines.map(([name, data], i) => ({
        type: "line", step: "end", name, data, showSymbol: false, color: colours[i % colours.length],
        lineStyle: { width: 2.5, type: dashes[Math.floor(i / colours.length) % 3] },
        tooltip: { formatter: (p) => `${name}: ${distune.number(p.data[1])}` },
      })),
    };
  }

  /** Two objectives against each other: the front as diamonds on the line of what it reaches, what
   *  breaks a constraint as crosses. Pale: what a filter does not keep. */
  function front(study, rows, kept) {
    const keep = new Set(kept.map((one) => one.first));
    const goals = study.status.objectives, [first, second, ...others] = Object.keys(goals);
    const place = (one) => [one.objectives[second], one.objectives[first], one.first];
    const dot = (one) => ({ value: place(one), itemStyle: { opacity: keep.has(one.first) ? 0.8 : 0.15 } });
    const known = rows.filter((one) => one.objectives && typeof one.objectives[first] === "number" && typeof one.objectives[second] === "number");
    const broken = known.filter((one) => (one.violations || []).length), fine = known.filter((one) => !(one.violations || []).length);
    const on = fine.filter((one) => one.front).map(dot).sort((a, b) => a.value[0] - b.value[0]);
    const scale = judged(fine.map((one) => one.objectives[first]), goals[first]);
    const costs = fine.map((one) => one.objectives[second]);
    const [low, high] = [Math.min(...costs), Math.max(...costs)];
    const accent = distune.colour("accent");
    return {
      note: scale.note,
      legend: { top: 0, textStyle: { color: distune.colour("ink") } },
      grid: grid({ top: 30 }),
      tooltip: { formatter: ({ data: { value } }) => `trial ${value[2]}: ${first} ${distune.number(value[1])}, ${second} ${distune.number(value[0])}` },
      xAxis: axis(second, low > 0 && high / low >= 40 ? logAxis(low, high) : {}), yAxis: axis(first, { ...scale.axis }),
      series: [
        { type: "scatter", name: "configurations", data: fine.filter((one) => !one.front).map(dot), symbolSize: 6, itemStyle: { color: distune.colour("quiet") } },
        { type: "line", name: "the front", data: on, step: goals[second] === "minimize" ? "end" : "start", symbol: "diamond", symbolSize: 11,
          lineStyle: { color: accent, width: others.length ? 0 : 2 }, itemStyle: { color: accent } },
        ...(broken.length ? [{ type: "scatter", name: "break a constraint", symbol: CROSS, data: broken.map(dot), symbolSize: 8, itemStyle: { color: distune.colour("bad") } }] : []),
      ],
    };
  }

  const CROSS = "path://M-5,-4 L-4,-5 L0,-1 L4,-5 L5,-4 L1,0 L5,4 L4,5 L0,1 L-4,5 L-5,4 L-1,0 Z";

  /** The share of each parameter with its spread; what does not pass the dotted line may be chance. */
  function importance(found) {
    const rows = [...found.parameters].reverse();
    const most = Math.max(...rows.map((one) => one.high), Math.min(found.floor, 1));
    return {
      grid: grid({ top: 22 }),
      tooltip: { formatter: (p) => { const one = rows[p.dataIndex]; return `${one.name}: ${Math.round(100 * one.share)} % (${Math.round(100 * one.low)} to ${Math.round(100 * one.high)} %)`; } },
      xAxis: axis("", { min: 0, max: Math.min(1, Math.ceil(most * 11) / 10), axisLabel: { formatter: (v) => `${Math.round(100 * v)} %` } }),
      yAxis: { type: "category", data: rows.map((one) => one.name), axisTick: { show: false }, axisLine: { lineStyle: { color: distune.colour("line") } },
        axisLabel: { color: distune.colour("ink"), width: 130, overflow: "truncate" } },
      series: [
        { type: "bar", barWidth: 12, data: rows.map((one) => ({ value: one.share, itemStyle: { color: distune.colour(one.stands_out ? "accent" : "faint") } })),
          markLine: { silent: true, symbol: "none", label: { formatter: "chance", color: distune.colour("quiet"), fontSize: 11 },
            lineStyle: { type: "dotted", width: 2, color: distune.colour("mark") }, data: [{ xAxis: Math.min(found.floor, 1) }] } },
        { type: "custom", silent: true, renderItem: (params, api) => {
            const [low, high] = [api.coord([api.value(1), api.value(0)]), api.coord([api.value(2), api.value(0)])];
            return { type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: { stroke: distune.colour("ink"), lineWidth: 1.5 } };
          }, encode: { x: [1, 2], y: 0 }, data: rows.map((one, i) => [i, one.low, one.high]), z: 5 },
      ],
    };
  }

  const KINDS = { complete: "accent", pruned: "warn", paused: "accent-soft", "given back": "faint", "test of the winner": "ink", diverged: "mark", lost: "quiet" };

  /** Who trained when: a bar a trial, from its end and how long it trained; and `besides`, what was
   *  trained that is none of the trials counted. Pale: what a filter does not keep. */
  function timeline(study, kept, besides = []) {
    const keep = new Set(kept.map((one) => one.first));
    const counted = Object.entries(study.trials).filter(([, one]) => typeof one.elapsed === "number").map(([n, one]) =>
      ({ worker: one.worker, start: Math.max(0, one.elapsed - one.seconds), end: one.elapsed, kind: one.outcome, which: `trial ${n}`, pale: !keep.has(one.configuration) }));
    const rows = [...counted, ...besides];
    const workers = [...new Set(rows.map((one) => one.worker))].sort().reverse();
    const places = new Map(workers.map((one, i) => [one, i]));
    const kinds = [...new Set(rows.map((one) => one.kind))];
    const series = kinds.map((kind) => {
      const own = rows.filter((one) => one.kind === kind), fill = distune.colour(KINDS[kind] || "bad");
      return { type: "custom", name: kind, color: fill, progressive: 1000, encode: { x: [1, 2], y: 0 },
        data: own.map((one) => [places.get(one.worker), one.start, one.end, one.pale ? 0.15 : 1]),
        tooltip: { formatter: (p) => { const one = own[p.dataIndex]; return `${one.which}: ${kind}, ${distune.duration(one.end - one.start)} on ${one.worker}`; } },
        renderItem: (params, api) => {
          const [x1, y] = api.coord([api.value(1), api.value(0)]), [x2] = api.coord([api.value(2), api.value(0)]);
          const height = Math.min(18, api.size([0, 1])[1] * 0.6);
          return { type: "rect", shape: { x: x1, y: y - height / 2, width: Math.max(1.5, x2 - x1 - 0.5), height }, style: { fill, opacity: api.value(3) } };
        } };
    });
    return {
      legend: { top: 0, type: "scroll", textStyle: { color: distune.colour("ink") } },
      grid: grid({ top: 30 }),
      xAxis: along("time"),
      yAxis: { type: "category", data: workers, axisTick: { show: false }, axisLabel: { color: distune.colour("quiet"), width: 110, overflow: "truncate" } },
      dataZoom: [{ type: "inside", filterMode: "weakFilter", zoomOnMouseWheel: "ctrl" }],
      series,
    };
  }

  /** What runs now: a curve each, by step. */
  function running(study) {
    const { running: attempts, metric } = study.status;
    return {
      grid: grid({ right: 44 }),
      xAxis: axis("steps"),
      yAxis: axis(metric, {}),
      series: attempts.filter((one) => one.curve.length).map((one) => ({
        type: "line", id: String(one.trial), name: `trial ${one.trial}`, showSymbol: one.curve.length < 3,
        endLabel: { show: true, formatter: String(one.trial), color: distune.colour("ink") }, lineStyle: { type: ["solid", "dashed", "dotted"][one.trial % 3] },
        data: one.curve.map((y, i) => [i + 1, y]), tooltip: { formatter: () => `trial ${one.trial}: ${distune.number(one.value)}` },
      })),
    };
  }

  /** One trial's curve, and those of others, pale. */
  function amongOthers(study, number, own, curves) {
    const others = Object.entries(curves).filter(([n, curve]) => Number(n) !== number && curve.length > 1);
    const scale = judged([...others.map(([, curve]) => curve[curve.length - 1][2]), ...own.map((one) => one[1])], study.status.direction);
    return {
      note: scale.note,
      xAxis: axis("steps"),
      yAxis: axis(study.status.metric, { ...scale.axis }),
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

  const LINES = 100; // so many of a kind, in parallel coordinates

  /** So many of them, at even distances. */
  const thinned = (all, most) => (all.length <= most ? all : Array.from({ length: most }, (_, i) => all[Math.floor((i * all.length) / most)]));

  const hasValue = (row) => typeof row.value === "number";

  /** A line a configuration through its parameters and what it reached: the better, the stronger,
   *  thicker and later drawn. Those without a value are dashed and end where the metric's axis says
   *  "failed". Dragging along an axis filters. */
  function parallel(study, rows, kept, all) {
    const { metric, direction } = study.status;
    const names = all.filter((name) => name !== metric);
    const space = Object.fromEntries(study.space.map((one) => [one.name, one]));
    const failed = rows.filter((row) => !hasValue(row));
    const scale = judged(rows.filter(hasValue).map((row) => row.value), direction, failed.length > 0);
    const keep = new Set(kept.map((one) => one.first));
    const axes = names.map((name) => scaleOf(space[name], rows, name));
    const values = (row) => names.map((name, i) => (row.params[name] === undefined ? "-" : axes[i].type === "category" ? distune.number(row.params[name]) : row.params[name]));
    const faint = { color: distune.colour("faint"), width: 0.6, opacity: 0.15 };
    const known = rows.filter(hasValue).map((row) => [row, scale.share(row.value)]).sort((a, b) => a[1] - b[1]);
    const [others, own] = [known.filter(([row]) => !keep.has(row.first)), known.filter(([row]) => keep.has(row.first))];
    const drawn = [...thinned(others, LINES), ...thinned(own.slice(0, -LINES), LINES), ...own.slice(-LINES)];
    const fails = thinned(failed, LINES);
    return {
      note: [scale.note && `${scale.note} Their lines end at the edge, and the plots below leave them out.`,
        drawn.length + fails.length < rows.length && `${drawn.length + fails.length} of ${rows.length} lines are drawn: the best ${Math.min(LINES, own.length)}, and others at even distances.`].filter(Boolean).join(" "),
      tooltip: { show: false },
      parallel: { left: 60, right: 64, top: 34, bottom: 22, parallelAxisDefault: {
        nameTextStyle: { color: distune.colour("ink"), width: 100, overflow: "truncate" }, nameTruncate: { maxWidth: 100 },
        axisLine: { lineStyle: { color: distune.colour("quiet") } } } },
      parallelAxis: [...names, metric].map((name, dim) => {
        const own = dim < names.length ? axes[dim] : scale.axis;
        return { dim, name, id: name, scale: true, ...own, axisLabel: { color: distune.colour("ink"), textBorderColor: distune.colour("card"), textBorderWidth: 4, ...own.axisLabel } };
      }),
      series: [{
        type: "parallel", inactiveOpacity: 0.04, activeOpacity: 0.9, progressive: 500, animation: false,
        data: [
          ...fails.map((row) => ({ value: [...values(row), scale.none],
            lineStyle: keep.has(row.first) ? { color: distune.colour("bad"), type: "dashed", width: 1.2, opacity: 0.75 } : faint })),
          ...drawn.map(([row, share], i) => ({ value: [...values(row), scale.inside(row.value)],
            lineStyle: keep.has(row.first) ? { color: shade(share), width: 0.8 + 2.2 * ((i + 1) / drawn.length) ** 5, opacity: 0.35 + 0.6 * share } : faint })),
        ],
      }],
    };
  }

  /** The scale of a parameter: its choices, or from the lowest to the highest value. */
  function scaleOf(spec, rows, name) {
    const values = rows.map((row) => row.params[name]).filter((v) => v !== undefined && v !== null);
    const numbers = values.filter((v) => typeof v === "number");
    if (numbers.length < values.length || !values.length) {
      const names = (spec && spec.choices && values.every((v) => spec.choices.includes(v)) ? spec.choices : values).map((v) => distune.number(v));
      return { type: "category", data: [...new Set(names)] };
    }
    let low = Infinity, high = -Infinity;
    for (const v of numbers) { low = Math.min(low, v); high = Math.max(high, v); }
    const list = spec && spec.choices && [...spec.choices].sort((a, b) => a - b);
    const log = (spec && spec.log) || (list && list.length > 2 && list[0] > 0 && list.every((v, i) => i === 0 || v === 2 * list[i - 1]));
    if (spec && typeof spec.low === "number" && spec.low <= low && spec.high >= high) [low, high] = [spec.low, spec.high];
    if (log && low > 0 && high > low) return logAxis(low, high);
    return { type: "value", ...(list ? at(list) : {}) };
  }

  /** What each value of a parameter gave: a dot a configuration; those that failed are triangles, at
   *  their own place on the axis. */
  function slice(study, rows, kept, name) {
    const keep = new Set(kept.map((one) => one.first));
    const there = rows.filter((one) => one.params[name] !== undefined);
    const [good, failed] = [there.filter(hasValue), there.filter((one) => !hasValue(one))];
    const scale = judged(rows.filter(hasValue).map((one) => one.value), study.status.direction, rows.some((one) => !hasValue(one)));
    const x = scaleOf(study.space.find((one) => one.name === name), rows, name);
    const value = (one) => (x.type === "category" ? distune.number(one.params[name]) : one.params[name]);
    const many = there.length > 1500;
    const pale = { color: distune.colour("faint"), opacity: 0.3 };
    /** What is not kept lies below; a series each: dots that have looks of their own take longer. */
    const dots = (all, colour, at, said, more) => [false, true].map((isKept) => ({
      type: "scatter", itemStyle: isKept ? { color: colour, opacity: many ? 0.25 : 0.7 } : pale, ...more,
      data: all.filter((one) => keep.has(one.first) === isKept).map((one) => [value(one), at(one), one.first]),
      tooltip: { formatter: ({ value: [x, y, first] }) => `trial ${first}: ${name} ${distune.number(x)}, ${said(y)}` },
    })).filter((one) => one.data.length);
    return {
      xAxis: axis("", { ...x, splitLine: { show: false } }),
      yAxis: axis("", scale.axis),
      series: [
        ...dots(good, distune.colour("accent"), (one) => one.value, distune.number, { symbol: "circle", symbolSize: many ? 3 : 5, progressive: 2000 }),
        ...dots(failed, distune.colour("bad"), () => scale.none, () => "no value", { symbol: "triangle", symbolSize: 8 }),
      ],
    };
  }

  /** What keeps a range that was drawn over a slice. */
  function sliceOf(study, rows, name, [low, high]) {
    const x = scaleOf(study.space.find((one) => one.name === name), rows, name);
    if (x.type !== "category") return { [name]: distune.filter.range(low, high) };
    const labels = x.data.slice(Math.max(0, low), high + 1);
    const values = rows.map((row) => row.params[name]).filter((v) => v !== undefined && labels.includes(distune.number(v)));
    return { [name]: { among: [...new Set(values.map(String))] } };
  }

  /** The median of what was reached where two parameters have these values, whatever the others. */
  function heatMap(study, kept, first, second) {
    const rows = kept.filter(hasValue);
    const spec = (name) => study.space.find((one) => one.name === name);
    const [x, y] = [classes(rows, first, spec(first)), classes(rows, second, spec(second))];
    const cells = new Map();
    for (const row of rows) {
      const [i, j] = [x.of(row), y.of(row)];
      if (i >= 0 && j >= 0) cells.set(`${i},${j}`, [...(cells.get(`${i},${j}`) || []), row.value]);
    }
    const data = [...cells].map(([key, values]) => [...key.split(",").map(Number), median(values), values.length]);
    const scale = judged(data.map((one) => one[2]), study.status.direction);
    const labels = (one) => ({ type: "category", data: one.labels, axisTick: { show: false }, splitLine: { show: false } });
    return {
      note: scale.note.replace("The scale leaves", "The colours leave"),
      tooltip: { formatter: (p) => `${first} ${x.labels[p.data[0]]}, ${second} ${y.labels[p.data[1]]}: median ${distune.number(p.data[2])} of ${p.data[3]}` },
      xAxis: axis(first, labels(x)), yAxis: axis(second, labels(y)),
      grid: grid({ top: 28 }),
      series: [{ type: "custom", data, encode: { x: 0, y: 1 }, renderItem: (params, api) => {
        const [cx, cy] = api.coord([api.value(0), api.value(1)]), [w, h] = api.size([1, 1]);
        const share = scale.share(api.value(2));
        const rect = { type: "rect", shape: { x: cx - w / 2 + 1, y: cy - h / 2 + 1, width: w - 2, height: h - 2 }, style: { fill: shade(share) } };
        const text = { type: "text", style: { text: distune.number(Number(api.value(2).toPrecision(3))), x: cx, y: cy, align: "center", verticalAlign: "middle", fontSize: 11,
          fill: distune.colour(share > 0.75 ? "card" : "ink") } };
        return { type: "group", children: w > 42 && h > 16 ? [rect, text] : [rect] };
      } }],
    };
  }

  /** What keeps those in a cell of it. */
  function cellOf(study, kept, names, places) {
    const rows = kept.filter(hasValue);
    const found = names.map((name) => classes(rows, name, study.space.find((one) => one.name === name)));
    const there = rows.filter((row) => found.every((one, i) => one.of(row) === places[i]));
    return Object.fromEntries(names.map((name) => [name, distune.filter.around(there.map((row) => row.params[name]))]));
  }

  /** Up to ten values stand for themselves; more numbers are put into eight intervals of one length
   *  on the parameter's scale, more choices into the nine most frequent ones and others. */
  function classes(rows, name, spec) {
    const values = rows.map((row) => row.params[name]).filter((v) => v !== undefined);
    const counts = new Map();
    for (const v of values) counts.set(distune.number(v), (counts.get(distune.number(v)) || 0) + 1);
    const numeric = values.every((v) => typeof v === "number");
    if (counts.size <= 10 || !numeric) {
      let labels = [...counts.keys()];
      if (numeric) labels = [...new Set([...values].sort((a, b) => a - b).map(distune.number))];
      else if (spec && spec.choices) labels = spec.choices.map(distune.number).filter((one) => counts.has(one));
      if (labels.length > 10) labels = [...labels].sort((a, b) => counts.get(b) - counts.get(a)).slice(0, 9).concat("others");
      const places = new Map(labels.map((one, i) => [one, i]));
      return { labels, of: (row) => (row.params[name] === undefined ? -1 : places.get(distune.number(row.params[name])) ?? labels.length - 1) };
    }
    let low = Infinity, high = -Infinity;
    for (const v of values) { low = Math.min(low, v); high = Math.max(high, v); }
    const log = low > 0 && ((spec && spec.log) || high / low >= 40);
    const scaled = (v) => (log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
    const edge = (i) => distune.number(Number((log ? low * (high / low) ** (i / 8) : low + ((high - low) * i) / 8).toPrecision(2)));
    return {
      labels: Array.from({ length: 8 }, (_, i) => `${edge(i)} to ${edge(i + 1)}`),
      of: (row) => (row.params[name] === undefined ? -1 : Math.min(7, Math.floor(scaled(row.params[name]) * 8))),
    };
  }

  function median(values) {
    const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  /** Pale for the worst, strong for the best, in either mode; it means nothing else. */
  function shade(share) {
    return echarts.color.lerp(Math.max(0, Math.min(1, share)), [distune.colour("faint"), distune.colour("accent")]);
  }
  const within = (low, high) => ({ min: low, max: high, ...at(ticks(low, high)) });
  Object.assign(distune, { Chart, axis, band, grid, logAxis, timeAxis, within, charts: { amongOthers, bestSoFar, cellOf, classes, compared, front, heatMap, importance, judged, logTicks, parallel, running, slice, sliceOf, timeline } });
})();
