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
        """Keep a state that a later attempt can go on from, if that is due; the last one, to be
        trained further.
        """

    def load(self) -> dict[str, Any] | None:
        """The state that an earlier attempt has saved last, if one has."""

    def progress(self, fraction: float, images_per_second: float) -> None:
        """Told some four times a second: share of the trial that is over, current speed in
        examples.
        """


class Training:
    """Trains `model` in place. Between any two steps its state can be saved, and gone on from.

    Args:
        max_steps: end exactly there, whatever the time; else as `trainer.train` says.

    Attributes:
        beside: what else is saved with its state, and found here again.
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
        batches = math.ceil(self._n / params.batch_size)
        skipped = params.skip_last_batch and batches > 1
        self._n_used = (batches - 1) * params.batch_size if skipped else self._n
        self._total_steps = params.epochs * (batches - skipped)
        self._there = split.targets.device
        capture = self._worthwhile(capturing(self._there))
        self._update = optimizers.Update(
            model, split, problem, params, capturable=capture is not None
        )
        self._step = CapturedStep(self._update, params.batch_size, capture)
        self._pace = pace.pace_for(self._there)
        self._shuffle = torch.Generator().manual_seed(trial.seed)
        self._shuffled_from = self._shuffle.get_state()  # for this epoch's order
        self._epoch, self._steps, self._seconds = 0, 0, 0.0  # that are over
        self._batches = 0  # of this epoch, that are over
        self._steps_before = 0  # of the attempts that this one goes on from
        self._reported_seconds, self._reported_examples = 0.0, 0
        self._diverged = False
        self.beside: dict[str, float] = {}

    def _state(self) -> dict[str, Any]:
        """All that the training goes on from, between two steps: tensors and numbers."""
        return {
            "weights": self._model.state_dict(),
            "optimizer": self._update.optimizer_state(),
            "shuffle": self._shuffled_from,
            "random": random_state(self._there),
            "epoch": self._epoch,
            "batches": self._batches,
            "totals": self._update.totals,
            "steps": self._steps,
            "seconds": self._seconds,
            "diverged": self._diverged,
            "beside": self.beside,
        }

    def go_on_from(self, state: Mapping[str, Any]) -> None:
        """Be where the training was that has saved this; before the first epoch."""
        self._model.load_state_dict(state["weights"])
        self._update.set_optimizer_state(state["optimizer"])
        self._shuffled_from = state["shuffle"]
        set_random_state(state["random"], self._there)
        self._epoch, self._batches = int(state["epoch"]), int(state["batches"])
        self._update.set_totals(state["totals"])
        self._steps = self._steps_before = int(state["steps"])
        self._seconds = self._reported_seconds = float(state["seconds"])
        self._diverged = bool(state["diverged"])
        self.beside = dict(state["beside"])

    def save_if_due(self) -> None:
        """To be called between two steps, as often as you like."""
        if self._trial.save_due:
            self._trial.save(self._state())

    def _worthwhile(self, capture: Capture | None) -> Capture | None:
        whole = self._params.epochs * (
            self._n_used // self._params.batch_size
        )  # batches of full size
        enough = capture is not None and min(whole, self._max_steps or whole) >= capture.worth
        return capture if enough else None

    def epochs(self) -> Iterator[tuple[dict[str, float], float]]:
        """Train until a loss is not finite; yields after each epoch, with the clock stopped, and
        goes on when `end_epoch` was called.

        Yields:
            `epoch`, how many are over (a fraction if this one was cut short); `steps` of the
            optimizer so far; and over the examples as they were trained on in this epoch the
            means of `train_loss`, and of the problem's metrics if it follows the training. Then
            the seconds of training so far, not counting what happens between epochs.
        """
        try:
            while self._batches or not self._is_over:  # a begun epoch is reported in any case
                self._train_epoch()
                self._seconds = self._clock() - self._started
                if self._seconds >= self._max_seconds and self._trial.saves_last:
                    self._trial.save(self._state(), last=True)
                examples = min(self._batches * self._params.batch_size, self._n_used)
                report = {
                    "epoch": self._epoch + examples / self._n_used,
                    "steps": float(self._steps),
                }
                for name, total in self._update.totals.items():
                    report[f"train_{name}"] = total.item() / examples
                self._diverged = not math.isfinite(report["train_loss"])
                yield report, self._seconds
        finally:
            self._step.free()

    def end_epoch(self, *, is_last: bool = False) -> None:
        """All that an epoch has come to is known, and `beside`: until then, whoever goes on from a
        state makes its report again. None comes after it if the caller says so.
        """
        self._epoch += 1
        self._batches = 0
        self._shuffled_from = self._shuffle.get_state()
        # What its limit of time ends is saved before: it can go on in its midst.
        ends = is_last or self._epoch >= self._params.epochs or self._diverged
        if self._trial.save_due or (ends and self._trial.saves_last):
            self._trial.save(self._state(), last=ends)

    @property
    def _is_over(self) -> bool:
        return self._epoch >= self._params.epochs or self._diverged or self._at_limit

    @property
    def _at_limit(self) -> bool:
        return self._steps == self._max_steps or self._seconds >= self._max_seconds

    def _train_epoch(self) -> None:
        """Train on what is left of its batches: all of them, unless the training ends before."""
        self._model.train()
        self._started = self._clock() - self._seconds
        with self._pace.working():
            if not self._batches:
                self._update.begin_epoch()
            for batch in torch.split(self._order(), self._params.batch_size)[self._batches :]:
                if self._at_limit:
                    break
                self._train_on(batch)
                # A GPU may be some steps behind (see `Pace`); waiting for each would
                # cost more.
                self._seconds = self._clock() - self._started
                self._tell_progress()
                if self._trial.save_due:
                    self._save_in_epoch()

    def _order(self) -> Tensor:
        """Of the examples in this epoch: the same each time it is asked for."""
        self._shuffle.set_state(self._shuffled_from)
        order = torch.randperm(self._n, generator=self._shuffle)
        return order[: self._n_used].to(self._there)

    def _save_in_epoch(self) -> None:
        """The clock stands still: but what the device has yet to do is training."""
        self._pace.wait()
        self._seconds = self._clock() - self._started
        self._trial.save(self._state())
        self._started = self._clock() - self._seconds

    def _train_on(self, batch: Tensor) -> None:
        if self._params.schedule != "constant":
            rate = optimizers.learning_rate(self._params, self._steps, self._total_steps)
            self._update.learn_at(rate)
        self._step(batch)
        self._steps += 1
        self._batches += 1
        self._pace.issued(len(batch))

    def _tell_progress(self) -> None:
        since = self._seconds - self._reported_seconds
        if since < _PROGRESS_EVERY_S:
            return
        steps = (self._steps_before + self._pace.steps) / (self._max_steps or self._total_steps)
        rate = (self._pace.examples - self._reported_examples) / since
        self._trial.progress(min(max(steps, self._seconds / self._max_seconds), 1.0), rate)
        self._reported_seconds, self._reported_examples = self._seconds, self._pace.examples
