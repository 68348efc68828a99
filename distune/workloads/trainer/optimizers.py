"""Optimizers as torch has them, without what torch imports around them, and learning rates."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from distune.workloads.hyperparameters import TrainingParams


def make_optimizer(
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
    # One kernel for all weights saves up to 3 per cent of a step on a CPU, and most of the
    # launches on a GPU; None leaves the choice to torch on other devices.
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
