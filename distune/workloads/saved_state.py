"""States of trainings as bytes, and back: PyTorch's own format, of which nothing is ever run. Where
everything random of a training stands.
"""

import importlib
import io
import random
import sys
from collections.abc import Mapping
from typing import IO, Any

import torch


def write(state: Any, file: IO[bytes]) -> None:
    """Write what `torch.save` takes."""
    torch.save(state, file)


def read(data: bytes) -> Any:
    """The state that `write` made into `data`, its tensors in the CPU's memory.

    Raises:
        Exception: of many kinds, for what is none, or has other objects in it than tensors,
            numbers, text, and lists and dicts of them: to make those would be to run code (P10).
    """
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def random_state(device: torch.device) -> dict[str, Any]:
    """Of Python, of NumPy if somebody uses it, of PyTorch on the CPU and on the device."""
    version, numbers, gauss = random.getstate()
    found = {"python": [version, list(numbers), gauss], "cpu": torch.get_rng_state()}
    if "numpy" in sys.modules:
        kind, keys, *rest = sys.modules["numpy"].random.get_state()
        found["numpy"] = [kind, keys.tolist(), *rest]
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Have everything random go on from there."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(state["cpu"])
    if "numpy" in state:
        importlib.import_module("numpy").random.set_state(tuple(state["numpy"]))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
