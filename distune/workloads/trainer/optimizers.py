"""Optimizers as torch has them, without what torch imports around them; their steps and rates."""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from distune.workloads.data.loading import Split, as_floats
from distune.workloads.hyperparameters import TrainingParams
from distune.workloads.problems import Problem
from distune.workloads.trainer import network

_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


def make_optimizer(
    model: nn.Module, params: TrainingParams, device: torch.device, *, capturable: bool
) -> Optimizer:
    """One whose steps can be captured if that is wanted: then a learning rate that changes is a
    tensor, which a replay reads, and not a number, which it would repeat.
    """
    _without_compiler()
    common: dict[str, Any] = {"lr": params.lr, "weight_decay": params.weight_decay}
    kept = regularised(model, params)
    others = [weights for weights in model.parameters() if not any(weights is one for one in kept)]
    groups = [{"params": kept}, *([{"params": others, "weight_decay": 0.0}] if others else [])]
    if capturable and params.schedule != "constant":
        # The type that torch's kernels read it as.
        dtype = torch.float64 if device.type == "cpu" else torch.float32
        common["lr"] = torch.tensor(params.lr, dtype=dtype, device=device)
    if capturable and params.optimizer != "sgd":
        common["capturable"] = True
        # It is right to say so, but the first steps are not captured on purpose.
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
    if params.optimizer in ("sgd", "rmsprop"):
        common["momentum"] = params.momentum
    if params.optimizer == "rmsprop":
        common["foreach"] = True if capturable else None  # the other way reads the rate on the host
    else:
        # One kernel for all weights saves up to 3 per cent of a step on a CPU, and most of the
        # launches on a GPU; None leaves the choice to torch on other devices.
        common["fused"] = True if device.type in ("cpu", "cuda") else None
    return _OPTIMIZERS[params.optimizer](groups, **common)


def regularised(model: nn.Module, params: TrainingParams) -> list[nn.Parameter]:
    """The weights that are kept small, in their order."""
    if params.regularise == "all":
        return list(model.parameters())
    dense = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    return [weights for layer in dense for weights in layer.parameters()]


def _without_compiler() -> None:
    """Keep optimizers from importing torch's compiler and sympy, of which nothing is used here.

    The compiler shall leave `add_param_group` alone, so it is imported to be told at the first call
    (`torch._compile._disable_dynamo`): 1.1 s and 74 MB in each process. What would come of that
    is put there instead; where torch looks for it no more, nothing is lost but this.
    """
    plain: Any = inspect.unwrap(Optimizer.add_param_group)
    if not hasattr(plain, "__dynamo_disable"):
        plain.__dynamo_disable = plain


def plain_step(optimizer: Optimizer) -> Callable[[], None]:
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
        *,
        capturable: bool,
    ) -> None:
        self.totals: dict[str, Tensor] = {}
        self._model = model
        self._split = split
        self._problem = problem
        self._optimizer = make_optimizer(model, params, split.targets.device, capturable=capturable)
        self._step = plain_step(self._optimizer)
        self._weights = list(model.parameters())
        self._regularised = regularised(model, params)
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
            for weights in self._regularised:
                if weights.grad is not None:
                    weights.grad.add_(weights.detach().sign(), alpha=self._l1)
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(self._weights, self._clip_norm)
        self._step()
        network.add_to(self.totals, {"loss": loss.detach() * len(batch)})
        if self._problem.follow_training:
            network.add_to(self.totals, self._problem.metrics(outputs.detach(), targets))

    def optimizer_state(self) -> list[dict[str, Any]]:
        """What the optimizer remembers of each of the weights, in their order."""
        # Not `state_dict`, which imports torch's compiler.
        return [dict(self._optimizer.state[weights]) for weights in self._weights]

    def set_optimizer_state(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Have it remember what another one has, whatever device that was on."""
        group = self._optimizer.param_groups[0]  # what it is asked is the same of all
        counts_there = group.get("capturable") or group.get("fused")
        for weights, remembered in zip(self._weights, state, strict=True):
            for name, value in remembered.items():
                if isinstance(value, Tensor) and (name != "step" or counts_there):
                    value = value.to(weights.device)
                self._optimizer.state[weights][name] = value

    def set_totals(self, totals: Mapping[str, Tensor]) -> None:
        """Have summed up what another one has, whatever device that was on."""
        self.totals = {name: total.to(self._weights[0].device) for name, total in totals.items()}

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
