// The answer: the best configuration, how sure that is, and how to train it again.
"use strict";
(() => {
  const { html, useState } = window.htmPreact;

  function Answer({ study, best, varying, logs }) {
    const { status } = study;
    if (!best || typeof best.value !== "number") {
      return html`<section class="card wide answer" aria-label="answer"><h2>No configuration has a result yet</h2></section>`;
    }
    const params = Object.fromEntries(Object.entries(best.params).filter(([, one]) => one !== null));
    return html`<section class="card wide answer" aria-label="answer">
      <h2>${status.state === "finished" ? "Best configuration" : "Best so far"}: trial ${best.trials[0]}</h2>
      <p class="value">${status.metric} ${distune.value(best.value)}<span class="spread"> ${uncertainty(best)}</span></p>
      <p>${distune.setting(params, varying)}</p>
      ${[status.confirmation?.words ?? []].flat().map((line) => html`<p class="quiet">${line}</p>`)}
      <${Copied} label="the parameters" text=${JSON.stringify(params)} />
      ${distune.source.isLive && html`<${Copied} label="the command that trains it again" text=${command(study, logs)} />`}
    </section>`;
  }

  /** What one may say of a mean of so many trainings. */
  function uncertainty(best) {
    const many = best.confirmed || best.repeats;
    if (many < 2 || typeof best.spread !== "number") return "one training, so its spread is unknown";
    return `± ${distune.value(best.spread, distune.decimals(best.value))} spread of ${many} trainings`;
  }

  /** Its space file, then one training of it, with the seed that it had, here and now. */
  function command({ status }, logs) {
    const { quoted } = distune;
    const offer = (status.offer || []).map((word) => ` ${quoted(word)}`).join("");
    return `distune best --logs ${quoted(logs || "logs")} --study ${quoted(status.study)} --json > best.json && distune try --space best.json${offer}`;
  }

  function Copied({ label, text }) {
    const [done, setDone] = useState(false);
    const copy = async () => { await navigator.clipboard.writeText(text); setDone(true); };
    return html`<p class="copied"><code>${text}</code>
      <button aria-label=${`copy ${label}`} onClick=${copy}>${done ? "copied" : "copy"}</button></p>`;
  }

  Object.assign(distune, { Answer });
})();
