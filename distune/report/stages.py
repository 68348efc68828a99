"""Section: the stages of a study that has them. Pure."""

from __future__ import annotations

from distune.report.blocks import Section, Table
from distune.report.study_data import StudyData
from distune.report.wording import good_direction
from distune.search.samplers.staged import StageView
from distune.watch.display.numbers import decimals_for, format_scalar, format_value, plural
from distune.watch.display.text import clean


def section(data: StudyData) -> Section | None:
    views = data.snapshot.stages
    if not views:
        return None
    metric = clean(data.study.metric)
    values = [view.winner.mean for view in views if view.winner is not None]
    decimals = decimals_for(next(iter(values), None))

    def row(number: int, view: StageView) -> list[str]:
        mean = None if view.winner is None else view.winner.mean
        return [
            str(number),
            clean(view.stage.name),
            view.state,
            f"{view.counted}/{view.trials}",
            "" if mean is None else format_value(mean, decimals),
            _found(view),
        ]

    return Section(
        "stages",
        "Stages",
        [
            Table(
                "",
                ["", "stage", "state", "trials", metric, "found"],
                [row(number, view) for number, view in enumerate(views, 1)],
                numeric=frozenset({0, 3, 4}),
                caption=f"{plural(len(views), 'stage')}, one after the other: each starts from "
                "the best configuration of the one before and changes only the parameters "
                f"named here. {metric} is that of the stage's own best configuration "
                f"({good_direction(data.study.direction)}).",
            )
        ],
    )


def _found(view: StageView) -> str:
    """What its winner has of what it tunes; while there is none, what that is."""
    if view.winner is None:
        names = ", ".join(clean(name, 60) for name in view.stage.params)
        return f"{names}: no result, so nothing changes" if view.state == "over" else names
    params = view.winner.params
    return ", ".join(
        f"{clean(name, 60)} {clean(format_scalar(params[name]), 60)}"
        for name in view.stage.params
        if name in params
    )
