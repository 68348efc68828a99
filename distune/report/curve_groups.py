"""Trials by the value of a parameter, for curves in its colours. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distune.report.plotting import label
from distune.study.trial import Scalar
from distune.watch.display.numbers import format_scalar

_MOST_VALUES = 7  # that have a colour of their own; more are put together
_CLASSES = 5


@dataclass(frozen=True)
class Group:
    """Trials with one value of a parameter, or with one of some near values."""

    label: str
    trials: list[int]


def groups_of(values: Mapping[int, Scalar]) -> tuple[list[Group], bool]:
    """Trials by their value, and whether the values have an order.

    Up to seven values stand for themselves. Of more numbers, classes of about as many trials
    each are made; of more choices, the most frequent six and all others.

    Args:
        values: by the trials' numbers.
    """
    by_value: dict[str, tuple[Scalar, list[int]]] = {}
    for number, value in sorted(values.items()):
        by_value.setdefault(repr(value), (value, []))[1].append(number)
    ordered = all(_is_number(value) for value, _ in by_value.values())
    found = list(by_value.values())
    if ordered:
        found.sort(key=lambda pair: float(pair[0] or 0))
        if len(found) > _MOST_VALUES:
            return _classes(found), True
    elif len(found) > _MOST_VALUES:
        found.sort(key=lambda pair: -len(pair[1]))
        rest = [number for _, numbers in found[_MOST_VALUES - 1 :] for number in numbers]
        found = found[: _MOST_VALUES - 1]
        groups = [Group(label(format_scalar(value)), numbers) for value, numbers in found]
        return [*groups, Group("others", rest)], False
    return [Group(label(format_scalar(value)), numbers) for value, numbers in found], ordered


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _classes(found: Sequence[tuple[Scalar, list[int]]]) -> list[Group]:
    total = sum(len(numbers) for _, numbers in found)
    groups: list[Group] = []
    inside: list[tuple[Scalar, list[int]]] = []
    before = 0
    for value, numbers in found:
        inside.append((value, numbers))
        before += len(numbers)
        if before >= total * (len(groups) + 1) / _CLASSES:
            low, high = (_rounded(value) for value in (inside[0][0], inside[-1][0]))
            name = low if low == high else f"{low} to {high}"
            groups.append(Group(label(name), [n for _, numbers in inside for n in numbers]))
            inside = []
    return groups


def _rounded(value: Scalar) -> str:
    return format_scalar(float(f"{float(value or 0):.3g}"))
