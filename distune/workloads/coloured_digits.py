"""Workload `coloured-digits`: which digit, and in which colour, by one network or by two."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from distune.workloads import hyperparameters as hyper
from distune.workloads.data.usps import COLOURED_USPS, COLOURS, USPS
from distune.workloads.workload import Recipe, Workload

if TYPE_CHECKING:
    from torch import nn

    from distune.study.figures import Figure
    from distune.workloads.data.loading import Splits
    from distune.workloads.workload import Predict

_DIGITS = USPS.classes


class ColouredDigitsParams(hyper.ConvParams):
    """Workload `coloured-digits`.

    Attributes:
        trunk: whether the digit and the colour are read off one network, or each off a
            network of its own.
    """

    trunk: Literal["shared", "separate"] = "shared"
    n_conv: hyper.FewLayers = 3
    kernel: hyper.PerLayer = "5-3-3"
    padding: hyper.Padding = "same"
    optimizer: hyper.Optimizer = "adam"
    lr: hyper.Positive = 1e-3
    lr_final: hyper.NotNegative = 1e-5
    schedule: hyper.Schedule = "cosine"
    batch_size: hyper.Count = 64
    epochs: hyper.Count = 20


def network(params: ColouredDigitsParams) -> nn.Module:
    """N x 3 x 16 x 16 images to N x 15: ten logits for the digit, then five for the colour.

    With a shared trunk only the last dense layer is of two halves.
    """
    from distune.workloads.layers import SideBySide, conv_network

    shape = COLOURED_USPS.shape
    assert shape is not None
    if params.trunk == "shared":
        return conv_network(params, shape, len(_DIGITS) + len(COLOURS))
    return SideBySide(*(conv_network(params, shape, len(names)) for names in (_DIGITS, COLOURS)))


def figures(data: Splits, predict: Predict) -> list[Figure]:
    """What was taken for what, of digits and of colours, and mistakes in either."""
    from distune.workloads.drawing import confusion, mistakes

    outputs, targets = predict(data.test.inputs), data.test.targets.cpu()
    digit, colour = outputs[:, : len(_DIGITS)], outputs[:, len(_DIGITS) :]
    # Every pair is a class of its own, as likely as digit and colour together.
    pair = digit.log_softmax(1)[:, :, None] + colour.log_softmax(1)[:, None, :]
    return [
        confusion(digit, targets[:, 0], _DIGITS, "Confusion matrix of the digits"),
        confusion(colour, targets[:, 1], COLOURS, "Confusion matrix of the colours"),
        mistakes(
            data.test.inputs.cpu(),
            pair.flatten(1),
            targets[:, 0] * len(COLOURS) + targets[:, 1],
            [f"{colour} {digit}" for digit in _DIGITS for colour in COLOURS],
        ),
    ]


def recipe(params: ColouredDigitsParams) -> Recipe:
    from distune.workloads.problems import digit_and_colour

    return Recipe(partial(network, params), digit_and_colour(len(_DIGITS)), figures)


COLOURED_DIGITS = Workload(
    name="coloured-digits",
    summary="digit and colour of USPS images in five colours, by one network or two",
    hyperparameters=ColouredDigitsParams,
    recipe=recipe,
    metric="val_both_accuracy",
    reports=(
        *("val_both_accuracy", "val_digit_accuracy", "val_colour_accuracy", "val_loss"),
        *("train_both_accuracy", "train_digit_accuracy", "train_colour_accuracy", "train_loss"),
        "seconds",
    ),
    data=COLOURED_USPS,
    convolutions=True,
)
