"""The network and the training loop, on real handwriting (digits) and one thread."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from distune.errors import UserError
from distune.study.figures import Confusion, Pictures
from distune.workloads import mnist_cnn, problems
from distune.workloads.data import digits as digits_data
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.loading import Split, Splits, load
from distune.workloads.mnist_cnn import MNIST_CNN, MnistCnnParams
from distune.workloads.trainer import trainer
from distune.workloads.trainer.network import evaluate
from distune.workloads.trainer.optimizers import learning_rate
from distune.workloads.workload import Recipe
from tests.trials import QuietTrial, Ticking, figures_in, without_time, workload_of

pytestmark = pytest.mark.usefixtures("one_thread")


PROBLEM = problems.classification("cross-entropy", follow_training=False)
DIGITS: dict[str, Any] = {"dataset": "digits", "n_filters": 4, "n_hidden": 32, "batch_size": 50}


train = partial(trainer.train, MNIST_CNN)
on_test_set = partial(trainer.test, MNIST_CNN)


def network(n_filters: int, n_hidden: int, dropout: float) -> nn.Sequential:
    return mnist_cnn.network(
        MnistCnnParams(n_filters=n_filters, n_hidden=n_hidden, dropout=dropout)
    )


def digits(**sizes: int) -> Splits:
    wanted = [sizes.get(name) for name in ("n_train", "n_validation", "n_test")]
    return load(digits_data.DIGITS, DataFolders.of(), "cpu", *wanted)


def random_split(n: int) -> Split:
    return Split(torch.rand(n, 1, 28, 28), torch.arange(n) % 10)


# The network


@pytest.mark.parametrize("n", [1, 2, 10, 32, 55, 100, 256])
def test_the_network_has_as_many_parameters_as_the_formula_says(n: int) -> None:
    model = network(n, 256, 0.5)
    assert sum(p.numel() for p in model.parameters()) == 25 * n**2 + 4123 * n + 2826


def test_the_network_computes_what_the_lab_describes() -> None:
    model = network(6, 32, 0.5).eval()
    for bias in (p for p in model.parameters() if p.dim() == 1):
        nn.init.normal_(bias)
    w1, b1, w2, b2, w3, b3, w4, b4 = model.parameters()
    images = torch.rand(3, 1, 28, 28)
    hidden = F.max_pool2d(F.relu(F.conv2d(images, w1, b1)), 2)
    hidden = F.max_pool2d(F.relu(F.conv2d(hidden, w2, b2)), 2)
    expected = F.linear(F.relu(F.linear(hidden.flatten(1), w3, b3)), w4, b4)
    torch.testing.assert_close(model(images), expected)


def test_in_training_each_dense_layer_sees_its_input_dropped_out() -> None:
    model = network(6, 4000, 0.25)
    dropped: list[float] = []
    for layer in model:
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(
                lambda _, given, out: dropped.append(
                    1 - (out.count_nonzero() / given[0].count_nonzero()).item()
                )
            )
    model(torch.rand(40, 1, 28, 28))
    assert dropped == pytest.approx([0.25, 0.25], abs=0.05)


def test_weights_are_glorot_uniform_and_biases_zero() -> None:
    model = network(32, 256, 0.5)
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            area = 25 if isinstance(layer, nn.Conv2d) else 1
            bound = math.sqrt(6 / (area * (layer.weight.shape[0] + layer.weight.shape[1])))
            assert 0.98 * bound < layer.weight.abs().max().item() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
            assert layer.bias is not None
            assert not layer.bias.any()


# What a training yields


def test_each_epoch_yields_how_it_went() -> None:
    params = {**DIGITS, "n_train": 230, "epochs": 3}
    reports = list(train(params, QuietTrial()))
    assert [report["epoch"] for report in reports] == [1, 2, 3]
    assert [report["steps"] for report in reports] == [5, 10, 15]  # four of 50 and one of 30
    assert reports[0].keys() == {
        "epoch",
        "steps",
        "train_loss",
        "val_loss",
        "val_accuracy",
        "seconds",
        "parameters",
    }
    assert all(type(value) is float for report in reports for value in report.values())
    assert 0 < reports[0]["seconds"] < reports[1]["seconds"] < reports[2]["seconds"]
    assert reports[2]["train_loss"] < reports[0]["train_loss"]


def test_a_seed_decides_everything_whatever_ran_before() -> None:
    params = {**DIGITS, "n_train": 200, "epochs": 2}
    first = without_time(train(params, QuietTrial(seed=7)))
    other = without_time(train({**params, "dropout": 0.1}, QuietTrial(seed=8)))
    again = without_time(train(params, QuietTrial(seed=7)))
    another_seed = without_time(train(params, QuietTrial(seed=8)))
    assert again == first
    assert first[0]["train_loss"] not in (other[0]["train_loss"], another_seed[0]["train_loss"])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize(
    ("optimizer", "lr"), [("sgd", 0.05), ("adam", 0.005), ("adamw", 0.005), ("rmsprop", 0.001)]
)
def test_every_optimizer_and_schedule_learns_digits(
    optimizer: str, lr: float, schedule: str
) -> None:
    params = {**DIGITS, "optimizer": optimizer, "lr": lr, "schedule": schedule, "epochs": 3}
    *_, last = train({**params, "dropout": 0.1}, QuietTrial())
    assert last["val_accuracy"] > 0.6


@pytest.mark.skipif("DISTUNE_DATA" not in os.environ, reason="DISTUNE_DATA is not set")
def test_real_mnist_is_learnt_in_an_epoch_of_a_few_thousand_images() -> None:
    params = {"n_train": 4_000, "n_validation": 1_000, "n_filters": 16, "batch_size": 50}
    (report,) = train({**params, "lr": 0.02, "dropout": 0.2, "epochs": 1}, QuietTrial())
    assert report["val_accuracy"] > 0.85


def rate(schedule: str, step: int, steps: int) -> float:
    """The learning rate as a share of the one given (Loshchilov & Hutter; Smith & Topin)."""
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return (1 + math.cos(math.pi * step / steps)) / 2
    peak, low, final = 0.3 * steps - 1, 1 / 25, 1 / 25 / 1e4
    if step <= peak:
        return 1 + (low - 1) * (1 + math.cos(math.pi * step / peak)) / 2
    return final + (1 - final) * (1 + math.cos(math.pi * (step - peak) / (steps - 1 - peak))) / 2


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_sgd_makes_the_steps_of_the_textbook(schedule: str) -> None:
    epochs, lr, momentum, decay = 10, 0.05, 0.8, 0.01
    params = {
        **DIGITS,
        "n_train": 50,  # one batch an epoch: the order in it does not matter
        "epochs": epochs,
        "dropout": 0,
        "lr": lr,
        "momentum": momentum,
        "weight_decay": decay,
        "schedule": schedule,
    }
    reports = list(train(params, QuietTrial(seed=3)))

    torch.manual_seed(3)
    model = network(4, 32, 0)
    known = digits(n_train=50)
    velocities = [torch.zeros_like(weights) for weights in model.parameters()]
    for step in range(epochs):
        loss = F.cross_entropy(model(known.train.inputs), known.train.targets)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        assert reports[step]["train_loss"] == pytest.approx(loss.item(), rel=1e-3)
        with torch.no_grad():
            for weights, velocity, gradient in zip(
                model.parameters(), velocities, gradients, strict=True
            ):
                velocity.mul_(momentum).add_(gradient + decay * weights)
                weights.sub_(lr * rate(schedule, step, epochs) * velocity)
        logits = model(known.validation.inputs)
        expected = F.cross_entropy(logits, known.validation.targets).item()
        assert reports[step]["val_loss"] == pytest.approx(expected, rel=1e-3)


def steps_by_hand(
    params: dict[str, Any],
    gradient_of: Callable[[Sequence[Tensor], Sequence[Tensor]], list[Tensor]],
) -> tuple[list[dict[str, float]], list[float]]:
    """What is reported of plain SGD on one batch an epoch, and the losses when done by hand
    with other gradients.
    """
    plain = {**DIGITS, "n_train": 50, "epochs": 5, "dropout": 0, "lr": 0.1, "momentum": 0.0}
    reports = list(train({**plain, **params}, QuietTrial(seed=3)))
    torch.manual_seed(3)
    model = network(4, 32, 0)
    known = digits(n_train=50)
    losses = []
    for _ in range(5):
        loss = F.cross_entropy(model(known.train.inputs), known.train.targets)
        losses.append(loss.item())
        weights = list(model.parameters())
        gradients = gradient_of(weights, list(torch.autograd.grad(loss, weights)))
        with torch.no_grad():
            for one, gradient in zip(weights, gradients, strict=True):
                one.sub_(0.1 * gradient)
    return reports, losses


def test_l1_pulls_every_weight_towards_zero_but_is_not_in_the_reported_loss() -> None:
    reports, losses = steps_by_hand(
        {"l1": 0.01}, lambda ws, gs: [g + 0.01 * w.sign() for w, g in zip(ws, gs, strict=True)]
    )
    assert [report["train_loss"] for report in reports] == pytest.approx(losses, rel=1e-3)


def test_only_dense_layers_are_regularised_if_that_is_wanted() -> None:
    def pulled(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        dense = [g + 0.01 * w.sign() + 0.3 * w for w, g in zip(weights, gradients, strict=True)]
        return [*gradients[:4], *dense[4:]]  # two convolutions, then two dense layers

    params = {"l1": 0.01, "weight_decay": 0.3, "regularise": "dense"}
    reports, losses = steps_by_hand(params, pulled)
    assert [report["train_loss"] for report in reports] == pytest.approx(losses, rel=1e-3)


def test_a_gradient_longer_than_allowed_is_shortened() -> None:
    lengths = []

    def clipped(_: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        length = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        lengths.append(length)
        return [g * min(1.0, 0.23 / length) for g in gradients]

    reports, losses = steps_by_hand({"clip_norm": 0.23}, clipped)
    assert [report["train_loss"] for report in reports] == pytest.approx(losses, rel=1e-3)
    assert min(lengths) < 0.23 < max(lengths)


def test_a_cosine_ends_at_the_final_rate() -> None:
    params = MnistCnnParams(schedule="cosine", lr=0.3, lr_final=0.1)
    rates = [learning_rate(params, step, total_steps=4) for step in range(5)]
    assert rates == pytest.approx([0.1 + 0.1 * (1 + math.cos(math.pi * i / 4)) for i in range(5)])


@pytest.mark.parametrize(
    ("n_train", "batch_size", "steps"), [(500, 50, 9), (230, 50, 4), (50, 50, 1), (30, 50, 1)]
)
def test_the_last_batch_of_each_epoch_can_be_left_out_unless_it_is_the_only_one(
    n_train: int, batch_size: int, steps: int
) -> None:
    params = {**DIGITS, "n_train": n_train, "batch_size": batch_size, "epochs": 2}
    trial = QuietTrial()
    reports = list(train({**params, "skip_last_batch": True}, trial))
    assert [(report["epoch"], report["steps"]) for report in reports] == [
        (1, steps),
        (2, 2 * steps),
    ]


def test_an_epoch_without_its_last_batch_is_told_of_as_a_whole() -> None:
    params = {**DIGITS, "n_train": 70, "lr": 1e-12, "dropout": 0, "skip_last_batch": True}
    (report,) = train({**params, "epochs": 1}, QuietTrial(seed=3))
    chosen = torch.randperm(70, generator=torch.Generator().manual_seed(3))[:50]
    torch.manual_seed(3)
    model, known = network(4, 32, 0), digits(n_train=70).train
    loss = F.cross_entropy(model(known.inputs[chosen]), known.targets[chosen])
    assert report["train_loss"] == pytest.approx(loss.item(), rel=1e-4)


# How a training ends


def test_a_training_ends_when_patience_does() -> None:
    params = {**DIGITS, "n_train": 50, "epochs": 50, "patience": 3, "lr": 1e-12}
    accuracies = [report["val_accuracy"] for report in train(params, QuietTrial())]
    assert len(set(accuracies)) == 1
    assert len(accuracies) == 1 + 3  # the first is the best


def test_patience_begins_anew_with_each_better_epoch() -> None:
    params = {**DIGITS, "n_train": 300, "epochs": 60, "patience": 4, "lr": 0.02}
    accuracies = [report["val_accuracy"] for report in train(params, QuietTrial())]
    best = max(range(len(accuracies)), key=lambda i: (accuracies[i], -i))
    assert 4 < best < len(accuracies) - 1
    assert len(accuracies) == best + 1 + 4


def test_a_training_ends_within_an_epoch_when_its_time_is_over() -> None:
    params = {**DIGITS, "n_train": 500, "epochs": 9}
    reports = list(train(params, QuietTrial(max_seconds=1.45), clock=Ticking()))
    # The clock is read at each of the ten steps of an epoch, and once when it ends.
    assert [report["epoch"] for report in reports] == [1, 1.4]
    assert [report["steps"] for report in reports] == [10, 14]
    assert reports[-1]["seconds"] == pytest.approx(1.6)
    assert reports[-1]["val_accuracy"] > 0


def test_no_second_report_is_made_when_the_time_ends_with_the_epoch() -> None:
    params = {**DIGITS, "n_train": 500, "epochs": 9}
    reports = list(train(params, QuietTrial(max_seconds=0.95), clock=Ticking()))
    assert [report["epoch"] for report in reports] == [1]


def test_however_little_time_there_is_a_step_is_made() -> None:
    params = {**DIGITS, "n_train": 500}
    reports = list(train(params, QuietTrial(max_seconds=1e-9)))
    assert [(report["epoch"], report["steps"]) for report in reports] == [(0.1, 1)]


def test_what_happens_between_two_epochs_is_no_training_time() -> None:
    clock = Ticking()
    params = {**DIGITS, "n_train": 50, "epochs": 3}
    trial = QuietTrial(max_seconds=100)
    seconds = []
    for report in train(params, trial, clock=clock):
        seconds.append(report["seconds"])
        clock.now += 1_000
    assert seconds == pytest.approx([0.2, 0.4, 0.6])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_diverging_is_a_result_that_ends_the_training(optimizer: str) -> None:
    params = {**DIGITS, "n_train": 200, "optimizer": optimizer, "lr": 1e30, "momentum": 0.9}
    reports = list(train(params, QuietTrial()))
    assert [report["epoch"] for report in reports] == [1]
    assert not math.isfinite(reports[0]["train_loss"])
    assert 0 <= reports[0]["val_accuracy"] < 0.2


def test_an_answer_with_nan_in_it_is_wrong() -> None:
    class Answers(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits = torch.zeros(len(images), 10)
            logits[:, 0] = torch.where(images[:, 0, 0, 0] > 0, math.nan, 1.0)
            return logits

    images = torch.zeros(250, 1, 28, 28)
    images[:50] = 1
    found = evaluate(Answers(), Split(images, torch.zeros(250).long()), PROBLEM)
    assert found["accuracy"] == 0.8
    assert math.isnan(found["loss"])


def test_evaluation_counts_every_image_once() -> None:
    split = random_split(1_234)
    model = network(2, 8, 0.5)
    found = evaluate(model, split, PROBLEM)
    logits = model.eval()(split.inputs)
    assert found["loss"] == pytest.approx(F.cross_entropy(logits, split.targets).item(), rel=1e-5)
    assert found["accuracy"] == (logits.argmax(1) == split.targets).sum().item() / 1_234


# The order of the images


class Recorder(nn.Module):
    """A linear classifier that keeps the first pixel of each image it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)
        self.seen: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen += images[:, 0, 0, 0].tolist()
        logits: Tensor = self.linear(images.flatten(1))
        return logits


