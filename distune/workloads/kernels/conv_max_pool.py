"""A convolution followed by max-pooling, whose gradient goes through the winners alone, on a CPU.

The maximum of 2x2 numbers is one of them, and the gradients of the other three are zero. The
functions of `winners.c` remember which one it was, and leave out the others; their sums are
torch's but for the order in which they are added up. Where distune was installed without a C
compiler there are no such functions, and torch does it all.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from distune.workloads.kernels import compiled
from distune.workloads.kernels.functions import Kernels

_LARGEST_KERNEL = 5  # that the functions know
_LARGEST_WINDOW = 15  # the place of a winner in it is a byte
_FEW_CHANNELS = 4  # up to which those of a first layer, whose images need no gradient, are few
_NHWC = torch.channels_last

_OPERATORS: Any = torch.library.Library("distune", "FRAGMENT")  # type: ignore[no-untyped-call]
_SCHEMAS = {
    "pool": "(Tensor images, int window, bool relu) -> (Tensor, Tensor)",
    "convolve_and_pool": "(Tensor images, Tensor weight, Tensor bias, bool relu, bool bfloat16)"
    " -> (Tensor, Tensor)",
    "gradients": "(Tensor gradient, Tensor winner, Tensor images, Tensor weight, int padding, "
    "int window, bool by_images) -> (Tensor, Tensor, Tensor)",
    "first_gradients": "(Tensor gradient, Tensor winner, Tensor images, Tensor weight)"
    " -> (Tensor, Tensor)",
}


@cache
def _kernels() -> Kernels:
    return Kernels(compiled.widths()[0])


for _name, _schema in _SCHEMAS.items():
    _OPERATORS.define(_name + _schema)
    _OPERATORS.impl(_name, lambda *given, name=_name: getattr(_kernels(), name)(*given), "CPU")


class _ConvMaxPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        padding: int,
        window: int,
        relu: bool,
    ) -> Tensor:
        few = weight.shape[1] <= _FEW_CHANNELS
        first = few and window == 2 and not ctx.needs_input_grad[0]
        largest: Tensor
        if first:
            images = nn.functional.pad(images.float(), [padding] * 4).contiguous()
            bfloat16 = torch.is_autocast_enabled("cpu")
            largest, winner = torch.ops.distune.convolve_and_pool(
                images, _nhwc(weight), bias, relu, bfloat16
            )
        else:
            images = _nhwc(images)
            outputs = torch.conv2d(images, weight, bias, padding=padding)
            largest, winner = torch.ops.distune.pool(_nhwc(outputs), window, relu)
        ctx.save_for_backward(winner, images, weight)
        ctx.layer = first, padding, window
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        first, padding, window = ctx.layer
        winner, images, weight = ctx.saved_tensors
        by_images = ctx.needs_input_grad[0]
        gradient = _nhwc(gradient.float())
        if first:
            weights, biases = torch.ops.distune.first_gradients(gradient, winner, images, weight)
            return None, weights, biases, None, None, None
        weights, biases, inputs = torch.ops.distune.gradients(
            gradient, winner, images, _nhwc(weight), padding, window, by_images
        )
        return inputs if by_images else None, weights, biases, None, None, None


def _nhwc(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=_NHWC)


class ConvMaxPool(nn.Module):
    """A convolution, max-pooling without overlap, and ReLU if wanted, as one layer.

    In float32, or under autocast in bfloat16: then the gradients are added up in float32.
    """

    def __init__(self, conv: nn.Conv2d, window: int, relu: bool) -> None:
        super().__init__()
        self.conv = conv
        self._window = window
        self._relu = relu

    def forward(self, input: Tensor) -> Tensor:
        conv = self.conv
        pooled: Tensor = _ConvMaxPool.apply(  # type: ignore[no-untyped-call]
            input, conv.weight, conv.bias, int(conv.padding[0]), self._window, self._relu
        )
        return pooled


def fuse(model: nn.Module) -> None:
    """Put a `ConvMaxPool` in the place of each such row of layers in the sequences of `model`.

    The weights stay the same objects. For a model in float32 on a CPU. Does nothing where
    nothing was compiled.
    """
    if compiled.widths():
        for sequence in [layer for layer in model.modules() if isinstance(layer, nn.Sequential)]:
            _fuse_layers(sequence)


def _fuse_layers(sequence: nn.Sequential) -> None:
    for i, layer in reversed(list(enumerate(sequence))):
        window = _window(sequence[i + 1]) if i + 1 < len(sequence) else None
        if isinstance(layer, nn.Conv2d) and _is_plain(layer) and window is not None:
            relu = i + 2 < len(sequence) and isinstance(sequence[i + 2], nn.ReLU)
            sequence[i] = ConvMaxPool(layer, window, relu)
            del sequence[i + 1 : i + 3 if relu else i + 2]


def _is_plain(conv: nn.Conv2d) -> bool:
    """Whether it is one that is computed here: a square kernel of at most 5x5, stride 1."""
    return (
        conv.kernel_size[0] == conv.kernel_size[1] <= _LARGEST_KERNEL
        and not isinstance(conv.padding, str)
        and conv.padding[0] == conv.padding[1]
        and conv.stride == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and conv.bias is not None
    )


def _window(layer: nn.Module) -> int | None:
    """Of max-pooling without overlap and padding; None for any other layer."""
    if not isinstance(layer, nn.MaxPool2d) or not isinstance(layer.kernel_size, int):
        return None
    plain = (
        layer.stride == layer.kernel_size <= _LARGEST_WINDOW
        and layer.padding == 0
        and layer.dilation == 1
        and not layer.ceil_mode
    )
    return layer.kernel_size if plain else None
