"""Workload `mnist-cnn`: the lab's network on 28x28 images of ten classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import nn

from distune.workloads import tasks, trainer
from distune.workloads.data import DATA_SETS
from distune.workloads.drawing import draw_mistakes
from distune.workloads.hyperparameters import ConvParams, MnistCnnParams
from distune.workloads.layers import conv_network, glorot

# What it gets right in training is not followed: in so small a network that costs a few per cent.
_TASK = tasks.classification("cross-entropy", follow_training=False)


def network(n_filters: int, n_hidden: int, dropout: float) -> nn.Sequential:
    """N x 1 x 28 x 28 images to N x 10 logits; Glorot-uniform weights, zero biases.

    Two times (convolution 5x5 without padding, max-pool 2, ReLU), dropout, dense, ReLU,
    dropout, dense. With 256 hidden units it has 25 n^2 + 4123 n + 2826 parameters for
    n filters.
    """
    layers = ConvParams(
        n_conv=2, n_filters=n_filters, kernel=5, n_fc=1, width=n_hidden, dropout=dropout
    )
    model = conv_network(layers, (1, 28, 28), 10)
    glorot(model)
    return model


def train(params: Mapping[str, Any], trial: trainer.Trial) -> Iterator[dict[str, float]]:
    """Train one setting; yields what `trainer.train` does, after each epoch.

    Raises:
        pydantic.ValidationError: `params` are not `MnistCnnParams`.
        UserError: the data is not to be had (see `loading.load`).
    """
    checked = MnistCnnParams.model_validate(params)
    known = trainer.load(DATA_SETS[checked.dataset], checked, trial)
    yield from trainer.train(_build(checked), known, _TASK, checked, trial)


def test(
    params: Mapping[str, Any], trial: trainer.Trial, best: Mapping[str, float]
) -> dict[str, float]:
    """Train a winner again up to its best epoch and evaluate it on the test set.

    `best` is what `train` yielded then. Leaves figures of the winner's mistakes. Returns and
    raises as `trainer.test` and `train`.
    """
    checked = MnistCnnParams.model_validate(params)
    known = trainer.load(DATA_SETS[checked.dataset], checked, trial)
    draw = partial(draw_mistakes, classes=DATA_SETS[checked.dataset].classes)
    return trainer.test(_build(checked), known, _TASK, checked, trial, best, draw)


def _build(params: MnistCnnParams) -> partial[nn.Sequential]:
    return partial(network, params.n_filters, params.n_hidden, params.dropout)
