"""Workload `mnist-cnn`: the lab's network on 28x28 images of ten classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from distune.workloads.data import DATA_SETS
from distune.workloads.hyperparameters import ConvParams, Count, Probability, TrainingParams
from distune.workloads.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from distune.study.figures import Figure
    from distune.workloads.data.loading import Splits
    from distune.workloads.problems import Problem
    from distune.workloads.workload import Predict


class MnistCnnParams(TrainingParams):
    """Workload `mnist-cnn`.

    Attributes:
        dataset: whose images.
        n_filters: of each of the two convolutions.
        n_hidden: units of the hidden dense layer.
        dropout: probability of dropping a unit before each of the two dense layers.
    """

    dataset: Literal["mnist", "fashion-mnist", "digits"] = "mnist"
    n_filters: Count = 32
    n_hidden: Count = 256
    dropout: Probability = 0.5


def network(params: MnistCnnParams) -> nn.Sequential:
    """N x 1 x 28 x 28 images to N x 10 logits; Glorot-uniform weights, zero biases.

    Two times (convolution 5x5 without padding, max-pool 2, ReLU), dropout, dense, ReLU,
    dropout, dense. With 256 hidden units it has 25 n^2 + 4123 n + 2826 parameters for
    n filters.
    """
    from distune.workloads.layers import conv_network, glorot

    layers = ConvParams(
        n_conv=2,
        n_filters=params.n_filters,
        kernel=5,
        n_fc=1,
        width=params.n_hidden,
        dropout=params.dropout,
    )
    model = conv_network(layers, (1, 28, 28), 10)
    glorot(model)
    return model


def problem(params: MnistCnnParams) -> Problem:
    from distune.workloads.problems import classification

    # What it gets right in training is not followed: in so small a network that costs a few
    # per cent.
    return classification("cross-entropy", follow_training=False)


def figures(params: MnistCnnParams, data: Splits, predict: Predict) -> list[Figure]:
    from distune.workloads.drawing import draw_mistakes

    return draw_mistakes(predict, data, DATA_SETS[params.dataset].classes)


MNIST_CNN = Workload(
    name="mnist-cnn",
    summary="two 5x5 convolutions and two dense layers on MNIST, Fashion-MNIST or digits",
    hyperparameters=MnistCnnParams,
    metric="val_accuracy",
    direction="maximize",
    reports=("val_accuracy", "val_loss", "train_loss", "seconds"),
    network=network,
    problem=problem,
    figures=figures,
    convolutions=True,
)
