"""Workload `spirals`: which of two spirals a point in the plane is of, by dense layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from distune.workloads.data import DATA_SETS
from distune.workloads.hyperparameters import Count, DenseParams, PerLayer
from distune.workloads.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from distune.study.figures import Figure
    from distune.workloads.data.loading import Splits
    from distune.workloads.problems import Problem
    from distune.workloads.workload import Predict


class SpiralsParams(DenseParams):
    """Workload `spirals`.

    Attributes:
        loss: binary cross-entropy of the sigmoid of the network's output (`bce`), or mean
            squared error of that sigmoid against the class.
    """

    loss: Literal["bce", "mse"] = "bce"
    n_fc: Annotated[int, Field(ge=0, le=10)] = 2
    width: PerLayer = 75
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 0.01
    batch_size: Count = 40
    epochs: Count = 20


def network(params: SpiralsParams) -> nn.Sequential:
    """A point's two coordinates, as they are, to the logit of class 1."""
    from distune.workloads.layers import dense_network

    return dense_network(params, 2, 1)


def problem(params: SpiralsParams) -> Problem:
    from distune.workloads.problems import two_classes

    return two_classes(params.loss)


def figures(params: SpiralsParams, data: Splits, predict: Predict) -> list[Figure]:
    from distune.workloads.drawing import draw_boundary

    return draw_boundary(predict, data)


SPIRALS = Workload(
    name="spirals",
    summary="dense layers that tell two spirals in the plane apart",
    hyperparameters=SpiralsParams,
    metric="val_accuracy",
    direction="maximize",
    reports=("val_accuracy", "val_loss", "train_accuracy", "train_loss", "seconds"),
    network=network,
    problem=problem,
    figures=figures,
    data=DATA_SETS["spirals"],
)
