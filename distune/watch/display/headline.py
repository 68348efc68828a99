"""The first lines of every view: the study, its progress, how its trials ended."""

from __future__ import annotations

from rich.text import Text

from distune.share.protocol import State
from distune.study.trial import Outcome
from distune.watch.display.numbers import coarse_duration, duration, format_rate, round_duration
from distune.watch.display.state import (
    Doing,
    describe_state,
    doing_of,
    doing_stage,
    eta_seconds,
    fraction_done,
    is_over,
    trials_counted,
)
from distune.watch.display.tables import Piece, joined
from distune.watch.display.text import clean, fitted, line_of, padded, progress_bar
from distune.watch.snapshot import Snapshot

_STATE_STYLES = {
    Doing.RUNNING: "green",
    Doing.TESTING: "green",
    Doing.WAITING: "yellow",
    Doing.SILENT: "bold red",
    Doing.STOPPED: "yellow",
    Doing.FINISHED: "bold green",
    Doing.FAILED: "bold red",
}


def title_line(snapshot: Snapshot, width: int) -> Text:
    study = snapshot.study
    state = Text(f"● {describe_state(snapshot)}", _STATE_STYLES[doing_of(snapshot)])
    name = fitted(Text(clean(study.name), "bold"), width // 2)
    state = fitted(state, width - name.cell_len - 2)
    details = [
        Piece(name, 0),
        Piece(Text(doing_stage(snapshot), "cyan"), 1),
        Piece(fitted(Text(clean(study.objective_name), "dim"), 40), 3),
        Piece(fitted(Text(f"{study.direction} {clean(study.metric)}", "dim"), 40), 2),
    ]
    left = joined(details, width - state.cell_len - 2, "  ")
    return line_of(padded(left, width - state.cell_len), state)


def _elapsed(snapshot: Snapshot) -> str:
    time_limit = snapshot.limits.time_limit
    limit = f" of {round_duration(time_limit)}" if time_limit else ""
    return duration(snapshot.elapsed) + limit


def _progress_line(snapshot: Snapshot, width: int) -> Text:
    eta, rate, target = eta_seconds(snapshot), snapshot.trials_per_second, snapshot.limits.target
    over = is_over(snapshot)
    parts = [
        Piece(Text(trials_counted(snapshot, bare=width < 50), "bold"), 0),
        Piece(Text("" if rate is None or over else format_rate(rate)), 3),
        Piece(line_of(("ETA ", "dim"), coarse_duration(eta)) if eta is not None else Text(""), 1),
        Piece(line_of(("elapsed " if width >= 90 else "", "dim"), _elapsed(snapshot)), 2),
        Piece(line_of(("target ", "dim"), f"{target:.5g}") if target is not None else Text(""), 4),
    ]
    fraction = fraction_done(snapshot)
    least = 0 if fraction is None else min(max(width // 5, 6), 40) + 2
    text = joined(parts, width - least, "  ·  " if width >= 70 else "  ")
    if fraction is None:
        return text
    bar_width = min(width - text.cell_len - 2, 60)
    return line_of(progress_bar(fraction, bar_width, "green" if over else "cyan"), "  ", text)


def outcome_counts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """How trials ended and where the others stand, each with its style; none that is 0."""
    history = snapshot.history
    running, waiting = snapshot.in_state(State.TAKEN), snapshot.in_state(State.WAITING)
    counts = [
        (history.outcomes[Outcome.COMPLETE], "complete", ""),
        (history.outcomes[Outcome.PRUNED], "pruned", ""),
        (history.outcomes[Outcome.DIVERGED], "diverged", "yellow"),
        (history.outcomes[Outcome.FAILED], "failed", "red"),
        (history.outcomes[Outcome.TIMEOUT], "timed out", "red"),
        (history.outcomes[Outcome.OUT_OF_MEMORY], "out of memory", "red"),
        (history.taken_back, "lost and tried again", "yellow"),
        (history.retried, "failed and tried again", "yellow"),
        (len(running), "running", "dim"),
        (len(waiting), "waiting", "dim"),
        (len(snapshot.bad) + len(snapshot.strangers), "unreadable", "red"),
    ]
    return [(f"{count} {what}", style) for count, what, style in counts if count]


def _outcome_line(snapshot: Snapshot, width: int) -> Text:
    parts = [Piece(Text(*part), i) for i, part in enumerate(outcome_counts(snapshot))]
    return joined(parts, width, " · ")


def study_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    drawn = (title_line, _progress_line, _outcome_line)[:rows]
    return [draw(snapshot, width) for draw in drawn]
