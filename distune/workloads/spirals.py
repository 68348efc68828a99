"""Workload `spirals`: which of two spirals a point in the plane is of, by dense layers."""

from functools import partial
from typing import Literal

from distune.workloads import hyperparameters as hyper
from distune.workloads.data.spirals import SPIRALS as DATA
from distune.workloads.workload import Recipe, Workload


class SpiralsParams(hyper.DenseParams):
    """Workload `spirals`; its defaults are the best network of the reports of 2020 on two
    spirals: 2-75-1, tanh, trained without momentum.

    Attributes:
        variant: of the spirals: as the course drew them in 2020, or in 2021, which is harder
            (longer, noisier).
        loss: binary cross-entropy of the sigmoid of the network's output (`bce`), mean
            squared error of that sigmoid against the class (`mse`), or of the output itself
            (`mse-linear`), where more than a half is class 1.
    """

    variant: Literal["2020", "2021"] = "2020"
    loss: Literal["bce", "mse", "mse-linear"] = "bce"
    n_fc: hyper.Layers = 1
    width: hyper.PerLayer = 75
    activation: hyper.Activation = "tanh"
    optimizer: hyper.Optimizer = "adam"
    lr: hyper.Positive = 0.05
    momentum: hyper.Momentum = 0.0
    batch_size: hyper.Count = 40
    epochs: hyper.Count = 10


def recipe(params: SpiralsParams) -> Recipe:
    """A point's two coordinates, as they are, to one number: see `problems.two_classes`."""
    from distune.workloads import drawing, layers, problems

    return Recipe(
        network=lambda: layers.dense_network(params, 2, 1),
        problem=problems.two_classes(params.loss),
        figures=partial(drawing.draw_boundary, score=problems.score(params.loss)),
    )


SPIRALS = Workload(
    name="spirals",
    summary="dense layers that tell two spirals in the plane apart",
    hyperparameters=SpiralsParams,
    recipe=recipe,
    data=DATA.__getitem__,
    data_by=("variant",),
)
