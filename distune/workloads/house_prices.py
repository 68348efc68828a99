"""Workload `house-prices`: what a house was sold for, and how sure that is, by dense layers."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Scale:
    """From features and dollars to the numbers that a network is trained on, and back.

    Attributes:
        mean, deviation: of each feature over the training houses; float32, 4.
        low, range: the lowest training price, and how far the highest is above it; dollars.
    """

    mean: Tensor
    deviation: Tensor
    low: Tensor
    range: Tensor

    @classmethod
    def of(cls, training: Split) -> Scale:
        """What is the same for all houses (or if there is but one) stays as wide as it is."""
        features, prices = training
        deviation = features.std(0, correction=0)
        low, wide = prices.min(), prices.max() - prices.min()
        return cls(
            features.mean(0), deviation.where(deviation > 0, 1.0), low, wide.where(wide > 0, 1.0)
        )

    def scaled(self, split: Split) -> Split:
        """Features with mean 0 and deviation 1, prices from 0 to 1, if they are training's."""
        features, prices = split
        return Split((features - self.mean) / self.deviation, (prices - self.low) / self.range)


def prepare(data: Splits) -> Splits:
    """Losses are of prices that are scaled to 0 to 1 by the range of the training prices."""
    scale = Scale.of(data.train)
    return Splits(*(scale.scaled(split) for split in (data.train, data.validation, data.test)))


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

    scale = Scale.of(data.train)
    outputs = predict(scale.scaled(data.test).inputs)
    low, wide = float(scale.low), float(scale.range)
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
    return [
        against,
        *(
            scatter(
                f"Predicted standard deviation against {name}",
                (name, features[:, i]),
                ("predicted standard deviation ($)", deviation),
                log_y=True,
            )
            for i, name in enumerate(FEATURES)
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
