"""The loop that trains any classifier of images, for the trials and for the final test.

Deterministic: on one device (and number of threads) the weights after a number of steps
depend on the seed and the hyperparameters only. So the winner need not be stored: the
test trains it again, up to the step at which it won.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from distune.workloads.data import Dataset, Split
from distune.workloads.hyperparameters import TrainingParams

Clock = Callable[[], float]

_EVALUATION_BATCH = 1_000
_EVALUATION_BATCH_CPU = 100  # what fits a core's caches: three times as fast as 1,000
_PROGRESS_EVERY_S = 0.25


class Trial(Protocol):
    """What a workload wants to know of its trial, and what it tells it."""

    @property
    def seed(self) -> int:
        """For initial weights, dropout and the order of the images."""

    @property
    def device(self) -> str:
        """As torch names it."""

    @property
    def data_dir(self) -> str | None:
        """Where the user says the data is."""

    @property
    def max_seconds(self) -> float | None:
        """Of training, after which the trial ends with what it has; None for no limit."""

    def progress(self, fraction: float, images_per_second: float) -> None:
        """Told some four times a second: share of the trial that is over, current speed."""


@dataclass(frozen=True)
class Epoch:
    """What one time through the training data gave.

    Attributes:
        epoch: how many are over; a fraction if this one was cut short.
        steps: of the optimizer, so far.
        loss: mean cross-entropy (nats) of the images trained on in this epoch.
        seconds: of training so far, not counting what happens between epochs.
    """

    epoch: float
    steps: int
    loss: float
    seconds: float


def train(
    build: Callable[[], nn.Module],
    data: Dataset,
    params: TrainingParams,
    trial: Trial,
    clock: Clock = time.perf_counter,
) -> Iterator[dict[str, float]]:
    """Train the network that `build` makes; after each epoch yield how it stands.

    Yields `epoch`, `steps`, `train_loss` and `seconds` (see `Epoch`), `val_loss` (nats),
    `val_accuracy` (0 to 1) and `parameters` (how many). Ends when all epochs are over, when
    `trial.max_seconds` of training are (the epoch may be cut short, and counts), or after
    an epoch whose loss is not a finite number: diverging is a result, not an error.
    """
    model = _seeded(build, trial)
    parameters = float(sum(weights.numel() for weights in model.parameters()))
    for epoch in _epochs(model, data.train, params, trial, clock, None):
        loss, accuracy = evaluate(model, data.validation)
        yield {
            "epoch": epoch.epoch,
            "steps": float(epoch.steps),
            "train_loss": epoch.loss,
            "val_loss": loss,
            "val_accuracy": accuracy,
            "seconds": epoch.seconds,
            "parameters": parameters,
        }


def test(
    build: Callable[[], nn.Module],
    data: Dataset,
    params: TrainingParams,
    trial: Trial,
    best: Mapping[str, float],
) -> dict[str, float]:
    """Train again up to `best["steps"]` (of what `train` yielded), then use the test set once.

    Returns `test_accuracy`, `test_loss`, and the `val_accuracy` of the network so trained,
    which on the same device is that of `best`.
    """
    model = _seeded(build, trial)
    for _ in _epochs(model, data.train, params, trial, time.perf_counter, int(best["steps"])):
        pass
    test_loss, test_accuracy = evaluate(model, data.test)
    _, val_accuracy = evaluate(model, data.validation)
    return {
        "test_accuracy": test_accuracy,
        "test_loss": test_loss,
        "val_accuracy": val_accuracy,
    }


def evaluate(model: nn.Module, split: Split) -> tuple[float, float]:
    """Mean cross-entropy (nats) and share of right answers (0 to 1) over a split.

    An answer with a NaN in it is wrong; `argmax` alone would take it for a class.
    """
    n = len(split.labels)
    batch = _EVALUATION_BATCH_CPU if split.labels.device.type == "cpu" else _EVALUATION_BATCH
    model.eval()
    loss = torch.zeros((), device=split.labels.device)
    right = torch.zeros((), device=split.labels.device, dtype=torch.int64)
    with torch.inference_mode():
        for images, labels in zip(
            torch.split(split.images, batch), torch.split(split.labels, batch), strict=True
        ):
            logits = model(images)
            loss += cross_entropy(logits, labels, reduction="sum")
            right += ((logits.argmax(1) == labels) & ~logits.isnan().any(1)).sum()
    return float(loss) / n, int(right) / n


def _seeded(build: Callable[[], nn.Module], trial: Trial) -> nn.Module:
    """The trial's network on its device, its dropout seeded too, whatever ran before."""
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False  # it picks algorithms by timing them
    torch.manual_seed(trial.seed)
    model = build().to(trial.device)
    # NHWC: convolutions and pooling on a CPU take half the time.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def _epochs(
    model: nn.Module,
    split: Split,
    params: TrainingParams,
    trial: Trial,
    clock: Clock,
    max_steps: int | None,
) -> Iterator[Epoch]:
    """Train `model` in place; yields after each epoch, with the clock stopped.

    With `max_steps` ends exactly there, whatever the time; else when `train` says it ends.
    """
    n = len(split.labels)
    total_steps = params.epochs * math.ceil(n / params.batch_size)
    max_seconds = trial.max_seconds if max_steps is None else None
    optimizer = _optimizer(model, params, trial.device)
    schedule = _schedule(optimizer, params, total_steps)
    shuffle = torch.Generator().manual_seed(trial.seed)
    steps, seconds = 0, 0.0
    images_since, told_at = 0, 0.0
    over = False

    for epoch in range(params.epochs):
        model.train()
        loss_sum = torch.zeros((), device=split.labels.device)
        images = 0
        started = clock() - seconds
        order = torch.randperm(n, generator=shuffle).to(split.labels.device)
        for batch in torch.split(order, params.batch_size):
            optimizer.zero_grad()
            logits = model(split.images.index_select(0, batch))
            loss = cross_entropy(logits, split.labels.index_select(0, batch))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if schedule is not None:
                schedule.step()
            loss_sum += loss.detach() * len(batch)  # read once an epoch: reading waits
            steps += 1
            images += len(batch)
            images_since += len(batch)
            # A GPU may be some milliseconds behind; waiting for it here would cost more.
            seconds = clock() - started
            if seconds - told_at >= _PROGRESS_EVERY_S:
                done = steps / (max_steps or total_steps)
                if max_seconds is not None:
                    done = max(done, seconds / max_seconds)
                trial.progress(min(done, 1.0), images_since / (seconds - told_at))
                images_since, told_at = 0, seconds
            if steps == max_steps or (max_seconds is not None and seconds >= max_seconds):
                over = True
                break
        mean_loss = float(loss_sum) / images
        seconds = clock() - started
        yield Epoch(epoch + images / n, steps, mean_loss, seconds)
        if over or not math.isfinite(mean_loss):
            return


def _optimizer(model: nn.Module, params: TrainingParams, device: str) -> Optimizer:
    common: dict[str, Any] = {"lr": params.lr, "weight_decay": params.weight_decay}
    weights = list(model.parameters())
    if params.optimizer == "rmsprop":
        return torch.optim.RMSprop(weights, momentum=params.momentum, **common)
    # One kernel for all weights; None leaves the choice to torch on other devices.
    common["fused"] = True if device.startswith(("cpu", "cuda")) else None
    if params.optimizer == "adam":
        return torch.optim.Adam(weights, **common)
    if params.optimizer == "adamw":
        return torch.optim.AdamW(weights, **common)
    return torch.optim.SGD(weights, momentum=params.momentum, **common)


def _schedule(optimizer: Optimizer, params: TrainingParams, total_steps: int) -> LRScheduler | None:
    """Of the learning rate, to be stepped after each step of the optimizer."""
    if params.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total_steps)
    if params.schedule == "one-cycle":
        # Its default would also replace the momentum, which is a hyperparameter here.
        return OneCycleLR(
            optimizer, max_lr=params.lr, total_steps=total_steps, cycle_momentum=False
        )
    return None
