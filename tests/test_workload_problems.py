"""What is minimised and what is reported, against formulas written out and torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from distune.workloads import problems
from distune.workloads.problems import Loss, Problem


def both(loss: Loss, outputs: Tensor, targets: Tensor) -> float:
    """The mean, after a look that the sum is so many times as much."""
    mean = loss(outputs, targets, reduction="mean").item()
    total = loss(outputs, targets, reduction="sum").item()
    assert total == pytest.approx(mean * len(targets), rel=1e-5)
    return mean


def metrics_of(problem: Problem, outputs: Tensor, targets: Tensor) -> dict[str, float]:
    return {name: value.item() for name, value in problem.metrics(outputs, targets).items()}


LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [0.0, 1.0, 0.0], [1.0, math.nan, 0.0]])
LABELS = torch.tensor([0, 1, 1, 1])


def test_cross_entropy_is_that_of_the_softmax() -> None:
    expected = -sum(
        math.log(math.exp(row[label]) / sum(map(math.exp, row)))
        for row, label in zip(LOGITS[:3].tolist(), LABELS[:3].tolist(), strict=True)
    )
    problem = problems.classification("cross-entropy")
    assert both(problem.loss, LOGITS[:3], LABELS[:3]) == pytest.approx(expected / 3)


def test_mean_squared_error_is_of_the_softmax_against_one_and_zeros() -> None:
    errors = []
    for row, label in zip(LOGITS[:3].tolist(), LABELS[:3].tolist(), strict=True):
        shares = [math.exp(x) / sum(map(math.exp, row)) for x in row]
        errors += [(share - (i == label)) ** 2 for i, share in enumerate(shares)]
    problem = problems.classification("mse")
    assert both(problem.loss, LOGITS[:3], LABELS[:3]) == pytest.approx(sum(errors) / 9)


def test_accuracy_counts_right_answers_and_takes_nan_for_a_wrong_one() -> None:
    assert metrics_of(problems.classification("mse"), LOGITS, LABELS) == {"accuracy": 2}


def test_two_classes_are_judged_by_the_sigmoid_of_one_output() -> None:
    outputs = torch.tensor([[2.0], [-1.0], [0.5], [math.nan]])
    labels = torch.tensor([1, 1, 0, 0])
    shares = [1 / (1 + math.exp(-x)) for x in (2.0, -1.0, 0.5)]
    bce = -(math.log(shares[0]) + math.log(shares[1]) + math.log(1 - shares[2])) / 3
    mse = ((1 - shares[0]) ** 2 + (1 - shares[1]) ** 2 + shares[2] ** 2) / 3
    assert both(problems.two_classes("bce").loss, outputs[:3], labels[:3]) == pytest.approx(bce)
    assert both(problems.two_classes("mse").loss, outputs[:3], labels[:3]) == pytest.approx(mse)
    assert metrics_of(problems.two_classes("bce"), outputs, labels) == {"accuracy": 1}


def test_two_classes_may_be_judged_by_the_output_itself() -> None:
    outputs = torch.tensor([[2.0], [0.4], [0.3], [math.nan]])
    labels = torch.tensor([1, 0, 0, 0])
    problem = problems.two_classes("mse-linear")
    assert both(problem.loss, outputs[:3], labels[:3]) == pytest.approx((1 + 0.16 + 0.09) / 3)
    assert metrics_of(problem, outputs, labels) == {"accuracy": 3}


def test_digit_and_colour_are_two_answers_whose_losses_are_added() -> None:
    outputs = torch.randn(200, 15, generator=torch.Generator().manual_seed(1))
    digits, colours = outputs[:, :10].argmax(1), outputs[:, 10:].argmax(1)
    digits[:30] = (digits[:30] + 1) % 10
    colours[20:60] = (colours[20:60] + 1) % 5
    targets = torch.stack([digits, colours], 1)
    problem = problems.digit_and_colour(10)
    assert metrics_of(problem, outputs, targets) == {
        "digit_accuracy": 170,
        "colour_accuracy": 160,
        "both_accuracy": 140,
    }
    expected = F.cross_entropy(outputs[:, :10], digits) + F.cross_entropy(outputs[:, 10:], colours)
    assert both(problem.loss, outputs, targets) == pytest.approx(expected.item(), rel=1e-5)


def test_gaussian_likelihood_is_the_formula_and_torch_s_density() -> None:
    outputs = torch.tensor([[0.3, -2.0], [0.5, 0.0], [-1.0, 3.0]])
    prices = torch.tensor([0.1, 0.7, 4.0])
    by_hand = 0.0
    for (mean, log_variance), y in zip(outputs.tolist(), prices.tolist(), strict=True):
        s2 = math.exp(log_variance)
        by_hand += math.log(2 * math.pi * s2) / 2 + (y - mean) ** 2 / (2 * s2)
    found = both(problems.regression("gaussian").loss, outputs, prices)
    assert found == pytest.approx(by_hand / 3)
    known = F.gaussian_nll_loss(outputs[:, 0], prices, outputs[:, 1].exp(), full=True)
    assert found == pytest.approx(known.item())


def test_regression_tells_the_squared_error_whatever_is_minimised() -> None:
    outputs, prices = torch.tensor([[0.3, -2.0], [0.5, 0.0]]), torch.tensor([0.1, 0.7])
    assert both(problems.regression("mse").loss, outputs, prices) == pytest.approx(0.04)
    for problem in (problems.regression("mse"), problems.regression("gaussian")):
        assert metrics_of(problem, outputs, prices) == pytest.approx({"mse": 0.08})
