"""The ranking of a study: as a table, its stages, its winner in words, and the end of it all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from distune.search.configuration import Configuration, Tier
from distune.search.staged import StageView
from distune.study.study import Study
from distune.watch.display.configurations import (
    best_value,
    params_text,
    standing,
    varying_parameters,
    wrapped,
)
from distune.watch.display.numbers import (
    decimals_for,
    duration,
    format_scalar,
    format_spread,
    format_value,
    is_number,
    short_number,
)
from distune.watch.display.state import describe_state, outcome_counts, title_line, trials_counted
from distune.watch.display.text import BEST_MARK, TextColumn, clean, indented, line_of, table_lines
from distune.watch.snapshot import Snapshot


def ranking_lines(snapshot: Snapshot, width: int, rows: int, header: bool = True) -> list[Text]:
    configurations = snapshot.history.ranking(rows)
    if not configurations:
        return [Text("nothing counted yet", "dim")]
    columns = _ranking_columns(snapshot, configurations)
    if not header:
        columns = [column if column.priority < 4 else _self_named(column) for column in columns]
    return table_lines(columns, width, header=header, rows=len(configurations))


def _ranking_columns(
    snapshot: Snapshot, configurations: Sequence[Configuration]
) -> list[TextColumn]:
    study = snapshot.study
    decimals = decimals_for(best_value(snapshot.history))
    winner = snapshot.history.winner()
    tiers = [c.tier(study.repeats) for c in configurations]
    best = [winner is not None and c.first == winner.first for c in configurations]
    both = list(zip(configurations, tiers, strict=True))

    def column(name: str, cells: Iterable[str], priority: int, right: bool = True) -> TextColumn:
        return TextColumn(name, [Text(cell) for cell in cells], priority, right)

    def spread(c: Configuration, tier: Tier) -> str:
        if tier > Tier.PARTIAL or not is_number(c.spread):
            return ""
        return f"± {format_spread(c.spread, decimals)}"

    digits = len(str(len(configurations)))
    ranks = [
        line_of((BEST_MARK if is_best else " ", "bold yellow"), f" {rank:>{digits}}")
        for rank, is_best in enumerate(best, 1)
    ]
    values = [_value_cell(*pair, decimals, top) for pair, top in zip(both, best, strict=True)]
    tests = [c.test_mean(study.test_metric) for c in configurations]
    sizes = [c.parameters for c in configurations]
    columns = [
        TextColumn(f"  {'#':>{digits}}", ranks, 0),
        column("trial", map(_numbers, configurations), 4),
        TextColumn(clean(study.metric), values, 1, right=True),
    ]
    if study.repeats > 1:
        columns.append(column("spread", (spread(c, tier) for c, tier in both), 2, right=False))
        runs = [_repeats_cell(c, study) for c in configurations]
        columns.append(TextColumn("runs", runs, 3, right=True))
    if any(test is not None for test in tests):
        shown = ("" if t is None else format_value(t, 4) for t in tests)
        columns.append(column("test", shown, 6))
    times = (duration(c.seconds) if c.seconds else "" for c in configurations)
    columns.append(column("time", times, 7))
    if any(size is not None for size in sizes):
        weights = ("" if s is None else short_number(s) for s in sizes)
        columns.append(column("weights", weights, 9))
    for i, name in enumerate(varying_parameters(study, (c.params for c in configurations))):
        cells = [format_scalar(c.params[name]) if name in c.params else "" for c in configurations]
        text = any(isinstance(c.params.get(name), str) for c in configurations)
        # The first two matter more than time and size; the others less.
        columns.append(column(clean(name), cells, (5, 8)[i] if i < 2 else 10 + i, right=not text))
    for cell, tier in ((c, t) for one in columns for c, t in zip(one.cells, tiers, strict=True)):
        if tier > Tier.PARTIAL:
            cell.stylize("dim")
    return columns


def _numbers(configuration: Configuration) -> str:
    """Of its trials: `7`, `6–8`, `6 9`, `6 +4`."""
    numbers = sorted(one.trial.number for one in configuration.trials)
    if len(numbers) == 1:
        return str(numbers[0])
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}–{numbers[-1]}"
    return " ".join(map(str, numbers)) if len(numbers) == 2 else f"{numbers[0]} +{len(numbers) - 1}"


def _value_cell(configuration: Configuration, tier: Tier, decimals: int, is_best: bool) -> Text:
    if tier > Tier.PARTIAL:
        return Text(standing(tier), "red" if tier is Tier.FAILED else "yellow")
    return Text(format_value(configuration.mean, decimals), "bold green" if is_best else "")


def _repeats_cell(configuration: Configuration, study: Study) -> Text:
    complete = len(configuration.complete)
    # Why one with a better mean may stand lower: it has not all its repeats.
    return Text(f"{complete}/{study.repeats}", "yellow" if complete < study.repeats else "")


def _self_named(column: TextColumn) -> TextColumn:
    """For a table without a header: `lr 0.05` in each cell."""
    cells = [
        line_of((f"{column.name} ", "dim"), cell) if cell.plain else cell for cell in column.cells
    ]
    return replace(column, name="", cells=cells)


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


def final_table(snapshot: Snapshot, width: int) -> RenderableType:
    """What is printed once when a study ends: the best ten, the winner in words, the counts."""
    history = snapshot.history
    lines: list[RenderableType] = [indented(title_line(snapshot, width - 2), width), Text("")]
    if history.configurations:
        lines += [indented(line, width) for line in ranking_lines(snapshot, width - 1, 10)]
        hidden = history.configurations - 10
        if hidden > 0:
            lines.append(Text(f"   and {hidden:,} more", "dim"))
        lines.append(Text(""))
    lines.append(best_text(snapshot, width))
    counts = line_of((" · ", "dim")).join(Text(*part) for part in outcome_counts(snapshot))
    so_many = f"{trials_counted(snapshot)} in {duration(snapshot.elapsed)}: "
    took = line_of((so_many, "bold"), counts)
    lines += [Text(""), wrapped(took, width, 1)]
    if snapshot.finished is not None:
        lines.append(wrapped(Text(describe_state(snapshot).capitalize(), "dim"), width, 1))
    return Group(*lines)


def best_text(snapshot: Snapshot, width: int) -> RenderableType:
    """The best configuration in words; where there is none, why."""
    history = snapshot.history
    winner = history.winner()
    if winner is not None:
        params = params_text(winner.params, varying_parameters(snapshot.study))
        return Group(
            wrapped(_winner_text(snapshot, winner), width, 1),
            wrapped(params, width, 3),
            wrapped(_trained_by(winner), width, 3),
        )
    said = [Text("No configuration has a result.", "bold red")]
    failures = [one.result.failure for one in history.trials if one.result.failure is not None]
    if failures:
        said.append(Text(f"The last failure: {clean(failures[-1].message)}"))
    return Group(*(wrapped(text, width, 1) for text in said))


def _winner_text(snapshot: Snapshot, winner: Configuration) -> Text:
    study = snapshot.study
    decimals = decimals_for(winner.mean)
    text = line_of(
        (f"{BEST_MARK} ", "bold yellow"),
        ("Best: ", "bold"),
        f"{clean(study.metric)} ",
        (format_value(winner.mean, decimals), "bold green"),
    )
    if is_number(winner.spread):
        text.append(f" ± {format_spread(winner.spread, decimals)}")
    count = len(winner.complete)
    if study.repeats > 1:
        of = "" if count == study.repeats else f"{count} of "
        text.append(f" over {of}{study.repeats} repeats")
    test = winner.test_mean(study.test_metric)
    if test is not None:
        text.append(f", {study.test_metric.replace('_', ' ')} {format_value(test, 4)}")
    return text


def _trained_by(winner: Configuration) -> Text:
    trained = winner.complete or winner.trials
    places = dict.fromkeys(
        clean(one.worker) + (f" ({clean(one.device, 40)})" if one.device else "") for one in trained
    )
    noun = "trial" if len(winner.trials) == 1 else "trials"
    numbers = ", ".join(str(one.trial.number) for one in winner.trials[:10])
    each = " each" if len(trained) > 1 else ""
    return Text(
        f"{noun} {numbers}, trained by {', '.join(places)} in {duration(winner.seconds)}{each}",
        "dim",
    )
