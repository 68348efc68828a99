"""Workload `mnist-cnn`: the lab's network on 28x28 images of ten classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import nn

from distune.workloads import trainer
from distune.workloads.data import Dataset, load
from distune.workloads.hyperparameters import MnistCnnParams


def network(n_filters: int, n_hidden: int, dropout: float) -> nn.Sequential:
    """N x 1 x 28 x 28 images to N x 10 logits; Glorot-uniform weights, zero biases.

    Two times (convolution 5x5 without padding, max-pool 2, ReLU), dropout, dense, ReLU,
    dropout, dense. With 256 hidden units it has 25 n^2 + 4123 n + 2826 parameters for
    n filters.
    """
    model = nn.Sequential(
        nn.Conv2d(1, n_filters, 5),
        nn.MaxPool2d(2),  # before the ReLU: they commute, and it leaves a quarter to do
        nn.ReLU(),
        nn.Conv2d(n_filters, n_filters, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(4 * 4 * n_filters, n_hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(n_hidden, 10),
    )
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return model


def train(params: Mapping[str, Any], trial: trainer.Trial) -> Iterator[dict[str, float]]:
    """Train one setting; yields what `trainer.train` does, after each epoch.

    Raises:
        pydantic.ValidationError: `params` are not `MnistCnnParams`.
        UserError: the data is not to be had (see `data.load`).
    """
    checked = MnistCnnParams.model_validate(params)
    yield from trainer.train(_build(checked), _data(checked, trial), checked, trial)


def test(
    params: Mapping[str, Any], trial: trainer.Trial, best: Mapping[str, float]
) -> dict[str, float]:
    """Train a winner again up to its best epoch and evaluate it on the test set.

    `best` is what `train` yielded then. Returns and raises as `trainer.test` and `train`.
    """
    checked = MnistCnnParams.model_validate(params)
    return trainer.test(_build(checked), _data(checked, trial), checked, trial, best)


def _build(params: MnistCnnParams) -> partial[nn.Sequential]:
    return partial(network, params.n_filters, params.n_hidden, params.dropout)


def _data(params: MnistCnnParams, trial: trainer.Trial) -> Dataset:
    return load(
        params.dataset,
        trial.data_dir,
        trial.device,
        params.n_train,
        params.n_validation,
        params.n_test,
    )
