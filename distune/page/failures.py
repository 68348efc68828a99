"""What failed, by what it says, and what the settings have in common that failed so. Pure."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from distune.export.table import is_numeric
from distune.search.ranking import History
from distune.study.trial import FAILURES, Counted, Outcome, Params
from distune.watch.display.numbers import format_scalar
from distune.watch.display.text import clean

_ENDS = {*FAILURES, Outcome.DIVERGED}
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d[\d.e+-]*")
_CONDITIONS = 3
#: What is said in common would be so, if nothing had to do with it, in fewer cases than these.
_CHANCE = 0.05


def failure_groups(history: History) -> list[dict[str, Any]]:
    """Trials that failed or diverged: those that say the same, numbers aside, are one group; the
    largest first. `shared`: where all of them lie and few others do, in words, or nothing.
    """
    groups: dict[str, list[Counted]] = {}
    standing = list(history.standing)
    for one in standing:
        if one.result.outcome in _ENDS:
            groups.setdefault(_NUMBERS.sub("#", _message(one)), []).append(one)
    return [
        {
            "message": clean(_message(own[0]), 600),
            "outcomes": sorted({one.result.outcome.value for one in own}),
            "trials": [one.trial.number for one in own],
            "workers": sorted({one.worker for one in own}),
            "shared": _shared(own, standing),
        }
        for own in sorted(groups.values(), key=len, reverse=True)
    ]


def _message(one: Counted) -> str:
    failure = one.result.failure
    return failure.message if failure else f"{one.result.outcome.value}: no finite value"


@dataclass(frozen=True)
class _Condition:
    words: str
    holds: Callable[[Params], bool]


def _shared(own: Sequence[Counted], standing: Sequence[Counted]) -> str:
    inside = {one.trial.number for one in own}
    others = [one.trial.params for one in standing if one.trial.number not in inside]
    return shared_words([one.trial.params for one in own], others)


def shared_words(own: Sequence[Params], others: Sequence[Params]) -> str:
    """`8 of 8 have optimizer rmsprop and lr >= 0.065, where 3 of 40 others are`; nothing where
    chance would often do the same.
    """
    left, rest = list(_conditions(own)), list(others)
    found: list[str] = []
    candidates = max(len(left), 1)
    while left and rest and len(found) < _CONDITIONS:
        kept = {one.words: [params for params in rest if one.holds(params)] for one in left}
        best = min(left, key=lambda one: len(kept[one.words]))
        share = (len(kept[best.words]) + 1) / (len(rest) + 1)
        if share ** len(own) * candidates > _CHANCE:
            break
        found.append(best.words)
        rest = kept[best.words]
        left.remove(best)
    if not found:
        return ""
    are = f"{len(rest):,} of {len(others):,} others are"
    return f"{len(own)} of {len(own)} have {' and '.join(found)}, where {are}"


def _conditions(own: Sequence[Params]) -> Iterator[_Condition]:
    """Those that all of them keep."""
    for name in dict.fromkeys(name for params in own for name in params):
        values = [params[name] for params in own if name in params]
        if len(values) < len(own):
            continue
        label = clean(name, 60)
        numbers = [value for value in values if is_numeric(value) and math.isfinite(value)]
        if len(numbers) == len(values):
            low, high = _rounded(min(numbers), math.floor), _rounded(max(numbers), math.ceil)
            yield _at(f"{label} >= {format_scalar(low)}", name, low, math.inf)
            yield _at(f"{label} <= {format_scalar(high)}", name, -math.inf, high)
        elif len({repr(value) for value in values}) == 1:
            yield _same(f"{label} {clean(format_scalar(values[0]), 60)}", name, values[0])


def _at(words: str, name: str, low: float, high: float) -> _Condition:
    def holds(params: Params) -> bool:
        value = params.get(name)
        return is_numeric(value) and low <= value <= high

    return _Condition(words, holds)


def _same(words: str, name: str, value: Any) -> _Condition:
    return _Condition(words, lambda params: name in params and params[name] == value)


def _rounded(value: Any, toward: Callable[[float], int]) -> Any:
    """Two digits, rounded so that the value still lies within; integers as they are."""
    if isinstance(value, int) or value == 0:
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{toward(value / unit) * unit:.3g}")
