"""What a workload says of itself. A new one is a file in this folder and a line in `WORKLOADS`.

Importing a description loads neither torch nor numpy: checking a space file must not pay for
`import torch`. A recipe imports what it needs, and so is made where it is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distune.study.trial import Direction
from distune.workloads.data import DATA_SETS
from distune.workloads.data.data_set import DataSet
from distune.workloads.hyperparameters import TrainingParams

if TYPE_CHECKING:
    from torch import Tensor, nn

    from distune.study.figures import Figure
    from distune.workloads.data.loading import Splits
    from distune.workloads.problems import Problem

    #: A trained network: from inputs to outputs, on the CPU.
    Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """What one setting of a workload is trained by.

    Attributes:
        network: builds what is trained; its initial weights come from torch's global seed.
            Raises `Infeasible` if it cannot be built: names the layer and the sizes.
        problem: how the network's outputs are judged.
        figures: of a winner, on its test data: given the data as it was read.
        prepare: what the network is trained on, made of the data as it was read.
    """

    network: Callable[[], nn.Module]
    problem: Problem
    figures: Callable[[Splits, Predict], list[Figure]]
    prepare: Callable[[Splits], Splits] = lambda data: data


@dataclass(frozen=True)
class Workload:
    """A built-in objective: what `trainer.train` and `trainer.test` take. Its defaults are those
    of a classifier.

    Attributes:
        name: as a space file's `objective` names it.
        summary: one line for users.
        hyperparameters: what may be set, with bounds and defaults; forbids other keys.
        recipe: what a setting of these, checked, is trained by.
        metric: what ranks its trials, unless the space file says otherwise: one of validation.
        direction: whether more of the metric is better.
        reports: all metrics it reports, one of which a study ranks.
        data: what it trains on, given the values of the hyperparameters that choose that.
        data_by: these hyperparameters.
        convolutions: whether its networks have some.
    """

    name: str
    summary: str
    hyperparameters: type[TrainingParams]
    recipe: Callable[[Any], Recipe]
    metric: str = "val_accuracy"
    direction: Direction = "maximize"
    reports: Sequence[str] = ("val_accuracy", "val_loss", "train_accuracy", "train_loss", "seconds")
    data: Callable[..., DataSet] = DATA_SETS.__getitem__
    data_by: Sequence[str] = ("dataset",)
    convolutions: bool = False
