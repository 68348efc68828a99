"""The loop that trains any network, for the trials and for the final test.

Deterministic: on one device (and number of threads) the weights after a number of steps
depend on the seed and the hyperparameters only. So the winner need not be stored: the
test trains it again, up to the step at which it won.
"""

from __future__ import annotations

import inspect
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from distune.study.trial import better
from distune.workloads import device, steps, winners
from distune.workloads.data import loading
from distune.workloads.data.data_set import DataSet
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.loading import Split, Splits, as_floats
from distune.workloads.drawing import Draw, leave_figures
from distune.workloads.hyperparameters import TrainingParams
from distune.workloads.tasks import Task

Build = Callable[[], nn.Module]
Clock = Callable[[], float]
Capturing = Callable[[torch.device], steps.Capture | None]

_EVALUATION_BATCH = 1_000
_EVALUATION_BATCH_CPU = 100  # what fits a core's caches: three times as fast as 1,000
_PROGRESS_EVERY_S = 0.25


class Trial(Protocol):
    """What a workload wants to know of its trial, and what it tells it."""

    @property
    def seed(self) -> int:
        """For initial weights, dropout and the order of the examples."""

    @property
    def device(self) -> str:
        """As torch names it."""

    @property
    def data(self) -> DataFolders:
        """Where the data is."""

    @property
    def max_seconds(self) -> float | None:
        """Of training, after which the trial ends with what it has; None for no limit."""

    @property
    def dir(self) -> Path:
        """A folder for what shall be kept of the trial."""

    def progress(self, fraction: float, images_per_second: float) -> None:
        """Told some four times a second: share of the trial that is over, current speed in
        examples.
        """


@dataclass(frozen=True)
class Epoch:
    """What one time through the training data gave.

    Attributes:
        epoch: how many are over; a fraction if this one was cut short.
        steps: of the optimizer, so far.
        means: of the `loss`, and of the task's metrics if it follows the training, over the
            examples as they were trained on in this epoch.
        seconds: of training so far, not counting what happens between epochs.
    """

    epoch: float
    steps: int
    means: dict[str, float]
    seconds: float


def load(data_set: DataSet, params: TrainingParams, trial: Trial) -> Splits:
    """A data set for a trial: as much of it as the params want, on the trial's device.

    Raises:
        UserError: it is not to be had (see `loading.load`).
    """
    return loading.load(
        data_set,
        trial.data,
        trial.device,
        params.n_train,
        params.n_validation,
        params.n_test,
    )


def train(
    build: Build,
    known: Splits,
    task: Task,
    params: TrainingParams,
    trial: Trial,
    clock: Clock = time.perf_counter,
    capturing: Capturing | None = None,
) -> Iterator[dict[str, float]]:
    """Train the network that `build` makes; after each epoch yield how it stands.

    Yields `epoch`, `steps`, `train_loss` and `seconds` (see `Epoch`), `val_loss`, a
    `val_<metric>` for each of the task's metrics, also a `train_<metric>` if it follows the
    training, and `parameters` (how many). Ends when all epochs are over, when
    `trial.max_seconds` of training are (the epoch may be cut short, and counts), when
    `params.patience` is, or after an epoch whose loss is not a finite number: diverging is
    a result, not an error.

    `capturing` is how steps are captured on a device (see `steps`), torch's way by default.
    """
    with device.float32_precision(params.precision == "tf32"):
        yield from _train(build, known, task, params, trial, clock, capturing)


def _train(
    build: Build,
    known: Splits,
    task: Task,
    params: TrainingParams,
    trial: Trial,
    clock: Clock,
    capturing: Capturing | None,
) -> Iterator[dict[str, float]]:
    model = _seeded(build, params, trial)
    parameters = float(sum(weights.numel() for weights in model.parameters()))
    best, waited = math.nan, 0
    for epoch in _epochs(model, known.train, task, params, trial, clock, capturing, None):
        found = evaluate(model, known.validation, task)
        yield {
            "epoch": epoch.epoch,
            "steps": float(epoch.steps),
            **{f"train_{name}": value for name, value in epoch.means.items()},
            **{f"val_{name}": value for name, value in found.items()},
            "seconds": epoch.seconds,
            "parameters": parameters,
        }
        improved = better(found[task.metric], best, task.direction)
        best, waited = (found[task.metric], 0) if improved else (best, waited + 1)
        if waited == params.patience:
            return


def test(
    build: Build,
    known: Splits,
    task: Task,
    params: TrainingParams,
    trial: Trial,
    best: Mapping[str, float],
    draw: Draw,
    capturing: Capturing | None = None,  # noqa: PT028
) -> dict[str, float]:
    """Train again up to `best["steps"]` (of what `train` yielded), then use the test set once.

    Leaves the figures that `draw` makes beside the trial. Returns `test_loss`, a
    `test_<metric>` for each of the task's metrics, and the `val_<metric>` that the task is
    judged by, of the network so trained: on the same device it is that of `best`.
    """
    with device.float32_precision(params.precision == "tf32"):
        model = _seeded(build, params, trial)
        until = int(best["steps"])
        clock = time.perf_counter
        for _ in _epochs(model, known.train, task, params, trial, clock, capturing, until):
            pass
        on_test = evaluate(model, known.test, task)
        on_validation = evaluate(model, known.validation, task)
        leave_figures(trial, draw(partial(predict, model), known))
    return {
        **{f"test_{name}": value for name, value in on_test.items()},
        f"val_{task.metric}": on_validation[task.metric],
    }


