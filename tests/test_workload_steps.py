"""Captured steps, on a tape that stands in for a CUDA graph, and how far a host runs ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from distune.training import executor as executor_module
from distune.workloads import convnet, device, problems
from distune.workloads.convnet import CONVNET
from distune.workloads.hyperparameters import TrainingParams
from distune.workloads.spirals import SPIRALS
from distune.workloads.trainer import capture, epochs, pace, trainer
from distune.workloads.trainer.optimizers import learning_rate
from distune.workloads.workload import Recipe
from scripts.taping import Tape, capturable_on_cpu
from tests.trials import QuietTrial, without_time, workload_of

PROBLEM = problems.classification("cross-entropy")
Trained = tuple[list[dict[str, float]], list[Tensor]]
EVERYTHING: dict[str, Any] = {
    "l1": 1e-3,
    "regularise": "dense",
    "clip_norm": 0.5,
    "dropout": 0.3,
    "weight_decay": 0.01,
    "batch_norm_conv": True,
    "batch_norm_fc": True,
}


@pytest.fixture(autouse=True)
def _capturable(one_thread: None) -> Iterator[None]:
    with capturable_on_cpu():
        yield


SIZES: dict[str, Any] = {"n_train": 130, "n_validation": 100, "n_test": 100}


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


class Refusing(Tape):
    """What can be captured nowhere."""

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")


def trained(using: capture.Capture | None, **params: Any) -> Trained:
    """What a training reports (13 steps of 10, or 6 of 20 and one of 10, twice), its weights."""
    wanted = {
        "dataset": "digits",
        "n_conv": 1,
        "n_filters": 3,
        "n_fc": 1,
        "width": 8,
        "loss": "cross-entropy",
        "epochs": 2,
        "batch_size": 20,
        "lr": 0.01,
        **SIZES,
        **params,
    }
    built: list[nn.Module] = []

    def kept(params: convnet.ConvnetParams) -> Recipe:
        recipe = convnet.recipe(params)

        def build() -> nn.Module:
            built.append(recipe.network())
            return built[0]

        return replace(recipe, network=build)

    workload = replace(CONVNET, recipe=kept)
    reports = trainer.train(workload, wanted, QuietTrial(seed=3), capturing=lambda _: using)
    return without_time(reports), [one.detach() for one in built[0].state_dict().values()]


def assert_same(one: Trained, other: Trained) -> None:
    assert one[0] == other[0]
    assert all(torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_captured_steps_give_the_same_weights_bit_for_bit(optimizer: str, schedule: str) -> None:
    params = {**EVERYTHING, "optimizer": optimizer, "schedule": schedule}
    tape = Tape()
    assert_same(trained(tape, **params), trained(Refusing(), **params))
    # Of twice six steps of 20, three are made one by one and the others replayed, in each epoch
    # beside one of 10.
    assert (tape.recorded, tape.replayed, tape.freed) == (1, 9, 1)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_they_do_so_in_every_precision(precision: str) -> None:
    params = {**EVERYTHING, "precision": precision}
    tape = Tape()
    assert_same(trained(tape, **params), trained(Refusing(), **params))
    assert tape.replayed == 9


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_what_is_trained_without_a_capture_is_the_same(schedule: str) -> None:
    params = {**EVERYTHING, "schedule": schedule, "momentum": 0.9}
    assert_same(trained(Tape(), **params), trained(None, **params))


def test_dense_networks_and_patience_are_captured_too() -> None:
    params = {
        "epochs": 9, "batch_size": 40, "patience": 1, "lr": 0.03, "n_fc": 1, "width": 8,
        **SIZES, "n_train": 400,
    }  # fmt: skip

    def reports(using: capture.Capture | None) -> list[dict[str, float]]:
        return without_time(trainer.train(SPIRALS, params, QuietTrial(), capturing=lambda _: using))

    tape = Tape()
    found = reports(tape)
    assert found == reports(Refusing())
    assert tape.replayed > 0


def test_the_winner_is_trained_again_with_captured_steps_and_is_the_same() -> None:
    params = {"dataset": "digits", "batch_size": 20, "epochs": 3, "lr": 0.05, "dropout": 0.2}
    params |= {**SIZES, "loss": "cross-entropy"}
    *_, last = trainer.train(CONVNET, params, QuietTrial(), capturing=lambda _: Tape())
    tape = Tape()
    found = trainer.test(CONVNET, params, QuietTrial(), last, capturing=lambda _: tape)
    assert found["val_accuracy"] == last["val_accuracy"]
    assert tape.replayed > 0


def test_what_cannot_be_captured_is_said_in_one_line_and_trained_one_by_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refusing = Refusing()
    trained(refusing)
    assert capsys.readouterr().out.splitlines() == [
        "distune: the steps are not captured, but made one by one: "
        "operation not permitted when stream is capturing"
    ]
    assert refusing.freed == 1


def test_a_loss_that_reads_a_number_cannot_be_captured(capsys: pytest.CaptureFixture[str]) -> None:
    def loss(outputs: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
        found = F.cross_entropy(outputs, targets, reduction=reduction)
        return found if found.item() > 0 else found * 2

    workload = workload_of(linear, problems.Problem(loss=loss, metrics=PROBLEM.metrics))
    params = {**SIZES, "epochs": 1, "batch_size": 10}
    tape = Tape()
    (report,) = trainer.train(workload, params, QuietTrial(), capturing=lambda _: tape)
    assert report["steps"] == 13
    assert tape.recorded == tape.replayed == 0
    assert "a number is read" in capsys.readouterr().out


def test_a_training_of_few_steps_is_not_captured() -> None:
    tape = Tape()
    tape.worth = 13
    trained(tape)
    assert tape.recorded == 0
    tape.worth = 12
    trained(tape)
    assert tape.recorded == 1


def test_a_capture_is_freed_when_a_training_is_given_up_in_its_middle() -> None:
    tape = Tape()
    params = {**SIZES, "epochs": 5, "batch_size": 10}
    workload = workload_of(linear, PROBLEM)
    reports = trainer.train(workload, params, QuietTrial(), capturing=lambda _: tape)
    next(reports)
    assert (tape.recorded, tape.freed) == (1, 0)
    reports.close()  # type: ignore[attr-defined]
    assert tape.freed == 1


def test_recording_changes_nothing() -> None:
    weights, seen = torch.ones(3), torch.zeros(3)
    tape = Tape()
    state = torch.get_rng_state()

    def step() -> None:
        seen.copy_(weights.mul_(2) + torch.rand(3))

    replay = tape.record(step)
    assert weights.tolist() == [1, 1, 1]
    assert seen.tolist() == [0, 0, 0]
    assert torch.equal(torch.get_rng_state(), state)
    replay()
    replay()
    assert weights.tolist() == [4, 4, 4]
    torch.set_rng_state(state)
    expected = [2 + torch.rand(3), 4 + torch.rand(3)][1]
    assert torch.equal(seen, expected)


# Learning rates


@pytest.mark.parametrize("total", [2, 3, 10, 101])
@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
def test_the_rates_are_those_of_torchs_own_schedules(schedule: Any, total: int) -> None:
    params = TrainingParams(schedule=schedule, lr=0.3, lr_final=0.01)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    theirs = (
        CosineAnnealingLR(optimizer, T_max=total, eta_min=0.01)
        if schedule == "cosine"
        else OneCycleLR(optimizer, max_lr=0.3, total_steps=total, cycle_momentum=False)
    )
    for step in range(total):
        assert learning_rate(params, step, total) == pytest.approx(
            theirs.get_last_lr()[0], rel=1e-9
        )
        optimizer.step()
        theirs.step()


# How far the host runs ahead


class Device:
    """One that does what it was given when the test says so, or when a host waits for it."""

    def __init__(self) -> None:
        self.given: list[Done] = []
        self.waits = 0

    def mark(self) -> Done:
        self.given.append(Done(self))
        return self.given[-1]


class Done:
    def __init__(self, device: Device) -> None:
        self._device = device
        self.over = False

    def query(self) -> bool:
        return self.over

    def synchronize(self) -> None:
        self._device.waits += 1
        for mark in self._device.given:
            mark.over = True
            if mark is self:
                return


def test_a_host_is_never_more_than_64_steps_ahead_and_waits_for_old_ones_only() -> None:
    gpu = Device()
    ours = pace.Pace(gpu.mark)
    ahead = []
    for issued in range(1, 1001):
        ours.issued(10)
        done = 16 * sum(mark.over for mark in gpu.given)
        ahead.append(issued - done)
    assert max(ahead) < 64
    assert min(ahead[63:]) >= 48  # what it waits for has 48 steps after it
    assert gpu.waits == 1000 // 16 - 3


def test_a_host_whose_device_keeps_up_never_waits_and_knows_what_is_over() -> None:
    gpu = Device()
    ours = pace.Pace(gpu.mark)
    for _ in range(320):
        ours.issued(10)
        for mark in gpu.given[:-1]:
            mark.over = True
    assert gpu.waits == 0
    assert (ours.steps, ours.examples) == (288, 2_880)
    ours.issued(7)
    ours.all_over()
    assert (ours.steps, ours.examples) == (321, 3_207)


def test_on_a_cpu_what_is_issued_is_over() -> None:
    ours = pace.pace_for(torch.device("cpu"))
    with ours.working():
        ours.issued(20)
        ours.issued(7)
        assert (ours.steps, ours.examples) == (2, 27)
    assert capture.capture_for(torch.device("cpu")) is None


def test_progress_tells_of_the_steps_that_are_over_not_of_those_issued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Never:
        def query(self) -> bool:
            return False

        def synchronize(self) -> None: ...

    monkeypatch.setattr(pace, "pace_for", lambda _: pace.Pace(Never))
    monkeypatch.setattr(epochs, "_PROGRESS_EVERY_S", 0.0)
    trial = QuietTrial()
    params = {**SIZES, "n_train": 100, "epochs": 1, "batch_size": 1}
    list(trainer.train(workload_of(linear, PROBLEM), params, trial))
    percent = [round(100 * fraction) for fraction, _ in trial.reported]
    # 100 steps, of which those are known to be over that were marked 48 steps ago.
    assert percent == [0] * 63 + [16] * 16 + [32] * 16 + [48] * 5


# Precision, and what a process keeps


def settings() -> list[str]:
    backends: Any = torch.backends
    return [backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision]


@pytest.mark.parametrize(
    ("precision", "wanted"), [("float32", "ieee"), ("tf32", "tf32"), ("bfloat16", "ieee")]
)
def test_a_gpus_precision_is_set_while_a_trial_trains_and_reset_after_it(
    precision: Any, wanted: str
) -> None:
    before = settings()
    seen = []

    class Looking(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(settings())
            return super().forward(images.flatten(1))

    params = {**SIZES, "epochs": 3, "precision": precision}
    reports = trainer.train(workload_of(lambda: Looking(784, 10), PROBLEM), params, QuietTrial())
    next(reports)
    reports.close()  # type: ignore[attr-defined]
    assert seen
    assert all(one == [wanted, wanted] for one in seen)
    assert settings() == before


def test_the_precision_is_reset_after_a_trial_that_fails() -> None:
    before = settings()

    def fail() -> None:
        with device.float32_precision(True):
            assert settings() == ["tf32", "tf32"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert settings() == before


def test_tf32_on_a_cpu_is_float32() -> None:
    assert_same(trained(None, precision="tf32"), trained(None, precision="float32"))


def test_a_gpus_memory_is_given_back_after_each_trial_and_a_cpu_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given.append("back"))
    executor = executor_module._Executor.__new__(executor_module._Executor)
    for name in ("cpu", "mps", "cuda:1"):
        executor._devices = (name,)
        executor._give_back()
    assert given == ["back"]
