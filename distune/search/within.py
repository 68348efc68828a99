"""The best configuration within limits: `distune best --within 30s`. Pure."""

import math
from collections.abc import Mapping

from distune.errors import DistuneError, UserError
from distune.search.configuration import Configuration, Tier
from distune.search.ranking import History
from distune.study.constraint import SECONDS
from distune.study.durations import parse_duration, precise_duration
from distune.study.space import did_you_mean


def parse_limit(text: str) -> tuple[str, float]:
    """`30s`, which is of the seconds of training, or `parameters=200000`: a metric and its most.

    Raises:
        UserError: it is neither.
    """
    name, equals, value = text.rpartition("=")
    name = name if equals else SECONDS
    try:
        limit = parse_duration(value) if name == SECONDS else float(value)
    except ValueError as error:
        why = error if name == SECONDS else f"{value!r} is not a number"
        raise UserError(f"--within: {why}; write 30s, or a metric: parameters=200000") from None
    if not name or not math.isfinite(limit):
        raise UserError(f"--within: {text!r}: write 30s, or a metric: parameters=200000")
    return name, limit


def best_within(history: History, limits: Mapping[str, float]) -> Configuration | None:
    """The first of the ranking that has a result, and no more of each metric in the mean over its
    repeats; None if none has a result.

    Raises:
        DistuneError: none is within the limits; says what comes nearest.
        UserError: none has such a metric.
    """
    ranked = [one for one in history.ranking() if one.tier(history.study.repeats) <= Tier.PARTIAL]
    if not ranked:
        return None
    within = ranked
    for name, limit in limits.items():
        means = {one.first: mean for one in within if (mean := one.mean_of(name)) is not None}
        if not means:
            known = {n: None for one in ranked[0].complete for n in one.result.metrics}
            hint = did_you_mean(name, [SECONDS, *known])
            raise UserError(f"--within: no trial of {history.study.name} reports {name!r}{hint}")
        found = [one for one in within if means.get(one.first, math.inf) <= limit]
        if not found:
            least = min(means, key=lambda first: means[first])
            raise DistuneError(
                f"no configuration of {history.study.name} is within {_shown(name, limit)}: the "
                f"least is {_shown(name, means[least])}, of trial {least}"
            )
        within = found
    return within[0]


def _shown(name: str, value: float) -> str:
    return precise_duration(value) if name == SECONDS else f"{name} {value:.6g}"
