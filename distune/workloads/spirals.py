"""Workload `spirals`: which of two spirals a point in the plane is of, by dense layers."""

from typing import Literal

from distune.workloads import hyperparameters as hyper
from distune.workloads.data import DATA_SETS
from distune.workloads.workload import Recipe, Workload


class SpiralsParams(hyper.DenseParams):
    """Workload `spirals`.

    Attributes:
        loss: binary cross-entropy of the sigmoid of the network's output (`bce`), or mean
            squared error of that sigmoid against the class.
    """

    loss: Literal["bce", "mse"] = "bce"
    n_fc: hyper.Layers = 2
    width: hyper.PerLayer = 75
    optimizer: hyper.Optimizer = "adam"
    lr: hyper.Positive = 0.01
    batch_size: hyper.Count = 40
    epochs: hyper.Count = 20


def recipe(params: SpiralsParams) -> Recipe:
    """A point's two coordinates, as they are, to the logit of class 1."""
    from distune.workloads import drawing, layers, problems

    return Recipe(
        network=lambda: layers.dense_network(params, 2, 1),
        problem=problems.two_classes(params.loss),
        figures=drawing.draw_boundary,
    )


SPIRALS = Workload(
    name="spirals",
    summary="dense layers that tell two spirals in the plane apart",
    hyperparameters=SpiralsParams,
    recipe=recipe,
    data=DATA_SETS["spirals"],
)
