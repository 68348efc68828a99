"""What is read when a study is over: the best configurations, the winner in words, the counts."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from distune.search.ranking import Configuration
from distune.watch.display.configurations import params_text, varying_parameters, wrapped
from distune.watch.display.leaderboard import ranking_lines
from distune.watch.display.numbers import (
    decimals_for,
    duration,
    format_spread,
    format_value,
    is_number,
)
from distune.watch.display.state import describe_state, outcome_counts, title_line, trials_counted
from distune.watch.display.tables import BEST_MARK
from distune.watch.display.text import clean, indented, line_of
from distune.watch.snapshot import Snapshot


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
    runs = winner.complete or winner.trials
    places = dict.fromkeys(
        clean(run.worker) + (f" ({clean(run.device, 40)})" if run.device else "") for run in runs
    )
    trials = "trial" if len(winner.trials) == 1 else "trials"
    numbers = ", ".join(str(run.trial.number) for run in winner.trials[:10])
    each = " each" if len(runs) > 1 else ""
    return Text(
        f"{trials} {numbers}, trained by {', '.join(places)} in {duration(winner.seconds)}{each}",
        "dim",
    )
