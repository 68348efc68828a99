"""One step of an optimizer."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim import Optimizer

from distune.workloads.data.loading import Split, as_floats
from distune.workloads.hyperparameters import TrainingParams
from distune.workloads.problems import Problem
from distune.workloads.trainer import network, optimizers


class Update:
    """Trains on a batch, over tensors that stay where they are: it can be captured.

    Attributes:
        totals: sums over the examples since `begin_epoch`, on the device: read them once an
            epoch, because reading waits.
    """

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        problem: Problem,
        params: TrainingParams,
        optimizer: Optimizer,
    ) -> None:
        self.totals: dict[str, Tensor] = {}
        self._model = model
        self._split = split
        self._problem = problem
        self._optimizer = optimizer
        self._step = optimizers.plain_step(optimizer)
        self._weights = list(model.parameters())
        self._l1, self._clip_norm = params.l1, params.clip_norm

    def __call__(self, batch: Tensor) -> None:
        """Train on the examples of these indices: int64, on the device."""
        for weights in self._weights:
            weights.grad = None
        outputs = self._model(as_floats(self._split.inputs.index_select(0, batch)))
        targets = self._split.targets.index_select(0, batch)
        loss = self._problem.loss(outputs, targets, reduction="mean")
        loss.backward()  # type: ignore[no-untyped-call]
        if self._l1:
            _add_l1(self._weights, self._l1)
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(self._weights, self._clip_norm)
        self._step()
        network.add_to(self.totals, {"loss": loss.detach() * len(batch)})
        if self._problem.follow_training:
            network.add_to(self.totals, self._problem.metrics(outputs.detach(), targets))

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


def _add_l1(weights: Iterable[Tensor], strength: float) -> None:
    """Add the gradient of `strength` times the sum of all absolute values."""
    for one in weights:
        if one.grad is not None:
            one.grad.add_(one.detach().sign(), alpha=strength)
