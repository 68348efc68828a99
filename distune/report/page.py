"""A report as HTML: one file, which loads nothing and lets nothing be loaded. Pure.

All text is escaped here, and the page's policy lets no script run but the ones written here:
Plotly's and the page's own, by their hashes. What the plots draw is data, which no browser runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from distune.report.blocks import Block, Choice, Paragraph, PictureGrid, Plot, Row, Section, Table
from distune.report.plotting import safe_figure, themes
from distune.watch.display.text import clean

_LONGEST = 4000
_SHORT = 25  # rows of a table that is shown at once


def html_page(
    title: str, foot: str, sections: Sequence[Section], *, style: str, script: str, plotly: str
) -> str:
    """The whole file.

    Args:
        title: of the page, as plain text.
        foot: the last line, as plain text.
        sections: what the page says.
        style, script: the page's own.
        plotly: Plotly's script.
    """
    plots = any(isinstance(block, Plot | Row) for one in sections for block in one.blocks)
    scripts = [plotly, script] if plots else []
    hashes = [_hash(one) for one in scripts] or ["'none'"]
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    figures: list[str] = []
    bodies = [_section(section, figures) for section in sections]
    links = "".join(f'<a href="#{one.key}">{_text(one.title)}</a>' for one in sections)
    hint = "" if not scripts else "<noscript><p>The plots need JavaScript.</p></noscript>"
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{_text(title)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        f"<header><h1>{_text(title)}</h1><nav>{links}</nav>{hint}</header>",
        f"<main>{''.join(bodies)}</main>",
        f"<footer>{_text(foot)}</footer>",
        _data("themes", themes()) if scripts else "",
        *figures,
        *(f"<script>{one}</script>" for one in scripts),
        "</body>",
        "</html>",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _text(text: str) -> str:
    return escape(clean(text, _LONGEST))


def _data(key: str, tree: Any) -> str:
    """A block of JSON for the script; nothing in it can end the block, or begin a comment."""
    text = json.dumps(tree, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{key}">{text}</script>'


# -- blocks --------------------------------------------------------------------------------


def _section(section: Section, figures: list[str]) -> str:
    blocks = "".join(_block(block, figures) for block in section.blocks)
    return f'<section id="{section.key}"><h2>{_text(section.title)}</h2>{blocks}</section>'


def _block(block: Block, figures: list[str]) -> str:
    match block:
        case Paragraph():
            tone = f' class="{block.tone}"' if block.tone else ""
            return f"<p{tone}>{_text(block.text)}</p>"
        case Table():
            return _table(block)
        case Plot():
            return _plot(block, figures)
        case Choice():
            return f"<p>{_select(block.title, block.key, block.options)}</p>"
        case Row():
            return f'<div class="row">{"".join(_plot(one, figures) for one in block.plots)}</div>'
        case PictureGrid():
            return _pictures(block)


def _table(table: Table) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if i in table.numeric else ''}>{_text(cell)}</{tag}>"
            for i, cell in enumerate(row)
        )

    places = "scroller long" if len(table.rows) > _SHORT else "scroller"
    head = f"<thead><tr>{cells('th', table.header)}</tr></thead>"
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    return (
        f"{_heading(table.title)}"
        f'<div class="{places}" tabindex="0"><table>{head}<tbody>{body}</tbody></table></div>'
        f"{_caption(table.caption)}"
    )


def _plot(plot: Plot, figures: list[str]) -> str:
    key = f"figure-{len(figures)}"
    figures.append(_data(key, _shared([safe_figure(one) for one in plot.figures.values()])))
    choice, more = "", ""
    if plot.chosen_by:
        more += f' data-chosen-by="{plot.chosen_by}"'
    elif len(plot.figures) > 1:
        choice = _select(plot.choice, key, plot.figures)
    if plot.alts:
        more += f' data-alts="{escape(json.dumps([clean(one, _LONGEST) for one in plot.alts]))}"'
    size = f"height:{plot.height}px" + (f";min-width:{plot.min_width}px" if plot.min_width else "")
    return (
        f"<figure>{_heading(plot.title)}{choice}"
        f'<div class="scroller"><div class="plot" role="img" aria-label="{_text(plot.alt)}" '
        f'data-figure="{key}"{more} style="{size}"></div></div>'
        f"{_caption(plot.caption, 'figcaption')}</figure>"
    )


def _shared(figures: Sequence[Any]) -> dict[str, Any]:
    """Figures, of whose traces each list of coordinates is written once: `x` and `y` are places
    in `lists`. A curve is the same in whatever colour.
    """
    places: dict[str, int] = {}
    lists: list[Any] = []
    for trace in (trace for figure in figures for trace in figure["data"]):
        for key in ("x", "y"):
            if isinstance(trace.get(key), list):
                text = json.dumps(trace[key])
                if text not in places:
                    places[text] = len(lists)
                    lists.append(trace[key])
                trace[key] = places[text]
    return {"figures": figures, "lists": lists}


def _select(title: str, of: str, names: Iterable[str]) -> str:
    options = "".join(f'<option value="{i}">{_text(name)}</option>' for i, name in enumerate(names))
    return (
        f'<label>{_text(title)} <select data-of="{of}" autocomplete="off">{options}'
        "</select></label>"
    )


def _pictures(block: PictureGrid) -> str:
    shown = "".join(
        f'<div><img alt="{_text(label)}" src="data:image/png;base64,'
        f'{base64.b64encode(png).decode()}"><span>{_text(label)}</span></div>'
        for png, label in block.pictures
    )
    return (
        f'<figure>{_heading(block.title)}<div class="pictures">{shown}</div>'
        f"{_caption(block.caption, 'figcaption')}</figure>"
    )


def _heading(title: str) -> str:
    return f"<h3>{_text(title)}</h3>" if title else ""


def _caption(text: str, tag: str = "p") -> str:
    return f'<{tag} class="caption">{_text(text)}</{tag}>' if text else ""
