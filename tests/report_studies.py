"""Studies to make reports of, without training anything."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distune.report.study_data import StudyData
from distune.report.writing import write_report
from distune.search.ranking import History
from distune.search.staged import StagedSampler
from distune.share.heartbeat import MasterBeat
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study import figures
from distune.study.space import Space
from distune.study.study import Limits, Study
from distune.study.trial import Claim, Counted, Failure, Outcome, Report, Result, Trial
from distune.watch.snapshot import Snapshot

PARAMS: dict[str, Any] = {
    "lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True},
    "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
    "optimizer": ["sgd", "adam", "rmsprop"],
    "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
    "epochs": 12,
}


def a_study(params: Mapping[str, Any] = PARAMS, **changes: Any) -> Study:
    fields: dict[str, Any] = {
        "id": "s1",
        "name": "digits",
        "objective": "mnist-cnn",
        "params": Space.model_validate({"params": dict(params)}).params,
        "metric": "val_accuracy",
        "direction": "maximize",
        "lease": 20.0,
        "created": 1.7e9,
        **changes,
    }
    return Study.model_validate(fields)


def a_setting(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    params: dict[str, Any] = {
        "lr": 10 ** rng.uniform(-3, 0),
        "batch_size": rng.randrange(16, 257),
        "optimizer": rng.choice(["sgd", "adam", "rmsprop"]),
        "epochs": 12,
    }
    if params["optimizer"] == "sgd":
        params["momentum"] = rng.uniform(0, 0.99)
    return params


def counted(
    number: int,
    value: float | None,
    *,
    params: Mapping[str, Any] | None = None,
    outcome: Outcome = Outcome.COMPLETE,
    seconds: float = 10.0,
    worker: str = "gpu7-812-4f2a9c",
    elapsed: float | None = None,
    failure: Failure | None = None,
    metrics: Mapping[str, float] | None = None,
    steps: int = 1,
    **trial: Any,
) -> Counted:
    fields = {"study": "s1", "attempt": 1, "configuration": number, **trial}
    return Counted(
        trial=Trial(
            number=number, params=dict(a_setting(number) if params is None else params), **fields
        ),
        worker=worker,
        device="cuda:0",
        result=Result(
            outcome=outcome,
            value=value,
            metrics=dict(metrics or {}),
            seconds=seconds,
            steps=steps,
            failure=failure,
        ),
        elapsed=elapsed,
    )


def a_history(study: Study, trials: Iterable[Counted]) -> History:
    history = History(study)
    history.extend(trials)
    return history


def study_data(study: Study, trials: Iterable[Counted], **more: Any) -> StudyData:
    history = a_history(study, trials)
    elapsed = max((one.elapsed or 0.0 for one in history.trials), default=0.0)
    master = MasterBeat(
        study=study.id, host="h", pid=1, counter=1, state="finished", elapsed=elapsed,
        limits=Limits(),
    )  # fmt: skip
    staged = StagedSampler(study) if study.stages else None
    if staged is not None:
        staged.follow(history.trials)
    snapshot = Snapshot(
        study=study, limits=Limits(), elapsed=elapsed, history=history, master=master,
        stages=tuple(staged.views()) if staged is not None else (),
    )  # fmt: skip
    return StudyData(snapshot=snapshot, **more)


def a_search(trials: int, **changes: Any) -> StudyData:
    """A random search with everything that happens in one: some trials diverge, fail, are pruned
    or lost; learning rates near 0.1 are good.
    """
    rng = random.Random(1)
    made, files, given_up = [], {}, {}
    for number in range(trials):
        params = a_setting(number)
        good = 0.99 - 0.1 * (math.log10(params["lr"]) + 1) ** 2 - 0.02 * rng.random()
        outcome = {3: Outcome.DIVERGED, 5: Outcome.PRUNED, 8: Outcome.FAILED}.get(
            number % 40, Outcome.COMPLETE
        )
        value = {Outcome.DIVERGED: math.nan, Outcome.FAILED: None}.get(outcome, good)
        failure = Failure(message="the data is gone") if outcome is Outcome.FAILED else None
        seconds = rng.uniform(5, 30)
        worker = f"gpu{number % 4}-81{number % 4}-4f2a9c"
        at = 20.0 * (number // 4 + 1) + rng.random()
        one = counted(
            number, value, params=params, outcome=outcome, seconds=seconds, worker=worker,
            elapsed=at, failure=failure, metrics={"parameters": 1e5}, steps=12,
        )  # fmt: skip
        made.append(one)
        clock = 1.7e9 + 3600 * (number % 4)
        if number < 300 and outcome is not Outcome.FAILED:
            files[number] = a_file(one.trial, worker, clock + at - seconds, curve(good, seconds))
        if number % 50 == 7:
            name = AttemptName(number, 1, worker=worker, state=State.LOST)
            given_up[name] = a_file(one.trial, worker, clock + at + 1, curve(good, 4.0)[:3])
    more = {"files": files, "given_up": given_up, "sampled": trials > len(files)}
    return study_data(a_study(**changes), made, **more, figures={7: some_figures()})


def some_figures() -> list[figures.Figure]:
    """One of each kind, as a workload would leave them."""
    rng = random.Random(2)
    pixels = base64.b64encode(bytes(rng.randrange(256) for _ in range(8 * 8))).decode()
    grid = [i / 10 - 2 for i in range(41)]
    points = [(rng.gauss(0, 1), rng.gauss(0, 1)) for _ in range(200)]
    return [
        figures.Confusion(
            title="Right and wrong",
            classes=[str(i) for i in range(10)],
            counts=[[30 if i == j else (i * j) % 3 for j in range(10)] for i in range(10)],
        ),
        figures.Pictures(
            title="Mistakes", caption="The worst first.", height=8, width=8, channels=1,
            pictures=[figures.Picture(pixels=pixels, label="a 3, taken for a 5")] * 12,
        ),
        figures.Boundary(
            title="Boundary", x=grid, y=grid,
            scores=[[1 / (1 + math.exp(-4 * (x * x - y))) for x in grid] for y in grid],
            points_x=[x for x, _ in points], points_y=[y for _, y in points],
            labels=[int(x * x > y) for x, y in points],
        ),
        figures.Scatter(
            title="Prediction", x_title="price", y_title="predicted", diagonal=True,
            x=[x for x, _ in points], y=[x + y / 4 for x, y in points], y_error=[0.3] * 200,
        ),
    ]  # fmt: skip


def curve(best: float, seconds: float, steps: int = 12) -> list[Report]:
    return [
        Report(
            step=i,
            metrics={
                "epoch": float(i),
                "train_loss": 3 * math.exp(-i / 3) + 0.01,
                "val_loss": 3 * math.exp(-i / 3) + 0.02 * i,
                "val_accuracy": best * (1 - math.exp(-i / 2)),
            },
            seconds=seconds * i / steps,
        )
        for i in range(1, steps + 1)
    ]


def a_file(trial: Trial, worker: str, time: float, reports: Sequence[Report]) -> AttemptFile:
    claim = Claim(worker=worker, host=worker.split("-")[0], device="cuda:0", time=time)
    return AttemptFile(trial, claim, tuple(reports), None)


#: What the command says of itself.
ABOUT = {
    "written": "2026-12-01 03:15 UTC",
    "version": "0.1.0",
    "host": "gpu7",
    "command": "distune report --study digits",
}


def write_page(study_data: StudyData, path: Path, color_by: str | None = None) -> Path:
    """The page of a report, as `distune report` makes it."""
    return write_report(study_data, ABOUT, path, color_by)
