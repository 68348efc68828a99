"""A study's trials as rows: the same for every format. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from distune.search.ranking import History
from distune.search.samplers.staged import StagedSampler
from distune.study.study import Study
from distune.study.trial import Counted, Metrics, Params, Purpose, Report

#: 1970 to 9999, as far as clocks and calendars of other programs reach.
_LAST_MOMENT = 253_000_000_000.0


@dataclass(frozen=True)
class TrialRow:
    """A counted trial: its fields are the columns of every export, in this order.

    Attributes:
        number: of the trial in the study, from 0.
        configuration: the number of the first trial with the same params; repeats share it.
        rank: of the configuration among all, from 1; it may change while the study runs.
        stage: the name of the one it belongs to; None in a study without stages.
        repeat: which repeat of its configuration it is, from 0.
        attempt: the one that counted, from 1.
        seed: of the training.
        outcome: complete, diverged, pruned, failed, timeout or out-of-memory.
        value: of the study's metric; None if there is none, NaN or infinite if it diverged.
        seconds: of training.
        elapsed: seconds that the study had run when it was counted; None if that is not known.
        steps: reports made.
        worker: which.
        device: what it was trained on.
        failure: why it failed, in a line; else None.
        params: by name; columns `params.NAME`.
        metrics: of the step that `value` is from; columns `metrics.NAME`.
        test: what the trial reached on the test set, if it was tested; columns `test.NAME`.
    """

    number: int
    configuration: int
    rank: int
    stage: str | None
    repeat: int
    attempt: int
    seed: int
    outcome: str
    value: float | None
    seconds: float
    elapsed: float | None
    steps: int
    worker: str
    device: str
    failure: str | None
    params: Params
    metrics: Metrics
    test: Metrics


def trial_rows(history: History, top: int | None = None) -> list[TrialRow]:
    """One for each counted trial, in the order of their numbers; tests are part of theirs.

    Args:
        history: of the study.
        top: of how many configurations, the best ones; of all if None.
    """
    staged = StagedSampler(history.study) if history.study.stages else None
    if staged is not None:
        staged.follow(history.trials)
    rows = []
    for rank, configuration in enumerate(history.ranking(top), 1):
        for counted in configuration.trials:
            trial, result = counted.trial, counted.result
            test = history.get((Purpose.TEST, trial.number))
            stage = staged.stage_of(trial.configuration) if staged is not None else None
            rows.append(
                TrialRow(
                    number=trial.number,
                    configuration=configuration.first,
                    rank=rank,
                    stage=stage.name if stage is not None else None,
                    repeat=trial.repeat,
                    attempt=trial.attempt,
                    seed=trial.seed,
                    outcome=str(result.outcome),
                    value=result.value,
                    seconds=result.seconds,
                    elapsed=counted.elapsed,
                    steps=result.steps,
                    worker=counted.worker,
                    device=counted.device,
                    failure=result.failure.message if result.failure else None,
                    params=trial.params,
                    metrics=result.metrics,
                    test=test.result.metrics if test else {},
                )
            )
    return sorted(rows, key=lambda row: row.number)


def curve_of(reports: Iterable[Report]) -> list[dict[str, float]]:
    """Steps as plain data: `{"step": 1, "seconds": 0.7, "val_loss": 0.31}`.

    A metric that is called `step` or `seconds` and says something else than these two is
    `metrics.step` or `metrics.seconds`.
    """
    curve = []
    for report in reports:
        entry: dict[str, float] = {"step": report.step, "seconds": report.seconds}
        for name, value in report.metrics.items():
            if name not in ("step", "seconds"):
                entry[name] = value
            elif value != entry[name]:
                entry[f"metrics.{name}"] = value
        curve.append(entry)
    return curve


def span(study: Study, counted: Counted) -> tuple[float, float]:
    """When the training of a trial began and ended, in seconds since 1970, for people.

    All by the master's clock, and as if the study had run without a pause: what workers'
    clocks say cannot be compared (P6).
    """
    seconds = _finite(counted.result.seconds)
    created = _finite(study.created)
    elapsed = seconds if counted.elapsed is None else _finite(counted.elapsed)
    ended = min(max(created + elapsed, seconds), _LAST_MOMENT)
    return ended - seconds, ended


def _finite(seconds: float) -> float:
    return min(max(seconds, 0.0), _LAST_MOMENT / 2) if math.isfinite(seconds) else 0.0
