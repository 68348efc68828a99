// Sections that Python has worked out for a report: words, tables, plots, pictures.
"use strict";
(() => {
  const { html, useEffect, useMemo, useRef, useState } = window.htmPreact;

  function Sections({ choose }) {
    return (distune.source.sections || []).map((one) => html`<${Section} key=${one.key} section=${one} choose=${choose} />`);
  }

  function Section({ section, choose }) {
    const [chosen, setChosen] = useState({});
    return html`<section class="card wide" id=${section.key} aria-label=${section.title}><h2>${section.title}</h2>
      ${section.blocks.map((block) => html`<${BLOCKS[block.kind]} ...${block} chosen=${chosen} setChosen=${setChosen} choose=${choose} />`)}</section>`;
  }

  const Paragraph = ({ text, tone }) => html`<p class=${tone}>${text}</p>`;

  const Table = ({ title, header, rows, numeric, caption }) => html`${title && html`<h3>${title}</h3>`}
    <${distune.Long} header=${header} rows=${rows} numeric=${numeric} first=${20} />${caption && html`<p class="quiet">${caption}</p>`}`;

  const Choice = ({ name, options, title, chosen, setChosen }) => html`<${distune.Choose} title=${title} options=${options}
    chosen=${chosen[name] || options[0]} choose=${(one) => setChosen({ ...chosen, [name]: one })} />`;

  const Row = ({ plots, chosen, choose }) => html`<div class="plots">${plots.map((one) => html`<${Plot} ...${one} chosen=${chosen} choose=${choose} />`)}</div>`;

  function Plot({ title, charts, alt, alts, caption, choice, chosen_by, height, chosen, choose }) {
    const names = Object.keys(charts);
    const [own, setOwn] = useState(names[0]);
    const shown = chosen_by ? chosen[chosen_by] || names[0] : own;
    const option = useMemo(() => distune.plotted(charts[shown], distune.source.lists), [shown]);
    const click = (what) => { if (typeof what.data[2] === "number" && what.componentSubType === "scatter") choose(what.data[2]); };
    const { square } = charts[shown];
    return html`<figure class=${square ? "square" : ""}>
      ${title && html`<h3>${title}</h3>`}
      ${choice && names.length > 1 && html`<${distune.Choose} title=${choice} options=${names} chosen=${own} choose=${setOwn} />`}
      <${distune.Chart} key=${shown} option=${option} height=${height} label=${(alts && alts[names.indexOf(shown)]) || alt} on=${{ click }} />
      ${caption && html`<figcaption class="quiet">${caption}</figcaption>`}</figure>`;
  }

  const Pictures = ({ title, pictures, caption, ...shape }) => html`<figure><h3>${title}</h3>
    <div class="pictures">${pictures.map((one) => html`<${Picture} ...${one} ...${shape} />`)}</div>${caption && html`<figcaption class="quiet">${caption}</figcaption>`}</figure>`;

  function Picture({ pixels, label, height, width, channels }) {
    const place = useRef(null);
    useEffect(() => {
      const bytes = atob(pixels), image = new ImageData(width, height);
      for (let i = 0; i < width * height; i += 1) {
        for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = bytes.charCodeAt(channels * i + (channels === 3 ? c : 0));
        image.data[4 * i + 3] = 255;
      }
      place.current.getContext("2d").putImageData(image, 0, 0);
    }, [pixels]);
    return html`<span class="picture"><canvas ref=${place} width=${width} height=${height} role="img" aria-label=${label}></canvas><br />${label}</span>`;
  }

  const BLOCKS = { paragraph: Paragraph, table: Table, choice: Choice, row: Row, plot: Plot, pictures: Pictures };
  distune.Sections = Sections;
})();
