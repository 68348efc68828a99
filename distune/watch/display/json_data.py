"""A snapshot, or a trial, as plain data for programs: strict JSON."""

from collections.abc import Sequence
from typing import Any

from distune.export.goals import GoalsOf
from distune.export.leaderboard import JSON_VERSION, strict
from distune.search.configuration import Configuration
from distune.search.ranking import History
from distune.search.staged import StageView
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study.study import Study
from distune.study.trial import Outcome
from distune.watch.display.configurations import standing
from distune.watch.display.state import doing_of, eta_seconds, planned_trials
from distune.watch.display.workers import RunningAttempt, best_of, running_attempts, throughput
from distune.watch.snapshot import Snapshot, WorkerView


def snapshot_json(snapshot: Snapshot, top: int | None = 20) -> dict[str, Any]:
    """The snapshot as plain data for strict JSON: a number that is not finite is None. `top`: how
    many configurations at most; None for all.
    """
    study, history, doing = snapshot.study, snapshot.history, doing_of(snapshot)
    tree = {
        "version": JSON_VERSION,
        "study": study.name,
        "id": study.id,
        "objective": study.objective_name,
        "metric": study.metric,
        "direction": study.direction,
        **_ranked_by(study),
        "repeats": study.repeats,
        "sampler": study.sampler,
        "sampler_why": study.sampler_why or None,
        "state": doing.value,
        "halt": snapshot.halt.value if snapshot.halt else None,
        "master_heard": snapshot.master_heard,
        "reason": snapshot.finished.reason if snapshot.finished else None,
        "elapsed": snapshot.elapsed,
        "trained": snapshot.trained,
        "since_best": snapshot.since_best,
        "limits": snapshot.limits.as_dict(),
        "trials": {
            "counted": history.over,
            "planned": planned_trials(snapshot),
            "waiting": len(snapshot.in_state(State.WAITING)),
            "running": len(snapshot.in_state(State.TAKEN)),
            "paused": len(snapshot.in_state(State.PAUSED)),
            "outcomes": {
                one.value: history.outcomes[one]
                for one in Outcome
                if one not in (Outcome.RELEASED, Outcome.LOST, Outcome.PAUSED)
            },
            "dropped": history.dropped,
            "versions": history.versions,
        },
        "rate_per_second": snapshot.trials_per_second,
        "eta_seconds": eta_seconds(snapshot),
        "stages": [_stage_json(view) for view in snapshot.stages],
        "confirmation": _confirmation_json(snapshot),
        "configurations": history.configurations,
        "ranking": ranked_json(history, top),
        "running": [_running_json(one, study) for one in running_attempts(snapshot, None)],
        "workers": [_worker_json(view) for view in snapshot.workers],
        "events": [{"at": e.at, "kind": e.kind, "text": e.text} for e in snapshot.events],
    }
    return dict(strict(tree))


def _confirmation_json(snapshot: Snapshot) -> dict[str, Any] | None:
    confirmation = snapshot.history.confirmation()
    return None if confirmation is None else confirmation.as_dict()


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


def trial_json(
    attempts: Sequence[tuple[AttemptName, AttemptFile]], history: History | None = None
) -> dict[str, Any]:
    """One trial, all its attempts with all they say, as plain data for strict JSON; with a history,
    how its configuration stands there.
    """
    trial = attempts[0][1].trial
    configuration = history.configuration_of(trial.params) if history is not None else None
    judged = (
        GoalsOf(history).of(configuration)
        if history is not None and configuration is not None
        else {}
    )
    tree = {
        "version": JSON_VERSION,
        "trial": trial.number,
        "repeat": trial.repeat,
        "confirms": trial.confirms,
        "adds_to": trial.adds_to,
        "seed": trial.seed,
        "extends": trial.extends,
        "wish": trial.wish,
        "params": trial.params,
        **judged,
        "attempts": [_attempt_json(name, file) for name, file in attempts],
    }
    return dict(strict(tree))


def _attempt_json(name: AttemptName, file: AttemptFile) -> dict[str, Any]:
    return {
        "attempt": name.attempt,
        "purpose": name.purpose.value,
        "state": name.state.value,
        "worker": name.worker,
        "claim": file.claim.as_dict() if file.claim else None,
        "resumed": file.resumed.as_dict() if file.resumed else None,
        "checkpoints": [one.as_dict() for one in file.checkpoints],
        "reports": [report.as_dict() for report in file.reports],
        "output": file.printed,
        "result": file.result.as_dict() if file.result else None,
    }


def _ranked_by(study: Study) -> dict[str, Any]:
    """Of a study that has several objectives, or constraints."""
    found: dict[str, Any] = {}
    if study.objectives:
        found["objectives"] = study.objectives
    if study.constraints:
        found["constraints"] = {name: one.model_dump() for name, one in study.constraints.items()}
    return found


def ranked_json(history: History, top: int | None = None) -> list[dict[str, Any]]:
    """The configurations, best first; `top`: how many at most."""
    goals = GoalsOf(history)
    return [_ranked_json(*one, history.study, goals) for one in history.places(top)]


def _ranked_json(
    rank: int | None, configuration: Configuration, study: Study, goals: GoalsOf
) -> dict[str, Any]:
    return {
        "rank": rank,
        "params": configuration.params,
        "value": configuration.mean,
        "spread": configuration.spread,
        "repeats": len(configuration.complete),
        "confirmed": len(configuration.confirming) if configuration.is_confirmed else 0,
        "search_saw": configuration.searched_mean if configuration.is_confirmed else None,
        "standing": standing(configuration.tier(study.repeats)),
        "reason": configuration.why or None,
        **goals.of(configuration),
        study.test_metric: configuration.test_mean(study.test_metric),
        "seconds": configuration.seconds,
        "parameters": configuration.parameters,
        "trials": [one.trial.number for one in configuration.trials],
    }


def _running_json(one: RunningAttempt, study: Study) -> dict[str, Any]:
    return {
        "trial": one.name.trial,
        "attempt": one.name.attempt,
        "purpose": one.name.purpose.value,
        "worker": one.name.worker,
        "host": one.beat.host if one.beat else None,
        "device": one.beat.device if one.beat else None,
        "params": one.file.trial.params if one.file else None,
        "begun": one.begun,
        "fraction": one.fraction,
        "value": one.curve[-1] if one.curve else None,
        "best": best_of(one.curve, study),
        "curve": one.curve,
        "seconds": one.seconds,
        "images_per_second": one.images_per_second,
    }


def _worker_json(view: WorkerView) -> dict[str, Any]:
    beat = view.beat
    said = ("host", "pid", "device", "jobs", "state", "trouble", "completed", "failed")
    return {
        "worker": view.worker,
        **{name: getattr(beat, name, None) for name in said},
        "trouble": beat.trouble if beat else "",
        "running": [progress.file for progress in beat.running] if beat else [],
        "images_per_second": throughput(beat),
        "silence": view.silence if view.heard or view.silence else None,
        "heard": view.heard,
    }
