"""Writes the report of a study: one file, which loads nothing and lets nothing be loaded.

`page.html` says where what is written. All text is escaped as it is written there, and the page's
policy lets no script run but the ones written here: Plotly's and the page's own, by their hashes.
What the plots draw is data, which no browser runs.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from distune.errors import UserError
from distune.export.files import complete
from distune.export.leaderboard import parameter_names
from distune.report import (
    cost,
    curves,
    front,
    importance,
    parameters,
    progress,
    summary,
    winner,
    workers,
)
from distune.report.blocks import Plot, Row, Section
from distune.report.plotting import safe_figure
from distune.report.study_data import STAGE, StudyData
from distune.watch.display.text import clean

_LONGEST = 4000


def write_report(
    data: StudyData, plotly: str, out: Path | None, color_by: str | None = None
) -> Path:
    """Write the report of a study; what was there under that name is replaced when it is done.

    Args:
        data: of the study.
        plotly: all of its script.
        out: the file; `NAME-report.html` in the current directory if None.
        color_by: as `all_sections` takes it.

    Returns:
        The file.

    Raises:
        UserError: there is no such parameter, or the file cannot be written.
    """
    name = data.study.name
    known = [*([STAGE] if data.stages else []), *parameter_names(data.history)]
    if color_by is not None and color_by not in known:
        raise UserError(
            f"--color-by: {name} has no parameter {color_by!r}; there are {', '.join(known)}"
        )
    target = out or Path(f"{name}-report.html")
    page = html_page(
        f"Study {name}",
        f"Made by distune from the study {name}, {data.study.id}. This file loads "
        "nothing from the network.",
        all_sections(data, color_by),
        plotly,
    )
    with complete(target) as draft:
        draft.write_text(page, encoding="utf-8")
    return target


def all_sections(data: StudyData, color_by: str | None = None) -> list[Section]:
    """The sections that this study has something for.

    Args:
        data: of the study.
        color_by: the parameter whose values have colours in learning curves, until another is
            chosen in the page; the stage if None and there are any, else the most important.
    """
    mattered = importance.importance_of(data)
    weights = importance.weights(mattered)
    staged = [STAGE] if data.stages else []
    first = [] if color_by is None else [color_by]
    colours = list(dict.fromkeys([*first, *staged, *weights, *data.varying]))
    made = [
        summary.summary(data),
        summary.ranking(data),
        front.section(data),
        summary.stages(data),
        progress.section(data),
        importance.section(data, mattered),
        parameters.section(data, weights),
        curves.section(data, colours),
        cost.section(data),
        winner.section(data),
        workers.section(data),
        summary.stopped(data),
        summary.failures(data),
    ]
    return [section for section in made if section is not None]


def html_page(title: str, foot: str, sections: Sequence[Section], plotly: str) -> str:
    """The whole file; title and foot, the last line, are plain text, and `plotly` is its script."""
    plots = any(isinstance(block, Plot | Row) for one in sections for block in one.blocks)
    scripts = [plotly, _asset("page.js")] if plots else []
    hashes = " ".join(map(_hash, scripts)) or "'none'"
    policy = (
        f"default-src 'none'; script-src {hashes}; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template("page.html").render(
        title=title, foot=foot, sections=sections, policy=policy, style=_asset("page.css"),
        scripts=scripts, plots=[],
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
