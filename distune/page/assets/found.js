// What is said first: the answer, how sure it is, how to have it again; and where the page is from.
"use strict";
(() => {
  const { html, useState } = window.htmPreact;

  function Copy({ text, what }) {
    const [done, setDone] = useState(false);
    const copy = () => navigator.clipboard.writeText(text).then(() => setDone(true), () => setDone(false));
    return html`<button onClick=${copy} aria-label=${`copy ${what}`}>${done ? "copied" : "copy"}</button>`;
  }

  function Found({ study, choose }) {
    const { status } = study, answer = study.answer || { nothing: "" };
    if (answer.nothing !== undefined) {
      return html`<section class="card wide answer" aria-label="the answer"><h2>No configuration has a result</h2><p>${answer.nothing}</p></section>`;
    }
    const confirmed = status.confirmation && status.confirmation.words ? status.confirmation.words : [];
    const words = [...confirmed.map((line) => `${line[0].toUpperCase()}${line.slice(1)}.`), ...answer.words];
    return html`<section class="card wide answer" aria-label="the answer">
      <h2>${status.state === "finished" ? "Best configuration" : "Best so far"}: <button onClick=${() => choose(answer.trial)}>trial ${answer.trial}</button></h2>
      <div class="value">${answer.value}</div>
      <p class="quiet">${answer.spread}</p>
      <p><b>${answer.setting}</b></p>
      <ul>${words.map((line) => html`<li>${line}</li>`)}</ul>
      <p>To train it again, save <${Copy} text=${answer.space} what="best.json" /> as best.json, and start <code>${answer.command}</code> <${Copy} text=${answer.command} what="the command" /></p>
      <details><summary>best.json</summary><pre>${answer.space}</pre></details>
    </section>`;
  }

  /** When and where a report was written, by what; nothing in the dashboard, which is now and here. */
  function About({ about }) {
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
      setMissing(number in study.trials ? "" : `there is no trial ${number}`);
      if (number in study.trials) choose(number);
    };
    return html`<form class="goto" onSubmit=${go}><label>go to trial <input name="trial" type="number" min="0" required /></label> <span class="bad" role="status">${missing}</span></form>`;
  }

  Object.assign(distune, { About, Found, GoTo, Words });
})();
