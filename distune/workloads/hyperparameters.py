"""What can be set in every training, and in networks of a kind; a workload adds its own.

A default is where the study that a workload comes from started, if it says so.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Layers = Annotated[int, Field(ge=0, le=10)]
FewLayers = Annotated[int, Field(ge=0, le=4)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Momentum = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
#: One number for all layers, or one for each of them: `32`, `"16-32-128"`.
PerLayer = Count | Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(-[1-9][0-9]{0,5}){0,9}$")]
Padding = Annotated[int, Field(ge=0)] | Literal["same"]
Optimizer = Literal["sgd", "adam", "adamw", "rmsprop"]
Schedule = Literal["constant", "cosine", "one-cycle"]
Activation = Literal["none", "relu", "tanh", "sigmoid"]


class TrainingParams(BaseModel):
    """How any network is trained, and on how much.

    Attributes:
        optimizer: how the steps are made of gradients.
        lr: learning rate; with schedule `one-cycle` its peak, with `cosine` its start.
        lr_final: where the schedule `cosine` ends; no other uses it.
        momentum: classical momentum, used by `sgd` and `rmsprop` only.
        weight_decay: the optimizer's own: L2 on the gradient, decoupled in `adamw`.
        l1: so many times the sum of all weights' absolute values is added to the loss that
            is minimised (not to the one that is reported).
        regularise: which layers' weights `weight_decay` and `l1` are of: all, or those of
            dense layers only, as the CIFAR-10 report's assignment has it.
        clip_norm: the most that the gradient's length may be: a longer one is shortened.
            None for any length.
        batch_size: examples per step; the last batch of an epoch may be smaller.
        skip_last_batch: whether the last batch of each epoch is left out, however large it is,
            unless it is the only one: of 5,000 examples 9 batches of 500, as the lab's program
            had it.
        schedule: how the learning rate changes from step to step over all epochs.
        epochs: times through the training data.
        patience: end after so many epochs without a better validation metric than before
            (the metric that ranks the workload unless a study says otherwise). None for
            never.
        precision: of the numbers in the network's layers. `bfloat16` has the range of
            `float32` and 8 bits of its 24: half the memory to move, and faster where the
            processor has instructions for it. Weights, their updates, losses and metrics are
            `float32` all the same. `tf32` is `float32` but for the products in convolutions
            and dense layers, whose factors an NVIDIA GPU rounds to 11 bits; everywhere else
            it is the same as `float32`.
        n_train: use only the first so many training examples; None for all of them. More
            than there are is an error when the data is loaded.
        n_validation: likewise, of the validation examples.
        n_test: likewise, of the test examples.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    optimizer: Optimizer = "sgd"
    lr: Positive = 0.1
    lr_final: NotNegative = 0.0
    momentum: Momentum = 0.9
    weight_decay: NotNegative = 0.0
    l1: NotNegative = 0.0
    regularise: Literal["all", "dense"] = "all"
    clip_norm: Positive | None = None
    batch_size: Count = 500
    skip_last_batch: bool = False
    schedule: Schedule = "constant"
    epochs: Count = 50
    patience: Count | None = None
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    n_train: Count | None = None
    n_validation: Count | None = None
    n_test: Count | None = None


class DenseParams(TrainingParams):
    """A network whose last layers are dense.

    Attributes:
        n_fc: hidden dense layers; 0 leaves the one that gives the answers.
        width: units of each of them. Of a list (`"100-150"`) the first `n_fc` are used.
        activation: after each hidden layer.
        dropout: probability of dropping a unit before each dense layer, also the last.
        batch_norm_fc: whether hidden dense layers are followed by batch normalization.
    """

    n_fc: Layers = 1
    width: PerLayer = 128
    activation: Activation = "relu"
    dropout: Probability = 0.0
    batch_norm_fc: bool = False


class ConvParams(DenseParams):
    """A network of convolutions, then dense layers.

    A setting whose layers do not fit its images fails, and says which layer does not.

    Attributes:
        n_conv: convolutions, each with its activation and pooling; 0 for none.
        n_filters: of each convolution. Of a list (`"16-32-128"`) the first `n_conv` are used.
        kernel: pixels on a side, likewise one number or a list.
        stride: pixels from one place of the kernel to the next.
        padding: zeros added on each side, or `same` for as many as keep the size (which
            needs stride 1).
        pool: what is taken of each `pool_size` x `pool_size` pixels after a convolution.
        pool_size: pixels on a side, and from one place to the next.
        pool_last: whether the last convolution is pooled, too, or only those before it.
        batch_norm_conv: whether convolutions are followed by batch normalization.
        pixel_scale: what pixels, from 0 to 1 (8 bits divided by 256), are multiplied by: with 256
            the network is given the numbers from 0 to 255.
    """

    n_conv: Layers = 2
    n_filters: PerLayer = 32
    kernel: PerLayer = 3
    stride: Count = 1
    padding: Padding = 0
    pool: Literal["max", "avg", "none"] = "max"
    pool_size: Count = 2
    pool_last: bool = True
    batch_norm_conv: bool = False
    pixel_scale: Positive = 1.0
