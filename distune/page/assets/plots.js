// Charts that Python has worked out, as ECharts draws them.
"use strict";
(() => {
  const dark = () => window.matchMedia("(prefers-color-scheme: dark)").matches && !window.matchMedia("print").matches;
  const HUES = [["#3b5bb5", "#8ea8f5"], ["#c2571a", "#f09a5e"], ["#12808f", "#58c7d6"], ["#8e3b8e", "#d68ad6"], ["#7a6a00", "#cdbb4a"], ["#5d686d", "#9aa7ab"], ["#a03a5a", "#f08aaa"]];
  const SCALE = [["#86aee0", "#3b5bb5", "#1e1650"], ["#4a5f9e", "#8ea8f5", "#eef1ff"]];

  /** The colour of a hue: a name of the page's, a number for a value that stands for itself, or
   *  `s0` to `s10` for values that have an order. */
  function hue(name) {
    if (/^\d$/.test(name)) return HUES[Number(name)][dark() ? 1 : 0];
    if (/^s\d+$/.test(name)) return echarts.color.lerp(Number(name.slice(1)) / 10, SCALE[dark() ? 1 : 0]);
    return distune.colour(name);
  }

  function axis(one, values) {
    if (one.classes) {
      return distune.axis(one.title, { type: "category", data: one.classes, splitLine: { show: false }, axisLabel: { interval: 0, hideOverlap: false, rotate: one.classes.length > 12 ? 60 : 0 } });
    }
    const time = one.title.endsWith(", s");
    const more = time ? distune.timeAxis() : { ...(one.from_zero ? { min: 0 } : {}), ...(one.low === undefined ? {} : distune.within(one.low, one.high)) };
    if (time && !one.from_zero) delete more.min;
    let [low, high] = [Infinity, -Infinity];
    for (const v of values) if (v !== null && v > 0) { low = Math.min(low, v); high = Math.max(high, v); }
    const log = one.log && high > low ? distune.logAxis(low, high) : {};
    return distune.axis(time ? one.title.slice(0, -3) : one.title, { ...more, ...log, axisLabel: { ...more.axisLabel, ...log.axisLabel } });
  }

  const draw = {
    line: (one) => ({ type: "line", step: one.step || false, showSymbol: one.x.length < 2, connectNulls: false, triggerLineEvent: true,
      data: one.x.map((x, i) => [x, one.y[i]]), color: hue(one.hue),
      lineStyle: { color: hue(one.hue), width: one.width ?? 2, opacity: one.opacity ?? 1, type: { dot: "dotted", dash: "dashed" }[one.dash] || "solid" },
      tooltip: { formatter: () => one.said || one.name || "" } }),
    dots: (one) => ({ type: "scatter", symbol: one.symbol || "circle", symbolSize: one.size ?? 7, color: hue(one.hue), itemStyle: { opacity: one.opacity ?? 0.6 },
      data: one.x.map((x, i) => [x, one.y[i], (one.trials || [])[i]]),
      tooltip: { formatter: (p) => `${p.data[2] === undefined ? one.name || "" : `trial ${p.data[2]}`}: ${distune.number(p.data[1])} at ${distune.number(p.data[0])}` } }),
    band: (one) => distune.band(one.x, one.low, one.high, hue(one.hue), 0.18, "", one.name),
    cells: (one) => matrix(one),
    plane: (one) => plane(one),
  };

  function matrix({ values, said, numbers }) {
    const last = values.length - 1;
    return { type: "custom", encode: { x: 0, y: 1 }, data: values.flatMap((row, i) => row.map((v, j) => [j, last - i, v])),
      tooltip: { formatter: (p) => said[last - p.data[1]][p.data[0]] },
      renderItem: (params, api) => {
        const [x, y] = api.coord([api.value(0), api.value(1)]), [w, h] = api.size([1, 1]), share = api.value(2);
        const fill = echarts.color.lerp(share, [distune.colour("card"), distune.colour("accent")]);
        const cell = { type: "rect", shape: { x: x - w / 2 + 0.5, y: y - h / 2 + 0.5, width: w - 1, height: h - 1 }, style: { fill } };
        if (!numbers || w < 16) return cell;
        const text = String(numbers[last - api.value(1)][api.value(0)]);
        return { type: "group", children: [cell, { type: "text", style: { text, x, y, align: "center", verticalAlign: "middle", fontSize: 11, fill: distune.colour(share > 0.5 ? "card" : "ink") } }] };
      } };
  }

  function plane({ x, y, scores }) {
    const [w, h] = [x[1] - x[0] || 1, y[1] - y[0] || 1];
    const card = distune.colour("card"), half = (name) => echarts.color.lerp(0.55, [hue(name), card]);
    const colours = [half("0"), card, half("1")];
    return { type: "custom", silent: true, progressive: 5000, z: 0, clip: true, encode: { x: 0, y: 1 }, data: y.flatMap((b, i) => x.map((a, j) => [a, b, scores[i][j]])),
      renderItem: (params, api) => {
        const [left, top] = api.coord([api.value(0) - w / 2, api.value(1) + h / 2]), [wide, high] = api.size([w, h]);
        return { type: "rect", shape: { x: left, y: top, width: wide + 0.6, height: high + 0.6 }, style: { fill: echarts.color.lerp(api.value(2), colours) } };
      } };
  }

  /** The option of a chart; `lists` are the coordinates that its series name by their places. */
  function plotted(chart, lists) {
    const series = chart.series.map((one) => ({ ...one, x: typeof one.x === "number" ? lists[one.x] : one.x, y: typeof one.y === "number" ? lists[one.y] : one.y }));
    const all = (key) => series.flatMap((one) => one[key] || []);
    const names = [...new Set(series.map((one) => one.name).filter(Boolean))];
    const rows = Math.ceil(names.reduce((sum, one) => sum + 7 * one.length + 34, 0) / 270); // of a legend on a phone
    const drawn = series.map((one) => ({ ...draw[one.kind](one), name: one.name }));
    if (chart.series.some((one) => one.error)) drawn.push(...series.filter((one) => one.error).map(errors));
    if (chart.diagonal) drawn.push(diagonal([...all("x"), ...all("y")]));
    const [x, y] = [axis(chart.x, all("x")), axis(chart.y, all("y"))];
    if (chart.y.classes) y.data = [...chart.y.classes].reverse();
    return {
      legend: { show: names.length > 1, data: names, top: 0, icon: "roundRect", itemWidth: 14, type: rows > 3 ? "scroll" : "plain", textStyle: { color: distune.colour("ink") } },
      grid: distune.grid({ top: names.length > 1 ? 12 + 22 * (rows > 3 ? 1 : rows) : 14 }),
      xAxis: x, yAxis: y, series: drawn,
    };
  }

  const errors = (one) => ({ type: "custom", silent: true, clip: true, z: 1, encode: { x: 0, y: [1, 2] }, data: one.x.map((x, i) => [x, one.y[i] - one.error[i], one.y[i] + one.error[i]]),
    renderItem: (params, api) => {
      const [x1, y1] = api.coord([api.value(0), api.value(1)]), [x2, y2] = api.coord([api.value(0), api.value(2)]);
      return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: hue(one.hue), opacity: 0.35, lineWidth: 1 } };
    } });

  function diagonal(values) {
    const ends = [Math.min(...values), Math.max(...values)];
    return { type: "line", silent: true, showSymbol: false, data: ends.map((v) => [v, v]), lineStyle: { color: distune.colour("quiet"), width: 1, type: "dashed" } };
  }

  distune.plotted = plotted;
})();
