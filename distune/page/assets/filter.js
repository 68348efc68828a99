// What a person keeps of the configurations: one filter, which every chart and table follows.
"use strict";
(() => {
  /** The value of a column of a configuration: a parameter of it, or what it reached. */
  const column = (row, name, metric) => (name === metric ? row.value : row.params[name]);

  /** `{lr: [0.01, 0.1], optimizer: ["sgd"]}` as text of an address: "lr:0.01..0.1;optimizer:sgd". */
  function toText(filter) {
    return Object.entries(filter).map(([name, one]) =>
      `${encodeURIComponent(name)}:${one.between
        ? one.between.map((v) => distune.number(v)).join("..")
        : one.among.map(encodeURIComponent).join("|")}`).join(";");
  }

  function fromText(text) {
    const filter = {};
    for (const part of (text || "").split(";").filter(Boolean)) {
      const [name, rest] = part.split(/:(.*)/s);
      const between = /^(-?[\d.e+-]+)\.\.(-?[\d.e+-]+)$/.exec(rest);
      filter[decodeURIComponent(name)] = between
        ? { between: [Number(between[1]), Number(between[2])] }
        : { among: rest.split("|").map(decodeURIComponent) };
    }
    return filter;
  }

  /** The configurations that it keeps. */
  function kept(rows, filter, metric) {
    const tests = Object.entries(filter);
    if (!tests.length) return rows;
    return rows.filter((row) => tests.every(([name, one]) => {
      const value = column(row, name, metric);
      if (value === undefined || value === null) return false;
      if (one.among) return one.among.includes(String(value));
      return typeof value === "number" && value >= one.between[0] && value <= one.between[1];
    }));
  }

  const words = (filter) => Object.entries(filter).map(([name, one]) =>
    one.among ? `${name} ${one.among.join(" or ")}` : `${name} ${one.between.map(distune.number).join(" to ")}`);

  distune.filter = { column, toText, fromText, kept, words };
})();
