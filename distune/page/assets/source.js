// Where the page's data comes from: the dashboard's server, or what was written into a report.
"use strict";
(() => {
  /** Rows by their keys, of columns as `columns.py` describes them. */
  function rowsOf({ keys, columns }) {
    const rows = keys.map(() => ({}));
    fill(rows, columns);
    return Object.fromEntries(keys.map((key, i) => [key, rows[i]]));
  }

  function fill(rows, columns) {
    for (const [name, column] of Object.entries(columns)) {
      const missing = new Set(column.not);
      const inside = column.each ? rows.map(() => ({})) : null;
      rows.forEach((row, i) => {
        if (missing.has(i) || (column.at && column.at[i] < 0)) return;
        row[name] = inside ? inside[i] : column.is ? column.is[i] : column.at ? column.of[column.at[i]] : column.all;
      });
      if (inside) fill(inside, column.each);
    }
  }

  /** Takes a message in: all of a study, or what has changed in it. */
  function merged(before, message) {
    const { gone, ...now } = { ...before, ...message };
    for (const key of ["configurations", "trials"]) {
      if (!message[key]) continue;
      now[key] = { ...(before && gone ? before[key] : {}), ...rowsOf(message[key]) };
      for (const id of gone ? gone[key] : []) delete now[key][id];
    }
    if (message.order) {
      now.order.forEach((first, i) => {
        const [one, rank] = [now.configurations[first], i + 1];
        if (one.rank !== rank) now.configurations[first] = { ...one, rank: one.standing === "failed" ? null : rank };
      });
    }
    return now;
  }

  const path = (name) => `api/studies/${encodeURIComponent(name)}`;

  async function json(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw Object.assign(new Error(`${answer.status}`), { status: answer.status });
    return answer.json();
  }

  /** Asks again for a minute where the server, or the share behind it, does not answer. */
  async function patiently(address) {
    for (const pause of [1, 2, 4, 8, 15, 30]) {
      try {
        return await json(address);
      } catch (error) {
        if (error.status < 500) throw error; // it is not there
      }
      await new Promise((over) => setTimeout(over, 1000 * pause));
    }
    return json(address);
  }

  /** What is followed, by name: one connection has all of it, since a browser has only six. */
  const followed = new Map();
  let events = null, opening = null;

  function reopen() {
    clearTimeout(opening);
    opening = setTimeout(() => {
      if (events) events.close();
      events = null;
      if (!followed.size) return;
      events = new EventSource(`api/events?${[...followed.keys()].map((name) => `study=${encodeURIComponent(name)}`).join("&")}`);
      events.onmessage = ({ data }) => {
        const end = data.lastIndexOf("\n");
        const one = followed.get(data.slice(end + 1));
        if (!one) return;
        one.study = merged(one.study, JSON.parse(data.slice(0, end)));
        one.listeners.forEach((seen) => seen(one.study));
      };
      events.onerror = () => {
        const trouble = events.readyState === EventSource.CLOSED
          ? "there is no such study" : "the dashboard does not answer; trying again";
        for (const one of followed.values()) one.listeners.forEach((seen) => seen({ ...one.study, trouble }));
      };
    }, 0);
  }

  const server = {
    isLive: true,
    /** Itself: {logs, actions}. */
    server: () => json("api/server"),
    studies: () => json("api/studies"),
    trial: (name, number) => patiently(`${path(name)}/trials/${number}`),
    curves: (name) => patiently(`${path(name)}/curves`),
    importance: (name) => patiently(`${path(name)}/importance`),
    /** Has a study stopped, paused, resumed, trials retried, or settings enqueued, where the server
     *  allows it: {said}, or {trouble}. */
    async act(name, what, body = {}) {
      try {
        const answer = await fetch(`${path(name)}/actions/${what}`, {
          method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
        });
        const isOurs = answer.headers.get("content-type").startsWith("application/json");
        return isOurs ? await answer.json() : { trouble: (await answer.text()).trim() };
      } catch {
        return { trouble: "the dashboard does not answer" };
      }
    },
    /** Calls `seen` with the study as it is now, again and again; returns what ends that. */
    follow(name, seen) {
      if (!followed.has(name)) followed.set(name, { study: null, listeners: new Set() });
      const one = followed.get(name);
      one.listeners.add(seen);
      if (one.listeners.size === 1) reopen();
      else if (one.study) seen(one.study);
      return () => {
        one.listeners.delete(seen);
        if (!one.listeners.size && followed.delete(name)) reopen();
      };
    },
  };

  /** A report: one study, as it was when that was written. */
  const frozen = (data) => ((study) => ({
    isLive: false,
    only: data.name,
    about: data.about,
    words: data.words,
    problems: data.problems,
    bands: data.bands,
    besides: data.besides,
    sections: data.sections,
    lists: data.lists,
    server: async () => ({}),
    trial: async (name, number) => {
      const found = data.attempts[number], curve = data.curves[number];
      if (!found) throw new Error("not in this report");
      const last = found.attempts[found.attempts.length - 1];
      if (!last.reports.length && curve) {
        last.reports = curve.map(([step, seconds, value]) => ({ step, seconds, metrics: { [data.study.status.metric]: value } }));
      }
      return found;
    },
    curves: async () => data.curves,
    importance: async () => data.importance,
    follow(name, seen) { seen(study); return () => {}; },
  }))({ ...data.study, configurations: rowsOf(data.study.configurations), trials: rowsOf(data.study.trials) });

  const written = document.getElementById("data");
  distune.source = written ? frozen(JSON.parse(written.textContent)) : server;
  // The server begins with what the address names while the libraries are loaded.
  const named = new URLSearchParams(location.hash.slice(1)).get("study");
  if (named && !written) setTimeout(server.follow(named, () => {}), 5000);
})();
