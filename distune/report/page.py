"""A report as HTML: one file, which loads nothing and lets nothing be loaded.

`page.html` says where what is written. All text is escaped as it is written there, and the page's
policy lets no script run but the ones written here: Plotly's and the page's own, by their hashes.
What the plots draw is data, which no browser runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader

from distune.report.blocks import Plot, Row, Section
from distune.report.plotting import safe_figure, themes
from distune.watch.display.text import clean

_LONGEST = 4000
_SHORT = 25  # rows of a table that is shown at once


def html_page(title: str, foot: str, sections: Sequence[Section], plotly: str) -> str:
    """The whole file.

    Args:
        title: of the page, as plain text.
        foot: the last line, as plain text.
        sections: what the page says.
        plotly: Plotly's script.
    """
    plots = any(isinstance(block, Plot | Row) for one in sections for block in one.blocks)
    scripts = [plotly, _asset("page.js")] if plots else []
    hashes = " ".join(map(_hash, scripts)) or "'none'"
    policy = (
        f"default-src 'none'; script-src {hashes}; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template("page.html").render(
        title=title, foot=foot, sections=sections, policy=policy, style=_asset("page.css"),
        scripts=scripts, themes=themes(), plots=[], SHORT=_SHORT,
    )  # fmt: skip


def _asset(name: str) -> str:
    return (files("distune.report") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _environment() -> Environment:
    def cleaned(value: Any) -> Any:
        return clean(value, _LONGEST) if type(value) is str else value

    made = Environment(
        loader=PackageLoader("distune", "report"), autoescape=True, finalize=cleaned,
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.do"],
    )  # fmt: skip
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    made.filters |= {
        "base64": lambda png: base64.b64encode(png).decode(),
        "clean": cleaned,
        "data_of": _data_of,
        "kind": lambda block: type(block).__name__,
    }
    return made


def _data_of(plot: Plot) -> dict[str, Any]:
    """Its figures, of whose traces each list of coordinates is written once: `x` and `y` are
    places in `lists`. A curve is the same in whatever colour.
    """
    figures = [safe_figure(one) for one in plot.figures.values()]
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
