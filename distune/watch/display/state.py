"""What a study does, how far it is and when it will be done, in words and numbers."""

from __future__ import annotations

from enum import StrEnum

from distune.share.protocol import LIVE, State
from distune.study.trial import Purpose
from distune.watch.display.numbers import coarse_duration, plural
from distune.watch.display.text import clean
from distune.watch.display.workers import live_workers
from distune.watch.snapshot import Snapshot


class Doing(StrEnum):
    RUNNING = "running"
    WAITING = "waiting for workers"
    TESTING = "testing the winner"
    SILENT = "master silent"
    STOPPED = "master stopped"
    FINISHED = "finished"
    FAILED = "failed"


def doing_of(snapshot: Snapshot) -> Doing:
    if snapshot.finished is not None:
        return Doing.FAILED if snapshot.finished.failed else Doing.FINISHED
    master = snapshot.master
    if master is not None and master.state != "running":
        return Doing.FINISHED if master.state == "finished" else Doing.STOPPED
    if snapshot.master_silence > max(10.0, 4 * snapshot.study.beat_interval):
        return Doing.SILENT
    live = [name for name in snapshot.attempts if name.state in LIVE]
    if live and all(name.purpose is Purpose.TEST for name in live):
        return Doing.TESTING
    if not snapshot.in_state(State.TAKEN, State.DONE) and not live_workers(snapshot):
        return Doing.WAITING
    return Doing.RUNNING


def describe_state(snapshot: Snapshot) -> str:
    """What the study does, in words: `running`, `finished: all 40 trials are counted`."""
    doing = doing_of(snapshot)
    if snapshot.finished is not None:
        return f"{doing.value}: {clean(snapshot.finished.reason)}"
    if doing is Doing.SILENT:
        return f"master silent for {coarse_duration(snapshot.master_silence)}"
    return doing.value


def doing_stage(snapshot: Snapshot) -> str:
    """`stage 2/5 dropout`; nothing where there are none, or all are over."""
    for number, view in enumerate(snapshot.stages, 1):
        if view.state == "running":
            return f"stage {number}/{len(snapshot.stages)} {clean(view.stage.name, 30)}"
    return ""


def is_over(snapshot: Snapshot) -> bool:
    return doing_of(snapshot) in (Doing.FINISHED, Doing.FAILED)


def planned_trials(snapshot: Snapshot) -> int | None:
    """How many trials there will be; None if only time or a target ends the study."""
    limit, size = snapshot.limits.trials, snapshot.size
    if size is None:
        return limit
    everything = size * snapshot.study.repeats
    return everything if limit is None else min(limit, everything)


def eta_seconds(snapshot: Snapshot) -> float | None:
    """Seconds until the first limit of the study is met, at the pace it has."""
    if doing_of(snapshot) not in (Doing.RUNNING, Doing.TESTING, Doing.WAITING):
        return None
    estimates = []
    planned, rate = planned_trials(snapshot), snapshot.trials_per_second
    if planned is not None and rate is not None and rate > 0:
        estimates.append(max(planned - len(snapshot.history), 0) / rate)
    if snapshot.limits.time_limit is not None:
        estimates.append(max(snapshot.limits.time_limit - snapshot.elapsed, 0.0))
    return min(estimates, default=None)


def fraction_done(snapshot: Snapshot) -> float | None:
    """Of the study, by whichever limit is nearest; None if neither trials nor time end it."""
    fractions = []
    planned, time_limit = planned_trials(snapshot), snapshot.limits.time_limit
    if planned:
        fractions.append(len(snapshot.history) / planned)
    if time_limit is not None:
        fractions.append(snapshot.elapsed / time_limit)
    return max(fractions, default=None)


def trials_counted(snapshot: Snapshot, bare: bool = False) -> str:
    """`12/40 trials`"""
    planned, count = planned_trials(snapshot), len(snapshot.history)
    if planned is None:
        return plural(count, "trial")
    return f"{count}/{planned}" + ("" if bare else " trials")
