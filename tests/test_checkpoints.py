"""A trial that is interrupted goes on from its last checkpoint, as if nobody had disturbed it."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from distune.errors import Mistake
from distune.share import protocol, records
from distune.share.records import AttemptFile
from distune.study.study import Study
from distune.study.trial import (
    Checkpoint,
    Claim,
    Outcome,
    Purpose,
    Report,
    Resumed,
    Trial,
)
from distune.training.checkpoints import Checkpoints
from distune.training.context import Stopped, TrialContext
from distune.training.objective import drive, find
from distune.workloads import WORKLOADS
from tests.conftest import Lab, executors_of, wait_until
from tests.trials import QuietTrial, Ticking, needs, without_time

ROOT = Path(__file__).resolve().parent.parent

# -- built-in workloads: resumed is uninterrupted ------------------------------------------------


@dataclass
class SavingTrial(QuietTrial):
    """Saves after each step, as bytes; goes on from `begin`; is stopped when it has saved so often.

    Attributes:
        due: else it saves nothing but what is the last one,
        last: which is here, too.
        saving: called each time.
    """

    begin: bytes | None = None
    stops_after: int | None = None
    saved: list[bytes] = field(default_factory=list)
    last: list[bytes] = field(default_factory=list)
    saving: Callable[[], None] = lambda: None
    due: bool = True

    @property
    def save_due(self) -> bool:
        return self.due

    @property
    def saves_last(self) -> bool:
        return True

    def save(self, state: Mapping[str, Any], *, last: bool = False) -> None:
        from distune.workloads import saved_state

        file = io.BytesIO()
        saved_state.write(state, file)
        self.saved.append(file.getvalue())
        self.last += [file.getvalue()] if last else []
        self.saving()
        if len(self.saved) == self.stops_after:
            raise Stopped

    def load(self) -> dict[str, Any] | None:
        from distune.workloads import saved_state

        found: dict[str, Any] = saved_state.read(self.begin) if self.begin else {}
        return found or None


SMALL = {"dataset": "digits", "epochs": 5, "batch_size": 64, "n_train": 300, "n_validation": 100}


def training(
    params: Mapping[str, Any], trial: SavingTrial, name: str = "mnist-cnn", **options: Any
) -> Iterator[dict[str, float]]:
    from distune.workloads.trainer.trainer import train

    return train(WORKLOADS[name], params, trial, **options)


def trained(params: Mapping[str, Any], trial: SavingTrial) -> list[dict[str, float]]:
    return without_time(training(params, trial))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"optimizer": "adam", "dropout": 0.5},
        {"optimizer": "adamw", "schedule": "cosine", "lr_final": 0.0001},
        {"optimizer": "rmsprop", "schedule": "one-cycle", "momentum": 0.5},
        {"momentum": 0.9, "clip_norm": 1.0, "l1": 1e-5},
        {"lr": 1e-12, "patience": 2},
        {"lr": 1e9},
    ],
    ids=lambda more: ",".join(f"{k}={v}" for k, v in more.items()) or "sgd",
)
def test_from_any_checkpoint_a_training_goes_on_bit_for_bit(more: dict[str, Any]) -> None:
    whole = SavingTrial(seed=3)
    curve = trained({**SMALL, **more}, whole)
    # After each step, each batch of the validation, and each epoch.
    assert len(whole.saved) == len(curve) * (5 + 1 + 1)
    for state in whole.saved[1::5]:
        resumed = SavingTrial(seed=3, begin=state)
        rest = trained({**SMALL, **more}, resumed)
        # A loss that is not a number is equal to itself here.
        assert repr(rest) == repr(curve[_read(state)["epoch"] :])
        assert _weights(resumed.saved or [state]) == _weights(whole.saved)


def _read(state: bytes) -> dict[str, Any]:
    from distune.workloads import saved_state

    found: dict[str, Any] = saved_state.read(state)
    return found


def _weights(saved: list[bytes]) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in _read(saved[-1])["weights"].items()}


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "convolutions, batch normalization": ("convnet", {
        "dataset": "digits", "n_train": 130, "n_validation": 250, "batch_size": 20, "lr": 0.01,
        "n_conv": 1, "n_filters": 3, "n_fc": 1, "width": 8, "loss": "cross-entropy", "epochs": 3,
        "batch_norm_conv": True, "batch_norm_fc": True, "dropout": 0.3, "schedule": "one-cycle",
    }),
    "two answers": ("coloured-digits", {
        "dataset": "usps", "skip_last_batch": True, "trunk": "shared", "n_train": 100,
        "n_validation": 100, "batch_size": 20, "n_filters": 4, "width": 16, "epochs": 3,
    }),
    "dense layers": ("spirals", {
        "n_train": 300, "n_validation": 100, "batch_size": 40, "epochs": 3, "optimizer": "rmsprop",
    }),
    "regression": ("house-prices", {
        "n_train": 200, "n_validation": 50, "batch_size": 30, "loss": "gaussian", "epochs": 3,
    }),
}  # fmt: skip


@pytest.mark.parametrize("way", ["as it is", "bfloat16", "captured"])
@pytest.mark.parametrize(
    "case",
    [
        "convolutions, batch normalization",
        pytest.param("two answers", marks=needs("usps.bz2")),
        "dense layers",
        pytest.param("regression", marks=needs("house_prices.csv")),
    ],
)
def test_a_training_that_is_stopped_at_any_steps_is_the_one_that_never_was(
    case: str, way: str
) -> None:
    from scripts.taping import Tape, capturable_on_cpu

    name, params = WAYS[case]
    params = {**params, "precision": "bfloat16" if way == "bfloat16" else "float32"}
    options: dict[str, Any] = {"capturing": lambda _: Tape()} if way == "captured" else {}
    with capturable_on_cpu():
        whole = SavingTrial(seed=3)
        curve = without_time(training(params, whole, name, **options))
        found: list[dict[str, float]] = []
        chance, begin, stops = random.Random(f"{case} {way}"), None, 0
        while stops < 40:
            trial = SavingTrial(seed=3, begin=begin, stops_after=chance.randint(1, 7))
            try:
                for report in training(params, trial, name, **options):
                    found += without_time(iter([report]))
                break
            except Stopped:
                begin = trial.saved[-1]
                stops += 1
    assert 3 <= stops < 40
    assert found == curve
    assert begin is not None
    assert _weights(trial.saved or [begin]) == _weights(whole.saved)


def test_a_winner_is_trained_again_bit_for_bit_if_that_is_stopped_too() -> None:
    from distune.workloads.mnist_cnn import MNIST_CNN
    from distune.workloads.trainer import trainer

    params = {**SMALL, "n_test": 250}
    best = {"steps": 13.0}  # in the midst of an epoch
    whole = SavingTrial(seed=3)
    expected = trainer.test(MNIST_CNN, params, whole, best)
    assert len(whole.saved) == 13 + 3 + 3 + 1
    for state in whole.saved[::4]:
        assert trainer.test(MNIST_CNN, params, SavingTrial(seed=3, begin=state), best) == expected


# A limit of time


LIMITED = {**SMALL, "epochs": 4}  # 5 steps of a tenth of a second each, then one to read the clock


def test_before_max_seconds_ends_a_training_its_state_is_saved_from_which_it_could_go_on() -> None:
    never_ended = trained(LIMITED, SavingTrial(seed=3))
    limited = SavingTrial(seed=3, max_seconds=1.45, due=False)
    curve = list(training(LIMITED, limited, clock=Ticking()))
    assert [report["steps"] for report in curve] == [5, 10, 13]
    (last,) = limited.last
    assert (_read(last)["epoch"], _read(last)["batches"]) == (2, 3)
    # With the same limit it is over; with another it goes on as if there had been none.
    again = training(LIMITED, SavingTrial(seed=3, max_seconds=1.45, begin=last), clock=Ticking())
    assert without_time(again) == without_time(iter(curve[2:]))
    longer = SavingTrial(seed=3, begin=last)
    assert trained(LIMITED, longer) == never_ended[2:]


def test_while_a_state_is_saved_no_time_of_training_passes() -> None:
    clock = Ticking()

    def take_long() -> None:
        clock.now += 1_000.0

    trial = SavingTrial(seed=3, max_seconds=100.0, saving=take_long)
    reports = training({**LIMITED, "epochs": 1}, trial, clock=clock)
    (report,) = reports
    assert report["seconds"] < 10


# -- files ---------------------------------------------------------------------------------------

TRIAL = Trial(study="s", number=17, attempt=1, params={})
STUDY = Study(
    id="s", name="n", objective="mine:train", params={}, metric="value", direction="maximize",
    lease=20.0,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def saved_by_first(folder: Path, *states: Any) -> list[Checkpoint]:
    kept: list[Checkpoint] = []
    one = Checkpoints(str(folder), TRIAL, code="c", keep=kept.append)
    for step, state in enumerate(states, 1):
        one.take(state, step)
        one.write([Report(step=i, metrics={}, seconds=i) for i in range(1, step + 1)], 9.0)
        one.wait(60.0)
    return kept


def second(folder: Path, kept: list[Checkpoint], said: list[str], code: str = "c") -> Checkpoints:
    file = AttemptFile(TRIAL, None, (), None, checkpoints=tuple(kept[-2:]))
    trial = TRIAL.replace(attempt=2, checkpoints=file.checkpoints_for_the_next(failed=False))
    return Checkpoints(str(folder), trial, code=code, say=said.append, pause=lambda seconds: None)


@pytest.mark.parametrize(
    "state",
    [b"bytes", 7, {"epoch": 3, "list": [1.5, None]}, {"a": (1, 2)}, {1: "an int"}],
    ids=repr,
)
def test_the_next_attempt_gets_what_was_saved_last(folder: Path, state: Any) -> None:
    kept = saved_by_first(folder, b"first", state)
    loaded = second(folder, kept, []).load()
    assert loaded is not None
    assert (loaded.attempt, loaded.step, loaded.state) == (1, 2, state)
    assert [report.step for report in loaded.described.reports] == [1, 2]


def test_of_a_path_the_file_is_saved_and_a_copy_given(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    kept = saved_by_first(folder, tmp_path / "model.bin")
    (tmp_path / "model.bin").write_bytes(b"other")
    loaded = second(folder, kept, []).load()
    assert loaded is not None
    assert loaded.state.read_bytes() == b"weights"
    loaded.state.unlink()


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)


def _linked(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


@pytest.mark.parametrize("damage", [_torn, _longer, _flipped, _linked, Path.unlink])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(folder: Path, damage: Any) -> None:
    kept = saved_by_first(folder, b"first", b"second")
    damage(folder / "000017.1.2.checkpoint")
    said: list[str] = []
    loaded = second(folder, kept, said).load()
    assert loaded is not None
    assert (loaded.step, loaded.state) == (1, b"first")
    assert len(said) == 1
    assert "the checkpoint of step 2 of attempt 1 cannot be used" in said[0]
    damage(folder / "000017.1.1.checkpoint")
    assert second(folder, kept, said).load() is None
    assert len(said) == 3


def test_a_checkpoint_of_other_code_is_not_gone_on_from(folder: Path) -> None:
    said: list[str] = []
    kept = saved_by_first(folder, b"first")
    assert second(folder, kept, said, code="d").load() is None
    assert said == ["the checkpoint of step 1 of attempt 1 was saved by other code: beginning anew"]


def test_a_training_removes_no_file(folder: Path) -> None:
    """It does not know whether its worker still owns the attempt."""
    saved_by_first(folder, *(b"%d" % i for i in range(9)))
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"000017.1.{i}.checkpoint" for i in range(1, 10)]


def test_a_state_that_would_have_to_be_run_is_refused_at_once(folder: Path) -> None:
    with pytest.raises(Mistake, match="running code from the share"):
        saved_by_first(folder, {"reads": Path("x")})
    assert not folder.exists()


def test_a_file_that_goes_while_the_folder_is_measured_costs_no_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker removes an old one at the moment at which the training saves the next."""
    folder.mkdir(exist_ok=True)
    for number in range(3):
        (folder / f"{number}").write_bytes(b"old")
    kept: list[Checkpoint] = []
    one = Checkpoints(str(folder), TRIAL, keep=kept.append)
    scan = os.scandir

    def listed_before(path: Any) -> Iterator[os.DirEntry[str]]:
        found = list(scan(path))
        (folder / "1").unlink(missing_ok=True)
        return iter(found)

    monkeypatch.setattr(os, "scandir", listed_before)
    one.take(b"state", 1)
    one.write([], 1.0)
    one.wait(30.0)
    assert [checkpoint.step for checkpoint in kept] == [1]


