"""Workload `house-prices`: what a house was sold for, and how sure that is, by dense layers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from distune.workloads import hyperparameters as hyper
from distune.workloads.data import DATA_SETS
from distune.workloads.data.house_prices import FEATURES
from distune.workloads.data.loading import Split, Splits
from distune.workloads.workload import Recipe, Workload

if TYPE_CHECKING:
    from torch import Tensor

    from distune.study.figures import Figure
    from distune.workloads.workload import Predict


class HousePricesParams(hyper.DenseParams):
    """Workload `house-prices`.

    Attributes:
        loss: mean squared error, or the negative log-likelihood of a Gaussian whose mean
            and log-variance the network predicts (`gaussian`).
    """

    loss: Literal["mse", "gaussian"] = "mse"
    n_fc: hyper.Layers = 2
    width: hyper.PerLayer = 20
    optimizer: hyper.Optimizer = "adam"
    lr: hyper.Positive = 0.01
    batch_size: hyper.Count = 50
    epochs: hyper.Count = 50


def prepare(data: Splits) -> Splits:
    """Features with mean 0 and deviation 1, prices from 0 to 1, over the training houses; losses
    are of these. What is the same for all of them stays as wide as it is.
    """
    mean, deviation = data.train.inputs.mean(0), data.train.inputs.std(0, correction=0)
    deviation = deviation.where(deviation > 0, 1.0)
    low, wide = price_range(data.train)
    return Splits(*(Split((x - mean) / deviation, (y - low) / wide) for x, y in data))


def price_range(training: Split) -> tuple[Tensor, Tensor]:
    """The lowest price, and how far the highest is above it, 1 if that is nothing; dollars."""
    low, wide = training.targets.min(), training.targets.max() - training.targets.min()
    return low, wide.where(wide > 0, 1.0)


def recipe(params: HousePricesParams) -> Recipe:
    """Four features to the price, or to its mean and log-variance."""
    from distune.workloads.layers import dense_network
    from distune.workloads.problems import regression

    return Recipe(
        network=lambda: dense_network(params, len(FEATURES), 1 if params.loss == "mse" else 2),
        problem=regression(params.loss),
        figures=partial(figures, params),
        prepare=prepare,
    )


def figures(params: HousePricesParams, data: Splits, predict: Predict) -> list[Figure]:
    """Predicted against true prices; if the variance is predicted, too, with error bars, and
    the standard deviation against each feature.
    """
    from distune.workloads.drawing import scatter

    outputs = predict(prepare(data).test.inputs)
    low, wide = map(float, price_range(data.train))
    deviation = (outputs[:, 1] / 2).exp() * wide if params.loss == "gaussian" else None
    against = scatter(
        "Predicted and true prices",
        ("true price ($)", data.test.targets.cpu()),
        ("predicted price ($)", outputs[:, 0] * wide + low),
        y_error=deviation,
        diagonal=True,
    )
    if deviation is None:
        return [against]
    features = data.test.inputs.cpu()
    spread = "predicted standard deviation ($)", deviation
    return [
        against,
        *(
            scatter(f"Predicted standard deviation against {name}", (name, x), spread, log_y=True)
            for name, x in zip(FEATURES, features.unbind(1), strict=True)
        ),
    ]


HOUSE_PRICES = Workload(
    name="house-prices",
    summary="dense layers that predict prices, and if wanted how sure they are",
    hyperparameters=HousePricesParams,
    recipe=recipe,
    metric="val_loss",
    direction="minimize",
    reports=("val_loss", "val_mse", "train_loss", "train_mse", "seconds"),
    data=DATA_SETS["house-prices"],
)
