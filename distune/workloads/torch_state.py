"""What PyTorch keeps for a whole process, whichever trial has changed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


def _settings() -> dict[str, tuple[Any, Any]]:
    """How each is read, and how it is set."""
    cudnn: Any = torch.backends.cudnn
    return {
        "dtype": (torch.get_default_dtype, torch.set_default_dtype),
        "device": (torch.get_default_device, _set_default_device),
        "threads": (torch.get_num_threads, torch.set_num_threads),
        "gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
        ),
        "benchmark": (lambda: cudnn.benchmark, lambda to: setattr(cudnn, "benchmark", to)),
    }


def _set_default_device(device: torch.device) -> None:
    # None is the CPU too, without a mode that looks at every call.
    torch.set_default_device(None if device == torch.device("cpu") else device)


_SETTINGS = _settings()


@dataclass(frozen=True)
class TorchState:
    """How a process has it."""

    values: Mapping[str, Any]

    @classmethod
    def now(cls) -> TorchState:
        """As it is."""
        return cls({name: get() for name, (get, _) in _SETTINGS.items()})

    @classmethod
    def at_first(cls, environment: Mapping[str, str]) -> TorchState:
        """As PyTorch is when it has just been imported in this environment."""
        threads = environment.get("OMP_NUM_THREADS", "")
        return cls(
            {
                "dtype": torch.float32,
                "device": torch.device("cpu"),
                "threads": int(threads) if threads.isdecimal() and int(threads) else None,
                "gradients": True,
                "deterministic": False,
                "benchmark": False,
            }
        )

    def restore(self, seed: int) -> None:
        """Have it so again, and begin everything random with a seed."""
        for name, (get, put) in _SETTINGS.items():
            value = self.values[name]
            if value is not None and get() != value:
                put(value)
        # `torch.manual_seed` takes a hundred times as long where there is no GPU, and notes down
        # each call for when there will be one.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed_all(seed)
