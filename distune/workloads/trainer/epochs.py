"""A training, an epoch at a time."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from distune.workloads.data.folders import DataFolders
from distune.workloads.data.loading import Split
from distune.workloads.hyperparameters import TrainingParams
from distune.workloads.problems import Problem
from distune.workloads.saved_state import random_state, set_random_state
from distune.workloads.trainer import optimizers, pace
from distune.workloads.trainer.capture import Capture, CapturedStep, Capturing, capture_for

Clock = Callable[[], float]

_PROGRESS_EVERY_S = 0.25


class TrialLike(Protocol):
    """What the trainer wants to know of its trial, and what it tells it."""

    @property
    def seed(self) -> int:
        """For initial weights, dropout and the order of the examples."""

    @property
    def device(self) -> str:
        """As torch names it."""

    @property
    def data(self) -> DataFolders:
        """Where this host's data sets are."""

    @property
    def max_seconds(self) -> float | None:
        """Of training, after which the trial ends with what it has; None for no limit."""

    @property
    def dir(self) -> Path:
        """A folder for what shall be kept of the trial, made when first asked for."""

    @property
    def save_due(self) -> bool:
        """Whether a state should be saved now."""

    @property
    def saves_last(self) -> bool:
        """Whether the state at the end of the training should be saved."""

    def save(self, state: Mapping[str, Any], *, last: bool = False) -> None:
        """Keep a state that a later attempt can go on from; the last one, to be trained further."""

    def load(self) -> dict[str, Any] | None:
        """The state that an earlier attempt has saved last, if one has."""

    def progress(self, fraction: float, images_per_second: float) -> None:
        """Told some four times a second: share of the trial that is over, current speed in
        examples.
        """


class Training:
    """Trains `model` in place.

    Args:
        max_steps: end exactly there, whatever the time; else as `trainer.train` says.

    Attributes:
        over: no epoch comes after the last one, be there more of them.
    """

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        problem: Problem,
        params: TrainingParams,
        trial: TrialLike,
        *,
        clock: Clock = time.perf_counter,
        capturing: Capturing = capture_for,
        max_steps: int | None = None,
    ) -> None:
        self._model = model
        self._params = params
        self._trial = trial
        self._clock = clock
        self._max_steps = max_steps
        self._max_seconds = (trial.max_seconds if max_steps is None else None) or math.inf
        self._n = len(split.targets)
        self._total_steps = params.epochs * math.ceil(self._n / params.batch_size)
        self._there = split.targets.device
        capture = self._worthwhile(capturing(self._there))
        self._update = optimizers.Update(
            model, split, problem, params, capturable=capture is not None
        )
        self._step = CapturedStep(self._update, params.batch_size, capture)
        self._pace = pace.pace_for(self._there)
        self._shuffle = torch.Generator().manual_seed(trial.seed)
        self._epoch, self._steps, self._seconds = 0, 0, 0.0  # that are over
        self._steps_before = 0  # of the attempts that this one goes on from
        self._reported_seconds, self._reported_examples = 0.0, 0
        self.over = False

    def state(self) -> dict[str, Any]:
        """All that the training goes on from, between two epochs: tensors and numbers."""
        return {
            "weights": self._model.state_dict(),
            "optimizer": self._update.optimizer_state(),
            "shuffle": self._shuffle.get_state(),
            "random": random_state(self._there),
            "epoch": self._epoch,
            "steps": self._steps,
            "seconds": self._seconds,
            "over": self.over,
        }

    @property
    def is_complete(self) -> bool:
        """Whether no epoch comes any more."""
        return self.over or self._epoch >= self._params.epochs

    def go_on_from(self, state: Mapping[str, Any]) -> None:
        """Be where the training was whose `state` this is; before the first epoch."""
        self._model.load_state_dict(state["weights"])
        self._update.set_optimizer_state(state["optimizer"])
        self._shuffle.set_state(state["shuffle"])
        set_random_state(state["random"], self._there)
        self._epoch = int(state["epoch"])
        self._steps = self._steps_before = int(state["steps"])
        self._seconds = self._reported_seconds = float(state["seconds"])
        self.over = bool(state["over"])

    def _worthwhile(self, capture: Capture | None) -> Capture | None:
        whole = self._params.epochs * (self._n // self._params.batch_size)  # batches of full size
        enough = capture is not None and min(whole, self._max_steps or whole) >= capture.worth
        return capture if enough else None

    def epochs(self) -> Iterator[tuple[dict[str, float], float]]:
        """Train until a loss is not finite; yields after each epoch, with the clock stopped.

        Yields:
            `epoch`, how many are over (a fraction if this one was cut short); `steps` of the
            optimizer so far; and over the examples as they were trained on in this epoch the
            means of `train_loss`, and of the problem's metrics if it follows the training. Then
            the seconds of training so far, not counting what happens between epochs.
        """
        try:
            while self._epoch < self._params.epochs and not self.over:
                examples = self._train_epoch()
                report = {"epoch": self._epoch + examples / self._n, "steps": float(self._steps)}
                for name, total in self._update.totals.items():
                    report[f"train_{name}"] = total.item() / examples
                self._epoch += 1
                self.over |= not math.isfinite(report["train_loss"])
                self._seconds = self._clock() - self._started
                yield report, self._seconds
        finally:
            self._step.free()

    def _train_epoch(self) -> int:
        """Returns how many examples it was: all of them, unless the training ends before."""
        self._model.train()
        examples = 0
        self._started = self._clock() - self._seconds
        with self._pace.working():
            self._update.begin_epoch()
            order = torch.randperm(self._n, generator=self._shuffle).to(self._there)
            for batch in torch.split(order, self._params.batch_size):
                self._train_on(batch)
                examples += len(batch)
                # A GPU may be some steps behind (see `Pace`); waiting for each would
                # cost more.
                self._seconds = self._clock() - self._started
                self._tell_progress()
                self.over = self._steps == self._max_steps or self._seconds >= self._max_seconds
                if self.over:
                    break
        return examples

    def _train_on(self, batch: Tensor) -> None:
        if self._params.schedule != "constant":
            rate = optimizers.learning_rate(self._params, self._steps, self._total_steps)
            self._update.learn_at(rate)
        self._step(batch)
        self._steps += 1
        self._pace.issued(len(batch))

    def _tell_progress(self) -> None:
        since = self._seconds - self._reported_seconds
        if since < _PROGRESS_EVERY_S:
            return
        steps = (self._steps_before + self._pace.steps) / (self._max_steps or self._total_steps)
        rate = (self._pace.examples - self._reported_examples) / since
        self._trial.progress(min(max(steps, self._seconds / self._max_seconds), 1.0), rate)
        self._reported_seconds, self._reported_examples = self._seconds, self._pace.examples
