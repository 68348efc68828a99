"""The ranking of a study: as a table, its stages, its winner in words, and the end of it all."""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from distune.search.configuration import Configuration, Tier
from distune.search.staged import StageView
from distune.watch.display.configurations import (
    best_decimals,
    params_text,
    repeats_text,
    standing,
    varying_parameters,
    wrapped,
)
from distune.watch.display.goals import (
    FRONT_MARK,
    front_aside,
    goal_cells,
    goal_columns,
    hidden_columns,
    no_feasible,
    values_text,
)
from distune.watch.display.numbers import (
    decimals_for,
    duration,
    format_scalar,
    format_spread,
    format_value,
    is_number,
    plural,
    short_number,
)
from distune.watch.display.state import (
    confirming_words,
    describe_state,
    outcome_counts,
    title_line,
    trials_counted,
)
from distune.watch.display.text import (
    BEST_MARK,
    Column,
    clean,
    filled,
    indented,
    line_of,
    table_lines,
)
from distune.watch.display.wish import UNCHANGED, Wish
from distune.watch.snapshot import Snapshot


def ranking_lines(
    snapshot: Snapshot, width: int, rows: int, header: bool = True, wish: Wish = UNCHANGED
) -> list[Text]:
    places = wish.places(snapshot.history, rows)
    if not places:
        return [Text("nothing counted yet", "dim")]
    columns = ranking_columns(snapshot, places)
    return table_lines(columns if header else list(map(_without_header, columns)), width)


def _without_header(column: Column) -> Column:
    """Without a name; what that alone would explain names itself in each cell: `lr 0.05`."""
    cells = column.cells
    if column.priority >= 4:
        name = (f"{column.name} ", "dim")
        cells = [line_of(name, cell) if cell.plain else cell for cell in cells]
    return replace(column, name="", cells=cells)


def ranking_columns(
    snapshot: Snapshot, places: Sequence[tuple[int | None, Configuration]]
) -> list[Column]:
    """The columns of a table of these configurations, with their ranks."""
    once = snapshot.study.repeats == 1  # or a few more, of what was suggested again
    digits = len(str(max((rank or 1 for rank, _ in places), default=1)))
    configurations = [one for _, one in places]
    layout = [
        Column(0, f"  {'#':>{digits}}"),
        Column(4, "trial", right=True),
        Column(1, clean(snapshot.study.metric), right=True),
        Column(2, "spread", optional=once),
        Column(3, "repeats", right=True, optional=once),
        *goal_columns(snapshot.study),
        Column(3, "search saw", right=True, optional=True),
        Column(6, "test", right=True, optional=True),
        Column(7, "time", right=True),
        Column(9, "weights", right=True, optional=True),
    ]
    names = varying_parameters(snapshot.study, (c.params for c in configurations))
    for i, name in enumerate(names):
        text = any(isinstance(c.params.get(name), str) for c in configurations)
        # The first two matter more than time and size; the others less.
        layout.append(Column((5, 8)[i] if i < 2 else 10 + i, clean(name), right=not text))
    front = {one.first for one in snapshot.history.front()}
    rows = [
        _ranking_row(snapshot, f" {rank or '–':>{digits}}", one, names, one.first in front)
        for rank, one in places
    ]
    hidden = hidden_columns(snapshot.study)
    return [column for column in filled(layout, rows) if column.name not in hidden]


def _ranking_row(
    snapshot: Snapshot, rank: str, configuration: Configuration, names: Sequence[str], front: bool
) -> list[Text]:
    study, winner = snapshot.study, snapshot.history.winner()
    decimals, tier = best_decimals(snapshot), configuration.tier(study.repeats)
    is_best = winner is not None and configuration.first == winner.first
    value = Text(format_value(configuration.mean, decimals), "bold green" if is_best else "")
    spread, size = configuration.spread, configuration.parameters
    if tier > Tier.PARTIAL:
        value, spread = Text(standing(tier), "red" if tier is Tier.FAILED else "yellow"), None
    complete, fresh = len(configuration.complete), configuration.is_confirmed
    # Why one with a better mean may stand lower: it has not all its repeats.
    missing = "yellow" if complete < study.repeats else ""
    test, params = configuration.test_mean(study.test_metric), configuration.params
    mark = BEST_MARK if is_best else FRONT_MARK if front else " "
    cells = [
        line_of((mark, "bold yellow"), rank),
        Text(_numbers(configuration)),
        value,
        Text(f"± {format_spread(spread, decimals)}" if is_number(spread) else ""),
        Text(repeats_text(complete, study.repeats), missing),
        *goal_cells(study, configuration),
        Text(format_value(configuration.searched_mean, decimals), "dim") if fresh else Text(""),
        Text("" if test is None else format_value(test, 4)),
        Text(duration(configuration.seconds) if configuration.seconds else ""),
        Text("" if size is None else short_number(size)),
        *(Text(format_scalar(params[name]) if name in params else "") for name in names),
    ]
    for cell in cells if tier > Tier.PARTIAL else ():
        cell.stylize("dim")
    return cells


