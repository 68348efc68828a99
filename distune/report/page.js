"use strict";
// Draws each plot when it is about to be seen: a page of many opens as fast as one of few.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const themes = read("themes");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)");
  const drawn = new Set();
  const isColour = (key) => /colou?r(s|scale|way)?$/i.test(key);

  // Tokens are looked for where a colour belongs, so that no text is taken for one.
  function themed(tree, theme, inColour) {
    if (typeof tree === "string") return inColour && tree in theme ? theme[tree] : tree;
    if (Array.isArray(tree)) return tree.map((one) => themed(one, theme, inColour));
    if (tree === null || typeof tree !== "object") return tree;
    return Object.fromEntries(Object.entries(tree).map(
      ([key, value]) => [key, themed(value, theme, isColour(key))]));
  }

  function template(theme) {
    const axis = {
      gridcolor: theme["@grid"], linecolor: theme["@grid"], zerolinecolor: theme["@grid"],
      tickcolor: theme["@grid"], tickfont: {color: theme["@muted"], size: 11},
      title: {font: {color: theme["@muted"], size: 12}, standoff: 8},
    };
    return {layout: {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: {color: theme["@ink"], family: getComputedStyle(document.body).fontFamily, size: 12},
      xaxis: axis, yaxis: axis,
      hoverlabel: {bgcolor: theme["@paper"], bordercolor: theme["@muted"],
                   font: {color: theme["@ink"]}},
    }};
  }

  const selectOf = ({dataset}) => document.querySelector(
    `select[data-of="${dataset.chosenBy ?? dataset.figure}"]`);

  const PAPER = 680;  // pixels that A4 and Letter have room for, upright: a plot cannot ask

  function draw(place, printed = false) {
    const chosen = Number(selectOf(place)?.value ?? 0);
    const theme = themes[dark.matches && !printed ? "dark" : "light"];
    const {figures, lists} = read(place.dataset.figure);
    const {data, layout} = themed(figures[chosen], theme, false);
    for (const trace of data) {
      for (const key of ["x", "y"]) if (Number.isInteger(trace[key])) trace[key] = lists[trace[key]];
    }
    if (place.dataset.alts) {
      place.setAttribute("aria-label", JSON.parse(place.dataset.alts)[chosen]);
    }
    layout.template = template(theme);
    if (printed) layout.width = PAPER;
    else layout.autosize = true;
    if (touch.matches) layout.dragmode = false;  // a finger scrolls the page
    drawn.add(place);
    Plotly.react(place, data, layout, {
      responsive: true, displaylogo: false, displayModeBar: touch.matches ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    }).then(() => { place.dataset.drawn = "yes"; });
  }

  const places = [...document.querySelectorAll(".plot")];
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      near.unobserve(entry.target);
      draw(entry.target);
    }
  }, {rootMargin: "300px"});
  for (const place of places) near.observe(place);
  for (const select of document.querySelectorAll("select")) {
    select.addEventListener("change", () => {
      for (const place of drawn) if (selectOf(place) === select) draw(place);
    });
  }
  dark.addEventListener("change", () => { for (const place of drawn) draw(place); });
  addEventListener("beforeprint", () => { for (const place of places) draw(place, true); });
  addEventListener("afterprint", () => { for (const place of drawn) draw(place); });
})();
