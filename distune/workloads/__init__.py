"""The built-in objectives, as a catalogue that loads neither torch nor numpy.

The code that trains is reached by its module's name only (`Workload.module`), so that
whoever merely checks a space file never pays for `import torch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from distune.workloads.data.coloured_usps import COLOURED_USPS
from distune.workloads.data.data_set import DataSet
from distune.workloads.data.house_prices import HOUSE_PRICES
from distune.workloads.data.spirals import SPIRALS
from distune.workloads.hyperparameters import (
    ColouredDigitsParams,
    ConvnetParams,
    HousePricesParams,
    MnistCnnParams,
    SpiralsParams,
)


@dataclass(frozen=True)
class Workload:
    """One built-in objective.

    Attributes:
        name: as a space file's `objective` names it.
        summary: one line for people.
        module: dotted name of the module that has `train(params, trial)` and
            `test(params, trial, best)`; import it only where training shall happen.
        hyperparameters: what may be set, with bounds and defaults; forbids other keys.
        metric: what ranks its trials, unless the space file says otherwise.
        direction: whether more of the metric is better.
        reports: all metrics it reports, one of which a study ranks.
        data: what it trains on; None for a workload whose hyperparameter `dataset` chooses that.
        convolutions: whether its networks have some.
    """

    name: str
    summary: str
    module: str
    hyperparameters: type[BaseModel]
    metric: str
    direction: Literal["maximize", "minimize"]
    reports: tuple[str, ...]
    data: DataSet | None = None
    convolutions: bool = False

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets that have to be found for the one it always trains on."""
        return (self.data.origin.name,) if self.data is not None and self.data.origin.paths else ()


WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload(
            name="mnist-cnn",
            summary="two 5x5 convolutions and two dense layers on MNIST, Fashion-MNIST or digits",
            module="distune.workloads.mnist_cnn",
            hyperparameters=MnistCnnParams,
            metric="val_accuracy",
            direction="maximize",
            reports=("val_accuracy", "val_loss", "train_loss", "seconds"),
            convolutions=True,
        ),
        Workload(
            name="convnet",
            summary="up to four convolutions, and dense layers, on USPS, CIFAR-10, MNIST or digits",
            module="distune.workloads.convnet",
            hyperparameters=ConvnetParams,
            metric="val_accuracy",
            direction="maximize",
            reports=("val_accuracy", "val_loss", "train_accuracy", "train_loss", "seconds"),
            convolutions=True,
        ),
        Workload(
            name="coloured-digits",
            summary="digit and colour of USPS images in five colours, by one network or two",
            module="distune.workloads.coloured_digits",
            hyperparameters=ColouredDigitsParams,
            metric="val_both_accuracy",
            direction="maximize",
            reports=(
                *(
                    f"{part}_{metric}"
                    for part in ("val", "train")
                    for metric in ("both_accuracy", "digit_accuracy", "colour_accuracy", "loss")
                ),
                "seconds",
            ),
            data=COLOURED_USPS,
            convolutions=True,
        ),
        Workload(
            name="spirals",
            summary="dense layers that tell two spirals in the plane apart",
            module="distune.workloads.spirals",
            hyperparameters=SpiralsParams,
            metric="val_accuracy",
            direction="maximize",
            reports=("val_accuracy", "val_loss", "train_accuracy", "train_loss", "seconds"),
            data=SPIRALS,
        ),
        Workload(
            name="house-prices",
            summary="dense layers that predict prices, and if wanted how sure they are",
            module="distune.workloads.house_prices",
            hyperparameters=HousePricesParams,
            metric="val_loss",
            direction="minimize",
            reports=("val_loss", "val_mse", "train_loss", "train_mse", "seconds"),
            data=HOUSE_PRICES,
        ),
    )
}
