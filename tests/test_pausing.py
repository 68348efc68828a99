"""Trainings that pause at a rung, and go on from there: in one process, and in a study's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distune.share import records
from distune.share.protocol import Actor, AttemptName, Halt, State
from distune.share.records import AttemptFile
from distune.study.trial import Checkpoint, Claim, Outcome, Report, Result, Rungs, Trial
from distune.training.checkpoints import Checkpoints
from distune.training.context import TrialContext
from distune.training.objective import drive, find
from distune.workloads.data.folders import DataFolders
from tests.conftest import Lab, wait_until
from tests.histories import read_history, study
from tests.test_master import StudyInMemory

Objective = Callable[[dict[str, Any], TrialContext], Iterator[dict[str, float]]]


def after(params: dict[str, Any], trial: TrialContext) -> Iterator[dict[str, float]]:
    """Saves what it has yielded."""
    chain = trial.load() or [0, 1]
    while chain[0] < 9:
        chain = [chain[0] + 1, chain[1] * 7 % 101]
        yield {"y": float(chain[1]), "train_seconds": float(chain[0])}
        trial.save(chain)


def before(params: dict[str, Any], trial: TrialContext) -> Iterator[dict[str, float]]:
    """Saves what it is about to yield."""
    chain = trial.load() or [0, 1]
    while chain[0] < 9:
        chain = [chain[0] + 1, chain[1] * 7 % 101]
        trial.save(chain, chain[0])
        yield {"y": float(chain[1]), "train_seconds": float(chain[0])}


def hopes(params: dict[str, Any], trial: TrialContext) -> Iterator[dict[str, float]]:
    """Saves nothing."""
    for step in range(1, 10):
        yield {"y": float(step)}


class Training:
    """Attempts at one trial, one after the other, as a training process makes them."""

    def __init__(self, folder: Path, train: Objective | None = None, **space: Any) -> None:
        self.folder = folder
        self.folder.mkdir()
        usual = {"metric": "y", "direction": "maximize", "objective": "o:o"}
        self.study = study(**(space if train is None else {**usual, **space}))
        params = dict(space.get("params", {}))
        self.trial = Trial(study="s", number=0, attempt=1, seed=3, params=params)
        self.train = train or find(self.study, self.trial, {})
        self.steps = 0  # that were reported by the last attempt itself

    def attempt(self, rungs: Rungs | None = None, limit: float = 1e9) -> Result:
        """Make one, and have the next one go on from what it leaves."""
        kept: list[Checkpoint] = []
        trial = self.trial if rungs is None else self.trial.replace(rungs=rungs)
        context = TrialContext(
            number=0, attempt=trial.attempt, seed=trial.seed, device="cpu", folder="",
            checkpoint_every=3600.0, last_step=trial.epochs, rungs=trial.pauses_at,
            pause_within=10.0, data=DataFolders.of(),
            checkpoints=Checkpoints(
                str(self.folder), trial, limit=limit, keep=kept.append, say=lambda line: None
            ),
        )  # fmt: skip
        said = list(drive(self.train, self.study, trial, context))
        context.close()
        self.steps = sum(isinstance(one, Report) for one in said)
        self.curve = [
            {k: v for k, v in report.metrics.items() if k != "seconds"}
            for report in context.reports
        ]
        left = [*kept[::-1], *self.trial.checkpoints][:2]
        self.trial = self.trial.replace(attempt=trial.attempt + 1, checkpoints=left)
        result = said[-1]
        assert isinstance(result, Result)
        return result


@pytest.fixture(params=[after, before], ids=["saved after", "saved before"])
def training(request: pytest.FixtureRequest, tmp_path: Path) -> Training:
    return Training(tmp_path / "checkpoints", request.param)


def test_a_training_pauses_after_the_step_of_its_rung_with_what_it_has_reached(
    training: Training,
) -> None:
    result = training.attempt(Rungs(step=3))
    assert (result.outcome, result.steps, training.steps) == (Outcome.PAUSED, 3, 3)
    assert result.value == max(7.0, 49.0, 343 % 101)
    assert [one.step for one in training.trial.checkpoints] == [3]


def test_a_training_that_pauses_at_each_rung_is_the_one_that_never_did(
    training: Training, tmp_path: Path
) -> None:
    whole = Training(tmp_path / "whole", training.train)
    undisturbed = whole.attempt()
    steps = []
    for step in (1, 3, 8):
        assert training.attempt(Rungs(step=step)).outcome is Outcome.PAUSED
        steps.append(training.steps)
    result = training.attempt(Rungs())
    assert [*steps, training.steps] == [1, 2, 5, 1], "no step is made twice"
    assert training.curve == whole.curve
    assert (result.outcome, result.value) == (Outcome.COMPLETE, undisturbed.value)


def test_it_pauses_by_seconds_of_training_with_the_first_state_after_them(
    training: Training,
) -> None:
    result = training.attempt(Rungs(seconds=2.5))
    late = training.train is before  # what is reached is known when a step has been reported
    assert (result.outcome, result.steps) == (Outcome.PAUSED, 4 if late else 3)


def test_one_whose_worker_died_before_it_could_say_so_pauses_again_without_a_step(
    training: Training,
) -> None:
    first = training.attempt(Rungs(step=3))
    again = training.attempt(Rungs(step=3))
    assert training.steps == 0
    assert again == first
    assert [one.step for one in training.trial.checkpoints] == [3]


def test_a_training_that_has_no_room_for_its_state_goes_on(training: Training) -> None:
    result = training.attempt(Rungs(step=3), limit=10)
    assert (result.outcome, result.steps) == (Outcome.COMPLETE, 9)


def test_a_training_that_saves_nothing_goes_on(tmp_path: Path) -> None:
    result = Training(tmp_path / "checkpoints", hopes).attempt(Rungs(step=3))
    assert (result.outcome, result.steps) == (Outcome.COMPLETE, 9)


def test_a_training_does_not_pause_after_its_last_step(training: Training) -> None:
    training.trial = training.trial.replace(params={"epochs": 9})
    assert training.attempt(Rungs(step=9)).outcome is Outcome.COMPLETE


DIGITS = {
    "dataset": "digits", "epochs": 5, "batch_size": 64, "n_train": 300, "n_validation": 100,
}  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"schedule": "cosine", "optimizer": "adamw", "lr_final": 0.0001},
        {"schedule": "one-cycle", "momentum": 0.5, "dropout": 0.3},
    ],
    ids=lambda more: more["schedule"],
)
def test_a_built_in_training_pauses_between_two_epochs_and_goes_on_bit_for_bit(
    more: dict[str, Any], tmp_path: Path
) -> None:
    space: dict[str, Any] = {"objective": "mnist-cnn", "params": {**DIGITS, **more}}
    whole, paused = Training(tmp_path / "whole", **space), Training(tmp_path / "paused", **space)
    undisturbed = whole.attempt()
    first = paused.attempt(Rungs(step=2))
    assert (first.outcome, first.steps) == (Outcome.PAUSED, 2)
    last = paused.attempt(Rungs(passed=[0.5]))
    assert (last.outcome, paused.steps) == (Outcome.COMPLETE, 3)
    assert repr(paused.curve) == repr(whole.curve)
    assert last.value == undisturbed.value


def test_a_built_in_training_whose_patience_ends_at_its_rung_is_complete(tmp_path: Path) -> None:
    params = {**DIGITS, "lr": 1e-12, "patience": 2}
    found = Training(tmp_path / "checkpoints", objective="mnist-cnn", params=params)
    result = found.attempt(Rungs(step=3))
    assert (result.outcome, result.steps) == (Outcome.COMPLETE, 3)


# -- the master's part --------------------------------------------------------------------------


class Racing(StudyInMemory):
    """A study whose trainings pause after their first step."""

    def __init__(self, trials: int) -> None:
        super().__init__(trials, pruner="asha", pruner_options={"reduction_factor": 3})

    def pause(self, number: int, value: float, *, renamed: bool = True) -> AttemptName:
        """Be a worker: claim a trial, train it up to its rung, and put it away."""
        (waiting,) = (n for n in self.attempts(State.WAITING) if n.trial == number)
        taken = self.store.claim(waiting, "w-1")
        assert taken is not None
        trial = self.store.read_attempt(taken).trial
        rungs = trial.pauses_at
        assert rungs is not None
        step = rungs.step or 1
        reports = [
            Report(step=n, metrics={"y": value}, seconds=float(n)) for n in range(1, step + 1)
        ]
        saved = Checkpoint(
            attempt=trial.attempt, number=1, step=step, size=1, sha256="0" * 64
        )  # fmt: skip
        result = Result(
            outcome=Outcome.PAUSED, value=value, metrics={"y": value}, seconds=1.0, steps=step
        )
        claim = Claim(worker="w-1", host="h", device="cpu", time=0.0)
        self.store.append(taken, [claim, *reports, saved, result])
        if renamed:
            assert self.store.pause(taken)
        return taken

    def attempts(self, *states: State) -> list[AttemptName]:
        return [n for n in sorted(self.store.listing().attempts) if n.state in states]

    def trial_of(self, number: int) -> Trial:
        (name,) = (n for n in self.attempts(State.WAITING, State.TAKEN) if n.trial == number)
        return self.store.read_attempt(name).trial


def test_what_is_promoted_goes_on_from_its_checkpoint_to_the_next_rung() -> None:
    world = Racing(trials=9)
    master = world.master()
    master.step()
    for number, value in enumerate([0.1, 0.9, 0.3]):
        world.pause(number, value)
    master.step()
    trial = world.trial_of(1)
    assert (trial.attempt, trial.failed_on) == (2, [])
    assert trial.rungs == Rungs(step=3, passed=[0.9])
    assert [(one.attempt, one.step) for one in trial.checkpoints] == [(1, 1)]
    assert [n.trial for n in world.attempts(State.PAUSED)] == [0, 2]
    assert world.counted() == []


def test_a_master_that_is_killed_between_the_rename_and_the_next_attempt_publishes_it_later() -> (
    None
):
    world = Racing(trials=9)
    world.master().step()
    names = [world.pause(number, value) for number, value in enumerate([0.1, 0.9, 0.3])]
    best = names[1]._replace(state=State.PAUSED)
    assert world.store.lose(best, Actor.MASTER)  # the first half of what it had decided
    master = world.master()
    master.step()
    assert world.trial_of(1).rungs == Rungs(step=3, passed=[0.9])
    assert [n.attempt for n in world.store.listing().attempts if n.trial == 1] == [2]
    assert [n.state for n in world.store.seen_of(1)] == [State.LOST]


def test_a_master_that_starts_anew_promotes_no_more_than_the_one_before_would() -> None:
    """It learns who has gone on from what they wait and train with."""
    world = Racing(trials=60)
    master = world.master()
    master.step()
    for number in range(7):
        world.pause(number, number / 10)
        master.step()
        for name in world.attempts(State.WAITING):
            if name.attempt > 1:
                assert world.store.claim(name, "w-2") is not None
        master.step()
    assert [n.trial for n in world.attempts(State.PAUSED)] == [0, 1, 6]
    for _ in range(2):
        world.master().step()
        assert [n.trial for n in world.attempts(State.PAUSED)] == [0, 1, 6]
    for number in (7, 8):
        world.pause(number, 0.0)
    world.master().step()
    assert [n.trial for n in world.attempts(State.PAUSED)] == [0, 1, 7, 8]


def test_a_worker_that_is_lost_between_its_result_and_the_rename_pauses_again() -> None:
    world = Racing(trials=9)
    master = world.master()
    master.step()
    world.pause(1, 0.9)
    world.pause(2, 0.8)
    half = world.pause(0, 0.1, renamed=False)
    assert world.store.lose(half, Actor.MASTER)  # its lease is over
    master.step()
    trial = world.trial_of(0)
    assert (trial.attempt, trial.rungs) == (2, Rungs(step=1))
    assert [one.step for one in trial.checkpoints] == [1]


def test_at_the_end_what_is_paused_is_counted_with_its_place_and_one_went_all_the_way() -> None:
    world = Racing(trials=3)
    master = world.master()
    master.step()
    for number, value in enumerate([0.1, 0.9, 0.3]):
        world.pause(number, value)
    master.step()
    assert world.trial_of(1).rungs == Rungs(step=3, passed=[0.9])
    world.pause(1, 0.9)  # alone at its rung, the best goes on when nothing else does
    for _ in range(3):
        master.step()
    world.train(1)
    for _ in range(4):
        master.step()
    assert master.finished is not None
    results = {one.trial.number: one.result for one in read_history(world.store)}
    assert {n: one.outcome for n, one in results.items()} == {
        0: Outcome.PRUNED, 1: Outcome.COMPLETE, 2: Outcome.PRUNED,
    }  # fmt: skip
    assert results[0].why == "rung at step 1: 0.1, not among the best third of 3"
    assert (results[0].value, results[0].steps) == (0.1, 1)
    assert world.attempts(*State) == []


def test_a_study_that_is_stopped_keeps_what_is_paused_for_when_it_goes_on() -> None:
    world = Racing(trials=9)
    master = world.master()
    master.step()
    for number, value in enumerate([0.1, 0.9, 0.3]):
        world.pause(number, value)
    world.store.mark(Halt.STOP, "desk")
    for _ in range(3):
        master.step()
    assert master.finished is not None
    assert [n.trial for n in world.attempts(State.PAUSED)] == [0, 1, 2]
    world.store.resume()
    world.master().step()
    assert world.trial_of(1).rungs == Rungs(step=3, passed=[0.9])


def test_a_paused_file_that_cannot_be_read_costs_its_own_trial_an_attempt() -> None:
    world = Racing(trials=3)
    master = world.master()
    master.step()
    paused = world.pause(0, 0.1)._replace(state=State.PAUSED)
    world.folder.share.files[paused.live_path] = b"garbage\n"
    world.now += 20.0
    for _ in range(3):
        world.now += 20.0
        master.step()
    assert world.trial_of(0).rungs == Rungs(step=1)
    assert world.trial_of(0).attempt == 2


# -- real processes -----------------------------------------------------------------------------


def test_what_one_worker_has_paused_another_trains_on_as_if_nobody_had(lab: Lab) -> None:
    """The curve of a promoted built-in training is, bit for bit, that of one that never paused."""
    space = {
        "objective": "mnist-cnn", "metric": None, "direction": None, "trials": 6,
        "params": {
            **DIGITS, "epochs": 4, "schedule": "cosine",
            "lr": {"type": "float", "low": 0.01, "high": 0.1},
        },
    }  # fmt: skip
    lab.write_space("whole.json", **space)
    lab.write_space("race.json", **space, pruner={"name": "asha", "reduction_factor": 3})
    master = lab.master("--plain", "--study", "race", space="race.json")
    first = lab.start("worker", "--jobs", "1", "--study", "race", "--max-trials", "3")
    assert first.wait(60) == 0
    wait_until(lambda: any(".2.jsonl" in name for name in lab.names(study="race")), what="promoted")
    assert lab.status("race")["trials"]["paused"] == 1  # and one cannot be among the best two
    second = lab.start("worker", "--jobs", "1", "--study", "race")
    assert master.wait(60) == 0
    assert second.wait(60) == 0
    whole = lab.run("master", "--space", "whole.json", "--workers", "1", "--plain")
    assert whole.returncode == 0, whole.stderr
    complete: list[AttemptFile] = []
    pruned: list[AttemptFile] = []
    for number in range(6):
        raced, undisturbed = (_counted(lab, name, number) for name in ("race", "whole"))
        steps = len(raced.reports)
        assert _curve(raced) == _curve(undisturbed)[:steps]
        (complete if steps == 4 else pruned).append(raced)
    assert complete
    assert len(complete) <= 2
    for file in complete:
        assert (file.trial.attempt, file.resumed and file.resumed.step) == (3, 3)
    pids = {file.claim.worker for file in (*complete, *pruned) if file.claim is not None}
    assert len(pids) == 2
    shown = lab.run("show", str(pruned[0].trial.number), "--study", "race").stdout
    assert "among the best third of" in shown


def _counted(lab: Lab, study: str, number: int) -> AttemptFile:
    path = lab.logs / study / f"seen/000/{number:06d}.jsonl"
    return records.parse_attempt(path.read_bytes())


def _curve(file: AttemptFile) -> list[dict[str, float]]:
    metrics = [one.metrics for one in file.reports]
    return [{k: v for k, v in one.items() if k != "seconds"} for one in metrics]
