"""MNIST and Fashion-MNIST, from the four files of either, packed or not."""

import struct
from dataclasses import replace
from math import prod
from pathlib import Path

from distune.workloads.data.data_set import (
    Arrays,
    Bytes,
    DataSet,
    damaged,
    packed_or_not,
    read_file,
)

_SIDE = 28  # pixels
_SIZES = (50_000, 10_000, 10_000)  # validation images are the last of the training files'
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def read(
    train_images: Path, train_labels: Path, test_images: Path, test_labels: Path
) -> list[Arrays]:
    """Train, validation, test: pixels (N x 1 x 28 x 28, uint8) and labels (N, int64)."""
    n, n_validation, n_test = _SIZES
    images, labels = _pair(train_images, train_labels, n + n_validation)
    test = _pair(test_images, test_labels, n_test)
    return [(images[:n], labels[:n]), (images[n:], labels[n:]), test]


def _pair(images: Path, labels: Path, n: int) -> Arrays:
    import numpy as np

    pixels = read_idx(packed_or_not(images), (n, _SIDE, _SIDE))
    path = packed_or_not(labels)
    values = read_idx(path, (n,))
    if values.max() > 9:
        raise damaged(path, "a label above 9")
    return pixels[:, None], values.astype(np.int64)


def read_idx(path: Path, shape: tuple[int, ...]) -> Bytes:
    """A file of unsigned bytes in the IDX format of MNIST, packed if its name ends in `.gz`.

    The format: two zero bytes, 8 for unsigned byte, the number of dimensions, each
    dimension as a big-endian 32-bit integer, then the values, last dimension fastest.

    Raises:
        UserError: it cannot be read or is not an array of this shape; names the file.
    """
    import numpy as np

    content = read_file(path)
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    if content[: len(header)] != header:
        raise damaged(path, f"its header is not that of {shape} bytes")
    if len(content) != len(header) + prod(shape):
        raise damaged(path, f"{len(content):,} bytes, not {len(header) + prod(shape):,}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _downloads(folder: str, url: str, *sums: str) -> dict[str, tuple[str, str]]:
    return {
        f"{folder}/raw/{name}.gz": (f"{url}/{name}.gz", md5)
        for name, md5 in zip(_FILES, sums, strict=True)
    }


MNIST = DataSet(
    name="mnist",
    title="MNIST",
    sizes=_SIZES,
    read=read,
    shape=(1, _SIDE, _SIDE),
    classes=tuple("0123456789"),
    paths=tuple(f"MNIST/raw/{name}" for name in _FILES),
    megabytes=12,
    downloads=_downloads(
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    packed=True,
)

FASHION_MNIST = replace(
    MNIST,
    name="fashion-mnist",
    title="Fashion-MNIST",
    classes=(
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "boot"),
    ),
    paths=tuple(f"FashionMNIST/raw/{name}" for name in _FILES),
    megabytes=31,
    downloads=_downloads(
        "FashionMNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)
