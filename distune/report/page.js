"use strict";
// Draws each plot when it is about to be seen: a page of many opens as fast as one of few.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  // Okabe and Ito's palette for colour-blind readers, less yellow and black, which vanish on one
  // of the backgrounds, and a lighter one of the same hues.
  const HUES = {
    light: ["#0072B2", "#D55E00", "#009E73", "#B5518F", "#C98500", "#3A9BD9", "#6B6B6B"],
    dark: ["#4FA8E0", "#F0803C", "#2BB990", "#DE9AC4", "#F0B429", "#A5D8F8", "#B5B5B5"],
  };
  const INKS = {
    light: {ink: "#1B1F24", muted: "#57606A", grid: "#E4E8EC", paper: "#FFFFFF", bad: "#B3261E"},
    dark: {ink: "#E6E9EC", muted: "#9AA4AE", grid: "#2B323A", paper: "#14181D", bad: "#FF8A80"},
  };
  const VIRIDIS = ["#440154", "#482475", "#414487", "#355F8D", "#2A788E", "#21918C", "#22A884",
                   "#44BF70", "#7AD151", "#BDDF26", "#FDE725"];
  // The part of viridis that stands out from the background.
  const STRETCH = {light: [0, 0.85], dark: [0.28, 1]};

  const channels = (hue) => [1, 3, 5].map((i) => parseInt(hue.slice(i, i + 2), 16));

  function onViridis(at) {
    const i = Math.min(Math.floor(at * 10), 9);
    const [low, high] = [channels(VIRIDIS[i]), channels(VIRIDIS[i + 1])];
    const mixed = low.map((a, k) => Math.round(a + (high[k] - a) * (at * 10 - i)));
    return "#" + mixed.map((x) => x.toString(16).padStart(2, "0")).join("").toUpperCase();
  }

  // What each token stands for: `@0` the first hue, `@s3` a place on the scale, `@0~` a faint one.
  function themeOf(mode) {
    const [low, high] = STRETCH[mode];
    const scale = VIRIDIS.map((_, i) => onViridis(low + (high - low) * i / 10));
    const theme = {"@scale": scale.map((hue, i) => [i / 10, hue])};
    const named = [...HUES[mode].map((hue, i) => [`@${i}`, hue]),
                   ...scale.map((hue, i) => [`@s${i}`, hue])];
    for (const [token, hue] of named) {
      theme[token] = hue;
      theme[`${token}~`] = `rgba(${channels(hue).join(", ")}, 0.18)`;
    }
    for (const [name, ink] of Object.entries(INKS[mode])) theme[`@${name}`] = ink;
    return theme;
  }

  const themes = {light: themeOf("light"), dark: themeOf("dark")};
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
      title: {font: {color: theme["@muted"], size: 12}, standoff: 8}, automargin: true,
    };
    return {layout: {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: {color: theme["@ink"], family: getComputedStyle(document.body).fontFamily, size: 12},
      xaxis: axis, yaxis: axis, margin: {l: 56, r: 16, t: 16, b: 48},
      legend: {orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom"},
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
