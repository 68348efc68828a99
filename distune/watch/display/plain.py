"""Plain lines for logs."""

from __future__ import annotations

from distune.share.protocol import State
from distune.study.trial import FAILURES
from distune.watch.display.numbers import (
    clock,
    coarse_duration,
    duration,
    format_rate,
    format_value,
    plural,
)
from distune.watch.display.state import (
    Doing,
    describe_state,
    doing_of,
    doing_stage,
    eta_seconds,
    is_over,
    trials_counted,
)
from distune.watch.display.text import clean
from distune.watch.display.workers import live_workers
from distune.watch.snapshot import Event, Snapshot


def plain_progress(snapshot: Snapshot) -> str:
    """One line for a log: `12/40 trials, best val_accuracy 0.9871 (trial 7), 2 running`..."""
    winner = snapshot.history.winner()
    outcomes = snapshot.history.outcomes
    words = [trials_counted(snapshot)]
    if doing_stage(snapshot):
        words.append(doing_stage(snapshot))
    if winner is not None:
        metric = clean(snapshot.study.metric)
        words.append(f"best {metric} {format_value(winner.mean)} (trial {winner.first})")
    failed = sum(outcomes[outcome] for outcome in FAILURES)
    if failed:
        words.append(f"{failed} failed")
    words.append(f"{len(snapshot.in_state(State.TAKEN))} running")
    words.append(plural(len(live_workers(snapshot)), "worker"))
    if snapshot.trials_per_second is not None and not is_over(snapshot):
        rate, _, unit = format_rate(snapshot.trials_per_second).partition("/")
        words.append(f"{rate} trials/{unit}")
    eta = eta_seconds(snapshot)
    if eta is not None:
        words.append(f"ETA {coarse_duration(eta)}")
    words.append(f"elapsed {duration(snapshot.elapsed)}")
    if doing_of(snapshot) is not Doing.RUNNING:
        words.append(describe_state(snapshot))
    return ", ".join(words)


def plain_event(event: Event) -> str:
    """One line for a log: `12:04:31 lost     trial 17 lost: gpu7-812-4f2a9c fell silent`."""
    return f"{clock(event.at)} {clean(event.kind, 20):<8} {clean(event.text)}"
