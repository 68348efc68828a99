"""What views say of several objectives and of constraints; nothing of a study that has neither."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from distune.search.configuration import Configuration, Tier
from distune.search.goals import Violation, judged_beside
from distune.search.ranking import History
from distune.study.constraint import SECONDS
from distune.study.durations import precise_duration
from distune.study.study import Study
from distune.study.trial import Params
from distune.watch.display.configurations import params_text, varying_parameters, wrapped
from distune.watch.display.numbers import (
    format_value,
    is_number,
    plural,
    short_number,
)
from distune.watch.display.text import Column, clean, line_of
from distune.watch.snapshot import Snapshot

FRONT_MARK = "◇"
_SIZE = "parameters"
#: Columns that a ranking has of every study, by what they show.
ANYWAY = {SECONDS: "time", _SIZE: "weights"}


def metric_text(name: str, value: float | None, decimals: int | None = None) -> str:
    """A metric's value as people read it: a duration, a size, or a number."""
    if name == SECONDS and is_number(value):
        return precise_duration(value)
    if name == _SIZE and is_number(value):
        return short_number(value)
    return format_value(value, decimals)


def goal_columns(study: Study) -> list[Column]:
    """For each of these a column; then one for the constraints that are not kept."""
    columns = [Column(1, clean(name), right=True) for name in judged_beside(study)]
    return (
        [*columns, Column(1, "breaks", optional=True, widest=40)] if study.constraints else columns
    )


def hidden_columns(study: Study) -> set[str]:
    """Columns that a ranking would have anyway, and that say the same as one of these."""
    return {column for name, column in ANYWAY.items() if name in judged_beside(study)}


def goal_cells(study: Study, configuration: Configuration) -> Iterator[Text]:
    broken = {one.name for one in configuration.violations}
    for name in judged_beside(study):
        text = metric_text(name, configuration.mean_of(name))
        yield Text(text, "bold" if name in broken else "")
    if study.constraints:
        yield Text(", ".join(map(short_violation, configuration.violations)))


def short_violation(one: Violation) -> str:
    """`parameters 50.0k above 200k`"""
    side = "above" if one.limit == "max" else "below"
    excess, bound = metric_text(one.name, one.excess), metric_text(one.name, one.bound)
    return f"{clean(one.name, 30)} {excess} {side} {bound}"


def values_text(study: Study, configuration: Configuration) -> Text:
    """`val_accuracy 0.9871, seconds 12s`: what it has of each objective."""
    pieces = []
    for name in study.goals:
        mean = configuration.mean_of(name)
        pieces.append(line_of(f"{clean(name)} ", (metric_text(name, mean), "bold green")))
    return line_of(", ").join(pieces)


def front_aside(snapshot: Snapshot) -> str:
    """`front of 4 ◇`"""
    front = snapshot.history.front()
    return f"front of {len(front)} {FRONT_MARK}" if front else ""


def front_text(snapshot: Snapshot, width: int) -> RenderableType:
    """All of the front, the best by the first objective first."""
    study, front = snapshot.study, snapshot.history.front()
    what = f"The front ({clean(study.aim)}): {plural(len(front), 'configuration')}"
    none_better = "of which none is beaten by another in one thing and at least matched in all"
    lines = [Text(""), wrapped(Text(f"{what}, {none_better}."), width, 1)]
    varying = varying_parameters(study)
    for one in front:
        numbers = Text(f"  trial {one.first}", "dim")
        lines.append(wrapped(line_of(f"{FRONT_MARK} ", values_text(study, one), numbers), width, 1))
        lines.append(wrapped(params_text(one.params, varying), width, 3))
    return Group(*lines)


def no_feasible(snapshot: Snapshot) -> str:
    """Why there is no winner, if constraints are why: which is nearest, and what it breaks."""
    return none_feasible(snapshot.history)


def none_feasible(history: History) -> str:
    nearest = next(iter(history.ranking(1)), None)
    if nearest is None or not nearest.violations:
        return ""
    broken = "; ".join(clean(str(one)) for one in nearest.violations)
    return (
        f"no configuration of {clean(history.study.name)} keeps the constraints (of the nearest, "
        f"trial {nearest.first}, {broken})"
    )


def standing_text(snapshot: Snapshot, params: Params) -> Text:
    """How the configuration of these stands: `on the front`, or what it breaks."""
    study, history = snapshot.study, snapshot.history
    configuration = history.configuration_of(params)
    if configuration is None:
        return Text("nothing of it is counted yet", "dim")
    pieces = [values_text(study, configuration)]
    if configuration.violations:
        broken = "; ".join(clean(str(one)) for one in configuration.violations)
        pieces.append(Text(f"breaks a constraint: {broken}", "bold"))
    elif study.objectives and configuration.tier(study.repeats) is Tier.FULL:
        on_front = any(one is configuration for one in history.front())
        pieces.append(Text(f"{FRONT_MARK} on the front" if on_front else "not on the front"))
    return line_of("  ").join(pieces)
