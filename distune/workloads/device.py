"""Which device to train on."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distune.errors import UserError
from distune.extras import is_installed


def check(device: str) -> None:
    """Compute something on a device whose exact answer is known, if torch is there to do it.

    Raises:
        UserError: it cannot be used, or gives a wrong answer.
    """
    device = resolve(device)
    if not is_installed("torch"):
        return  # the objective computes there with a library of its own

    import torch

    # Small integers: every sum fits into the 24 bits of a float's mantissa, even in TF32's 11
    # each factor is exact.
    a = (torch.arange(256 * 256, dtype=torch.int64) * 7 % 16).reshape(256, 256)
    try:
        there = a.to(device, torch.float32)
        product = (there @ there).cpu()
    except RuntimeError as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"device {device} cannot compute: {first}") from error
    if not torch.equal(product.to(torch.int64), a @ a):
        raise UserError(f"device {device} computes wrong results")


def resolve(spec: str) -> str:
    """The device that `auto`, `cpu`, `cuda`, `cuda:<i>` or `mps` stands for, as torch names it.

    `auto` is `cuda` if a GPU is usable, else `mps` if Apple's is, else `cpu`. Where there is no
    torch to ask, devices are taken as they are named.

    Raises:
        UserError: `spec` is none of these, or not usable on this machine.
    """
    if spec != "auto" and not re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", spec):
        raise UserError(f"device {spec!r}: write auto, cpu, cuda, cuda:0, cuda:1, ... or mps")
    if not is_installed("torch"):
        return "cpu" if spec == "auto" else spec

    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if spec == "auto":
        return "cuda" if gpus else "mps" if mps else "cpu"
    if spec == "mps" and not mps:
        raise UserError("device mps: torch sees no Apple GPU here; use auto or cpu")
    if spec.startswith("cuda"):
        if not gpus:
            build = "" if torch.version.cuda else f" (torch {torch.__version__} is built without)"
            raise UserError(f"device {spec}: torch sees no GPU here{build}; use auto or cpu")
        if int(spec.partition(":")[2] or 0) >= gpus:
            raise UserError(f"device {spec}: the last GPU here is cuda:{gpus - 1}")
    return spec


@contextmanager
def float32_precision(tf32: bool) -> Iterator[None]:
    """How NVIDIA GPUs multiply float32 numbers in here: exactly, or rounded to TF32's 11 bits.

    torch's own default is exact in matrix products and rounded in convolutions. Other devices
    do not care. What was set before is set again at the end.
    """
    import torch

    cudnn: Any = torch.backends.cudnn
    earlier = not hasattr(cudnn, "conv")  # before torch 2.9
    name = "allow_tf32" if earlier else "fp32_precision"
    value = tf32 if earlier else "tf32" if tf32 else "ieee"
    settings = torch.backends.cuda.matmul, getattr(cudnn, "conv", cudnn)
    before = [getattr(setting, name) for setting in settings]
    for setting in settings:
        setattr(setting, name, value)
    try:
        yield
    finally:
        for setting, old in zip(settings, before, strict=True):
            setattr(setting, name, old)


def give_back(device: str) -> None:
    """Leave a GPU's memory, which this process keeps for its next trial, to its neighbours."""
    if device.startswith("cuda"):
        import torch

        gc.collect()
        torch.cuda.empty_cache()
