"""Workload `convnet`: images of ten classes, by convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import nn

from distune.workloads import tasks, trainer
from distune.workloads.data import DATA_SETS
from distune.workloads.drawing import draw_mistakes
from distune.workloads.hyperparameters import ConvnetParams
from distune.workloads.layers import conv_network


def train(params: Mapping[str, Any], trial: trainer.Trial) -> Iterator[dict[str, float]]:
    """Train one setting; yields what `trainer.train` does, after each epoch.

    Raises:
        pydantic.ValidationError: `params` are not `ConvnetParams`.
        UserError: the data is not to be had (see `loading.load`), or the network cannot be
            built: names the layer and the sizes.
    """
    checked = ConvnetParams.model_validate(params)
    known = trainer.load(DATA_SETS[checked.dataset], checked, trial)
    task = tasks.classification(checked.loss)
    yield from trainer.train(_build(checked), known, task, checked, trial)


def test(
    params: Mapping[str, Any], trial: trainer.Trial, best: Mapping[str, float]
) -> dict[str, float]:
    """Train a winner again up to its best epoch and evaluate it on the test set.

    `best` is what `train` yielded then. Leaves figures of the winner's mistakes. Returns and
    raises as `trainer.test` and `train`.
    """
    checked = ConvnetParams.model_validate(params)
    known = trainer.load(DATA_SETS[checked.dataset], checked, trial)
    task = tasks.classification(checked.loss)
    draw = partial(draw_mistakes, classes=DATA_SETS[checked.dataset].classes)
    return trainer.test(_build(checked), known, task, checked, trial, best, draw)


def _build(params: ConvnetParams) -> partial[nn.Sequential]:
    known = DATA_SETS[params.dataset]
    assert known.shape is not None
    return partial(conv_network, params, known.shape, len(known.classes))
