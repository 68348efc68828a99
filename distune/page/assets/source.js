// Where the page's data comes from: the dashboard's server, or what was written into a report.
"use strict";
(() => {
  /** Takes a message in: all of a study, or what has changed in it. */
  function merged(before, message) {
    const now = { ...before, ...message };
    for (const key of ["configurations", "trials"]) {
      if (!message[key]) continue;
      now[key] = { ...(before ? before[key] : {}), ...message[key] };
      for (const [id, one] of Object.entries(message[key])) if (one === null) delete now[key][id];
    }
    return now;
  }

  const path = (name) => `api/studies/${encodeURIComponent(name)}`;

  async function json(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
  }

  const server = {
    isLive: true,
    studies: () => json("api/studies"),
    trial: (name, number) => json(`${path(name)}/trials/${number}`),
    curves: (name) => json(`${path(name)}/curves`),
    importance: (name) => json(`${path(name)}/importance`),
    /** Calls `seen` with the study as it is now, again and again; returns what ends that. */
    follow(name, seen) {
      let study = null;
      const events = new EventSource(`${path(name)}/events`);
      events.onmessage = (event) => { study = merged(study, JSON.parse(event.data)); seen(study); };
      events.onerror = () => study && seen({ ...study, trouble: "the dashboard does not answer; trying again" });
      return () => events.close();
    },
  };

  /** A report: one study, as it was when that was written. */
  const frozen = (data) => ({
    isLive: false,
    only: data.name,
    about: data.about,
    words: data.words,
    problems: data.problems,
    bands: data.bands,
    besides: data.besides,
    sections: data.sections,
    lists: data.lists,
    studies: async () => ({ studies: [], trouble: null }),
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
    follow(name, seen) { seen(data.study); return () => {}; },
  });

  const written = document.getElementById("data");
  distune.source = written ? frozen(JSON.parse(written.textContent)) : server;
})();