def _numbers(configuration: Configuration) -> str:
    """Of its trials: `7`, `6–8`, `6 9`, `6 +4`."""
    numbers = sorted(one.trial.number for one in configuration.trials)
    if len(numbers) == 1:
        return str(numbers[0])
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}–{numbers[-1]}"
    return " ".join(map(str, numbers)) if len(numbers) == 2 else f"{numbers[0]} +{len(numbers) - 1}"


_STAGE_SIGNS = {"over": ("✓", "green"), "running": ("▸", "bold cyan"), "waiting": ("·", "dim")}


def stage_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """Each stage: how far it is, and what its winner has of the parameters that it tunes."""
    decimals = best_decimals(snapshot)
    views = snapshot.stages
    # What is under way goes first when not all fit.
    first = next((i for i, view in enumerate(views) if view.state != "over"), len(views))
    begin = max(0, min(first - 1, len(views) - rows))
    shown = views[begin : begin + rows]

    layout = [Column(1), Column(0, widest=30), Column(2, right=True), Column(3, right=True),
              Column(4, widest=80)]  # fmt: skip
    table = [
        (
            Text(*_STAGE_SIGNS[view.state]),
            clean(view.stage.name),
            f"{view.counted}/{view.trials}",
            Text(format_value(view.winner.mean, decimals) if view.winner else "", "green"),
            _found(view),
        )
        for view in shown
    ]
    return table_lines(filled(layout, table), width)


def _found(view: StageView) -> Text:
    """What the winner of a stage has of the parameters that it tunes, else their names."""
    if view.state == "over" and view.winner is None:
        return Text("no result: nothing changes", "yellow")
    params = view.winner.params if view.winner else {}
    tuned = [name for name in view.stage.params if name in params]
    if not tuned:
        return Text(", ".join(map(clean, view.stage.params)), "dim")
    pieces = [line_of((f"{clean(n)} ", "dim"), format_scalar(params[n])) for n in tuned]
    return line_of((", ", "dim")).join(pieces)


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
        lines.append(wrapped(Text(_sentence(describe_state(snapshot)), "dim"), width, 1))
    return Group(*lines)


def _sentence(text: str) -> str:
    """With a capital letter, and the rest as it is: there may be the name of an error in it."""
    return text[:1].upper() + text[1:]


def best_text(
    snapshot: Snapshot, width: int, chosen: Configuration | None = None
) -> RenderableType:
    """The best configuration, or one that was chosen, in words; where there is none, why."""
    said = best_sentences(snapshot, chosen)
    return Group(*(wrapped(text, width, indent) for text, indent in said))


def best_sentences(
    snapshot: Snapshot, chosen: Configuration | None = None
) -> list[tuple[Text, int]]:
    """The same as lines, each with how far it stands to the right."""
    history = snapshot.history
    winner = chosen or history.winner()
    if winner is not None:
        return [
            (_winner_text(snapshot, winner), 1),
            (params_text(winner.params, varying_parameters(snapshot.study)), 3),
            (_trained_by(winner), 3),
            *((Text(_sentence(f"{one}.")), 1) for one in confirming_words(snapshot)),
        ]
    why = no_feasible(snapshot) or "No configuration has a result"
    said = [Text(f"{_sentence(why)}.", "bold red")]
    failures = [one.result.failure for one in history.standing if one.result.failure is not None]
    if failures:
        said.append(Text(f"The last failure: {clean(failures[-1].message)}"))
    return [(text, 1) for text in said]


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
    if winner.is_confirmed:
        text.append(f" over {plural(len(winner.confirming), 'fresh training')}")
    elif max(study.repeats, count) > 1:
        of = f"{count} of {study.repeats}" if count < study.repeats else f"{count}"
        text.append(f" over {of} repeats")
    test = winner.test_mean(study.test_metric)
    if study.objectives:
        text = line_of((f"{BEST_MARK} ", "bold yellow"), ("Best: ", "bold"))
        text.append_text(values_text(study, winner))
        if winner is snapshot.history.winner():
            text.append(f" ({front_aside(snapshot)})", "dim")
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
