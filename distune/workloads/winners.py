"""A convolution followed by max-pooling, whose gradient goes through the winners alone, on a CPU.

The maximum of 2x2 numbers is one of them, and the gradients of the other three are zero. The
functions of `winners.c` remember which one it was, and leave out the others; their sums are
torch's but for the order in which they are added up. Where distune was installed without a C
compiler there are no such functions, and torch does it all.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from distune.workloads import compiled

_LARGEST_KERNEL = 5  # that the functions know
_LARGEST_WINDOW = 15  # the place of a winner in it is a byte
_FEW_CHANNELS = 4  # up to which a first layer's are treated one by one
_NHWC = torch.channels_last

_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
_LAYER = [*[_LONG] * 5, _INT]  # images, their height, width and channels, filters; kernel
_ARGUMENTS = {
    "pool": [_POINTER, _INT, *[_POINTER] * 2, *[_LONG] * 4, *[_INT] * 2],
    "convolve_and_pool": [*[_POINTER] * 3, _INT, *[_POINTER] * 2, *_LAYER, _INT],
    "gradients": [*[_POINTER] * 3, _INT, *[_POINTER] * 4, *_LAYER, *[_INT] * 2],
    "first_gradients": [*[_POINTER] * 5, *_LAYER],
}


class Kernels:
    """The functions for vectors of `width` numbers, on as many threads as torch has.

    Images, N x C x H x W, and their gradients are NHWC in memory (torch's `channels_last`), and
    float32 or bfloat16.
    """

    def __init__(self, width: int) -> None:
        self._functions = {name: _function(name, width) for name in _ARGUMENTS}

    def pool(self, images: Tensor, window: int, relu: bool) -> tuple[Tensor, Tensor]:
        """The largest of each `window` x `window` numbers; with `relu`, zero if that is negative.

        Returns:
            These, and for each which one of its window it was, counted row by row, or 255 for
            none of them: uint8.
        """
        n, channels, height, width = images.shape
        shape = (n, channels, height // window, width // window)
        largest = torch.empty(shape, dtype=images.dtype, memory_format=_NHWC)
        winner = torch.empty(shape, dtype=torch.uint8, memory_format=_NHWC)
        bfloat16 = images.dtype == torch.bfloat16

        def some(_: int, first: int, end: int) -> None:
            arrays = (_part(each, first, end) for each in (largest, winner))
            sizes = end - first, height, width, channels
            self._functions["pool"](
                _part(images, first, end), bfloat16, *arrays, *sizes, window, relu
            )

        _on_threads(some, n)
        return largest, winner

    def convolve_and_pool(
        self, images: Tensor, weight: Tensor, bias: Tensor, relu: bool, bfloat16: bool
    ) -> tuple[Tensor, Tensor]:
        """A convolution, and then `pool` of windows of 2x2; for images of few channels.

        Args:
            images: float32, NCHW in memory, with their padding.
            weight: `channels_last`.
            bfloat16: of what is returned.

        Raises:
            MemoryError: as `gradients`.
        """
        n, channels, height, width = images.shape
        filters, _, kernel, _ = weight.shape
        shape = (n, filters, (height - kernel + 1) // 2, (width - kernel + 1) // 2)
        dtype = torch.bfloat16 if bfloat16 else torch.float32
        largest = torch.empty(shape, dtype=dtype, memory_format=_NHWC)
        winner = torch.empty(shape, dtype=torch.uint8, memory_format=_NHWC)
        layer = weight.data_ptr(), bias.data_ptr(), bfloat16

        def some(_: int, first: int, end: int) -> None:
            given = _part(images, first, end)
            arrays = [_part(each, first, end) for each in (largest, winner)]
            sizes = end - first, height, width, channels, filters, kernel
            _must_work(self._functions["convolve_and_pool"](given, *layer, *arrays, *sizes, relu))

        _on_threads(some, n)
        return largest, winner

    def gradients(
        self,
        gradient: Tensor,
        winner: Tensor,
        images: Tensor,
        weight: Tensor,
        padding: int,
        window: int,
        by_images: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of a convolution by its weights, its biases and, if wanted, its inputs (else empty).

        Args:
            gradient: by what `pool` made of its outputs, with this `winner`; float32.
            images: its inputs, with `padding` zeros on each side.
            weight: float32, `channels_last`.

        Raises:
            MemoryError: there is not enough for what is needed meanwhile.
        """
        n, channels, height, width = images.shape
        filters, _, kernel, _ = weight.shape
        sums = _Sums(n, weight)
        inputs = torch.empty(images.shape if by_images else (0, 0, 0, 0), memory_format=_NHWC)
        bfloat16 = images.dtype == torch.bfloat16

        def some(i: int, first: int, end: int) -> None:
            given = [_part(each, first, end) for each in (gradient, winner, images)]
            there = _part(inputs, first, end) if by_images else None
            sizes = end - first, height, width, channels, filters, kernel, padding, window
            layer = bfloat16, weight.data_ptr()
            _must_work(self._functions["gradients"](*given, *layer, *sums.of(i), there, *sizes))

        _on_threads(some, n)
        return *sums.total(), inputs

    def first_gradients(
        self, gradient: Tensor, winner: Tensor, images: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of a convolution by its weights and its biases.

        Args:
            gradient: by what `convolve_and_pool` made of these `images`, with this `winner`;
                float32.
        """
        n, channels, height, width = images.shape
        filters, _, kernel, _ = weight.shape
        sums = _Sums(n, weight)

        def some(i: int, first: int, end: int) -> None:
            given = [_part(each, first, end) for each in (gradient, winner, images)]
            sizes = end - first, height, width, channels, filters, kernel
            self._functions["first_gradients"](*given, *sums.of(i), *sizes)

        _on_threads(some, n)
        return sums.total()


class _Sums:
    """Gradients of weights and biases, of each thread its own, for a batch of `n` images."""

    def __init__(self, n: int, weight: Tensor) -> None:
        filters, channels, height, width = weight.shape
        self._weights = torch.empty(_threads(n), filters, height, width, channels)
        self._biases = torch.empty(_threads(n), filters)

    def of(self, thread: int) -> tuple[int, int]:
        return self._weights[thread].data_ptr(), self._biases[thread].data_ptr()

    def total(self) -> tuple[Tensor, Tensor]:
        weights, biases = (
            each[0] if len(each) == 1 else each.sum(0) for each in (self._weights, self._biases)
        )
        return weights.permute(0, 3, 1, 2), biases


def _function(name: str, width: int) -> Any:
    function = getattr(compiled.library(), f"distune_{name}_{width}")
    function.argtypes = _ARGUMENTS[name]
    return function


def _must_work(failed: int) -> None:
    if failed:
        raise MemoryError("not enough memory for a convolution")


def _part(images: Tensor, first: int, end: int) -> int:
    """Where images `first` to `end` begin: all of them lie in memory one after the other."""
    return images.data_ptr() + first * (images.nbytes // len(images))


def _threads(n: int) -> int:
    return max(1, min(n, torch.get_num_threads()))


def _on_threads(some: Callable[[int, int, int], None], n: int) -> None:
    """Call `some(i, first, end)` for parts of `n` images on torch's number of threads.

    Raises:
        what `some` raises.
    """
    threads = _threads(n)
    if threads == 1:
        some(0, 0, n)
        return
    ends = [n * i // threads for i in range(threads + 1)]
    list(_pool_of(threads).map(some, range(threads), ends[:-1], ends[1:]))


@cache
def _pool_of(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


# -- as a layer ------------------------------------------------------------------------------------

_OPERATORS: Any = torch.library.Library("distune", "FRAGMENT")  # type: ignore[no-untyped-call]
_OPERATORS.define("pool(Tensor images, int window, bool relu) -> (Tensor, Tensor)")
_OPERATORS.define(
    "convolve_and_pool(Tensor images, Tensor weight, Tensor bias, bool relu, bool bfloat16)"
    " -> (Tensor, Tensor)"
)
_OPERATORS.define(
    "gradients(Tensor gradient, Tensor winner, Tensor images, Tensor weight, int padding, "
    "int window, bool by_images) -> (Tensor, Tensor, Tensor)"
)
_OPERATORS.define(
    "first_gradients(Tensor gradient, Tensor winner, Tensor images, Tensor weight)"
    " -> (Tensor, Tensor)"
)


@cache
def _kernels() -> Kernels:
    return Kernels(compiled.widths()[0])


for _name in ("pool", "convolve_and_pool", "gradients", "first_gradients"):
    _OPERATORS.impl(_name, lambda *given, name=_name: getattr(_kernels(), name)(*given), "CPU")


class _FirstConvMaxPool(torch.autograd.Function):
    """Of few channels, for inputs that need no gradient, with windows of 2x2."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, padding: int, relu: bool
    ) -> Tensor:
        images = nn.functional.pad(images.float(), [padding] * 4).contiguous()
        bfloat16 = torch.is_autocast_enabled("cpu")
        largest: Tensor
        largest, winner = torch.ops.distune.convolve_and_pool(
            images, _nhwc(weight), bias, relu, bfloat16
        )
        ctx.save_for_backward(winner, images, weight)
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, biases = torch.ops.distune.first_gradients(
            _nhwc(gradient.float()), *ctx.saved_tensors
        )
        return None, weights, biases, None, None


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
        images = _nhwc(images)
        outputs = torch.conv2d(images, weight, bias, padding=padding)
        largest: Tensor
        largest, winner = torch.ops.distune.pool(_nhwc(outputs), window, relu)
        ctx.save_for_backward(winner, images, weight)
        ctx.sizes = padding, window
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        winner, images, weight = ctx.saved_tensors
        by_images = ctx.needs_input_grad[0]
        weights, biases, inputs = torch.ops.distune.gradients(
            _nhwc(gradient.float()), winner, images, _nhwc(weight), *ctx.sizes, by_images
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
        assert conv.bias is not None
        layer = conv.weight, conv.bias, int(conv.padding[0])
        few = conv.weight.shape[1] <= _FEW_CHANNELS
        pooled: Tensor
        if few and self._window == 2 and not input.requires_grad:
            pooled = _FirstConvMaxPool.apply(input, *layer, self._relu)  # type: ignore[no-untyped-call]
        else:
            pooled = _ConvMaxPool.apply(input, *layer, self._window, self._relu)  # type: ignore[no-untyped-call]
        return pooled


def fuse(model: nn.Module) -> None:
    """Put a `ConvMaxPool` in the place of each such row of layers in the sequences of `model`.

    The weights stay the same objects. For a model in float32 on a CPU. Does nothing where
    nothing was compiled.
    """
    if compiled.widths():
        for layer in list(model.modules()):
            if isinstance(layer, nn.Sequential):
                _fuse_layers(layer)


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
