"""Workload `convnet`: images of ten classes, by convolutions and dense layers."""

from functools import partial
from typing import Literal

from distune.workloads import hyperparameters as hyper
from distune.workloads.data import DATA_SETS
from distune.workloads.workload import Recipe, Workload


class ConvnetParams(hyper.ConvParams):
    """Workload `convnet`; its defaults are a linear classifier, where report 000 (2023, digits)
    began, on USPS. Exercise 2 of report 001 (2020) is on MNIST.

    Attributes:
        dataset: whose images.
        loss: cross-entropy of the softmax, or mean squared error of the softmax against
            1 for the right class and 0 for the others, with which report 000 got its figures.
    """

    dataset: Literal["usps", "cifar-10", "mnist", "fashion-mnist", "digits"] = "usps"
    loss: Literal["cross-entropy", "mse"] = "mse"
    n_conv: hyper.FewLayers = 0
    n_filters: hyper.PerLayer = 10
    n_fc: hyper.Layers = 0
    lr: hyper.Positive = 0.01
    momentum: hyper.Momentum = 0.0
    batch_size: hyper.Count = 10
    epochs: hyper.Count = 10


def recipe(params: ConvnetParams) -> Recipe:
    """Images to N x 10 logits."""
    from distune.workloads import drawing, layers, problems

    data_set = DATA_SETS[params.dataset]
    assert data_set.shape is not None
    return Recipe(
        network=partial(layers.conv_network, params, data_set.shape, len(data_set.classes)),
        problem=problems.classification(params.loss),
        figures=partial(drawing.draw_mistakes, classes=data_set.classes),
    )


CONVNET = Workload(
    name="convnet",
    summary="up to four convolutions, and dense layers, on USPS, CIFAR-10, MNIST or digits",
    hyperparameters=ConvnetParams,
    recipe=recipe,
    convolutions=True,
)
