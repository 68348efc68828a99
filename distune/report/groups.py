"""Trials by the value that they have of a parameter. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distune.export.table import is_numeric
from distune.report.charts import label
from distune.study.space import CategoricalParameter, Parameter
from distune.study.trial import Scalar
from distune.watch.display.numbers import format_scalar


@dataclass(frozen=True)
class Group:
    """Trials with one value of a parameter, or with one of some near values."""

    label: str
    trials: list[int]


#: Numbers in ascending order, each with the trials that have it.
Numbers = Sequence[tuple[Any, list[int]]]


def groups_of(
    values: Mapping[int, Scalar],
    most: int,
    split: Callable[[Numbers], list[Group]],
    spec: Parameter | None = None,
    width: int = 28,
) -> tuple[list[Group], bool]:
    """Trials by their value, and whether the values have an order.

    Args:
        values: by the trials' numbers.
        most: so many values stand for themselves. Of more choices the most frequent ones do,
            and all others are one group.
        split: makes groups of more numbers.
        spec: of the parameter, if its choices are to stay in its order, also numbers.
        width: of the labels, in characters.
    """
    choices = [repr(one) for one in spec.choices] if isinstance(spec, CategoricalParameter) else []
    # What stages try of a parameter is no choice of the study, which has one value of it.
    listed = bool(choices) and all(repr(value) in choices for value in values.values())
    # Integers may be too large for a float.
    ordered = not listed and all(is_numeric(v) and abs(v) < 1e300 for v in values.values())
    by_value: dict[Scalar, tuple[Any, list[int]]] = {}
    for number, value in sorted(values.items()):
        key = value if ordered else repr(value)
        by_value.setdefault(key, (value, []))[1].append(number)
    found, others = list(by_value.values()), []
    if ordered:
        found.sort(key=lambda pair: pair[0])
        if len(found) > most:
            return split(found), True
    elif len(found) > most:
        found.sort(key=lambda pair: -len(pair[1]))
        rest = [number for _, numbers in found[most - 1 :] for number in numbers]
        found, others = found[: most - 1], [Group("others", rest)]
    elif listed:
        found.sort(key=lambda pair: choices.index(repr(pair[0])))
    groups = [Group(label(format_scalar(value), width), numbers) for value, numbers in found]
    return groups + others, ordered


_CLASSES = 5


def even_classes(found: Numbers) -> list[Group]:
    """Classes of about as many trials each."""
    total = sum(len(numbers) for _, numbers in found)
    groups: list[Group] = []
    ends: list[float] = []
    inside: list[int] = []
    before = 0
    for value, numbers in found:
        ends.append(value)
        inside += numbers
        before += len(numbers)
        if before >= total * (len(groups) + 1) / _CLASSES:
            low, high = (format_scalar(float(f"{end:.3g}")) for end in (ends[0], ends[-1]))
            groups.append(Group(low if low == high else f"{low} to {high}", inside))
            ends, inside = [], []
    return groups
