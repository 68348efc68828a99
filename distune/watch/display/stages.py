"""The stages of a study as lines."""

from __future__ import annotations

from rich.text import Text

from distune.search.samplers.staged import StageView
from distune.watch.display.configurations import best_value
from distune.watch.display.numbers import decimals_for, format_scalar, format_value
from distune.watch.display.tables import TextColumn, table_lines
from distune.watch.display.text import clean, line_of
from distune.watch.snapshot import Snapshot

_STAGE_SIGNS = {"over": ("✓", "green"), "running": ("▸", "bold cyan"), "waiting": ("·", "dim")}


def stage_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """Each stage: how far it is, and what its winner has of the parameters that it tunes."""
    decimals = decimals_for(best_value(snapshot.history))
    views = snapshot.stages
    # What is under way goes first when there is no room for all.
    first = next((i for i, view in enumerate(views) if view.state != "over"), len(views))
    begin = max(0, min(first - 1, len(views) - rows))
    shown = views[begin : begin + rows]

    def found(view: StageView) -> Text:
        if view.state == "over" and view.winner is None:
            return Text("no result: nothing changes", "yellow")
        params = view.winner.params if view.winner else {}
        tuned = [name for name in view.stage.params if name in params]
        if not tuned:
            return Text(", ".join(clean(name) for name in view.stage.params), "dim")
        pieces = [line_of((f"{clean(n)} ", "dim"), format_scalar(params[n])) for n in tuned]
        return line_of((", ", "dim")).join(pieces)

    def value(view: StageView) -> str:
        return "" if view.winner is None else format_value(view.winner.mean, decimals)

    columns = [
        TextColumn("", [Text(*_STAGE_SIGNS[view.state]) for view in shown], 1),
        TextColumn("", [Text(clean(view.stage.name)) for view in shown], 0, widest=30),
        TextColumn("", [Text(f"{view.counted}/{view.trials}") for view in shown], 2, True),
        TextColumn("", [Text(value(view), "green") for view in shown], 3, True),
        TextColumn("", [found(view) for view in shown], 4, widest=80),
    ]
    return table_lines(columns, width, header=False, rows=len(shown))
