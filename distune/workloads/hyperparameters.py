"""What can be set in each workload: names, bounds and defaults, without torch.

A default is what the lab used (the study this project comes from), where it used one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]


class TrainingParams(BaseModel):
    """How any network is trained.

    Attributes:
        optimizer: which rule makes the steps.
        lr: learning rate; with schedule `one-cycle` its peak, with `cosine` its start.
        momentum: classical momentum, used by `sgd` and `rmsprop` only.
        weight_decay: the optimizer's own: L2 on the gradient, decoupled in `adamw`.
        batch_size: images per step; the last batch of an epoch may be smaller.
        schedule: how the learning rate changes from step to step over all epochs.
        epochs: times through the training data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch_size: Count = 500
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    epochs: Count = 50


class MnistCnnParams(TrainingParams):
    """Workload `mnist-cnn`.

    Attributes:
        dataset: whose images.
        n_train: use only the first so many training images; None for all of them. More
            than there are is an error when the data is loaded.
        n_validation: likewise, of the validation images.
        n_test: likewise, of the test images.
        n_filters: of each of the two convolutions.
        n_hidden: units of the hidden dense layer.
        dropout: probability of dropping a unit before each of the two dense layers.
    """

    dataset: Literal["mnist", "fashion-mnist", "digits"] = "mnist"
    n_train: Count | None = None
    n_validation: Count | None = None
    n_test: Count | None = None
    n_filters: Count = 32
    n_hidden: Count = 256
    dropout: Probability = 0.5
