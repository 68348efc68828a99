"""What a study has found, in words: what a reader sees first. Pure."""

import math
import shlex
import statistics
from itertools import islice
from typing import Any

from distune.export.leaderboard import best_space
from distune.search.configuration import Configuration
from distune.search.ranking import History
from distune.study.trial import Outcome
from distune.watch.display.configurations import varying_parameters
from distune.watch.display.goals import none_feasible, values_text
from distune.watch.display.numbers import (
    decimals_for,
    duration,
    format_scalar,
    format_spread,
    format_value,
    is_number,
    plural,
)
from distune.watch.display.text import clean

_PARAMS_IN_WORDS = 12
_FEWEST_COMPARED = 5  # configurations, of which the middle one says something


def answer_of(history: History) -> dict[str, Any]:
    """The best configuration: `trial`, `value`, `spread`, `setting`, `words` (what it beats, how
    sure that is), `space` (a space file) and the `command` that trains it again. Without one,
    `nothing` says why.
    """
    winner = history.winner()
    if winner is None or winner.mean is None:
        return {"nothing": _nothing(history)}
    study, decimals = history.study, decimals_for(winner.mean)
    value = f"{clean(study.metric)} {format_value(winner.mean, decimals)}"
    if is_number(winner.spread):
        value += f" ± {format_spread(winner.spread, decimals)}"
    if study.objectives:
        value = values_text(study, winner).plain
    names = varying_parameters(study, (one.trial.params for one in history.standing))
    return {
        "trial": winner.first,
        "value": value,
        "spread": _spread(winner),
        "setting": _setting(winner, names),
        "words": [*_beaten(history, winner, decimals), *_tested(history, winner)],
        "space": best_space(history),
        "command": shlex.join(
            ["distune", "master", "--space", "best.json", "--workers", "1", *study.offer]
        ),
    }


def _nothing(history: History) -> str:
    """Why there is no answer, as a sentence."""
    if not history.over:
        return "No trial has been counted yet."
    diverged = history.outcomes[Outcome.DIVERGED]
    if diverged == history.over:
        metric = clean(history.study.metric)
        which = "The one trial" if diverged == 1 else f"All {diverged:,} trials"
        return f"{which} diverged: {metric} was no finite number, so there is nothing to draw."
    why = none_feasible(history) or "no configuration has a result"
    return f"{why[0].upper()}{why[1:]}."


def _spread(winner: Configuration) -> str:
    if is_number(winner.spread):
        what = "fresh training" if winner.is_confirmed else "repeat"
        many = plural(len(winner.values), what)
        return f"±: the standard deviation over {many} that differ by their seeds"
    return "one training: how much another seed would change it is not known"


def _setting(winner: Configuration, varying: list[str]) -> str:
    params = winner.params
    names = [name for name in varying if name in params] or list(params)
    words = [f"{clean(n, 60)} {clean(format_scalar(params[n]), 60)}" for n in names]
    more = len(words) - _PARAMS_IN_WORDS
    return ", ".join(words[:_PARAMS_IN_WORDS]) + (f" and {more} more" if more > 0 else "")


def _beaten(history: History, winner: Configuration, decimals: int) -> list[str]:
    """What it beats, and by how much."""
    metric, ranked = clean(history.study.metric), history.ranking()
    lines = [f"Its training took {duration(winner.seconds)}."]
    if history.study.objectives:
        more = plural(len(history.front()) - 1, "other")
        lines[:0] = [f"The best of the front by {metric}; the front has {more}."]
    else:
        others = (one for one in ranked if one is not winner and is_number(one.mean))
        lines[:0] = [_next(winner, one, decimals) for one in islice(others, 1)]
    means = [one.mean for one in ranked if one.mean is not None and math.isfinite(one.mean)]
    if len(means) >= _FEWEST_COMPARED:
        lines.append(
            f"Half of the {len(means):,} configurations with a result reach "
            f"{metric} {format_value(statistics.median(means), decimals)} or better."
        )
    return lines


def _next(winner: Configuration, other: Configuration, decimals: int) -> str:
    by = abs((winner.mean or 0.0) - (other.mean or 0.0))
    line = f"The next best, trial {other.first}, has {format_value(other.mean, decimals)}"
    if is_number(winner.spread) and by < winner.spread:
        return f"{line}: nearer than the spread, so the two may change places in a repetition."
    return f"{line}."


def _tested(history: History, winner: Configuration) -> list[str]:
    test = winner.test_mean(history.study.test_metric)
    if test is None:
        return []
    name = history.study.test_metric.replace("_", " ")
    return [
        "On the test set, which was used for this configuration alone: "
        f"{name} {format_value(test, 4)}."
    ]
