// How numbers, times and settings read. Pure functions.
"use strict";
const distune = {};

/** Four significant digits, no trailing zeros; 1e-4 rather than 0.0001. */
distune.number = (value) => {
  if (value === null || value === undefined) return "";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    return value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  }
  return String(Number(value.toPrecision(4)));
};

/** Of seconds since 1970: 2026-12-01 04:10, where the reader is. */
distune.date = (seconds) => {
  const at = new Date(1000 * seconds);
  return new Date(at - 60000 * at.getTimezoneOffset()).toISOString().slice(0, 16).replace("T", " ");
};

/** So many decimals show what matters of numbers of this size: 0.9871, 12.345, 0.00381. */
distune.decimals = (value) => {
  if (typeof value !== "number" || Math.abs(value) < 1e-4) return 4;
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  return Math.max(0, exponent >= 0 ? 4 - exponent : 3 - exponent);
};

/** A metric's value; all of a column with the decimals of its best one. */
distune.value = (value, decimals = distune.decimals(value)) => {
  if (typeof value !== "number") return "–";
  const size = Math.abs(value);
  const unlike = (size > 0 && size < Math.min(1e-3, 10 ** (2 - decimals))) || size >= 1e7;
  return unlike ? distune.number(value) : value.toFixed(decimals);
};

/** 93 s is 1m 33s, 7,260 s is 2h 1m. */
distune.duration = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  if (seconds > 0 && seconds < 0.095) return `${Number((1000 * seconds).toPrecision(2))}ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${whole % 60}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60 * 48) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  return `${Math.round(minutes / 1440)} days`;
};

/** 2048 is 2 KiB. */
distune.bytes = (count) => {
  const power = count < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(count) / 10));
  return `${Number((count / 1024 ** power).toPrecision(3))} ${["bytes", "KiB", "MiB", "GiB", "TiB"][power]}`;
};

/** A setting in words: "lr 0.1, optimizer sgd". */
distune.setting = (params, names) =>
  names.filter((name) => params[name] !== undefined && params[name] !== null)
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

/** A word as a shell reads it back. */
distune.quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

/** The text in CSS of a colour, `--name`. */
distune.colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
