"""Workload `spirals`: which of two spirals a point in the plane is of, by dense layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import nn

from distune.workloads import tasks, trainer
from distune.workloads.data.spirals import SPIRALS
from distune.workloads.drawing import draw_boundary
from distune.workloads.hyperparameters import SpiralsParams
from distune.workloads.layers import dense_network


def train(params: Mapping[str, Any], trial: trainer.Trial) -> Iterator[dict[str, float]]:
    """Train one setting; yields what `trainer.train` does, after each epoch.

    The network takes a point's two coordinates as they are, and gives the logit of class 1.

    Raises:
        pydantic.ValidationError: `params` are not `SpiralsParams`.
        UserError: the network cannot be built, or more points are wanted than there are.
    """
    checked = SpiralsParams.model_validate(params)
    known = trainer.load(SPIRALS, checked, trial)
    task = tasks.two_classes(checked.loss)
    yield from trainer.train(_build(checked), known, task, checked, trial)


def test(
    params: Mapping[str, Any], trial: trainer.Trial, best: Mapping[str, float]
) -> dict[str, float]:
    """Train a winner again up to its best epoch and evaluate it on the test set.

    `best` is what `train` yielded then. Leaves a figure of the decision boundary. Returns
    and raises as `trainer.test` and `train`.
    """
    checked = SpiralsParams.model_validate(params)
    known = trainer.load(SPIRALS, checked, trial)
    task = tasks.two_classes(checked.loss)
    return trainer.test(_build(checked), known, task, checked, trial, best, draw_boundary)


def _build(params: SpiralsParams) -> partial[nn.Sequential]:
    return partial(dense_network, params, 2, 1)
