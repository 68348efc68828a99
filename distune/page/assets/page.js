// The page: what is shown stands in the address, so that it can be sent.
"use strict";
(() => {
  const { html, render, useEffect, useState } = window.htmPreact;

  const read = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

  function Page() {
    const [at, setAt] = useState(read());
    useEffect(() => {
      const moved = () => setAt(read());
      window.addEventListener("hashchange", moved);
      return () => window.removeEventListener("hashchange", moved);
    }, []);
    const go = (where) => { location.hash = new URLSearchParams(where).toString(); };
    if (at.study) {
      return html`<${distune.Study} key=${at.study} name=${at.study} leave=${() => go({})}
        chosen=${at.trial === undefined ? null : Number(at.trial)} choose=${(trial) => go(trial === null ? { study: at.study } : { study: at.study, trial })} />`;
    }
    return html`<${distune.Studies} open=${(study) => go({ study })} />`;
  }

  const place = document.getElementById("page");
  place.textContent = "";
  render(html`<${Page} />`, place);
})();
