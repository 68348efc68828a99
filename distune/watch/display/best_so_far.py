"""The best value so far, from trial to trial: as a plot, and as a few characters."""

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

from distune.search.configuration import Tier
from distune.search.ranking import History
from distune.watch.display.numbers import decimals_for, format_value
from distune.watch.display.text import clean, line_of, padded, row_spark
from distune.watch.snapshot import Snapshot

_LEAST_WIDTH = 24  # cells of a plot
_MANY = 20  # trials


def records(history: History) -> list[tuple[int, float]]:
    """Configurations that were the best when they were tried, and have all their repeats: of each
    the number of its first trial, and its value in the search. None of several objectives.
    """
    found: list[tuple[int, float]] = []
    sign = -1 if history.study.direction == "maximize" else 1
    ranked = [] if history.study.objectives else history.ranking()
    # Best first: one was the best if none of those before it here was tried earlier.
    for tier, order, first, _ in sorted(one.rank for one in ranked if one.rank is not None):
        if tier > Tier.FULL or not math.isfinite(order):
            break
        if not found or first < found[-1][0]:
            found.append((first, sign * order))
    return found[::-1]


def sampled(history: History, count: int) -> list[float]:
    """The best so far at so many trials, evenly from the first that has one to the last."""
    found = records(history)
    if not found or count <= 0:
        return []
    begin, end = found[0][0], max(history.highest, found[-1][0])
    values, at = [], 0
    for i in range(count):
        number = begin + (end - begin) * i / max(count - 1, 1)
        while at + 1 < len(found) and found[at + 1][0] <= number:
            at += 1
        values.append(found[at][1])
    return values


def best_spark(history: History, width: int) -> str:
    values = sampled(history, width)
    if not values:
        return ""
    low, high = _scale(history, values)
    return row_spark([min(max(value, low), high) for value in values], width)


def best_aside(snapshot: Snapshot) -> str:
    """`val_accuracy 0.9871 since trial 7`"""
    found = records(snapshot.history)
    if not found:
        return ""
    number, value = found[-1]
    return f"{clean(snapshot.study.metric, 30)} {format_value(value)} since trial {number}"


def best_lines(snapshot: Snapshot, width: int, shown: range) -> list[Text]:
    """A plot of it, so many lines high: values at the left, `<0.91` where there are some below the
    scale, numbers of trials below.
    """
    history, rows = snapshot.history, len(shown)
    values = sampled(history, width)
    if not values:
        return [Text("no result yet", "dim")]
    low, high = _scale(history, values)
    decimals = decimals_for(values[-1])
    beyond = ">" * (max(values) > high), "<" * (min(values) < low)
    ends = format_value(high, decimals), format_value(low, decimals)
    labels = [f"{sign}{value}" for sign, value in zip(beyond, ends, strict=True)]
    gutter = max(map(len, labels))
    if width < gutter + _LEAST_WIDTH or rows < 2:
        return [Text(row_spark(values, width), "cyan")]
    across, down = width - gutter - 1, rows - 1
    plot = line_plot([_share(v, low, high) for v in sampled(history, across)], down)
    margin = [labels[0], *[""] * (down - 2), labels[1]][-down:] if down > 1 else [labels[0]]
    lines = [
        line_of(padded(Text(label, "dim"), gutter, right=True), " ", (line, "cyan"))
        for label, line in zip(margin, plot, strict=True)
    ]
    first, last = f"trial {records(history)[0][0]}", str(history.highest)
    between = " " * max(across - len(first) - len(last), 1)
    return [*lines, Text(" " * (gutter + 1) + first + between + last, "dim")]


def _scale(history: History, values: list[float]) -> tuple[float, float]:
    """Its ends: of many trials without the first tenth, which may be far off any other."""
    rest = values[len(values) // 10 :] if len(history) >= _MANY else values
    return min(rest), max(rest)


def _share(value: float, low: float, high: float) -> float:
    """Where it stands between these: from 0 to 1."""
    if not low < high:
        return 0.5
    # Halved, so that the distance of two finite numbers is finite.
    return min(max((value / 2 - low / 2) / (high / 2 - low / 2), 0.0), 1.0)


def line_plot(shares: Sequence[float], rows: int) -> list[str]:
    """A line through these heights, from 0 to 1, one to a character: so many lines of text."""
    heights = [round((1 - share) * (rows - 1)) for share in shares]
    columns = (_step(before, y, rows) for before, y in pairwise([*heights[:1], *heights]))
    return ["".join(row) for row in zip(*columns, strict=True)]


def _step(before: int, y: int, rows: int) -> list[str]:
    """A column of the plot, where the line comes to `y` from `before`; 0 is the top."""
    column = [" "] * rows
    if before == y:
        column[y] = "─"
        return column
    column[min(before, y) : max(before, y)] = "│" * abs(before - y)
    column[before], column[y] = "╯╭" if y < before else "╮╰"
    return column
