"""Workload `coloured-digits`: which digit, and in which colour, by one network or by two."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from distune.workloads import hyperparameters as hyper
from distune.workloads.data.coloured import COLOURS, coloured
from distune.workloads.workload import Recipe, Workload

if TYPE_CHECKING:
    from torch import nn

    from distune.study.figures import Figure
    from distune.workloads.data.loading import Splits
    from distune.workloads.workload import Predict

_DIGITS = tuple("0123456789")


class ColouredDigitsParams(hyper.ConvParams):
    """Workload `coloured-digits`; its defaults are the best of the report on coloured digits:
    MNIST, a network each for the digit and the colour, pixels from 0 to 255, no momentum. The
    number of filters is ours: the report names none.

    Attributes:
        dataset: whose digits.
        n_colours: how many of red, green, blue, yellow, magenta, cyan, white, in this order. The
            report's networks knew all seven, but its data was drawn in six.
        trunk: whether the digit and the colour are read off one network, or each off a
            network of its own.
    """

    dataset: Literal["mnist", "usps"] = "mnist"
    n_colours: Annotated[int, Field(ge=1, le=len(COLOURS))] = 6
    trunk: Literal["shared", "separate"] = "separate"
    n_conv: hyper.FewLayers = 3
    kernel: hyper.PerLayer = "5-3-3"
    padding: hyper.Padding = "same"
    pixel_scale: hyper.Positive = 256.0
    optimizer: hyper.Optimizer = "adam"
    lr: hyper.Positive = 1e-3
    lr_final: hyper.NotNegative = 1e-5
    momentum: hyper.Momentum = 0.0
    schedule: hyper.Schedule = "cosine"
    batch_size: hyper.Count = 64
    epochs: hyper.Count = 10


def network(params: ColouredDigitsParams) -> nn.Module:
    """N images to N x (10 + colours): ten logits for the digit, then one for each colour.

    With a shared trunk only the last dense layer is of two halves.
    """
    from distune.workloads.layers import SideBySide, conv_network

    shape = coloured(params.dataset, params.n_colours).shape
    assert shape is not None
    n_out = len(_DIGITS), params.n_colours
    if params.trunk == "shared":
        return conv_network(params, shape, sum(n_out))
    return SideBySide(*(conv_network(params, shape, n) for n in n_out))


def figures(n_colours: int, data: Splits, predict: Predict) -> list[Figure]:
    """What was taken for what, of digits and of colours, and mistakes in either."""
    from distune.workloads.drawing import confusion, mistakes

    colours = COLOURS[:n_colours]
    outputs, targets = predict(data.test.inputs), data.test.targets.cpu()
    digit, colour = outputs[:, : len(_DIGITS)], outputs[:, len(_DIGITS) :]
    # Every pair is a class of its own, as likely as digit and colour together.
    pair = digit.log_softmax(1)[:, :, None] + colour.log_softmax(1)[:, None, :]
    return [
        confusion(digit, targets[:, 0], _DIGITS, "Confusion matrix of the digits"),
        confusion(colour, targets[:, 1], colours, "Confusion matrix of the colours"),
        mistakes(
            data.test.inputs.cpu(),
            pair.flatten(1),
            targets[:, 0] * n_colours + targets[:, 1],
            [f"{name} {digit}" for digit in _DIGITS for name in colours],
        ),
    ]


def recipe(params: ColouredDigitsParams) -> Recipe:
    from distune.workloads.problems import digit_and_colour

    return Recipe(
        network=partial(network, params),
        problem=digit_and_colour(len(_DIGITS)),
        figures=partial(figures, params.n_colours),
    )


COLOURED_DIGITS = Workload(
    name="coloured-digits",
    summary="digit and colour of MNIST or USPS in up to seven colours, by one network or two",
    hyperparameters=ColouredDigitsParams,
    recipe=recipe,
    metric="val_both_accuracy",
    reports=(
        *("val_both_accuracy", "val_digit_accuracy", "val_colour_accuracy", "val_loss"),
        *("train_both_accuracy", "train_digit_accuracy", "train_colour_accuracy", "train_loss"),
        "seconds",
    ),
    data=coloured,
    data_by=("dataset", "n_colours"),
    convolutions=True,
)
