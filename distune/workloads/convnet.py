"""Workload `convnet`: images of ten classes, by convolutions and dense layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from distune.workloads.data import DATA_SETS
from distune.workloads.hyperparameters import ConvParams, Count, PerLayer
from distune.workloads.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from distune.study.figures import Figure
    from distune.workloads.data.loading import Splits
    from distune.workloads.problems import Problem
    from distune.workloads.workload import Predict


class ConvnetParams(ConvParams):
    """Workload `convnet`; its defaults are a linear classifier, where the USPS study began.

    Attributes:
        dataset: whose images.
        loss: cross-entropy of the softmax, or mean squared error of the softmax against
            1 for the right class and 0 for the others.
    """

    dataset: Literal["usps", "cifar-10", "mnist", "fashion-mnist", "digits"] = "usps"
    loss: Literal["cross-entropy", "mse"] = "mse"
    n_conv: Annotated[int, Field(ge=0, le=4)] = 0
    n_filters: PerLayer = 10
    n_fc: Annotated[int, Field(ge=0, le=10)] = 0
    lr: Annotated[float, Field(gt=0)] = 0.01
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.0
    batch_size: Count = 10
    epochs: Count = 10


def network(params: ConvnetParams) -> nn.Sequential:
    """Images to N x 10 logits."""
    from distune.workloads.layers import conv_network

    data_set = DATA_SETS[params.dataset]
    assert data_set.shape is not None
    return conv_network(params, data_set.shape, len(data_set.classes))


def problem(params: ConvnetParams) -> Problem:
    from distune.workloads.problems import classification

    return classification(params.loss)


def figures(params: ConvnetParams, data: Splits, predict: Predict) -> list[Figure]:
    from distune.workloads.drawing import draw_mistakes

    return draw_mistakes(predict, data, DATA_SETS[params.dataset].classes)


CONVNET = Workload(
    name="convnet",
    summary="up to four convolutions, and dense layers, on USPS, CIFAR-10, MNIST or digits",
    hyperparameters=ConvnetParams,
    metric="val_accuracy",
    direction="maximize",
    reports=("val_accuracy", "val_loss", "train_accuracy", "train_loss", "seconds"),
    network=network,
    problem=problem,
    figures=figures,
    convolutions=True,
)
