"""Several trainings of one network at once, each with its own settings, seed and examples.

Small networks leave a core waiting: most of a step's time goes into starting some two hundred
operators. Here each operator works for all members: dense layers as batched products; weights,
gradients and the optimizer's memory stacked; convolutions in groups, one for each member, unless
there is something faster that does them one by one (`winners`). Nothing of one member ever enters
another's numbers.

A member has the initial weights, the order of the examples and the units dropped that it would
have alone (`trainer.train`), so it makes the same steps up to rounding: sums are added up in
another order. Rounding grows from step to step, as it does between any two machines.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distune.study.trial import better
from distune.workloads import compiled, tasks, trainer, winners
from distune.workloads.data.loading import Splits, as_floats
from distune.workloads.hyperparameters import MnistCnnParams, TrainingParams
from distune.workloads.layers import draw_kept

_EVALUATION_BATCH = 100  # of all members together, as far as that fits a core's caches
_SMALLEST_EVALUATION_BATCH = 25
_PROGRESS_EVERY_S = 0.25


class Population:
    """`Population(...).curves()`: for each member what `trainer.train` would yield for it.

    All members are trained as far as the one whose curve is asked for next. A curve that is
    closed, or whose trial raises in `progress`, takes its member out before the next step.
    What goes wrong with the steps themselves is raised in every curve.

    A member's `seconds` are its share: a step's time divided by the members that made it.

    Args:
        build: for each member its network: convolutions of one size, then dense layers, in the
            order of `mnist_cnn.network`.
        known: what all of them learn.
        params: of each; they differ in `grouping.OWN` only.
        trials: of each.
    """

    def __init__(
        self,
        build: Sequence[trainer.Build],
        known: Splits,
        params: Sequence[MnistCnnParams],
        trials: Sequence[trainer.Trial],
        clock: trainer.Clock = time.perf_counter,
    ) -> None:
        self._known = known
        self._all = params
        self._trials = trials
        self._clock = clock
        models, self._noise = [], []
        for make, trial in zip(build, trials, strict=True):
            torch.manual_seed(trial.seed)
            models.append(make())
            # What dropout draws alone comes from where the initial weights came from.
            self._noise.append(torch.Generator())
            self._noise[-1].set_state(torch.get_rng_state())
        self._parameters = float(sum(weights.numel() for weights in models[0].parameters()))
        self._members = list(range(len(models)))
        self._network = _Network(models)
        self._optimizer = _OPTIMIZERS[params[0].optimizer](self._network.weights, params)
        self._waiting: list[deque[dict[str, float]]] = [deque() for _ in models]
        self._over: set[int] = set()
        self._errors: dict[int, BaseException] = {}
        self._running = self._run()

    def curves(self) -> list[Iterator[dict[str, float]]]:
        """One for each member, in their order."""
        return [self._curve(member) for member in self._members]

    def _curve(self, member: int) -> Iterator[dict[str, float]]:
        reports = self._waiting[member]
        try:
            while True:
                while not reports:
                    if member in self._errors:
                        raise self._errors[member]
                    if member in self._over:
                        return
                    self._go_on()
                yield reports.popleft()
        finally:
            self._over.add(member)

    def _go_on(self) -> None:
        try:
            if next(self._running, True):
                self._over.update(self._members)
        except Exception as error:
            for member in self._members:
                self._errors.setdefault(member, error)

    def _run(self) -> Iterator[None]:
        """Train an epoch at a time."""
        first = self._all[0]
        split = self._known.train
        n = len(split.targets)
        total_steps = first.epochs * math.ceil(n / first.batch_size)
        max_seconds = self._trials[0].max_seconds
        shuffles = [torch.Generator().manual_seed(trial.seed) for trial in self._trials]
        best = dict.fromkeys(self._members, math.nan)
        waited = dict.fromkeys(self._members, 0)
        steps, seconds, since_told, examples_since = 0, 0.0, 0.0, 0

        for epoch in range(first.epochs):
            self._let_go()
            if not self._members:
                return
            last = self._clock()
            orders = torch.stack([torch.randperm(n, generator=shuffles[i]) for i in self._members])
            totals = torch.zeros(len(self._members))
            examples = 0
            for start in range(0, n, first.batch_size):
                stay = self._let_go()
                if stay is not None:
                    orders, totals = orders[stay], totals[stay]
                if not self._members:
                    return
                batch = orders[:, start : start + first.batch_size]
                rates = [
                    trainer.learning_rate(self._all[i], steps, total_steps) for i in self._members
                ]
                losses = self._step(batch, torch.tensor(rates))
                totals += losses * batch.shape[1]
                steps += 1
                examples += batch.shape[1]
                examples_since += batch.shape[1]
                now = self._clock()
                seconds += (now - last) / len(self._members)
                since_told += now - last
                last = now
                if since_told >= _PROGRESS_EVERY_S:
                    done = steps / total_steps
                    if max_seconds is not None:
                        done = max(done, seconds / max_seconds)
                    self._tell(min(done, 1.0), examples_since / since_told)
                    examples_since, since_told = 0, 0.0
                if max_seconds is not None and seconds >= max_seconds:
                    break
            means = [total / examples for total in totals.tolist()]
            seconds += (self._clock() - last) / len(self._members)
            found = self._evaluate()
            for i, mean, each in zip(self._members, means, found, strict=True):
                self._waiting[i].append(
                    {
                        "epoch": epoch + examples / n,
                        "steps": float(steps),
                        "train_loss": mean,
                        **{f"val_{name}": value for name, value in each.items()},
                        "seconds": seconds,
                        "parameters": self._parameters,
                    }
                )
                improved = better(each["accuracy"], best[i], "maximize")
                best[i], waited[i] = (each["accuracy"], 0) if improved else (best[i], waited[i] + 1)
                if waited[i] == first.patience or not math.isfinite(mean):
                    self._over.add(i)
            yield
            if max_seconds is not None and seconds >= max_seconds:
                return

    def _step(self, batch: Tensor, lr: Tensor) -> Tensor:
        """Members x N numbers of examples: make a step; the loss of each member."""
        members, n = batch.shape
        split = self._known.train
        # N images of as many channels as there are members.
        images = split.inputs.index_select(0, batch.t().reshape(-1))
        images = as_floats(images).view(n, members, *images.shape[2:])
        noise = [self._noise[i] for i in self._members]
        dropout = [self._all[i].dropout for i in self._members]
        outputs = self._network.outputs(images, grouped=True, dropout=dropout, noise=noise)
        targets = split.targets.index_select(0, batch.reshape(-1))
        losses = F.cross_entropy(outputs.flatten(0, 1), targets, reduction="none")
        losses = losses.view(members, n).mean(1)
        self._optimizer.step(torch.autograd.grad(losses.sum(), self._network.weights), lr)
        return losses.detach()

    def _evaluate(self) -> list[dict[str, float]]:
        """Each member's means over the validation examples, as `trainer.evaluate`."""
        split = self._known.validation
        members = len(self._members)
        batch = max(_SMALLEST_EVALUATION_BATCH, _EVALUATION_BATCH // members)
        loss, right = torch.zeros(members), torch.zeros(members)
        with torch.inference_mode():
            for inputs, targets in zip(
                torch.split(split.inputs, batch), torch.split(split.targets, batch), strict=True
            ):
                outputs = self._network.outputs(as_floats(inputs), grouped=False)
                outputs, wanted = outputs.flatten(0, 1), targets.repeat(members)
                each = F.cross_entropy(outputs, wanted, reduction="none")
                loss += each.view(members, -1).sum(1)
                right += tasks.right(outputs, wanted).view(members, -1).sum(1)
        n = len(split.targets)
        return [
            {"loss": total / n, "accuracy": count / n}
            for total, count in zip(loss.tolist(), right.tolist(), strict=True)
        ]

    def _let_go(self) -> list[int] | None:
        """Go on without the members that are over; where the others were, if any are."""
        if not self._over:
            return None
        stay = [place for place, i in enumerate(self._members) if i not in self._over]
        if len(stay) == len(self._members):
            return None
        self._members = [self._members[place] for place in stay]
        self._network.keep(stay)
        self._optimizer.keep(stay)
        return stay

    def _tell(self, fraction: float, images_per_second: float) -> None:
        for i in self._members:
            try:
                self._trials[i].progress(fraction, images_per_second)
            except BaseException as error:  # how a trial is stopped: the others' go on
                self._errors[i] = error
                self._over.add(i)


class _Network:
    """The stacked weights of several `mnist_cnn.network`s, and what they compute.

    Attributes:
        weights: of each layer, and its biases; the first dimension is the members.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        layers = [
            [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
            for model in models
        ]
        self._convolutions = sum(isinstance(layer, nn.Conv2d) for layer in layers[0])
        self.weights: list[Tensor] = []
        for same in zip(*layers, strict=True):
            for name in ("weight", "bias"):
                self.weights.append(torch.stack([getattr(layer, name).detach() for layer in same]))
        self._ready()

    def keep(self, stay: Sequence[int]) -> None:
        """Go on with these members only."""
        for place, one in enumerate(self.weights):
            self.weights[place] = one.detach()[list(stay)]
        self._ready()

    def _ready(self) -> None:
        for place, one in enumerate(self.weights):
            self.weights[place] = _channels_last(one).requires_grad_()

    def outputs(
        self,
        images: Tensor,
        *,
        grouped: bool,
        dropout: Sequence[float] = (),
        noise: Sequence[torch.Generator] = (),
    ) -> Tensor:
        """Members x N x classes.

        Args:
            images: N, of a channel for each member if `grouped`, else of one that all see.
            dropout, noise: of each member, in training.
        """
        layers = list(zip(self.weights[::2], self.weights[1::2], strict=True))
        members = len(self.weights[0])
        if compiled.widths():
            x = _one_by_one(torch.split(images, 1, 1) if grouped else [images] * members,
                            layers[: self._convolutions])  # fmt: skip
        else:
            x = _in_groups(images, members if grouped else 1, layers[: self._convolutions])
            x = x.reshape(len(x), members, -1).transpose(0, 1)
        *hidden, (weight, bias) = layers[self._convolutions :]
        for one, its_bias in hidden:
            x = _dropped(x, dropout, noise)
            x = F.relu(torch.baddbmm(its_bias[:, None], x, one.transpose(1, 2)))
        x = _dropped(x, dropout, noise)
        return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))


def _one_by_one(images: Sequence[Tensor], layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Members x N x features, by each member's own convolutions, as it would have them alone."""
    each = list(images)
    for weights, biases in layers:
        each = [
            winners.conv_max_pool(x, weight, bias, padding=0, window=2, relu=True)
            for x, weight, bias in zip(each, weights, biases, strict=True)
        ]
    return torch.stack([features.flatten(1) for features in each])


def _in_groups(images: Tensor, groups: int, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """N x members * channels x H x W."""
    x = images.contiguous(memory_format=torch.channels_last)
    for weights, biases in layers:
        x = F.conv2d(x, weights.flatten(0, 1), biases.flatten(), groups=groups)
        x = F.relu(F.max_pool2d(x, 2))
        groups = len(weights)
    return x


def _channels_last(stacked: Tensor) -> Tensor:
    """Members x filters x channels x H x W, so laid out that all the filters together are what a
    convolution in NHWC wants; anything else as it is.
    """
    if stacked.dim() != 5:
        return stacked
    filters = stacked.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return filters.view(stacked.shape)


def _dropped(x: Tensor, dropout: Sequence[float], noise: Sequence[torch.Generator]) -> Tensor:
    """Members x N x units with each member's own units dropped."""
    if not any(dropout):
        return x
    kept = torch.empty(x.shape)
    for mine, p, generator in zip(kept, dropout, noise, strict=True):
        if p:
            draw_kept(mine, p, generator)
        else:
            mine.fill_(1.0)
    return x * kept


class _Optimizer(Protocol):
    """Updates stacked weights in place."""

    def __init__(self, weights: list[Tensor], params: Sequence[TrainingParams]) -> None: ...

    def step(self, gradients: Sequence[Tensor], lr: Tensor) -> None:
        """With a learning rate for each member."""

    def keep(self, stay: Sequence[int]) -> None:
        """Go on with these members only."""


class _Sgd:
    """`torch.optim.SGD`, with each member's own momentum and weight decay."""

    def __init__(self, weights: list[Tensor], params: Sequence[TrainingParams]) -> None:
        self._weights = weights  # the network's own list
        self._momentum = torch.tensor([one.momentum for one in params])
        self._decay = torch.tensor([one.weight_decay for one in params])
        self._velocities = [torch.zeros_like(one) for one in weights]

    def step(self, gradients: Sequence[Tensor], lr: Tensor) -> None:
        decays = bool(self._decay.any())
        with torch.no_grad():
            for weight, velocity, gradient in zip(
                self._weights, self._velocities, gradients, strict=True
            ):
                if decays:
                    gradient = gradient.addcmul(weight, _each(self._decay, weight))
                velocity.mul_(_each(self._momentum, weight)).add_(gradient)
                weight.addcmul_(velocity, _each(lr, weight), value=-1)

    def keep(self, stay: Sequence[int]) -> None:
        rows = list(stay)
        self._momentum, self._decay = self._momentum[rows], self._decay[rows]
        self._velocities = [_channels_last(one[rows]) for one in self._velocities]


class _Adam:
    """`torch.optim.Adam` with torch's defaults and each member's own weight decay."""

    _FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, weights: list[Tensor], params: Sequence[TrainingParams]) -> None:
        self._weights = weights  # the network's own list
        self._decay = torch.tensor([one.weight_decay for one in params])
        self._means = [torch.zeros_like(one) for one in weights]
        self._squares = [torch.zeros_like(one) for one in weights]
        self._steps = 0

    def step(self, gradients: Sequence[Tensor], lr: Tensor) -> None:
        self._steps += 1
        rate = lr / (1 - self._FIRST**self._steps)
        root = math.sqrt(1 - self._SECOND**self._steps)
        decays = bool(self._decay.any())
        with torch.no_grad():
            for weight, mean, square, gradient in zip(
                self._weights, self._means, self._squares, gradients, strict=True
            ):
                if decays:
                    gradient = self._decayed(weight, gradient, lr)
                mean.lerp_(gradient, 1 - self._FIRST)
                square.mul_(self._SECOND).addcmul_(gradient, gradient, value=1 - self._SECOND)
                size = (square.sqrt() / root).add_(self._EPSILON)
                weight.addcmul_(mean / size, _each(rate, weight), value=-1)

    def _decayed(self, weight: Tensor, gradient: Tensor, lr: Tensor) -> Tensor:
        return gradient.addcmul(weight, _each(self._decay, weight))

    def keep(self, stay: Sequence[int]) -> None:
        rows = list(stay)
        self._decay = self._decay[rows]
        self._means = [_channels_last(one[rows]) for one in self._means]
        self._squares = [_channels_last(one[rows]) for one in self._squares]


class _AdamW(_Adam):
    """`torch.optim.AdamW`: the weights decay by themselves, and not through the gradient."""

    def _decayed(self, weight: Tensor, gradient: Tensor, lr: Tensor) -> Tensor:
        weight.mul_(1 - _each(lr * self._decay, weight))
        return gradient


_OPTIMIZERS: dict[str, type[_Optimizer]] = {"sgd": _Sgd, "adam": _Adam, "adamw": _AdamW}


def _each(values: Tensor, stacked: Tensor) -> Tensor:
    """A number for each member, to be multiplied with what is stacked."""
    return values.view(-1, *[1] * (stacked.dim() - 1))
