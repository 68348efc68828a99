"""Training in bfloat16: what is rounded and what is not. On one thread, as workers train."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from distune.workloads import problems
from distune.workloads.convnet import CONVNET
from distune.workloads.mnist_cnn import MNIST_CNN, MnistCnnParams
from distune.workloads.spirals import SPIRALS
from distune.workloads.trainer import trainer
from tests.trials import QuietTrial, without_time, workload_of

pytestmark = pytest.mark.usefixtures("one_thread")

DIGITS: dict[str, Any] = {
    "dataset": "digits",
    "n_filters": 4,
    "n_hidden": 32,
    "batch_size": 50,
    "dropout": 0.1,
    "lr": 0.05,
    "epochs": 3,
}
HALF: dict[str, Any] = {**DIGITS, "precision": "bfloat16"}
PROBLEM = problems.classification("cross-entropy", follow_training=False)


class Watched(nn.Module):
    """A linear classifier that notes of which type its layer's output is, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)
        self.seen: set[tuple[bool, torch.dtype]] = set()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1))
        self.seen.add((self.training, logits.dtype))
        return logits


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_layers_compute_in_the_precision_that_is_set_in_training_and_in_evaluation(
    precision: Any, dtype: torch.dtype
) -> None:
    network = Watched()
    params = {"n_train": 200, "epochs": 1, "precision": precision}
    list(trainer.train(workload_of(lambda: network, PROBLEM), params, QuietTrial()))
    assert network.seen == {(True, dtype), (False, dtype)}


def test_weights_losses_and_outputs_are_float32_in_either_precision() -> None:
    network, losses = Watched(), set()

    def loss(outputs: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
        losses.add(outputs.dtype)
        return F.cross_entropy(outputs, targets, reduction=reduction)

    problem = problems.Problem(loss=loss, metrics=PROBLEM.metrics)
    params = {"n_train": 200, "epochs": 1, "precision": "bfloat16"}
    list(trainer.train(workload_of(lambda: network, problem), params, QuietTrial()))
    assert losses == {torch.float32}
    for weights in network.parameters():
        assert weights.dtype == torch.float32
        assert weights.grad is not None
        assert weights.grad.dtype == torch.float32
    # A weight that is a bfloat16 has 16 zero bits at its end: updates are not rounded.
    assert (network.linear.weight.detach().view(torch.int32) & 0xFFFF).any()


def test_digits_are_learnt_about_as_well_as_in_float32() -> None:
    *_, half = trainer.train(MNIST_CNN, HALF, QuietTrial())
    *_, full = trainer.train(MNIST_CNN, DIGITS, QuietTrial())
    assert half["val_accuracy"] == pytest.approx(full["val_accuracy"], abs=0.05)
    assert half["val_loss"] != full["val_loss"]
    assert half["val_accuracy"] > 0.8


def test_a_seed_decides_everything_and_the_winner_is_trained_again_bit_for_bit() -> None:
    first, again = (
        without_time(trainer.train(MNIST_CNN, HALF, QuietTrial(seed=5))) for _ in range(2)
    )
    assert first == again
    found = trainer.test(MNIST_CNN, HALF, QuietTrial(seed=5), first[1])
    assert found["val_accuracy"] == first[1]["val_accuracy"]


def test_networks_with_batch_normalization_and_of_dense_layers_only_train_in_it_too() -> None:
    params = {
        "dataset": "digits",
        "n_conv": 2,
        "n_fc": 1,
        "batch_norm_conv": True,
        "batch_norm_fc": True,
        "dropout": 0.1,
        "loss": "cross-entropy",
        "lr": 0.1,
        "epochs": 1,
        "precision": "bfloat16",
    }
    (report,) = trainer.train(CONVNET, params, QuietTrial())
    assert report["val_accuracy"] > 0.5
    (report,) = trainer.train(SPIRALS, {"precision": "bfloat16", "epochs": 1}, QuietTrial())
    assert 0.4 < report["val_accuracy"] <= 1


def test_another_precision_is_refused() -> None:
    with pytest.raises(ValidationError, match="'float32', 'tf32' or 'bfloat16'"):
        MnistCnnParams.model_validate({"precision": "float16"})


class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts how often a number is read out of a tensor, which waits for the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.read = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.read += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("problem", [PROBLEM, problems.classification("mse")])
def test_no_step_of_an_epoch_waits_for_the_number_of_another(
    precision: Any, problem: problems.Problem
) -> None:
    reads = []
    for batch_size in (300, 30):
        params = {"n_train": 300, "epochs": 1, "batch_size": batch_size, "precision": precision}
        with Counted() as counted:
            list(trainer.train(workload_of(Watched, problem), params, QuietTrial()))
        reads.append(counted.read)
    assert reads[0] == reads[1]  # one step, and ten
