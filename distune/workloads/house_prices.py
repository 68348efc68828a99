"""Workload `house-prices`: what a house was sold for, and how sure that is, by dense layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from distune.study.figures import Figure
from distune.workloads import tasks, trainer
from distune.workloads.data.house_prices import FEATURES, HOUSE_PRICES
from distune.workloads.data.loading import Split, Splits
from distune.workloads.drawing import Predict, scatter
from distune.workloads.hyperparameters import HousePricesParams
from distune.workloads.layers import dense_network


@dataclass(frozen=True)
class Scale:
    """From facts and dollars to the numbers that a network is trained on, and back.

    Attributes:
        mean, deviation: of each fact over the training houses; float32, 4.
        low, range: the lowest training price, and how far the highest is above it; dollars.
    """

    mean: Tensor
    deviation: Tensor
    low: Tensor
    range: Tensor

    @classmethod
    def of(cls, training: Split) -> Scale:
        """What is the same for all houses (or if there is but one) stays as wide as it is."""
        facts, prices = training
        deviation = facts.std(0, correction=0)
        low, wide = prices.min(), prices.max() - prices.min()
        return cls(
            facts.mean(0), deviation.where(deviation > 0, 1.0), low, wide.where(wide > 0, 1.0)
        )

    def scaled(self, split: Split) -> Split:
        """Facts with mean 0 and deviation 1, prices from 0 to 1, if they are training's."""
        facts, prices = split
        return Split((facts - self.mean) / self.deviation, (prices - self.low) / self.range)


def train(params: Mapping[str, Any], trial: trainer.Trial) -> Iterator[dict[str, float]]:
    """Train one setting; yields what `trainer.train` does, after each epoch.

    Losses are of prices that are scaled to 0 to 1 by the range of the training prices.

    Raises:
        pydantic.ValidationError: `params` are not `HousePricesParams`.
        UserError: the data is not to be had (see `loading.load`), or the network cannot be built.
    """
    checked = HousePricesParams.model_validate(params)
    known, _ = _load(checked, trial)
    task = tasks.regression(checked.loss)
    yield from trainer.train(_build(checked), known, task, checked, trial)


def test(
    params: Mapping[str, Any], trial: trainer.Trial, best: Mapping[str, float]
) -> dict[str, float]:
    """Train a winner again up to its best epoch and evaluate it on the test set.

    `best` is what `train` yielded then. Leaves figures of its predictions and, if it gives
    any, of its uncertainty. Returns and raises as `trainer.test` and `train`.
    """
    checked = HousePricesParams.model_validate(params)
    known, scale = _load(checked, trial)
    task = tasks.regression(checked.loss)
    draw = partial(_draw, scale=scale)
    return trainer.test(_build(checked), known, task, checked, trial, best, draw)


def _load(params: HousePricesParams, trial: trainer.Trial) -> tuple[Splits, Scale]:
    raw = trainer.load(HOUSE_PRICES, params, trial)
    scale = Scale.of(raw.train)
    return Splits(*(scale.scaled(part) for part in (raw.train, raw.validation, raw.test))), scale


def _build(params: HousePricesParams) -> partial[nn.Sequential]:
    return partial(dense_network, params, 4, 1 if params.loss == "mse" else 2)


def _draw(predict: Predict, known: Splits, scale: Scale) -> list[Figure]:
    """Predicted against true prices; if the variance is predicted, too, with error bars, and
    the standard deviation against each fact.
    """
    outputs = predict(known.test.inputs)
    low, wide = float(scale.low), float(scale.range)
    truth = known.test.targets.cpu() * wide + low
    price = outputs[:, 0] * wide + low
    gaussian = outputs.shape[1] == 2
    deviation = (outputs[:, 1] / 2).exp() * wide if gaussian else None
    against = scatter(
        "Predicted and true prices",
        ("true price ($)", truth),
        ("predicted price ($)", price),
        y_error=deviation,
        diagonal=True,
    )
    if deviation is None:
        return [against]
    facts = known.test.inputs.cpu() * scale.deviation.cpu() + scale.mean.cpu()
    return [
        against,
        *(
            scatter(
                f"Predicted standard deviation against {name}",
                (name, facts[:, i]),
                ("predicted standard deviation ($)", deviation),
                log_y=True,
            )
            for i, name in enumerate(FEATURES)
        ),
    ]
