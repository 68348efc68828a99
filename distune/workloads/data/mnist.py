"""MNIST and Fashion-MNIST, from the four files of either, packed or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distune.workloads.data import Part
from distune.workloads.data.places import damaged, packed_or_not

_SIDE = 28  # pixels
_N_VALIDATION = 10_000  # the last so many of the training images


def read(
    train_images: Path, train_labels: Path, test_images: Path, test_labels: Path
) -> list[Part]:
    """Train, validation, test: pixels (N x 1 x 28 x 28, uint8) and labels (N, int64).

    Raises:
        UserError: a file is damaged.
    """
    images, labels = _pair(train_images, train_labels, 60_000)
    n = len(labels) - _N_VALIDATION
    test = _pair(test_images, test_labels, 10_000)
    return [(images[:n], labels[:n]), (images[n:], labels[n:]), test]


def _pair(images: Path, labels: Path, n: int) -> Part:
    pixels = read_idx(packed_or_not(images), (n, _SIDE, _SIDE))
    path = packed_or_not(labels)
    values = read_idx(path, (n,))
    if values.max() > 9:
        raise damaged(path, "a label above 9")
    return pixels[:, None], values.astype(np.int64)


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A file of unsigned bytes in the IDX format of MNIST, packed if its name ends in `.gz`.

    The format: two zero bytes, 8 for unsigned byte, the number of dimensions, each
    dimension as a big-endian 32-bit integer, then the values, last dimension fastest.

    Raises:
        UserError: it cannot be read or is not an array of this shape; names the file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, str(error)) from error
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    if content[: len(header)] != header:
        raise damaged(path, f"its header is not that of {shape} bytes")
    if len(content) != len(header) + prod(shape):
        raise damaged(path, f"{len(content):,} bytes, not {len(header) + prod(shape):,}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
