"""Which parameters mattered, in words, as a table, and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from distune.export.leaderboard import JSON_VERSION, strict
from distune.study.study import Study
from distune.watch.display.configurations import wrapped
from distune.watch.display.numbers import plural
from distune.watch.display.text import Column, clean, filled, indented, table_lines

if TYPE_CHECKING:  # it loads Optuna
    from distune.export.importance import Importance, Importances


def percent(share: float) -> str:
    return f"{share:.0%}" if share <= 1 else "over 100%"


def rests_on(found: Importances) -> str:
    """What it was made of, and how."""
    drawn = f", drawn from {found.drawn:,}," if found.drawn is not None else ""
    many = plural(found.configurations, "configuration")
    return (
        f"PED-ANOVA, through Optuna, on {many}{drawn} with a complete trial: the best "
        f"{found.best} of them are compared with all, parameter by parameter"
    )


def caveats(found: Importances) -> str:
    """What it says, and what it does not."""
    return (
        "Importance: the share of the sum over all parameters. Spread: where nine of ten resamples "
        f"of the configurations have it. Chance: if none of the {len(found.parameters)} mattered, "
        f"the greatest would have up to {percent(found.floor)} in 95 of 100 cases; what has no "
        "more than that may be chance. None of it says which values are good, and it holds for "
        "the ranges that were searched."
    )


def verdict(one: Importance, found: Importances) -> str:
    from distune.export.importance import FEWEST

    if one.stands_out:
        return "stands out"
    few = one.configurations < FEWEST <= found.configurations
    return f"exists in too few (of {FEWEST})" if few else "may be chance"


def importance_rows(found: Importances) -> list[list[str]]:
    """Name, importance, spread, on how many it was judged, and what that says; of each."""
    return [
        [
            clean(one.name, 60),
            percent(one.share),
            f"{one.low:.0%} to {one.high:.0%}",
            f"{one.configurations}",
            verdict(one, found),
        ]
        for one in found.parameters
    ]


HEADER = ("parameter", "importance", "spread", "judged on", "")


def importance_text(study: Study, found: Importances, width: int) -> RenderableType:
    layout = [
        Column(0, HEADER[0], widest=40),
        Column(1, HEADER[1], right=True),
        Column(3, HEADER[2], right=True),
        Column(4, HEADER[3], right=True),
        Column(2, widest=30),
    ]
    table = table_lines(filled(layout, importance_rows(found)), width - 1)
    title = (
        f"What mattered for {clean(found.objective)}, in {clean(study.name)}. {rests_on(found)}."
    )
    return Group(
        wrapped(Text(title), width, 1),
        Text(""),
        *(indented(line, width) for line in table),
        Text(""),
        wrapped(Text(caveats(found), "dim"), width, 1),
    )


def importance_json(study: Study, found: Importances) -> dict[str, Any]:
    tree = {
        "version": JSON_VERSION,
        "study": study.name,
        "objective": found.objective,
        "configurations": found.configurations,
        "best": found.best,
        "drawn": found.drawn,
        "floor": found.floor,
        "parameters": [vars(one) for one in found.parameters],
    }
    return dict(strict(tree))
