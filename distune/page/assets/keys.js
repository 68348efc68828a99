// What a keyboard does, and the page that says so.
"use strict";
(() => {
  const { html, useEffect, useLayoutEffect, useRef } = window.htmPreact;

  const KEYS = [
    ["/", "search"],
    ["j, k", "the next row, the one before; arrows do so in a table that has the focus"],
    ["enter", "open the row"],
    ["c", "mark the study of the row; within a study, mark that one"],
    ["C", "compare the studies that are marked"],
    ["f", "failures: the studies that have some; within a study, what failed"],
    ["esc", "leave the search, close the trial, go back to all studies"],
    ["?", "these keys"],
  ];
  const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable]";

  /** `{j: (event) => ...}`: what keys do as long as the element is there, but not while somebody
   *  types, nor with a dialog open. One that returns true leaves the key to the browser. */
  function useKeys(wanted) {
    const latest = useRef(wanted);
    latest.current = wanted;
    useLayoutEffect(() => {
      const pressed = (event) => {
        const does = latest.current[event.key];
        if (!does || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
        if (event.target.closest(TYPING) || document.querySelector("dialog[open]")) return;
        if (does(event) !== true) event.preventDefault();
      };
      window.addEventListener("keydown", pressed);
      return () => window.removeEventListener("keydown", pressed);
    }, []);
  }

  /** A box that searches as one types, a moment after the last key; `/` goes there. */
  function Search({ label, value, onSearch, hint }) {
    const place = useRef(null);
    const waiting = useRef(null);
    useKeys({ "/": () => place.current.select() });
    useEffect(() => { if (document.activeElement !== place.current) place.current.value = value; }, [value]);
    useEffect(() => () => clearTimeout(waiting.current), []);
    const typed = () => {
      clearTimeout(waiting.current);
      waiting.current = setTimeout(() => onSearch(place.current.value), 150);
    };
    const leave = (event) => { if (event.key === "Escape") { event.preventDefault(); place.current.blur(); } };
    return html`<input type="search" aria-label=${label} placeholder=${hint} ref=${place} defaultValue=${value}
      onInput=${typed} onKeyDown=${leave} />`;
  }

  /** The keys, in a dialog that `?` opens. */
  function Keys() {
    const dialog = useRef(null);
    useKeys({ "?": () => dialog.current.showModal() });
    return html`<button class="keys quiet" aria-label="keys" title="keys" onClick=${() => dialog.current.showModal()}>?</button>
      <dialog ref=${dialog} aria-label="keys"><h2>Keys</h2>
        <dl>${KEYS.map(([key, does]) => html`<dt><kbd>${key}</kbd></dt><dd>${does}</dd>`)}</dl>
        <form method="dialog"><button>close</button></form></dialog>`;
  }

  Object.assign(distune, { Keys, Search, useKeys });
})();