def test_the_training_loss_is_the_mean_over_images_not_over_batches() -> None:
    everything = Splits(random_split(70), random_split(5), random_split(5))
    recorder = Recorder()
    params = {"batch_size": 32, "epochs": 1, "lr": 1e-12}
    workload = workload_of(lambda: recorder, PROBLEM, splits=everything)
    (report,) = trainer.train(workload, params, QuietTrial())
    found = evaluate(recorder, everything.train, PROBLEM)
    assert report["train_loss"] == pytest.approx(found["loss"], rel=1e-5)


def seen_by_epoch(seed: int) -> list[list[float]]:
    numbered = random_split(70)
    numbered.inputs[:, 0, 0, 0] = torch.arange(70.0)
    recorder = Recorder()
    params = {"batch_size": 32, "epochs": 3, "lr": 1e-6}
    everything = Splits(numbered, random_split(5), random_split(5))
    workload = workload_of(lambda: recorder, PROBLEM, splits=everything)
    list(trainer.train(workload, params, QuietTrial(seed=seed)))
    return [recorder.seen[i : i + 70] for i in range(0, len(recorder.seen), 70)]


def test_every_epoch_shows_each_image_once_in_a_new_order_that_the_seed_decides() -> None:
    epochs = seen_by_epoch(seed=1)
    assert [sorted(epoch) for epoch in epochs] == [list(range(70))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert seen_by_epoch(seed=1) == epochs
    assert seen_by_epoch(seed=2)[0] != epochs[0]


# Progress


def test_progress_is_told_a_few_times_a_second_with_speed_and_share() -> None:
    params = {**DIGITS, "n_train": 500, "epochs": 2}
    trial = QuietTrial()
    list(train(params, trial, clock=Ticking()))
    # A step of 50 images takes 0.1 s, so it is reported at every third.
    fractions = [fraction for fraction, _ in trial.reported]
    assert fractions[:3] == pytest.approx([0.15, 0.3, 0.45])
    assert [speed for _, speed in trial.reported[:3]] == pytest.approx([500, 500, 500])
    assert len(fractions) == 7
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1


def test_the_share_that_is_over_is_that_of_the_time_if_this_is_more() -> None:
    params = {**DIGITS, "n_train": 500, "epochs": 1_000}
    trial = QuietTrial(max_seconds=0.6)
    list(train(params, trial, clock=Ticking()))
    assert [fraction for fraction, _ in trial.reported] == pytest.approx([0.5, 1.0], abs=1e-6)


# The final test


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
@pytest.mark.parametrize("cut_short", [False, True])
def test_the_winner_is_trained_again_bit_for_bit(schedule: str, cut_short: bool) -> None:
    made: list[nn.Module] = []

    def kept(params: MnistCnnParams) -> Recipe:
        def build() -> nn.Module:
            made.append(mnist_cnn.network(params))
            return made[-1]

        return replace(mnist_cnn.recipe(params), network=build)

    workload = replace(MNIST_CNN, recipe=kept)
    params = {**DIGITS, "n_train": 330, "epochs": 4, "schedule": schedule}
    trial = QuietTrial(seed=5, max_seconds=1.25 if cut_short else None)
    best = list(islice(trainer.train(workload, params, trial, clock=Ticking()), 2))[-1]
    assert best["epoch"] == (1 + 250 / 330 if cut_short else 2)

    # The limit of time is no business of the test's, which may run on a busier machine.
    hurried = QuietTrial(seed=5, max_seconds=1e-9)
    result = trainer.test(workload, params, hurried, best)
    for weights, again in zip(made[0].parameters(), made[1].parameters(), strict=True):
        assert torch.equal(weights, again)
    assert result["val_accuracy"] == best["val_accuracy"]
    found = evaluate(made[0], digits(n_train=330).test, PROBLEM)
    assert {name: result[f"test_{name}"] for name in found} == found


def test_the_test_of_a_winner_gives_the_accuracy_it_won_with() -> None:
    params = {**DIGITS, "epochs": 5, "lr": 0.05, "dropout": 0.1, "n_test": 200}
    best = max(train(params, QuietTrial(seed=2)), key=lambda report: report["val_accuracy"])
    result = on_test_set(params, QuietTrial(seed=2), best)
    assert result.keys() == {"test_accuracy", "test_loss", "val_accuracy"}
    assert result["val_accuracy"] == best["val_accuracy"]
    assert result["test_accuracy"] > 0.5


def test_training_never_looks_at_the_test_set() -> None:
    known = digits(n_train=100, n_validation=50)
    poisoned = Splits(known.train, known.validation, Split(torch.zeros(1), torch.zeros(9)))
    params = {**DIGITS, "n_train": 100, "n_validation": 50, "epochs": 1}
    expected = without_time(train(params, QuietTrial()))

    def prepared(params: MnistCnnParams) -> Recipe:
        return replace(mnist_cnn.recipe(params), prepare=lambda data: poisoned)

    workload = replace(MNIST_CNN, recipe=prepared)
    assert without_time(trainer.train(workload, params, QuietTrial())) == expected


def test_the_test_of_a_winner_leaves_its_confusion_matrix_and_its_mistakes(tmp_path: Path) -> None:
    params = {**DIGITS, "epochs": 2, "n_test": 200}
    trial = QuietTrial(seed=2, dir=tmp_path)
    *_, last = train(params, trial)
    result = on_test_set(params, trial, last)
    confusion, mistakes = figures_in(tmp_path)
    assert isinstance(confusion, Confusion)
    assert isinstance(mistakes, Pictures)
    right = sum(confusion.counts[i][i] for i in range(10))
    assert right / 200 == result["test_accuracy"] < 1
    expected = torch.bincount(digits(n_test=200).test.targets, minlength=10).tolist()
    assert [sum(row) for row in confusion.counts] == expected
    assert len(mistakes.pictures) == min(40, 200 - right)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.json", "weights.pt"]


def test_a_folder_that_takes_no_figures_does_not_cost_the_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    params = {**DIGITS, "epochs": 1, "n_train": 100}
    *_, last = train(params, QuietTrial())
    assert on_test_set(params, QuietTrial(), last)["val_accuracy"] == last["val_accuracy"]
    weights, figures = capsys.readouterr().out.splitlines()
    assert weights.startswith("distune: the weights could not be kept: ")
    assert figures.startswith("distune: the figures could not be kept: ")


# Mistakes


def test_a_hyperparameter_it_does_not_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="learning_rate"):
        next(train({"learning_rate": 0.1}, QuietTrial()))


def test_more_training_images_than_digits_has_is_refused() -> None:
    with pytest.raises(UserError, match="digits has 1,200 train images"):
        next(train({**DIGITS, "n_train": 5_000}, QuietTrial()))
