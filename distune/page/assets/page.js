// The page: what is shown stands in the address, so that it can be sent.
"use strict";
(() => {
  const { html, render, useEffect, useMemo, useState } = window.htmPreact;

  const read = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

  /** An address with what there is to say: nothing else of the one before. */
  function address(where) {
    const there = Object.entries(where).filter(([, value]) => value !== undefined && value !== null && value !== "");
    return `#${new URLSearchParams(there)}`;
  }

  function Page() {
    const [there, setThere] = useState(read());
    useEffect(() => {
      const moved = () => setThere(read());
      window.addEventListener("popstate", moved);
      return () => window.removeEventListener("popstate", moved);
    }, []);
    const [dark, setDark] = useState(false);
    useEffect(() => {
      const scheme = window.matchMedia("(prefers-color-scheme: dark)"), changed = () => setDark(scheme.matches);
      scheme.addEventListener("change", changed);
      return () => scheme.removeEventListener("change", changed);
    }, []);
    /** To another place; or (`instead`) to another look at this one, which "back" passes over. */
    const visit = (where, instead) => {
      const to = address(where);
      if (to === (location.hash || "#")) return;
      history[instead ? "replaceState" : "pushState"](null, "", to);
      setThere(read());
    };
    const go = (change, instead) => visit({ ...read(), ...change }, instead);
    const filter = useMemo(() => distune.filter.fromText(there.keep), [there.keep]);
    const at = { ...there, filter, ...(distune.source.only && { study: distune.source.only }) };
    useEffect(() => { document.title = [at.study || at.compare?.replaceAll(",", " and "), "distune"].filter(Boolean).join(" · "); }, [at.study, at.compare]);
    const main = at.study ? html`<${distune.Study} key=${`${at.study} ${dark}`} at=${at} go=${go} visit=${visit} />`
      : at.compare ? html`<${distune.Compare} names=${at.compare.split(",")} visit=${visit} />`
      : html`<${distune.Studies} at=${at} go=${go} visit=${visit} />`;
    return html`${main}<footer><${distune.Keys} /></footer>`;
  }

  /** A link to all studies, in the head of a page of some of them. */
  distune.Home = ({ visit, mark }) => html`<nav aria-label="pages"><a href=${address({ mark })} onClick=${(event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    visit({ mark });
  }}>all studies</a></nav>`;

  const place = document.getElementById("page");
  place.textContent = "";
  render(html`<${Page} />`, place);
})();