def evaluate(model: nn.Module, split: Split, task: Task) -> dict[str, float]:
    """Means over a split: `loss`, and each of the task's metrics."""
    totals: dict[str, Tensor] = {}
    batch = _evaluation_batch(split.inputs)
    with torch.inference_mode():
        for outputs, targets in zip(
            _outputs(model, split.inputs), torch.split(split.targets, batch), strict=True
        ):
            _add(totals, {"loss": task.loss(outputs, targets, reduction="sum")})
            _add(totals, task.metrics(outputs, targets))
    return {name: total.item() / len(split.targets) for name, total in totals.items()}


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """The outputs for N inputs on the model's device, in their order, on the CPU."""
    with torch.inference_mode():
        return torch.cat(list(_outputs(model, inputs))).cpu()


def _outputs(model: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    model.eval()
    return (model(as_floats(batch)) for batch in torch.split(inputs, _evaluation_batch(inputs)))


def _evaluation_batch(inputs: Tensor) -> int:
    return _EVALUATION_BATCH_CPU if inputs.device.type == "cpu" else _EVALUATION_BATCH


def _add(totals: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """In place: what a captured step adds to must stay where it is."""
    for name, value in values.items():
        if name in totals:
            totals[name].add_(value)
        else:
            totals[name] = value.clone()


class _InBfloat16(nn.Module):
    """A network whose layers compute in bfloat16 as far as torch thinks it safe (autocast),
    and whose outputs are float32, as are its weights.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        # No weight is used twice in a pass, and a captured one must not come from a cache.
        with torch.autocast(inputs.device.type, torch.bfloat16, cache_enabled=False):
            outputs: Tensor = self.network(inputs)
        return outputs.float()


def _seeded(build: Build, params: TrainingParams, trial: Trial) -> nn.Module:
    """The trial's network on its device, its dropout seeded too, whatever ran before."""
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False  # it picks algorithms by timing them
    torch.manual_seed(trial.seed)
    model = build().to(trial.device)
    if trial.device == "cpu":
        winners.fuse(model)
    # NHWC: convolutions and pooling on a CPU take half the time.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _InBfloat16(model) if params.precision == "bfloat16" else model


class _Update:
    """One step of the optimizer, over tensors that stay where they are: it can be captured.

    Attributes:
        totals: sums over the examples since `begin_epoch`, on the device: read them once an
            epoch, because reading waits.
    """

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        task: Task,
        params: TrainingParams,
        optimizer: Optimizer,
    ) -> None:
        self.totals: dict[str, Tensor] = {}
        self._model = model
        self._split = split
        self._task = task
        self._optimizer = optimizer
        self._step = _plain_step(optimizer)
        self._weights = list(model.parameters())
        self._l1, self._clip_norm = params.l1, params.clip_norm

    def __call__(self, batch: Tensor) -> None:
        for weights in self._weights:
            weights.grad = None
        outputs = self._model(as_floats(self._split.inputs.index_select(0, batch)))
        targets = self._split.targets.index_select(0, batch)
        loss = self._task.loss(outputs, targets, reduction="mean")
        loss.backward()  # type: ignore[no-untyped-call]
        if self._l1:
            _add_l1(self._weights, self._l1)
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(self._weights, self._clip_norm)
        self._step()
        _add(self.totals, {"loss": loss.detach() * len(batch)})
        if self._task.follow_training:
            _add(self.totals, self._task.metrics(outputs.detach(), targets))

    def begin_epoch(self) -> None:
        for total in self.totals.values():
            total.zero_()

    def learn_at(self, rate: float) -> None:
        """The learning rate of the next step."""
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def _epochs(
    model: nn.Module,
    split: Split,
    task: Task,
    params: TrainingParams,
    trial: Trial,
    clock: Clock,
    capturing: Capturing | None,
    max_steps: int | None,
) -> Iterator[Epoch]:
    """Train `model` in place; yields after each epoch, with the clock stopped.

    With `max_steps` ends exactly there, whatever the time; else when `train` says it ends.
    """
    n = len(split.targets)
    there = split.targets.device
    total_steps = params.epochs * math.ceil(n / params.batch_size)
    max_seconds = trial.max_seconds if max_steps is None else None
    capture = (capturing or steps.capture_for)(there)
    whole = params.epochs * (n // params.batch_size)  # steps that a capture would be used for
    if capture is not None and min(whole, max_steps or whole) < capture.worth:
        capture = None
    optimizer = _optimizer(model, params, trial.device, capturable=capture is not None)
    update = _Update(model, split, task, params, optimizer)
    step: steps.Step = update
    if capture is not None:
        step = captured = steps.CapturedStep(update, params.batch_size, capture, _say)
    pace = steps.pace_for(there)
    shuffle = torch.Generator().manual_seed(trial.seed)
    scheduled = params.schedule != "constant"
    done, seconds = 0, 0.0
    told_at, told = 0.0, 0  # seconds, examples
    over = False

    try:
        for epoch in range(params.epochs):
            model.train()
            examples = 0
            started = clock() - seconds
            with pace.working():
                update.begin_epoch()
                order = torch.randperm(n, generator=shuffle).to(there)
                for batch in torch.split(order, params.batch_size):
                    if scheduled:
                        update.learn_at(learning_rate(params, done, total_steps))
                    step(batch)
                    done += 1
                    examples += len(batch)
                    pace.issued(len(batch))
                    # A GPU may be some steps behind (see `steps.Behind`); waiting for each
                    # would cost more.
                    seconds = clock() - started
                    if seconds - told_at >= _PROGRESS_EVERY_S:
                        fraction = pace.steps / (max_steps or total_steps)
                        if max_seconds is not None:
                            fraction = max(fraction, seconds / max_seconds)
                        rate = (pace.examples - told) / (seconds - told_at)
                        trial.progress(min(fraction, 1.0), rate)
                        told_at, told = seconds, pace.examples
                    if done == max_steps or (max_seconds is not None and seconds >= max_seconds):
                        over = True
                        break
            means = {name: total.item() / examples for name, total in update.totals.items()}
            seconds = clock() - started
            yield Epoch(epoch + examples / n, done, means, seconds)
            if over or not math.isfinite(means["loss"]):
                return
    finally:
        if capture is not None:
            captured.free()


def _say(line: str) -> None:
    print(line, flush=True)


def _add_l1(weights: Iterable[Tensor], strength: float) -> None:
    """Add the gradient of `strength` times the sum of all absolute values."""
    for one in weights:
        if one.grad is not None:
            one.grad.add_(one.detach().sign(), alpha=strength)


def _optimizer(
    model: nn.Module, params: TrainingParams, device: str, *, capturable: bool = False
) -> Optimizer:
    """One whose steps can be captured if that is wanted: then a learning rate that changes is a
    tensor, which a replay reads, and not a number, which it would repeat.
    """
    _without_compiler()
    common: dict[str, Any] = {"lr": params.lr, "weight_decay": params.weight_decay}
    weights = list(model.parameters())
    if capturable and params.schedule != "constant":
        # The type that torch's kernels read it as.
        dtype = torch.float64 if device == "cpu" else torch.float32
        common["lr"] = torch.tensor(params.lr, dtype=dtype, device=device)
    if capturable and params.optimizer != "sgd":
        common["capturable"] = True
        # It is right to say so, but the first steps are not captured on purpose.
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
    if params.optimizer == "rmsprop":
        foreach = True if capturable else None  # the other way reads the rate on the host
        return torch.optim.RMSprop(weights, momentum=params.momentum, foreach=foreach, **common)
    # One kernel for all weights; None leaves the choice to torch on other devices.
    common["fused"] = True if device.startswith(("cpu", "cuda")) else None
    if params.optimizer == "adam":
        return torch.optim.Adam(weights, **common)
    if params.optimizer == "adamw":
        return torch.optim.AdamW(weights, **common)
    return torch.optim.SGD(weights, momentum=params.momentum, **common)


def _without_compiler() -> None:
    """Keep optimizers from importing torch's compiler and sympy, of which nothing is used here.

    The compiler shall leave `add_param_group` alone, so it is imported to be told at the first call
    (`torch._compile._disable_dynamo`): 1.1 s and 74 MB in each process. What would come of that
    is put there instead; where torch looks for it no more, nothing is lost but this.
    """
    plain: Any = inspect.unwrap(Optimizer.add_param_group)
    if not hasattr(plain, "__dynamo_disable"):
        plain.__dynamo_disable = plain


def _plain_step(optimizer: Optimizer) -> Callable[[], None]:
    """`optimizer.step` without what is around it for the compiler, the profiler and hooks, which
    imports the compiler, too.
    """
    step = inspect.unwrap(type(optimizer).step)

    def plain() -> None:
        with torch.no_grad():
            step(optimizer)

    return plain


def learning_rate(params: TrainingParams, step: int, total_steps: int) -> float:
    """Of a step, counted from 0.

    `cosine` is that of Loshchilov & Hutter (2017, eq. 5, without restarts), `one-cycle` that of
    Smith & Topin (2018) as torch has it: from a 25th to the peak in 30 per cent of the steps,
    then down to a 250,000th, both along a cosine.
    """
    if params.schedule == "cosine":
        return _between(params.lr, params.lr_final, step / total_steps)
    if params.schedule == "one-cycle":
        low, peak = params.lr / 25, 0.3 * total_steps - 1
        if step <= peak:
            return _between(low, params.lr, step / peak)
        return _between(params.lr, low / 1e4, (step - peak) / (total_steps - 1 - peak))
    return params.lr


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
