"""A trial's network on its device, made to compute fast and always the same."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from distune.workloads.kernels.conv_max_pool import fuse


def seeded_network(
    build: Callable[[], nn.Module], seed: int, device: str, precision: str
) -> nn.Module:
    """What `build` makes, on the device; its dropout is seeded too, whatever ran before."""
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False  # it picks algorithms by timing them
    torch.manual_seed(seed)
    model = build().to(device)
    if device == "cpu":
        fuse(model)
    # NHWC: convolutions and pooling on a CPU take half the time.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _InBfloat16(model) if precision == "bfloat16" else model


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
