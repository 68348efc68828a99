"""Section: the figures that a workload left beside its winner. Pure."""

import base64
import binascii
import io
import math

from PIL import Image

from distune.report.blocks import Block, Paragraph, PictureGrid, Plot, Section
from distune.report.plotting import axis, class_axis, dots, figure, label
from distune.report.study_data import StudyData
from distune.study import figures
from distune.watch.display.text import clean

_MOST_DOTS = 1500
_MOST_NUMBERED = 20  # classes whose numbers have room in their cells


def section(data: StudyData) -> Section | None:
    if not data.figures:
        return None
    blocks: list[Block] = []
    for number, own in data.figures.items():
        blocks.append(Paragraph(f"From the test of trial {number}.", "aside"))
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
    trace = {
        "type": "heatmap", "x": list(range(n)), "y": list(range(n)), "z": shares,
        "zmin": 0, "zmax": 1, "text": given.counts,
        "texttemplate": "%{text}" if n <= _MOST_NUMBERED else "",
        "customdata": [[f"{a}, taken for {b}" for b in names] for a in names],
        "hovertemplate": "%{customdata}: %{text} (%{z:.1%})<extra></extra>",
        "colorscale": "@scale", "showscale": False, "xgap": 1, "ygap": 1,
    }  # fmt: skip
    x, y = class_axis("taken for", names), class_axis("is", names, autorange="reversed")
    right = sum(row[i] for i, row in enumerate(given.counts))
    every = sum(map(sum, given.counts))
    return Plot(
        given.title,
        {"": figure([trace], x, y)},
        f"{given.title}: confusion matrix of {n} classes; {right} of {every} are on the diagonal.",
        f"{given.caption} Numbers: how many; colour: the share of the row.".strip(),
        height=min(160 + 34 * n, 900),
        min_width=min(130 + 34 * n, 900) if n <= _MOST_NUMBERED else 0,
    )


def _pictures(given: figures.Pictures) -> PictureGrid:
    mode = "L" if given.channels == 1 else "RGB"
    drawn = []
    for one in given.pictures:
        try:
            pixels = base64.b64decode(one.pixels, validate=True)
        except binascii.Error:
            raise ValueError("the pixels of a picture are not base64") from None
        size = given.height * given.width * given.channels
        _insist(len(pixels) == size, f"a picture has {len(pixels)} bytes, not {size}")
        png = io.BytesIO()
        Image.frombytes(mode, (given.width, given.height), pixels).save(png, "PNG")
        drawn.append((png.getvalue(), one.label))
    return PictureGrid(given.title, drawn, given.caption)


def _boundary(given: figures.Boundary) -> Plot:
    height, width = len(given.y), len(given.x)
    fits = [len(row) for row in given.scores] == [width] * height
    _insist(fits, f"its scores are not {height} x {width}")
    points = len(given.points_x) == len(given.points_y) == len(given.labels)
    _insist(points, "its points do not have an x, a y and a label each")
    plane = {
        "type": "contour", "x": given.x, "y": given.y, "z": given.scores, "zmin": 0, "zmax": 1,
        "colorscale": [[0, "@0~"], [0.5, "@paper"], [1, "@1~"]],
        "contours": {"coloring": "heatmap", "start": 0.5, "end": 0.5, "size": 1},
        "line": {"color": "@ink", "width": 1.5}, "showscale": False,
        "hovertemplate": "score %{z:.2f} at %{x:.3g}, %{y:.3g}<extra></extra>",
    }  # fmt: skip
    traces: list[dict[str, object]] = [plane]
    step = _step(len(given.labels))
    for kind in sorted(set(given.labels))[:7]:
        own = [i for i in range(0, len(given.labels), step) if given.labels[i] == kind]
        x, y = [given.points_x[i] for i in own], [given.points_y[i] for i in own]
        marker = {"size": 5, "color": f"@{kind % 7}"}
        traces.append(dots(x, y, "", name=f"class {kind}", marker=marker))
    axes = axis("x", constrain="domain"), axis("y", constrain="domain", scaleanchor="x")
    return Plot(
        given.title,
        {"": figure(traces, *axes)},
        f"{given.title}: a decision boundary in a plane, with {len(given.labels)} points.",
        f"{given.caption} Line: where the network is undecided.{_of(len(given.labels))}"
        .strip(),
        height=520,
    )  # fmt: skip


def _scatter(given: figures.Scatter) -> Plot:
    _insist(len(given.x) == len(given.y), "it has not as many x as y")
    _insist(len(given.y_error) in (0, len(given.y)), "it has not as many error bars as points")
    step = _step(len(given.x))
    x, y = given.x[::step], given.y[::step]
    marker = {"size": 6, "color": "@0", "opacity": 0.7}
    points = dots(x, y, "%{y:.5g} at %{x:.5g}", marker=marker, showlegend=False)
    if given.y_error:
        points["error_y"] = {"type": "data", "array": given.y_error[::step],
                             "color": "@0~", "thickness": 1, "width": 0}  # fmt: skip
    scale: dict[str, object] = {}
    if given.log_y and min(given.y, default=1.0) > 0:
        scale = {"type": "log", "dtick": "D2"}
    elif given.y_error:  # one long bar must not press all points flat
        low, high = min(given.y), max(given.y)
        margin = 0.1 * (high - low) or 1.0
        scale = {"range": [low - margin, high + margin]}
    drawn = figure([points], axis(given.x_title), axis(given.y_title, **scale))
    if given.diagonal and given.x:
        both = [*given.x, *given.y]
        drawn["layout"]["shapes"] = [
            {"type": "line", "x0": min(both), "x1": max(both), "y0": min(both), "y1": max(both),
             "line": {"color": "@muted", "width": 1, "dash": "dash"}}
        ]  # fmt: skip
    line = " Dashed: where both are the same." if given.diagonal else ""
    return Plot(
        given.title,
        {"": drawn},
        f"{given.title}: {given.y_title} against {given.x_title}, {len(given.x)} points.",
        f"{given.caption}{line}{_of(len(given.x))}".strip(),
    )


def _step(count: int) -> int:
    return max(1, math.ceil(count / _MOST_DOTS))


def _of(count: int) -> str:
    drawn = len(range(0, count, _step(count)))
    return f" {drawn:,} of {count:,} points are drawn." if drawn < count else ""
