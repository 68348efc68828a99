"""Section: which parameters mattered, as far as that can be told from chance. Pure."""

from collections.abc import Sequence

from distune.export.importance import Importances, Unknown, importances
from distune.report.blocks import Block, Paragraph, Plot, Section, Table
from distune.report.plotting import PlotlyFigure, axis, figure, label
from distune.report.study_data import StudyData
from distune.watch.display.importance import HEADER, caveats, importance_rows, percent, rests_on
from distune.watch.display.text import clean


def importance_of(data: StudyData) -> Importances | str:
    """Of the parameters, for the first objective; or why nothing can be said."""
    try:
        return importances(data.history)
    except Unknown as why:
        return str(why)


def weights(found: Importances | str) -> dict[str, float]:
    """Their shares, the greatest first; nothing if nothing can be said."""
    return {} if isinstance(found, str) else {one.name: one.share for one in found.parameters}


def section(data: StudyData, found: Importances | str) -> Section | None:
    if not data.varying or not data.trials:
        return None
    if isinstance(found, str):
        why = f"{clean(found[0].upper() + found[1:], 2000)}."
        return Section("importance", "What mattered", [Paragraph(why)])
    names = [one.name for one in found.parameters]
    plot = Plot(
        "",
        {"": _plot(found)},
        "Importance of each parameter: "
        + ", ".join(f"{one.name} {one.share:.2f}" for one in found.parameters)
        + f"; chance alone gives up to {percent(found.floor)}.",
        f"{rests_on(found)}. Lines: the spread; dashed: what chance alone gives.",
        height=90 + 30 * len(names),
    )
    table = Table("", HEADER, importance_rows(found), frozenset({1, 2, 3}), caveats(found))
    blocks: list[Block] = [Paragraph(_words(found)), plot, table]
    return Section("importance", "What mattered", blocks)


def _words(found: Importances) -> str:
    names = [clean(one.name, 60) for one in found.parameters if one.stands_out]
    what = f"for {clean(found.objective)}"
    if not names:
        return (
            f"No parameter stands out {what} by more than chance alone may give: what the "
            "importances below say may be nothing."
        )
    return f"The best configurations stand out {what} by {_listed(names)}; the rest may be chance."


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _plot(found: Importances) -> PlotlyFigure:
    shown = found.parameters[::-1]  # from the bottom
    shares = [one.share for one in shown]
    names = [label(one.name) for one in shown]
    bars = {
        "type": "bar", "orientation": "h", "marker": {"color": "@0"}, "x": shares,
        "y": names, "cliponaxis": False,
        "error_x": {
            "type": "data", "symmetric": False, "color": "@ink", "thickness": 1.2,
            "array": [max(one.high - one.share, 0.0) for one in shown],
            "arrayminus": [max(one.share - one.low, 0.0) for one in shown],
        },
        "hovertemplate": "%{x:.2f}<extra></extra>",
    }  # fmt: skip
    most = max(*shares, *(one.high for one in shown))
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": found.floor, "x1": found.floor,
            "line": {"color": "@1", "dash": "dash", "width": 2}}  # fmt: skip
    x = axis("importance", range=[0, 1.05 * max(most, min(found.floor, 1.0))])
    layout = {"margin": {"l": 56, "r": 16, "t": 24, "b": 48}, "shapes": [line]}
    return figure([bars], x, {"type": "category"}, **layout)
