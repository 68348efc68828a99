// What may be done to a study, where the dashboard was started with --actions.
"use strict";
(() => {
  const { html, useRef, useState } = window.htmPreact;

  /** Asks the server, and keeps what it said: `[said, act]`. */
  function useAct(name) {
    const [said, setSaid] = useState(null);
    const act = async (what, body) => {
      setSaid(null);
      setSaid(await distune.source.act(name, what, body));
    };
    return [said, act];
  }

  const Said = ({ said }) => html`<span role="status">${said && html`<span class=${said.trouble ? "bad" : ""}>${said.trouble || said.said}</span>`}</span>`;

  /** Stop, pause or resume, enqueue. */
  function Actions({ study, name, best }) {
    const [said, act] = useAct(name);
    const [stop, enqueue] = [useRef(null), useRef(null)];
    const rests = study.status.halt;
    const isOver = study.status.state === "finished";
    const [at, setAt] = useState(null); // the setting of the form: that of the best as it opens
    return html`<div class="tools" role="group" aria-label="actions">
      ${!isOver && rests && html`<button onClick=${() => act("resume", {})}>resume</button>`}
      ${!isOver && !rests && html`<button onClick=${() => act("pause", {})}>pause</button>`}
      ${!isOver && rests !== "stop" && html`<button onClick=${() => stop.current.showModal()}>stop …</button>`}
      <button onClick=${() => { setAt(best ? best.params : {}); enqueue.current.showModal(); }}>enqueue …</button>
      <${Said} said=${said} />
      <dialog ref=${stop} aria-label=${`stop ${name}`} onClose=${() => { if (stop.current.returnValue === "stop") act("stop", {}); stop.current.returnValue = ""; }}>
        <h2>Stop ${name}?</h2><p>The trials that are being trained are trained to their end. “resume” goes on later.</p>
        <form method="dialog" class="tools"><button value="stop">stop the study</button><button value="">go on</button></form></dialog>
      <dialog ref=${enqueue} aria-label="enqueue"><h2>Try this next</h2>
        ${at && html`<${Setting} key=${JSON.stringify(at)} space=${study.space} start=${at}
          leave=${() => enqueue.current.close()} send=${(setting) => { enqueue.current.close(); act("enqueue", { settings: [setting] }); }} />`}</dialog>
    </div>`;
  }

  /** A form with the parameters; what is left empty, the study draws. */
  function Setting({ space, start, send, leave }) {
    const sent = (event) => {
      event.preventDefault();
      const given = space.map((one) => [one, event.target.elements[one.name]?.value ?? ""]).filter(([, text]) => text !== "");
      send(Object.fromEntries(given.map(([one, text]) => [one.name, one.choices ? JSON.parse(text) : Number(text)])));
    };
    const text = (name) => (start[name] === undefined || start[name] === null ? "" : start[name]);
    return html`<form onSubmit=${sent}><p class="quiet">What is left empty, the study draws.</p>
      ${space.filter((one) => one.choices || one.low !== undefined).map((one) => html`<label class="field" key=${one.name}><span>${one.name}</span>${one.choices
        ? html`<select name=${one.name}><option value=""></option>${one.choices.map((choice) => html`<option value=${JSON.stringify(choice)} selected=${choice === start[one.name]}>${String(choice)}</option>`)}</select>`
        : html`<input name=${one.name} type="number" step="any" min=${one.low} max=${one.high} value=${text(one.name)} />`}</label>`)}
      <div class="tools"><button>enqueue</button><button type="button" onClick=${leave}>cancel</button></div></form>`;
  }

  /** Trains a failed trial again; what that said stays while the trial is on its way. */
  function Retry({ name, number, hasFailed }) {
    const [said, act] = useAct(name);
    return html`<p>${hasFailed && html`<button onClick=${() => act("retry", { trials: [number] })}>retry</button>`} <${Said} said=${said} /></p>`;
  }

  Object.assign(distune, { Actions, Retry });
})();
