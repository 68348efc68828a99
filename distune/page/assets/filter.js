// What a person keeps of the configurations: one filter, which every chart and table follows.
"use strict";
(() => {
  /** The value of a column of a configuration: a parameter of it, or what it reached. */
  const column = (row, name, metric) => (name === metric || name === "value" ? row.value : row.params[name] ?? row.objectives?.[name] ?? row[name]);

  /** What somebody drew with a pointer, as numbers that can be read. */
  const range = (a, b) => ({ between: [Math.min(a, b), Math.max(a, b)].map((one) => Number(one.toPrecision(6))) });

  /** What keeps these values, and what lies between them. */
  const around = (values) => (values.every((one) => typeof one === "number")
    ? { between: [Math.min(...values), Math.max(...values)] } : { among: [...new Set(values.map(String))] });

  /** `{lr: {between: [0.01, 0.1]}, optimizer: {among: ["sgd"]}}` as text of an address:
   *  "lr:0.01..0.1;optimizer:sgd". */
  function toText(filter) {
    return Object.entries(filter).map(([name, one]) =>
      `${encodeURIComponent(name)}:${one.between
        ? one.between.join("..")
        : one.among.map(encodeURIComponent).join("|")}`).join(";");
  }

  function fromText(text) {
    const filter = {};
    for (const part of (text || "").split(";").filter(Boolean)) {
      const [name, rest = ""] = part.split(/:(.*)/s);
      const between = /^(-?[\d.e+-]+)\.\.(-?[\d.e+-]+)$/.exec(rest);
      filter[decoded(name)] = between
        ? { between: [Number(between[1]), Number(between[2])] }
        : { among: rest.split("|").map(decoded) };
    }
    return filter;
  }

  /** Text of an address that somebody may have cut short. */
  function decoded(text) {
    try { return decodeURIComponent(text); } catch { return text; }
  }

  /** A test of rows for each word that is searched for: "adam", "lr<0.1", "optimizer=sgd". */
  const searched = (text, metric) => text.split(/\s+/).filter(Boolean).map((word) => {
    const found = /^(.+?)(<=|>=|<|>|=)(.+)$/.exec(word);
    if (!found) {
      const part = word.toLowerCase();
      return (row) => [row.first, row.standing, row.reason, ...Object.values(row.params)]
        .some((one) => String(one ?? "").toLowerCase().includes(part));
    }
    const [, name, sign, text] = found;
    const test = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b }[sign];
    return (row) => {
      const value = column(row, name, metric);
      if (value === undefined || value === null) return false;
      return test ? test(value, Number(text)) : String(value) === text || value === Number(text);
    };
  });

  /** The configurations that it keeps, of those that a search finds. */
  function kept(rows, filter, metric, find = "") {
    const tests = Object.entries(filter).map(([name, one]) => (row) => {
      const value = column(row, name, metric);
      if (value === undefined || value === null) return false;
      if (one.among) return one.among.includes(String(value));
      return typeof value === "number" && value >= one.between[0] && value <= one.between[1];
    });
    tests.push(...searched(find, metric));
    return tests.length ? rows.filter((row) => tests.every((test) => test(row))) : rows;
  }

  const words = (filter) => Object.entries(filter).map(([name, one]) =>
    one.among ? `${name} ${one.among.join(" or ")}` : `${name} ${one.between.map(distune.number).join(" to ")}`);

  distune.filter = { around, column, toText, fromText, kept, range, words };
})();
