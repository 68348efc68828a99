// Where a report is from, what it says in words, and the way to any trial.
"use strict";
(() => {
  const { html, useState } = window.htmPreact;

  /** When and where a report was written, by what; nothing in the dashboard, which is now and here. */
  function About() {
    const { about } = distune.source;
    if (!about) return null;
    return html`<p class="quiet about">Written ${about.written} by distune ${about.version} on ${about.host}: <code>${about.command}</code> (study ${about.id})</p>`;
  }

  function Words() {
    const { words = [], problems = [] } = distune.source;
    if (!words.length && !problems.length) return null;
    return html`<section class="card wide" aria-label="in words">
      ${problems.map((line) => html`<p class="bad">${line}</p>`)}${words.map((line) => html`<p>${line}</p>`)}</section>`;
  }

  function GoTo({ study, choose }) {
    const [missing, setMissing] = useState("");
    const go = (event) => {
      event.preventDefault();
      const number = Number(new FormData(event.target).get("trial"));
      const isThere = number in study.trials || study.status.running.some((one) => one.trial === number);
      setMissing(isThere ? "" : `there is no trial ${number}`);
      if (isThere) choose(number);
    };
    return html`<form class="goto" onSubmit=${go}><label>go to trial <input name="trial" type="number" min="0" required /></label> <span class="bad" role="alert">${missing}</span></form>`;
  }

  Object.assign(distune, { About, GoTo, Words });
})();
