"""Kinds of problems: how a network's answer is judged, in training and afterwards."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Loss(Protocol):
    """What is minimised, of a network's outputs and the targets of the same N examples."""

    def __call__(self, outputs: Tensor, targets: Tensor, /, *, reduction: str) -> Tensor:
        """Mean or sum over the examples; a scalar."""


@dataclass(frozen=True)
class Problem:
    """How a network's outputs are judged.

    Attributes:
        loss: what is minimised.
        metrics: what else is reported of N outputs and targets: for each name the sum over the
            examples, a scalar tensor.
        follow_training: whether they are reported of the training batches, too, as they were
            when each was trained on.
    """

    loss: Loss
    metrics: Callable[[Tensor, Tensor], dict[str, Tensor]]
    follow_training: bool = True


def classification(
    loss: Literal["cross-entropy", "mse"], *, follow_training: bool = True
) -> Problem:
    """One of C classes: outputs are logits, N x C; targets are int64, N.

    The loss is the cross-entropy of the softmax (nats), or `one_hot_mse`; `accuracy` is the
    share of right answers.
    """
    return Problem(
        loss=F.cross_entropy if loss == "cross-entropy" else one_hot_mse,
        metrics=lambda logits, labels: {"accuracy": right(logits, labels).sum()},
        follow_training=follow_training,
    )


TwoClassLoss = Literal["bce", "mse", "mse-linear"]


def two_classes(loss: TwoClassLoss) -> Problem:
    """Class 0 or 1: an output, N x 1, is the logit of class 1, or with `mse-linear` the class
    itself; targets are int64, N.

    The loss is the binary cross-entropy (nats), or the mean squared error of the `score` against
    the class; `accuracy` is as in `classification`.
    """
    middle = 0.5 if loss == "mse-linear" else 0.0

    def judged(outputs: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
        found, wanted = outputs[:, 0], targets.to(outputs.dtype)
        if loss == "bce":
            return F.binary_cross_entropy_with_logits(found, wanted, reduction=reduction)
        return F.mse_loss(score(loss)(found), wanted, reduction=reduction)

    def metrics(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        found = outputs[:, 0]
        return {"accuracy": (((found > middle) == (targets > 0)) & ~found.isnan()).sum()}

    return Problem(loss=judged, metrics=metrics)


def score(loss: TwoClassLoss) -> Callable[[Tensor], Tensor]:
    """Of outputs: about 0 for class 0, 1 for class 1, and 0.5 in the middle."""
    return (lambda outputs: outputs) if loss == "mse-linear" else torch.sigmoid


def digit_and_colour(n_digits: int) -> Problem:
    """Two questions at once: the first outputs are the logits of the digit, the others those
    of the colour; targets are int64, N x 2.

    The loss is the sum of both cross-entropies (nats). The metrics are `digit_accuracy`,
    `colour_accuracy`, and `both_accuracy`, the share of examples in which both are right.
    """

    def loss(outputs: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
        digit = F.cross_entropy(outputs[:, :n_digits], targets[:, 0], reduction=reduction)
        return digit + F.cross_entropy(outputs[:, n_digits:], targets[:, 1], reduction=reduction)

    def metrics(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        digit = right(outputs[:, :n_digits], targets[:, 0])
        colour = right(outputs[:, n_digits:], targets[:, 1])
        return {
            "digit_accuracy": digit.sum(),
            "colour_accuracy": colour.sum(),
            "both_accuracy": (digit & colour).sum(),
        }

    return Problem(loss=loss, metrics=metrics)


def regression(loss: Literal["mse", "gaussian"]) -> Problem:
    """A number: the first output predicts it; targets are float32, N.

    The loss is the mean squared error, or `gaussian_nll` of the first output as mean and the
    second as log-variance; `mse` is reported of both.
    """

    def mse(outputs: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
        return F.mse_loss(outputs[:, 0], targets, reduction=reduction)

    return Problem(
        loss=mse if loss == "mse" else gaussian_nll,
        metrics=lambda outputs, targets: {"mse": mse(outputs, targets, reduction="sum")},
    )


def one_hot_mse(outputs: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
    """Squared error of the softmax of N x C logits against 1 for the right class and 0 for
    the others, mean over the classes; mean or sum over the examples.
    """
    # Not `one_hot`, which reads the labels' range, and on a GPU would wait for it.
    wanted = torch.zeros_like(outputs).scatter_(1, targets[:, None], 1.0)
    errors = F.mse_loss(outputs.softmax(1), wanted, reduction=reduction)
    return errors if reduction == "mean" else errors / outputs.shape[1]


def gaussian_nll(outputs: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
    """Negative log-likelihood (nats) of a Gaussian with mean mu and variance s^2:
    log(2 pi s^2) / 2 + (y - mu)^2 / (2 s^2), mean or sum over the examples.

    The outputs, N x 2, are mu and log s^2: any number is the logarithm of a variance.
    """
    mean, log_variance = outputs.unbind(1)
    squares = (targets - mean).square() * torch.exp(-log_variance)
    each = (math.log(2 * math.pi) + log_variance + squares) / 2
    return each.mean() if reduction == "mean" else each.sum()


def right(logits: Tensor, labels: Tensor) -> Tensor:
    """Which of N x C logits are highest at their label: bool, N.

    An answer with a NaN in it is wrong; `argmax` alone would take it for a class.
    """
    return (logits.argmax(1) == labels) & ~logits.isnan().any(1)
