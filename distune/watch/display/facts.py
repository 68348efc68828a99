"""What a snapshot says of a study, its workers and its trials, before any of it is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from distune.search.ranking import History, Tier
from distune.share.heartbeat import Beat
from distune.share.protocol import LIVE, AttemptName, State
from distune.share.records import AttemptFile
from distune.study.space import CategoricalParameter, Parameter
from distune.study.study import Study
from distune.study.trial import Params, Purpose, Report, better
from distune.watch.display.cells import clean, coarse_duration, plural
from distune.watch.snapshot import Snapshot, WorkerView

#: How many explicit settings are looked at to see which parameters vary.
_SETTINGS_LOOKED_AT = 200


# -- the study -----------------------------------------------------------------------------


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


# -- workers -------------------------------------------------------------------------------


def live_workers(snapshot: Snapshot) -> list[WorkerView]:
    """Those that are heard and stay."""
    return [
        view
        for view in snapshot.workers
        if view.beat is not None
        and view.beat.state != "gave up"
        and view.silence < snapshot.study.lease
    ]


def throughput(beat: Beat | None) -> float | None:
    """Images per second of all that a worker runs; None if it says nothing of it."""
    rates = [p.images_per_second for p in beat.running] if beat else []
    known = [rate for rate in rates if rate is not None and math.isfinite(rate)]
    return sum(known) if known else None


# -- configurations ------------------------------------------------------------------------


def _is_constant(spec: Parameter) -> bool:
    if isinstance(spec, CategoricalParameter):
        return len(spec.choices) == 1
    return spec.low == spec.high


def varying_parameters(study: Study, seen: Iterable[Params] = ()) -> list[str]:
    """Names of the parameters that are not the same throughout, in the study's order.

    Args:
        study: says what may vary.
        seen: settings that were tried, for what it cannot say.
    """
    if study.settings is not None:
        seen = [*study.settings[:_SETTINGS_LOOKED_AT], *seen]
        varying = {}
    elif study.stages is not None:
        varying = {name: None for stage in study.stages for name in stage.params}
    else:
        varying = {n: None for n, spec in study.params.items() if not _is_constant(spec)}
    values: dict[str, set[str]] = {}
    for params in seen:
        for name, value in params.items():
            values.setdefault(name, set()).add(repr(value))
    order = [*study.params, *(name for name in values if name not in study.params)]
    return [name for name in order if name in varying or len(values.get(name, ())) > 1]


def standing(tier: Tier) -> str:
    return {Tier.FULL: "complete", Tier.PARTIAL: "partial"}.get(tier, tier.name.lower())


def best_value(history: History) -> float | None:
    winner = history.winner()
    return winner.mean if winner else None


# -- running trials ------------------------------------------------------------------------


def _running(snapshot: Snapshot) -> list[AttemptName]:
    """Attempts under way, the longest first, which are those of the lowest numbers."""
    return sorted(snapshot.in_state(State.TAKEN), key=lambda n: (n.trial, n.attempt, n.purpose))


def curve(reports: Iterable[Report], metric: str) -> list[float]:
    """What the reports say of one metric, in order."""
    return [report.metrics[metric] for report in reports if metric in report.metrics]


def best_of(values: Iterable[float], study: Study) -> float | None:
    """The best of the finite ones."""
    best: float | None = None
    for value in values:
        if math.isfinite(value) and (best is None or better(value, best, study.direction)):
            best = value
    return best


@dataclass(frozen=True)
class Run:
    """A running attempt, and all that is known of how it goes."""

    name: AttemptName
    beat: Beat | None
    file: AttemptFile | None
    fraction: float | None
    seconds: float | None
    images_per_second: float | None
    curve: list[float]


def run_of(snapshot: Snapshot, name: AttemptName, beats: Mapping[str, Beat | None]) -> Run:
    progress, file = snapshot.progress(name), snapshot.files.get(name)
    reports = file.reports if file else ()
    seconds = progress.seconds if progress else reports[-1].seconds if reports else None
    fraction = progress.fraction if progress else None
    if fraction is not None:
        fraction = None if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)
    return Run(
        name=name,
        beat=beats.get(name.worker or ""),
        file=file,
        fraction=fraction,
        seconds=seconds,
        images_per_second=progress.images_per_second if progress else None,
        curve=curve(reports, snapshot.study.metric),
    )


def runs_of(snapshot: Snapshot, rows: int | None) -> list[Run]:
    beats = {view.worker: view.beat for view in snapshot.workers}
    return [run_of(snapshot, name, beats) for name in _running(snapshot)[:rows]]
