// The answer: the best configuration, how sure that is, what it beats, and how to train it again.
"use strict";
(() => {
  const { html, useState } = window.htmPreact;

  function Answer({ study, logs, choose }) {
    const { status, answer } = study;
    if (answer.nothing !== undefined) {
      return html`<section class="card wide answer" aria-label="answer"><h2>No configuration has a result${distune.source.isLive ? " yet" : ""}</h2><p>${answer.nothing}</p></section>`;
    }
    const best = study.configurations[answer.trial];
    const params = Object.fromEntries(Object.entries(best.params).filter(([, one]) => one !== null));
    const confirmed = [status.confirmation?.words ?? []].flat().map((line) => `${line[0].toUpperCase()}${line.slice(1)}.`);
    return html`<section class="card wide answer" aria-label="answer">
      <h2>${status.state === "finished" ? "Best configuration" : "Best so far"}: <button onClick=${() => choose(answer.trial)}>trial ${answer.trial}</button></h2>
      <p class="value">${answer.value}</p>
      <p class="quiet">${answer.spread}</p>
      <p><b>${answer.setting}</b></p>
      <ul>${[...confirmed, ...answer.words].map((line) => html`<li>${line}</li>`)}</ul>
      <${Copied} label="the parameters" text=${JSON.stringify(params)} />
      <p class="quiet">To train it again${distune.source.isLive ? "" : ", save the best.json of below, and start"}:</p>
      <${Copied} label="the command that trains it again" text=${distune.source.isLive ? command(study, logs) : answer.command} />
      <details><summary>best.json</summary><p><${Copy} label="best.json" text=${answer.space} /></p><pre tabindex="0" aria-label="best.json">${answer.space}</pre></details>
    </section>`;
  }

  /** Its space file, then one training of it, with the seed that it had, here and now. */
  function command({ status }, logs) {
    const { quoted } = distune;
    const offer = (status.offer || []).map((word) => ` ${quoted(word)}`).join("");
    return `distune best --logs ${quoted(logs || "logs")} --study ${quoted(status.study)} --json > best.json && distune try --space best.json${offer}`;
  }

  const Copied = ({ label, text }) => html`<p class="copied"><code>${text}</code> <${Copy} label=${label} text=${text} /></p>`;

  function Copy({ label, text }) {
    const [done, setDone] = useState(false);
    const copy = async () => { await navigator.clipboard.writeText(text); setDone(true); };
    return html`<button aria-label=${`copy ${label}`} onClick=${copy}>${done ? "copied" : "copy"}</button>`;
  }

  distune.Answer = Answer;
})();
