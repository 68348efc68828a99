// The page: what is shown stands in the address, so that it can be sent.
"use strict";
(() => {
  const { html, render, useEffect, useMemo, useState } = window.htmPreact;

  const read = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

  function Page() {
    const [at, setAt] = useState(read());
    const [dark, setDark] = useState(false);
    useEffect(() => {
      const scheme = window.matchMedia("(prefers-color-scheme: dark)"), changed = () => setDark(scheme.matches);
      scheme.addEventListener("change", changed);
      return () => scheme.removeEventListener("change", changed);
    }, []);
    useEffect(() => {
      const moved = () => setAt(read());
      window.addEventListener("hashchange", moved);
      return () => window.removeEventListener("hashchange", moved);
    }, []);
    const go = (where) => {
      const there = Object.entries(where).filter(([, value]) => value !== null && value !== "");
      location.hash = new URLSearchParams(there).toString();
    };
    const filter = useMemo(() => distune.filter.fromText(at.keep), [at.keep]);
    if (distune.source.only) at.study = distune.source.only;
    if (at.study) {
      return html`<${distune.Study} key=${`${at.study} ${dark}`} name=${at.study} leave=${distune.source.isLive && (() => go({}))}
        chosen=${at.trial === undefined ? null : Number(at.trial)} choose=${(trial) => go({ ...at, trial })}
        filter=${filter} setFilter=${(next) => go({ ...at, keep: distune.filter.toText(next) })} />`;
    }
    if (at.compare) return html`<${distune.Compare} names=${at.compare.split(",")} leave=${() => go({})} />`;
    return html`<${distune.Studies} compare=${(names) => go({ compare: names.join(",") })} open=${(study) => go({ study })} />`;
  }

  const place = document.getElementById("page");
  place.textContent = "";
  render(html`<${Page} />`, place);
})();
