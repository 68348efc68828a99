"""Section: which parameters mattered. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from distune.report.blocks import Block, Paragraph, Plot, Section
from distune.report.optuna_plots import importance_plot, importances
from distune.report.study_data import StudyData, value_of
from distune.watch.display.numbers import plural
from distune.watch.display.text import clean

if TYPE_CHECKING:
    import optuna

_FEWEST = 10  # trials below which nothing is said
_FEW = 50  # below which it is said that it may be chance
_WORTH_A_WORD = 0.05
_BEST_SHARE = 0.1  # of the trials that PED-ANOVA compares with all; its default


def weigh(data: StudyData, study: optuna.Study) -> dict[str, float]:
    """The importance of each parameter, the greatest first; empty if it cannot be said."""
    values = _values(data)
    return (
        importances(study, data.varying) if len(values) >= _FEWEST and len(set(values)) > 1 else {}
    )


def _values(data: StudyData) -> list[float]:
    return [v for one in data.trials if math.isfinite(v := value_of(one))]


def section(data: StudyData, study: optuna.Study, found: Mapping[str, float]) -> Section | None:
    """`found`: from `weigh`."""
    if not data.varying or not data.trials:
        return None
    if not found:
        return Section("importance", "What mattered", [Paragraph(_why_not(data))])
    complete = len(_values(data))
    blocks: list[Block] = [Paragraph(_words(found))]
    if complete < _FEW:
        blocks.append(
            Paragraph(f"{complete} trials are few for that: these numbers may be chance.", "aside")
        )
    blocks.append(
        Plot(
            "",
            {"": importance_plot(study, list(found))},
            "Importance of each parameter: "
            + ", ".join(f"{name} {value:.2f}" for name, value in found.items()),
            f"PED-ANOVA, through Optuna. It rests on {plural(complete, 'complete trial')}: the "
            f"best {_BEST_SHARE:.0%} of them are compared with all. A parameter is important if "
            "its values are distributed otherwise among the best than among all; the numbers are "
            "shares of their sum. They do not say which values are good, and hold for the ranges "
            "that were searched.",
            height=90 + 30 * len(found),
        )
    )
    return Section("importance", "What mattered", blocks)


def _why_not(data: StudyData) -> str:
    complete = len(_values(data))
    if complete < _FEWEST:
        return (
            f"{plural(complete, 'complete trial')}: too few to say which parameters mattered. It "
            f"takes {_FEWEST}, and some {_FEW} to rely on it."
        )
    return "No parameter can be seen to have mattered: what was tried reached the same."


def _words(found: Mapping[str, float]) -> str:
    words = [f"{clean(n, 60)} ({v:.0%})" for n, v in found.items() if v >= _WORTH_A_WORD]
    first, *others = words[:3]
    then = f", then by {' and '.join(others)}" if others else ""
    return f"The best trials stand out by {first}{then}."
