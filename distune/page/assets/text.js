// How numbers, times and settings read. Pure functions.
"use strict";
const distune = {};

/** Five significant digits, no trailing zeros; 1e-4 rather than 0.0001. */
distune.number = (value) => {
  if (value === null || value === undefined) return "";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    return value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  }
  return String(Number(value.toPrecision(5)));
};

/** 93 s is 1m 33s, 7,260 s is 2h 1m. */
distune.duration = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${whole % 60}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60 * 48) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  return `${Math.round(minutes / 1440)} days`;
};

/** A setting in words: "lr 0.1, optimizer sgd". */
distune.setting = (params, names) =>
  names.filter((name) => name in params)
    .map((name) => `${name} ${distune.number(params[name])}`).join(", ");

distune.better = (direction) =>
  direction === "maximize" ? (a, b) => a > b : (a, b) => a < b;

/** Names of the parameters that are not the same in all configurations. */
distune.varying = (study) => study.space.map((one) => one.name).filter((name) => {
  const seen = new Set();
  for (const one of Object.values(study.configurations)) {
    seen.add(one.params[name]);
    if (seen.size > 1) return true;
  }
  return false;
});

/** The text in CSS of a colour, `--name`. */
distune.colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
