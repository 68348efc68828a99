"""Workload `house-prices`: what a house was sold for, and how sure that is, by dense layers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from distune.workloads import hyperparameters as hyper
from distune.workloads.data.house_prices import FEATURES
from distune.workloads.data.house_prices import HOUSE_PRICES as HOUSES
from distune.workloads.data.loading import Split, Splits
from distune.workloads.workload import Recipe, Workload

if TYPE_CHECKING:
    from distune.study.figures import Figure
    from distune.workloads.workload import Predict


class HousePricesParams(hyper.DenseParams):
    """Workload `house-prices`; its defaults are the best network of report 000 (2023): 4-9-1,
    tanh, RMSprop without momentum, prices standardised.

    Attributes:
        target_scale: what losses are of: prices less their mean, divided by their deviation, of
            the whole table (`standard`, as the report has them), or 0 for the lowest price of a
            training house and 1 for the highest (`range`).
        loss: mean squared error, or the negative log-likelihood of a Gaussian whose mean
            and log-variance the network predicts (`gaussian`).
    """

    loss: Literal["mse", "gaussian"] = "mse"
    target_scale: Literal["standard", "range"] = "standard"
    n_fc: hyper.Layers = 1
    width: hyper.PerLayer = 9
    activation: hyper.Activation = "tanh"
    optimizer: hyper.Optimizer = "rmsprop"
    lr: hyper.Positive = 0.001
    momentum: hyper.Momentum = 0.0
    batch_size: hyper.Count = 50
    epochs: hyper.Count = 50


#: Mean and deviation of all 1,460 prices, dollars: a unit, with nothing to learn from it.
_TABLE = (180_921.19589041095, 79_442.50288288662)


def prepare(params: HousePricesParams, data: Splits) -> Splits:
    """Features with mean 0 and deviation 1 over the training houses, and prices as
    `price_scale` says; losses are of these. Of features, what is the same for all of them stays
    as wide as it is.
    """
    mean, deviation = data.train.inputs.mean(0), data.train.inputs.std(0, correction=0)
    deviation = deviation.where(deviation > 0, 1.0)
    zero, unit = price_scale(params, data.train)
    return Splits(*(Split((x - mean) / deviation, (y - zero) / unit) for x, y in data))


def price_scale(params: HousePricesParams, training: Split) -> tuple[float, float]:
    """Which price is 0, and how much above it is 1; dollars."""
    if params.target_scale == "standard":
        return _TABLE
    low, high = float(training.targets.min()), float(training.targets.max())
    return low, high - low or 1.0


def recipe(params: HousePricesParams) -> Recipe:
    """Four features to the price, or to its mean and log-variance."""
    from distune.workloads.layers import dense_network
    from distune.workloads.problems import regression

    return Recipe(
        network=lambda: dense_network(params, len(FEATURES), 1 if params.loss == "mse" else 2),
        problem=regression(params.loss),
        figures=partial(figures, params),
        prepare=partial(prepare, params),
    )


def figures(params: HousePricesParams, data: Splits, predict: Predict) -> list[Figure]:
    """Predicted against true prices; if the variance is predicted, too, with error bars, and
    the standard deviation against each feature.
    """
    from distune.workloads.drawing import scatter

    outputs = predict(prepare(params, data).test.inputs)
    zero, unit = price_scale(params, data.train)
    deviation = (outputs[:, 1] / 2).exp() * unit if params.loss == "gaussian" else None
    against = scatter(
        "Predicted and true prices",
        ("true price ($)", data.test.targets.cpu()),
        ("predicted price ($)", outputs[:, 0] * unit + zero),
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
    data=lambda: HOUSES,
    data_by=(),
)