def test_nothing_is_saved_beyond_the_limit(folder: Path) -> None:
    kept: list[Checkpoint] = []
    said: list[str] = []
    one = Checkpoints(str(folder), TRIAL, limit=1000, keep=kept.append, say=said.append)
    for size in (800, 801):
        one.take(bytes(size), 1)
        one.write([], 0.0)
        one.wait(60.0)
    assert [checkpoint.number for checkpoint in kept] == [1]
    assert "checkpoint_limit is 1e-06 GB" in said[0]
    assert [path.name for path in folder.iterdir()] == ["000017.1.1.checkpoint"]


def test_what_cannot_be_written_is_said_and_training_goes_on(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("no folder")
    said: list[str] = []
    checkpoints = Checkpoints(str(tmp_path / "checkpoints"), TRIAL, say=said.append)
    context = TrialContext(17, 1, 0, "cpu", "", checkpoints=checkpoints, checkpoint_every=1e-9)
    context.save(b"state")
    checkpoints.wait(60.0)
    assert said == ["no checkpoint could be saved: File exists; training goes on"]


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """A share on which syncing hangs: set when it does; to be set when it goes on."""
    hangs, goes_on = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        hangs.set()
        assert goes_on.wait(60.0)

    monkeypatch.setattr(os, "fsync", sync)
    return hangs, goes_on


def test_a_share_that_hangs_keeps_no_training_waiting(
    folder: Path, hanging: tuple[threading.Event, threading.Event]
) -> None:
    """And when it is back, the newest state is written."""
    hangs, goes_on = hanging
    kept: list[Checkpoint] = []
    one = Checkpoints(str(folder), TRIAL, keep=kept.append)
    for step in range(1, 9):
        one.take(b"state", step)
        one.write([], 0.0)
        assert hangs.wait(60.0)
    goes_on.set()
    one.wait(60.0)
    assert [checkpoint.step for checkpoint in kept] == [1, 8]


def test_nobody_is_told_of_a_checkpoint_after_the_end_of_its_training(
    folder: Path, hanging: tuple[threading.Event, threading.Event]
) -> None:
    """It would be taken for the next trial's."""
    hangs, goes_on = hanging
    kept: list[Checkpoint] = []
    one = Checkpoints(str(folder), TRIAL, keep=kept.append)
    for step in (1, 2):
        one.take(b"state", step)
        one.write([], 0.0)
        assert hangs.wait(60.0)
    one.close()
    goes_on.set()
    one.wait(60.0)
    assert kept == []
    assert [path.name for path in folder.iterdir()] == ["000017.1.1.checkpoint"]


# -- what the next attempt is told ---------------------------------------------------------------


def _checkpoint(attempt: int, number: int) -> Checkpoint:
    return Checkpoint(attempt=attempt, number=number, step=number, size=1, sha256="0" * 64)


def test_a_file_tells_the_last_two_checkpoints() -> None:
    lines = [
        TRIAL.replace(attempt=2, checkpoints=[_checkpoint(1, 9)]),
        Claim(worker="w", host="", device="cpu", time=0.0),
        Resumed(attempt=1, step=9),
        *(_checkpoint(2, i) for i in (1, 2, 2, 3)),
    ]
    file = records.parse_attempt(b"".join(map(records.encode, lines)))
    assert [one.number for one in file.checkpoints] == [2, 3]
    assert file.resumed == Resumed(attempt=1, step=9)
    assert file.checkpoints_for_the_next(failed=True) == [_checkpoint(2, 3), _checkpoint(2, 2)]


@pytest.mark.parametrize(
    ("own", "failed", "resumed", "next_ones"),
    [
        ([], False, True, [(1, 2), (1, 1)]),
        ([], True, True, [(1, 1)]),
        ([], True, False, [(1, 2), (1, 1)]),
        ([(2, 1)], True, True, [(2, 1), (1, 2)]),
    ],
    ids=["lost", "failed as it began", "failed before", "failed later"],
)
def test_what_an_attempt_failed_to_go_on_from_is_not_tried_again(
    own: list[tuple[int, int]], failed: bool, resumed: bool, next_ones: list[tuple[int, int]]
) -> None:
    trial = TRIAL.replace(attempt=2, checkpoints=[_checkpoint(1, 2), _checkpoint(1, 1)])
    file = AttemptFile(
        trial, None, (), None, checkpoints=tuple(_checkpoint(*one) for one in own),
        resumed=Resumed(attempt=1, step=2) if resumed else None,
    )  # fmt: skip
    found = file.checkpoints_for_the_next(failed=failed)
    assert [(one.attempt, one.number) for one in found] == next_ones


def test_names_of_checkpoints_are_parsed_strictly() -> None:
    for purpose in Purpose:
        name = protocol.checkpoint_name(purpose, 17, _checkpoint(2, 3))
        assert protocol.key_of_checkpoint(name) == (purpose, 17)
        assert protocol.key_of_checkpoint(f"{name}.part") == (purpose, 17)
    for name in ("000017.jsonl", "17.1.1.checkpoint", "000017.1.01.checkpoint", "x.checkpoint"):
        assert protocol.key_of_checkpoint(name) is None


# -- an objective of one's own -------------------------------------------------------------------

OBJECTIVE = """\
import os, time

def train(params, trial):
    state = trial.load() or {"epoch": 0, "total": 0.0}
    for epoch in range(state["epoch"], 8):
        state = {"epoch": epoch + 1, "total": state["total"] + epoch * params["x"]}
        if params["first"]:
            trial.save(state, epoch + 1)
        yield {"value": state["total"]}
        if not params["first"]:
            trial.save(state)
        while trial.attempt <= 2 and epoch == 2 * trial.attempt:
            time.sleep(0.01)

def plain(params, trial):
    state = trial.load() or {"done": 0}
    for step in range(state["done"], 8):
        trial.save({"done": step + 1}, step + 1)
        while trial.attempt == 1 and step == 4:
            time.sleep(0.01)
    return state["done"]
"""


@pytest.fixture
def saving(lab: Lab) -> Lab:
    (lab.folder / "mine.py").write_text(OBJECTIVE)
    return lab


def file_of(lab: Lab, number: int) -> AttemptFile:
    path = lab.logs / "space" / f"seen/000/{number:06d}.jsonl"
    return records.parse_attempt(path.read_bytes())


@pytest.mark.parametrize("first", [True, False], ids=["saved, then yielded", "yielded, then saved"])
@pytest.mark.long
def test_an_objective_that_is_killed_twice_has_one_curve(saving: Lab, first: bool) -> None:
    saving.write_space(
        objective="mine:train", metric="value", trials=1, checkpoint_every=0.000001,
        params={"x": 1.5, "first": first}, lease="2s", checkpoint_keep=0,
    )  # fmt: skip
    master = saving.master("--plain")
    for attempt in (1, 2):
        worker = saving.start("worker", "--objective", "mine:train", "--jobs", "1")
        wait_until(lambda n=attempt: _steps(saving) == 2 * n + 1, what="it has come so far")  # type: ignore[misc]
        for process in (worker.pid, *(one.pid for one in executors_of(worker.pid))):
            os.kill(process, signal.SIGKILL)
    last = saving.start("worker", "--objective", "mine:train", "--jobs", "1")
    assert master.wait(60) == 0
    assert last.wait(60) == 0
    file = file_of(saving, 0)
    totals = [sum(range(n + 1)) * 1.5 for n in range(8)]
    assert [report.metrics["value"] for report in file.reports] == totals
    assert file.trial.attempt == 3
    assert file.resumed == Resumed(attempt=2, step=5)
    assert file.result is not None
    assert (file.result.value, file.result.steps) == (totals[0], 8)
    assert "went on from the checkpoint of attempt 2 after step 5" in saving.run("show", "0").stdout
    attempts = json.loads(saving.run("show", "0", "--json").stdout)["attempts"]
    assert [one["resumed"] for one in attempts] == [
        None, {"attempt": 1, "step": 3, "trial": None}, {"attempt": 2, "step": 5, "trial": None}
    ]  # fmt: skip
    assert list((saving.logs / "space" / "checkpoints").iterdir()) == []


def _steps(lab: Lab, study: str = "space") -> int:
    """Of the trial that is trained: reports whose checkpoint has a line."""
    for path in (lab.logs / study / "trials").glob("*.taken"):
        try:
            file = records.parse_attempt(path.read_bytes())
        except FileNotFoundError:
            return 0
        return file.checkpoints[-1].step if file.checkpoints else 0
    return 0


def test_a_plain_function_goes_on_too(saving: Lab) -> None:
    saving.write_space(
        objective="mine:plain", metric="value", trials=1, checkpoint_every=0.000001,
        params={"x": 1.5}, lease="2s",
    )  # fmt: skip
    master = saving.master("--plain")
    worker = saving.start("worker", "--objective", "mine:plain", "--jobs", "1")
    wait_until(lambda: _steps(saving) == 5, what="it has come so far")
    for process in (worker.pid, *(one.pid for one in executors_of(worker.pid))):
        os.kill(process, signal.SIGKILL)
    saving.start("worker", "--objective", "mine:plain", "--jobs", "1")
    assert master.wait(60) == 0
    file = file_of(saving, 0)
    assert file.resumed == Resumed(attempt=1, step=5)
    assert file.result is not None
    assert (file.result.outcome, file.result.value) == (Outcome.COMPLETE, 5.0)


@pytest.mark.parametrize(("limit", "worth"), [(0.9, False), (1.1, True)])
def test_a_training_that_max_seconds_ends_at_once_is_not_worth_a_state(
    folder: Path, limit: float, worth: bool
) -> None:
    now = [0.0]
    context = TrialContext(
        17, 1, 0, "cpu", "", max_seconds=limit, last_within=60.0, monotonic=lambda: now[0],
        checkpoints=Checkpoints(str(folder), TRIAL),
    )  # fmt: skip
    assert not context.saves_last
    now[0] = limit
    assert context.saves_last == worth


@pytest.mark.parametrize(("first", "last"), [(True, 10), (False, 9)], ids=["first", "afterwards"])
def test_shortly_before_max_seconds_a_state_of_ones_own_training_is_due(
    folder: Path, first: bool, last: int
) -> None:
    """Of the last step, if it is saved before it is yielded: nobody is asked for one afterwards."""
    now, kept = [0.0], list[Checkpoint]()

    def objective(params: Any, trial: TrialContext) -> Iterator[int]:
        for step in range(1, 99):
            now[0] += 10.0
            if first:
                trial.save(step, step)
            yield step
            if not first:
                trial.save(step)

    context = TrialContext(
        17, 1, 0, "cpu", "", max_seconds=95.0, checkpoint_every=1000.0, last_within=60.0,
        monotonic=lambda: now[0], checkpoints=Checkpoints(str(folder), TRIAL, keep=kept.append),
    )  # fmt: skip
    study = STUDY.model_copy(update={"max_seconds": 95.0})
    messages = list(drive(objective, study, TRIAL, context, clock=lambda: now[0]))
    assert len(messages) == 10 + 1
    assert kept[0].step >= 8
    assert kept[-1].step == last


def test_a_file_that_a_program_names_in_its_last_step_is_saved(folder: Path) -> None:
    kept: list[Checkpoint] = []
    folder.with_name("state").write_text("of step 1")
    line = json.dumps(
        {"value": 1, "train_seconds": 9, "checkpoint": str(folder.with_name("state"))}
    )
    program = ("sh", "-c", 'echo "$1"; exec tail -f /dev/null', "sh", line, "{trial_resume}")
    context = TrialContext(
        17, 1, 0, "cpu", "", max_seconds=9.0, checkpoint_every=1e-6,
        checkpoints=Checkpoints(str(folder), TRIAL, keep=kept.append),
    )  # fmt: skip
    study = STUDY.model_copy(update={"max_seconds": 9.0, "command": program, "objective": None})
    report, _ = drive(find(study, TRIAL, {}), study, TRIAL, context)
    assert isinstance(report, Report)
    assert [one.step for one in kept] == [1]


@pytest.mark.long
def test_what_a_stop_has_given_back_goes_on_when_the_study_does(saving: Lab) -> None:
    saving.write_space(
        objective="mine:plain", metric="value", trials=1, checkpoint_every=0.000001,
        params={"x": 1.5},
    )  # fmt: skip
    worker = ["worker", "--objective", "mine:plain", "--jobs", "1"]
    processes = [saving.master("--plain"), saving.start(*worker)]
    wait_until(lambda: _steps(saving) == 5, what="it has come so far")
    assert saving.run("stop", "space", "--now").returncode == 0
    assert [process.wait(30) for process in processes] == [0, 0]  # it saves no other state in time
    assert saving.names() == ["000000.2.jsonl", "halt.stop-now.json"]
    assert saving.run("resume", "space").returncode == 0
    processes = [saving.start(*worker), saving.master("--plain")]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert file_of(saving, 0).resumed == Resumed(attempt=1, step=5)


LASTING = """\
import time

def train(params, trial):
    step = trial.load() or 0
    while step < 40:
        step += 1
        time.sleep(0.05)
        yield {"value": step}
        trial.save(step)
"""


def test_a_worker_that_is_asked_to_end_has_its_trainings_save_first(lab: Lab) -> None:
    """However far away the next checkpoint is."""
    (lab.folder / "mine.py").write_text(LASTING)
    lab.write_space(objective="mine:train", metric="value", direction="maximize", trials=1)
    master = lab.master("--plain")
    worker = lab.start("worker", "--objective", "mine:train", "--jobs", "1")
    wait_until(lambda: _reports_of_taken(lab) >= 3, what="it is being trained")
    worker.terminate()
    assert worker.wait(10) == 143
    wait_until(lambda: list((lab.logs / "space").glob("seen/000/*.lost")), what="it is put away")
    (lost,) = (lab.logs / "space").glob("seen/000/*.lost")
    given_back = records.parse_attempt(lost.read_bytes())
    assert given_back.result is not None
    assert given_back.result.failure is not None
    assert given_back.result.failure.message == "its worker got SIGTERM"
    assert [one.step for one in given_back.checkpoints] == [len(given_back.reports)]
    lab.start("worker", "--objective", "mine:train", "--jobs", "1")
    assert master.wait(60) == 0
    file = file_of(lab, 0)
    assert file.resumed == Resumed(attempt=1, step=len(given_back.reports))
    assert [report.metrics["value"] for report in file.reports] == list(range(1, 41))


@pytest.mark.long
def test_a_study_that_is_stopped_at_once_has_its_trainings_save_first(lab: Lab) -> None:
    (lab.folder / "mine.py").write_text(LASTING.replace("40", "4000"))
    lab.write_space(objective="mine:train", metric="value", direction="maximize", trials=1)
    master = lab.master("--plain")
    worker = lab.start("worker", "--objective", "mine:train", "--jobs", "1")
    wait_until(lambda: _reports_of_taken(lab) >= 3, what="it is being trained")
    assert lab.run("stop", "space", "--now").returncode == 0
    assert [process.wait(30) for process in (master, worker)] == [0, 0]
    (lost,) = (lab.logs / "space").glob("seen/000/*.lost")
    given_back = records.parse_attempt(lost.read_bytes())
    assert given_back.result is not None
    assert given_back.result.failure is not None
    assert given_back.result.failure.message == "the study was stopped"
    assert [one.step for one in given_back.checkpoints] == [len(given_back.reports)]


def _reports_of_taken(lab: Lab) -> int:
    for path in (lab.logs / "space" / "trials").glob("*.taken"):
        try:
            return len(records.parse_attempt(path.read_bytes()).reports)
        except FileNotFoundError:
            return 0
    return 0


def test_without_checkpoints_nothing_is_saved(lab: Lab) -> None:
    (lab.folder / "mine.py").write_text(LASTING)
    lab.write_space(
        objective="mine:train", metric="value", direction="maximize", trials=1, checkpoint_every=0
    )
    master = lab.master("--plain")
    worker = lab.start("worker", "--objective", "mine:train", "--jobs", "1")
    wait_until(lambda: _reports_of_taken(lab) >= 3, what="it is being trained")
    os.kill(executors_of(worker.pid)[0].pid, signal.SIGKILL)
    assert master.wait(60) == 0
    assert not (lab.logs / "space" / "checkpoints").exists()
    assert file_of(lab, 0).resumed is None
    assert file_of(lab, 0).trial.attempt == 2


@pytest.mark.long
def test_a_program_goes_on_from_the_file_that_it_has_named(lab: Lab) -> None:
    program = [sys.executable, str(ROOT / "examples" / "resume.py"), "--lr", "{lr}"]
    lab.write_space(
        objective=None, metric="loss", summary="last", trials=1, checkpoint_every=0.001,
        command=[*program, "--seconds", "0.05", "--dir", "{trial_dir}",
                 "--resume", "{trial_resume}"],
        params={"lr": 0.1},
    )  # fmt: skip
    master = lab.master("--plain")
    worker = lab.start("worker", "--allow-commands", "--jobs", "1")
    wait_until(lambda: _steps(lab) >= 3, what="it has saved something")
    os.kill(executors_of(worker.pid)[0].pid, signal.SIGKILL)
    assert master.wait(60) == 0
    file = file_of(lab, 0)
    assert file.resumed is not None
    assert file.resumed.step >= 3
    assert "--resume" not in file.output
    losses = [report.metrics["loss"] for report in file.reports]
    assert losses == pytest.approx([100 * 0.8 ** (2 * n) for n in range(1, 21)])


LONG_EPOCHS = {**SMALL, "n_train": 1000, "batch_size": 1, "n_filters": 8, "n_hidden": 32}


@pytest.mark.long
def test_a_built_in_training_that_is_killed_twice_is_the_one_that_never_was(lab: Lab) -> None:
    """In the midst of an epoch. Its curve, its result and its weights, bit for bit, on other
    workers each time.
    """
    lab.write_space(
        objective="mnist-cnn", metric=None, direction=None, trials=1, checkpoint_every=0.2,
        params={**LONG_EPOCHS, "epochs": 2, "optimizer": "adam", "dropout": 0.3}, lease="2s",
    )  # fmt: skip
    found = []
    for name, kills in (("whole", []), ("killed", [0, 1])):
        master = lab.master("--plain", "--study", name)
        for attempt, step in enumerate(kills, 1):
            worker = lab.start("worker", "--jobs", "1", "--study", name)
            wait_until(lambda n=attempt, s=step: _is_in_epoch(lab, n, s), what="it has come so far")  # type: ignore[misc]
            for process in (worker.pid, *(one.pid for one in executors_of(worker.pid))):
                os.kill(process, signal.SIGKILL)
        last = lab.start("worker", "--jobs", "1", "--study", name)
        assert master.wait(120) == 0
        assert last.wait(60) == 0
        folder = lab.logs / name
        file = records.parse_attempt((folder / "seen/000/000000.jsonl").read_bytes())
        assert (file.resumed is not None) == bool(kills)
        assert file.trial.attempt == 1 + len(kills)
        assert file.result is not None
        curve = [
            {k: v for k, v in report.metrics.items() if k != "seconds"} for report in file.reports
        ]
        weights = _tensors((folder / "artifacts" / "best.pt").read_bytes())
        found.append((curve, file.result.value, weights))
    assert len(found[0][0]) == 2
    assert found[0] == found[1]


def _is_in_epoch(lab: Lab, attempt: int, epoch: int) -> bool:
    """Whether this attempt, which is trained, has saved a state after so many whole epochs."""
    for path in (lab.logs / "killed" / "trials").glob(f"*.{attempt}.jsonl.*.taken"):
        with suppress(FileNotFoundError):
            saved = records.parse_attempt(path.read_bytes()).checkpoints
            return bool(saved) and saved[-1].step == epoch
    return False


@pytest.mark.long
def test_a_worker_that_is_asked_to_end_loses_nothing_of_a_long_epoch(lab: Lab) -> None:
    """However far away the next checkpoint is."""
    lab.write_space(
        objective="mnist-cnn", metric=None, direction=None, trials=1,
        params={**LONG_EPOCHS, "n_filters": 64, "n_hidden": 512, "epochs": 1},
    )  # fmt: skip
    master = lab.master("--plain")
    worker = lab.start("worker", "--jobs", "1")
    wait_until(lambda: _is_on_its_way(lab), what="it is being trained")
    worker.terminate()
    assert worker.wait(10) == 143
    folder = lab.logs / "space"
    wait_until(lambda: list(folder.glob("seen/000/*.lost")), what="it is put away")
    (lost,) = folder.glob("seen/000/*.lost")
    given_back = records.parse_attempt(lost.read_bytes())
    assert [(one.number, one.step) for one in given_back.checkpoints] == [(1, 0)]
    trial = given_back.trial.replace(attempt=2, checkpoints=[*given_back.checkpoints])
    loaded = Checkpoints(str(folder / "checkpoints"), trial).load()
    assert loaded is not None
    assert 0 < loaded.state["batches"] < 1000
    assert 0 < loaded.state["seconds"] <= loaded.described.seconds
    lab.start("worker", "--jobs", "1")
    assert master.wait(60) == 0
    assert file_of(lab, 0).resumed == Resumed(attempt=1, step=0)
    assert [report.metrics["steps"] for report in file_of(lab, 0).reports] == [1000]


def _is_on_its_way(lab: Lab) -> bool:
    beats = (lab.logs / "space" / "workers").glob("*.beat")
    return any(re.search(rb'"fraction": 0\.0*[1-9]', beat.read_bytes()) for beat in beats)


def _tensors(data: bytes) -> dict[str, bytes]:
    from distune.workloads import saved_state

    weights = saved_state.read(data)["state_dict"]
    return {name: tensor.numpy().tobytes() for name, tensor in weights.items()}


def test_what_is_left_of_an_old_study_is_cleaned_on_request(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=1)
    offered = ["--workers", "1", "--objective", "train:quick"]
    assert lab.run("master", "--space", "space.json", *offered).returncode == 0
    left = lab.logs / "space" / "checkpoints"
    left.mkdir()
    for name in ("000000.1.1.checkpoint", "000007.2.1.checkpoint.part", "mine.txt"):
        (left / name).write_text("x")
    done = lab.run("clean", "space")
    assert done.stdout == "removed: 2 checkpoints of space\n"
    assert [path.name for path in left.iterdir()] == ["mine.txt"]
    assert lab.run("clean", "space").stdout == "removed: 0 checkpoints of space\n"
