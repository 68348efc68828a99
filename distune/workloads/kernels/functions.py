"""The functions of `winners.c`, as functions of tensors on a CPU."""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

from distune.workloads.kernels import compiled

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

    Raises:
        MemoryError: there is not enough for what is needed meanwhile.
    """

    def __init__(self, width: int) -> None:
        self._functions: dict[str, Any] = {}
        for name, arguments in _ARGUMENTS.items():
            function = getattr(compiled.library(), f"distune_{name}_{width}")
            function.argtypes = arguments
            if name in ("pool", "first_gradients"):
                function.restype = None  # they need no memory
            self._functions[name] = function

    def pool(self, images: Tensor, window: int, relu: bool) -> tuple[Tensor, Tensor]:
        """The largest of each `window` x `window` numbers; with `relu`, zero if that is negative.

        Returns:
            These, and for each which one of its window it was, counted row by row, or 255 for
            none of them: uint8.
        """
        n, channels, height, width = images.shape
        largest, winner = _pooled(n, channels, height // window, width // window, images.dtype)
        arrays = images, images.dtype == torch.bfloat16, largest, winner
        self._call("pool", n, arrays, (height, width, channels, window, relu))
        return largest, winner

    def convolve_and_pool(
        self, images: Tensor, weight: Tensor, bias: Tensor, relu: bool, bfloat16: bool
    ) -> tuple[Tensor, Tensor]:
        """A convolution, and then `pool` of windows of 2x2; for images of few channels.

        Args:
            images: float32, NCHW in memory, with their padding.
            weight: `channels_last`.
            bfloat16: of what is returned.
        """
        n, channels, height, width = images.shape
        filters, _, kernel, _ = weight.shape
        size = (height - kernel + 1) // 2, (width - kernel + 1) // 2
        largest, winner = _pooled(n, filters, *size, torch.bfloat16 if bfloat16 else torch.float32)
        layer = weight.data_ptr(), bias.data_ptr(), bfloat16
        sizes = height, width, channels, filters, kernel, relu
        self._call("convolve_and_pool", n, (images, *layer, largest, winner), sizes)
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
        """
        n, channels, height, width = images.shape
        filters, _, kernel, _ = weight.shape
        sums = _Sums(n, weight)
        inputs = torch.empty(images.shape if by_images else (0, 0, 0, 0), memory_format=_NHWC)
        layer = images.dtype == torch.bfloat16, weight.data_ptr()
        arrays = gradient, winner, images, *layer, sums, inputs if by_images else None
        sizes = height, width, channels, filters, kernel, padding, window
        self._call("gradients", n, arrays, sizes)
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
        sizes = height, width, channels, filters, kernel
        self._call("first_gradients", n, (gradient, winner, images, sums), sizes)
        return sums.total()

    def _call(self, name: str, n: int, arrays: Sequence[Any], sizes: Sequence[int]) -> None:
        """Do ranges of `n` images on torch's number of threads.

        Args:
            arrays: what comes before the number of images: a tensor of images and `_Sums` each
                as the address of a thread's own.
            sizes: what comes after it.
        """
        function = self._functions[name]

        def work(thread: int, first: int, end: int) -> None:
            given: list[int | None] = []
            for array in arrays:
                if isinstance(array, Tensor):
                    # Its images lie in memory one after the other.
                    given.append(array.data_ptr() + first * (array.nbytes // n))
                elif isinstance(array, _Sums):
                    given += array.of(thread)
                else:
                    given.append(array)
            if function(*given, end - first, *sizes):
                raise MemoryError("not enough memory for a convolution")

        threads = _threads(n)
        if threads == 1:
            work(0, 0, n)
            return
        ends = [n * i // threads for i in range(threads + 1)]
        list(_pool_of(threads).map(work, range(threads), ends[:-1], ends[1:]))


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


def _pooled(n: int, channels: int, height: int, width: int, dtype: torch.dtype) -> list[Tensor]:
    shape = n, channels, height, width
    return [torch.empty(shape, dtype=each, memory_format=_NHWC) for each in (dtype, torch.uint8)]


def _threads(n: int) -> int:
    return max(1, min(n, torch.get_num_threads()))


@cache
def _pool_of(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)
