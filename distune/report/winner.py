"""Section: the figures that a workload left beside its winner. Pure."""

import base64
import binascii
import math
from collections.abc import Sequence

from distune.report.blocks import Block, Paragraph, Picture, PictureGrid, Plot, Section
from distune.report.charts import Axis, Cells, Chart, Dots, Line, Plane, label
from distune.report.study_data import StudyData
from distune.study import figures
from distune.watch.display.text import clean

_MOST_DOTS = 1500
_MOST_NUMBERED = 20  # classes whose numbers have room in their cells
_CLASSES = 7  # of points, that have a hue each


def section(data: StudyData) -> Section | None:
    if not data.figures:
        return None
    blocks: list[Block] = []
    for number, own in data.figures.items():
        blocks.append(Paragraph(f"From the test of trial {number}.", "quiet"))
        blocks += map(block_of, own)
    return Section("winner", "The winner, looked at closely", blocks)


def block_of(given: figures.Figure) -> Block:
    """The figure, drawn; or a line that says why it cannot be."""
    try:
        match given:
            case figures.Confusion():
                return _confusion(given)
            case figures.Pictures():
                return _pictures(given)
            case figures.Boundary():
                return _boundary(given)
            case figures.Scatter():
                return _scatter(given)
    except ValueError as error:
        return Paragraph(f"{clean(given.title)}: this figure cannot be drawn: {error}.", "bad")


def _insist(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _confusion(given: figures.Confusion) -> Plot:
    n = len(given.classes)
    _insist([len(row) for row in given.counts] == [n] * n, f"its counts are not {n} x {n}")
    shares = [[count / max(sum(row), 1) for count in row] for row in given.counts]
    names = [label(name, 14) for name in given.classes]
    said = [
        [
            f"{a}, taken for {b}: {count} ({share:.1%})"
            for b, count, share in zip(names, *row, strict=True)
        ]
        for a, row in zip(names, zip(given.counts, shares, strict=True), strict=True)
    ]
    cells = Cells(shares, said, given.counts if n <= _MOST_NUMBERED else ())
    right = sum(row[i] for i, row in enumerate(given.counts))
    every = sum(map(sum, given.counts))
    return Plot(
        clean(given.title),
        {"": Chart(Axis("taken for", classes=names), Axis("is", classes=names), [cells])},
        f"{given.title}: confusion matrix of {n} classes; {right} of {every} are on the diagonal.",
        f"{given.caption} Numbers: how many; colour: the share of the row.".strip(),
        height=min(160 + 34 * n, 900),
    )


def _pictures(given: figures.Pictures) -> PictureGrid:
    size = given.height * given.width * given.channels
    for one in given.pictures:
        try:
            pixels = base64.b64decode(one.pixels, validate=True)
        except binascii.Error:
            raise ValueError("the pixels of a picture are not base64") from None
        _insist(len(pixels) == size, f"a picture has {len(pixels)} bytes, not {size}")
    drawn = [Picture(one.pixels, clean(one.label)) for one in given.pictures]
    shape = given.height, given.width, given.channels
    return PictureGrid(clean(given.title), *shape, drawn, clean(given.caption, 2000))


def _boundary(given: figures.Boundary) -> Plot:
    height, width = len(given.y), len(given.x)
    fits = [len(row) for row in given.scores] == [width] * height
    _insist(fits, f"its scores are not {height} x {width}")
    points = len(given.points_x) == len(given.points_y) == len(given.labels)
    _insist(points, "its points do not have an x, a y and a label each")
    x, y = contour(given.x, given.y, given.scores)
    series: list[Plane | Line | Dots] = [Plane(given.x, given.y, given.scores)]
    series.append(Line(x, y, "ink", width=1.5))
    step = _step(len(given.labels))
    for kind in sorted(set(given.labels))[:_CLASSES]:
        own = [i for i in range(0, len(given.labels), step) if given.labels[i] == kind]
        series.append(
            Dots(
                [given.points_x[i] for i in own],
                [given.points_y[i] for i in own],
                f"{kind % _CLASSES}",
                f"class {kind}",
                symbol=("circle", "triangle", "diamond")[kind % 3],
                size=6,
                opacity=0.9,
            )
        )
    return Plot(
        clean(given.title),
        {"": Chart(Axis("x"), Axis("y"), series, square=True)},
        f"{given.title}: a decision boundary in a plane, with {len(given.labels)} points.",
        f"{given.caption} Line: where the network is undecided.{_of(len(given.labels))}".strip(),
        height=460,
    )


def contour(
    x: Sequence[float], y: Sequence[float], scores: Sequence[Sequence[float]], level: float = 0.5
) -> tuple[list[float], list[float | None]]:
    """Where the scores pass a level: pieces of a line, one through each cell that it crosses, with
    a None in y after each.
    """
    xs: list[float] = []
    ys: list[float | None] = []
    for i in range(len(y) - 1):
        for j in range(len(x) - 1):
            found = _crossings(x[j : j + 2], y[i : i + 2], scores[i], scores[i + 1], j, level)
            for (x1, y1), (x2, y2) in zip(found[::2], found[1::2], strict=True):
                xs += [x1, x2, x2]
                ys += [y1, y2, None]
    return xs, ys


def _crossings(
    x: Sequence[float],
    y: Sequence[float],
    below: Sequence[float],
    above: Sequence[float],
    j: int,
    level: float,
) -> list[tuple[float, float]]:
    """The points on the four edges of a cell that have the level: none, two or four."""
    corners = [
        (x[0], y[0], below[j]),
        (x[1], y[0], below[j + 1]),
        (x[1], y[1], above[j + 1]),
        (x[0], y[1], above[j]),
    ]
    found = []
    for (x1, y1, a), (x2, y2, b) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (a < level) != (b < level):
            at = (level - a) / (b - a)
            found.append((x1 + at * (x2 - x1), y1 + at * (y2 - y1)))
    return found


def _scatter(given: figures.Scatter) -> Plot:
    _insist(len(given.x) == len(given.y), "it has not as many x as y")
    _insist(len(given.y_error) in (0, len(given.y)), "it has not as many error bars as points")
    step = _step(len(given.x))
    x, y = given.x[::step], given.y[::step]
    points = Dots(x, y, "accent", size=6, opacity=0.7, error=given.y_error[::step])
    vertical = Axis(label(given.y_title, 60), log=given.log_y and min(given.y, default=1.0) > 0)
    if given.y_error and not vertical.log:  # one long bar must not press all points flat
        low, high = min(given.y), max(given.y)
        margin = 0.1 * (high - low) or 1.0
        vertical = Axis(vertical.title, low=low - margin, high=high + margin)
    chart = Chart(Axis(label(given.x_title, 60)), vertical, [points], diagonal=given.diagonal)
    line = " Dashed: where both are the same." if given.diagonal else ""
    return Plot(
        clean(given.title),
        {"": chart},
        f"{given.title}: {given.y_title} against {given.x_title}, {len(given.x)} points.",
        f"{given.caption}{line}{_of(len(given.x))}".strip(),
    )


def _step(count: int) -> int:
    return max(1, math.ceil(count / _MOST_DOTS))


def _of(count: int) -> str:
    drawn = len(range(0, count, _step(count)))
    return f" {drawn:,} of {count:,} points are drawn." if drawn < count else ""
