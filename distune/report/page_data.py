"""What the page draws of a study, frozen: plain data. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from distune.page.columns import as_columns
from distune.page.curves import points
from distune.page.importance import importance_of
from distune.page.study import study_of
from distune.report import cost, curves, winner, workers
from distune.report.blocks import Section
from distune.report.progress import bands_of
from distune.report.study_data import DETAILED, STAGE, StudyData
from distune.report.words import words_of
from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.watch.display.json_data import trial_json

Tree = dict[str, Any]


def page_data(data: StudyData, about: Mapping[str, str], color_by: str | None = None) -> Tree:
    """As `source.js` takes it.

    Args:
        data: of the study.
        about: when, where and by which command the page is written.
        color_by: the parameter whose values have colours in learning curves, until another is
            chosen in the page; the stage if None and there are any, else the most important.
    """
    importance: Tree = importance_of(data.history) if data.trials else {"unknown": ""}
    weights = [one["name"] for one in importance.get("parameters", [])]
    metric = data.study.metric
    drawn = {n: points(file.reports, metric) for n, file in sorted(data.files.items())}
    return {
        "name": data.study.name,
        "about": {**about, "id": data.study.id},
        "study": _in_columns(study_of(data.snapshot)),
        "attempts": _attempts(data),
        "curves": {number: curve for number, curve in drawn.items() if len(curve) > 1},
        "importance": importance,
        "words": words_of(data),
        "problems": list(data.problems),
        "bands": bands_of(data),
        "besides": workers.besides(data),
        **_once(sections(data, weights, color_by)),
    }


def _in_columns(study: Tree) -> Tree:
    return {**study, **{name: as_columns(study[name]) for name in ("configurations", "trials")}}


def sections(data: StudyData, weights: list[str], color_by: str | None = None) -> list[Section]:
    """What is drawn in a report alone, of which this study has something. `weights`: parameters,
    the most important first.
    """
    staged = [STAGE] if data.stages else []
    first = [] if color_by is None else [color_by]
    colours = list(dict.fromkeys([*first, *staged, *weights, *data.varying]))
    made = [
        curves.section(data, colours),
        cost.section(data),
        winner.section(data),
        workers.section(data),
    ]
    return [section for section in made if section is not None]


def _attempts(data: StudyData) -> dict[int, Tree]:
    """What the files say of the trials that were read. Only of some all of it is shown; of the
    others the page has the curve.
    """
    numbers = {one.trial.number: one for one in data.trials}
    detailed = {n.trial.number for one in data.history.ranking(DETAILED) for n in one.trials}
    found: dict[int, list[tuple[AttemptName, AttemptFile]]] = {}
    for name, lost in data.given_up.items():
        if lost is not None:
            found.setdefault(name.trial, []).append((name, lost))
    for number, file in data.files.items():
        if number in numbers:
            own = numbers[number]
            if number not in detailed and own.result.failure is None:
                file = replace(file, reports=(), output="")
            found.setdefault(number, []).append((AttemptName.counted(own.key), file))
    return {number: trial_json(attempts) for number, attempts in sorted(found.items())}


def _once(made: list[Section]) -> Tree:
    """The sections, of whose series each list of coordinates is written once: `x` and `y` are
    places in `lists`. A curve is the same in whatever colour.
    """
    tree: list[Tree] = msgspec.to_builtins(made)
    places: dict[str, int] = {}
    lists: list[Any] = []
    for series in (
        one for section in tree for block in section["blocks"] for one in _series(block)
    ):
        for key in ("x", "y"):
            if key in series and series["kind"] in ("line", "dots"):
                rounded = [None if v is None else float(f"{v:.7g}") for v in series[key]]
                text = repr(rounded)
                if text not in places:
                    places[text] = len(lists)
                    lists.append(rounded)
                series[key] = places[text]
    return {"sections": tree, "lists": lists}


def _series(block: Tree) -> list[Tree]:
    plots = block.get("plots", [block])
    charts = (chart for plot in plots for chart in plot.get("charts", {}).values())
    return [one for chart in charts for one in chart["series"]]
