"""A trial's network on its device, made to compute fast and always the same; its answers."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from distune.workloads.data.loading import Split, as_floats
from distune.workloads.kernels.conv_max_pool import fuse
from distune.workloads.problems import Problem

_BATCH = 1_000
_BATCH_CPU = 100  # what fits a core's caches: three times as fast as 1,000


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


def evaluate(
    model: nn.Module,
    split: Split,
    problem: Problem,
    between: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Means over a split: `loss`, and each of the problem's metrics. Calls `between` after each
    batch, of which there may be many.
    """
    totals: dict[str, Tensor] = {}
    batches = torch.split(split.targets, _batch(split.inputs))
    with torch.inference_mode():
        for outputs, targets in zip(_outputs(model, split.inputs), batches, strict=True):
            add_to(totals, {"loss": problem.loss(outputs, targets, reduction="sum")})
            add_to(totals, problem.metrics(outputs, targets))
            between()
    return {name: total.item() / len(split.targets) for name, total in totals.items()}


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """The outputs for N inputs on the model's device, in their order, on the CPU."""
    with torch.inference_mode():
        return torch.cat(list(_outputs(model, inputs))).cpu()


def add_to(totals: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """In place: what a captured step adds to must stay where it is."""
    for name, value in values.items():
        if name in totals:
            totals[name].add_(value)
        else:
            totals[name] = value.clone()


def _outputs(model: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    model.eval()
    return (model(as_floats(batch)) for batch in torch.split(inputs, _batch(inputs)))


def _batch(inputs: Tensor) -> int:
    return _BATCH_CPU if inputs.device.type == "cpu" else _BATCH
