"""Plain lines for logs, and plain data for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from distune.search.ranking import Configuration
from distune.search.samplers.staged import StageView
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study.study import Study
from distune.study.trial import FAILURES, Outcome
from distune.watch.display.cells import (
    clean,
    clock,
    coarse_duration,
    duration,
    format_rate,
    format_value,
    plural,
)
from distune.watch.display.facts import (
    Doing,
    Run,
    best_of,
    describe_state,
    doing_of,
    doing_stage,
    eta_seconds,
    is_over,
    live_workers,
    planned_trials,
    runs_of,
    standing,
    throughput,
    trials_counted,
)
from distune.watch.snapshot import Event, Snapshot, WorkerView

# -- lines ---------------------------------------------------------------------------------


def plain_progress(snapshot: Snapshot) -> str:
    """One line for a log: `12/40 trials, best val_accuracy 0.9871 (trial 7), 2 running`..."""
    winner = snapshot.history.winner()
    outcomes = snapshot.history.outcomes
    parts = [trials_counted(snapshot)]
    if doing_stage(snapshot):
        parts.append(doing_stage(snapshot))
    if winner is not None:
        metric = clean(snapshot.study.metric)
        parts.append(f"best {metric} {format_value(winner.mean)} (trial {winner.first})")
    failed = sum(outcomes[outcome] for outcome in FAILURES)
    if failed:
        parts.append(f"{failed} failed")
    parts.append(f"{len(snapshot.in_state(State.TAKEN))} running")
    parts.append(plural(len(live_workers(snapshot)), "worker"))
    if snapshot.trials_per_second is not None and not is_over(snapshot):
        rate, _, unit = format_rate(snapshot.trials_per_second).partition("/")
        parts.append(f"{rate} trials/{unit}")
    eta = eta_seconds(snapshot)
    if eta is not None:
        parts.append(f"ETA {coarse_duration(eta)}")
    parts.append(f"elapsed {duration(snapshot.elapsed)}")
    if doing_of(snapshot) is not Doing.RUNNING:
        parts.append(describe_state(snapshot))
    return ", ".join(parts)


def plain_event(event: Event) -> str:
    """One line for a log: `12:04:31 lost     trial 17 lost: gpu7-812-4f2a9c fell silent`."""
    return f"{clock(event.at)} {clean(event.kind, 20):<8} {clean(event.text)}"


# -- JSON ----------------------------------------------------------------------------------


def as_json(snapshot: Snapshot, top: int | None = 20) -> dict[str, Any]:
    """The snapshot as plain data for strict JSON: a number that is not finite is None.

    Args:
        snapshot: what to tell.
        top: how many configurations at most; None for all.
    """
    study, history, doing = snapshot.study, snapshot.history, doing_of(snapshot)
    tree = {
        "study": study.name,
        "id": study.id,
        "objective": study.objective_name,
        "metric": study.metric,
        "direction": study.direction,
        "repeats": study.repeats,
        "state": doing.value,
        "reason": snapshot.finished.reason if snapshot.finished else None,
        "elapsed": snapshot.elapsed,
        "limits": snapshot.limits.as_dict(),
        "trials": {
            "counted": len(history),
            "planned": planned_trials(snapshot),
            "waiting": len(snapshot.in_state(State.WAITING)),
            "running": len(snapshot.in_state(State.TAKEN)),
            "outcomes": {
                outcome.value: history.outcomes[outcome]
                for outcome in Outcome
                if outcome not in (Outcome.RELEASED, Outcome.LOST)
            },
        },
        "rate_per_second": snapshot.trials_per_second,
        "eta_seconds": eta_seconds(snapshot),
        "stages": [_stage_json(view) for view in snapshot.stages],
        "configurations": history.configurations,
        "ranking": [
            _ranked_json(rank, configuration, study)
            for rank, configuration in enumerate(history.ranking(top), 1)
        ],
        "running": [_run_json(run, study) for run in runs_of(snapshot, None)],
        "workers": [_worker_json(view) for view in snapshot.workers],
        "events": [{"at": e.at, "kind": e.kind, "text": e.text} for e in snapshot.events],
    }
    plain: dict[str, Any] = _strict(tree)
    return plain


def _stage_json(view: StageView) -> dict[str, Any]:
    winner = view.winner
    return {
        "name": view.stage.name,
        "state": view.state,
        "tunes": list(view.stage.params),
        "first_configuration": view.first,
        "trials": view.trials,
        "counted": view.counted,
        "start": dict(view.start),
        "winner": None if winner is None else {
            "value": winner.mean, "spread": winner.spread, "params": dict(winner.params)
        },
    }  # fmt: skip


def trial_json(attempts: Sequence[tuple[AttemptName, AttemptFile]]) -> dict[str, Any]:
    """One trial, all its attempts with all they say, as plain data for strict JSON."""
    trial = attempts[0][1].trial if attempts else None
    tree = {
        "trial": trial.number if trial else None,
        "repeat": trial.repeat if trial else None,
        "seed": trial.seed if trial else None,
        "params": trial.params if trial else None,
        "attempts": [_attempt_json(name, file) for name, file in attempts],
    }
    plain: dict[str, Any] = _strict(tree)
    return plain


def _attempt_json(name: AttemptName, file: AttemptFile) -> dict[str, Any]:
    return {
        "attempt": name.attempt,
        "purpose": name.purpose.value,
        "state": name.state.value,
        "worker": name.worker,
        "claim": file.claim.as_dict() if file.claim else None,
        "reports": [report.as_dict() for report in file.reports],
        "result": file.result.as_dict() if file.result else None,
    }


def _ranked_json(rank: int, configuration: Configuration, study: Study) -> dict[str, Any]:
    return {
        "rank": rank,
        "params": configuration.params,
        "value": configuration.mean,
        "spread": configuration.spread,
        "repeats": len(configuration.complete),
        "standing": standing(configuration.tier(study.repeats)),
        study.test_metric: configuration.test_mean(study.test_metric),
        "seconds": configuration.seconds,
        "parameters": configuration.parameters,
        "trials": [run.trial.number for run in configuration.trials],
    }


def _run_json(run: Run, study: Study) -> dict[str, Any]:
    return {
        "trial": run.name.trial,
        "attempt": run.name.attempt,
        "purpose": run.name.purpose.value,
        "worker": run.name.worker,
        "host": run.beat.host if run.beat else None,
        "device": run.beat.device if run.beat else None,
        "params": run.file.trial.params if run.file else None,
        "fraction": run.fraction,
        "value": run.curve[-1] if run.curve else None,
        "best": best_of(run.curve, study),
        "curve": run.curve,
        "seconds": run.seconds,
        "images_per_second": run.images_per_second,
    }


def _worker_json(view: WorkerView) -> dict[str, Any]:
    beat = view.beat
    return {
        "worker": view.worker,
        "host": beat.host if beat else None,
        "pid": beat.pid if beat else None,
        "device": beat.device if beat else None,
        "jobs": beat.jobs if beat else None,
        "state": beat.state if beat else None,
        "trouble": beat.trouble if beat else "",
        "completed": beat.completed if beat else None,
        "failed": beat.failed if beat else None,
        "running": [progress.file for progress in beat.running] if beat else [],
        "images_per_second": throughput(beat),
        "silence": view.silence,
    }


def _strict(tree: Any) -> Any:
    """The same without NaN and infinity, which JSON does not have."""
    match tree:
        case float():
            return tree if math.isfinite(tree) else None
        case Mapping():
            return {key: _strict(value) for key, value in tree.items()}
        case list() | tuple():
            return [_strict(value) for value in tree]
        case _:
            return tree
