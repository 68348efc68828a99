"""Workload `coloured-digits`: which digit, and in which colour, by one network or by two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from distune.study.figures import Figure
from distune.workloads import tasks, trainer
from distune.workloads.data.coloured_usps import COLOURED_USPS, COLOURS
from distune.workloads.data.loading import Splits
from distune.workloads.data.usps import USPS
from distune.workloads.drawing import Predict, confusion, mistakes
from distune.workloads.hyperparameters import ColouredDigitsParams
from distune.workloads.layers import conv_network
from distune.workloads.tasks import N_DIGITS

_DIGITS = USPS.classes


def network(params: ColouredDigitsParams) -> nn.Module:
    """N x 3 x 16 x 16 images to N x 15: ten logits for the digit, then five for the colour.

    With a shared trunk only the last dense layer is of two parts.

    Raises:
        UserError: it cannot be built; names the layer and the sizes.
    """
    shape = COLOURED_USPS.shape
    assert shape is not None
    if params.trunk == "shared":
        return conv_network(params, shape, len(_DIGITS) + len(COLOURS))
    return SideBySide(*(conv_network(params, shape, len(names)) for names in (_DIGITS, COLOURS)))


class SideBySide(nn.Module):
    """Several networks on the same input; their outputs in a row."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([part(inputs) for part in self.parts], 1)


def train(params: Mapping[str, Any], trial: trainer.Trial) -> Iterator[dict[str, float]]:
    """Train one setting; yields what `trainer.train` does, after each epoch.

    Raises:
        pydantic.ValidationError: `params` are not `ColouredDigitsParams`.
        UserError: the data is not to be had (see `loading.load`), or the network cannot be
            built: names the layer and the sizes.
    """
    checked = ColouredDigitsParams.model_validate(params)
    known = trainer.load(COLOURED_USPS, checked, trial)
    build = partial(network, checked)
    yield from trainer.train(build, known, tasks.digit_and_colour(), checked, trial)


def test(
    params: Mapping[str, Any], trial: trainer.Trial, best: Mapping[str, float]
) -> dict[str, float]:
    """Train a winner again up to its best epoch and evaluate it on the test set.

    `best` is what `train` yielded then. Leaves figures of the winner's mistakes. Returns and
    raises as `trainer.test` and `train`.
    """
    checked = ColouredDigitsParams.model_validate(params)
    known = trainer.load(COLOURED_USPS, checked, trial)
    build = partial(network, checked)
    return trainer.test(build, known, tasks.digit_and_colour(), checked, trial, best, _draw)


def _draw(predict: Predict, known: Splits) -> list[Figure]:
    outputs, targets = predict(known.test.inputs), known.test.targets.cpu()
    digit, colour = outputs[:, :N_DIGITS], outputs[:, N_DIGITS:]
    # Every pair is a class of its own, as likely as both of its parts.
    pair = digit.log_softmax(1)[:, :, None] + colour.log_softmax(1)[:, None, :]
    return [
        confusion(digit, targets[:, 0], _DIGITS, "Confusion matrix of the digits"),
        confusion(colour, targets[:, 1], COLOURS, "Confusion matrix of the colours"),
        mistakes(
            known.test.inputs.cpu(),
            pair.flatten(1),
            targets[:, 0] * len(COLOURS) + targets[:, 1],
            [f"{colour} {digit}" for digit in _DIGITS for colour in COLOURS],
        ),
    ]
