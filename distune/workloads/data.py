"""Images as tensors on the device, and where their files are found.

MNIST and Fashion-MNIST lie as `MNIST/raw/*-ubyte` and `FashionMNIST/raw/*-ubyte` (the
layout of torchvision), packed (`.gz`) or not, in one of three folders: the one the user
gave, the one `DISTUNE_DATA` names, the cache (`$XDG_CACHE_HOME/distune`, by default
`~/.cache/distune`). Nothing is ever written to a folder that already holds them. Digits
(real handwriting, 8x8) come with scikit-learn and need no files.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeGuard

from filelock import FileLock

from distune.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

FileDataset = Literal["mnist", "fashion-mnist"]
DatasetName = Literal["mnist", "fashion-mnist", "digits"]

SIDE = 28  # pixels
_FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}  # torchvision's class names too
_TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "digits": "digits"}
_FILES = {  # name: shape
    "train-images-idx3-ubyte": (60_000, SIDE, SIDE),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, SIDE, SIDE),
    "t10k-labels-idx1-ubyte": (10_000,),
}
_N_VALIDATION = 10_000  # the last so many of MNIST's training images
_DIGITS_SIZES = (1_200, 297, 300)
_SOCKET_TIMEOUT_S = 30.0


class Split(NamedTuple):
    """One part of a data set.

    Attributes:
        images: float32, N x 1 x 28 x 28, in [0, 1): the 8-bit pixels divided by 256.
        labels: int64, N, in 0..9.
    """

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Dataset:
    """A data set's three parts, on one device."""

    train: Split
    validation: Split
    test: Split


@lru_cache(maxsize=1)  # a warm process pays once; two data sets at a time would be a waste
def load(
    dataset: DatasetName,
    data_dir: str | None,
    device: str,
    n_train: int | None,
    n_validation: int | None,
    n_test: int | None,
) -> Dataset:
    """A data set as tensors on `device`, downloaded if it is not on this machine.

    MNIST and Fashion-MNIST have 50,000 / 10,000 / 10,000 images; digits 1,200 / 297 / 300.
    Of each part only the first so many are kept if a number is given. The last answer is
    kept, so asking again for the same costs nothing.

    Raises:
        UserError: the data can neither be found nor downloaded, a file is damaged, or more
            images are wanted than there are.
    """
    import torch

    if dataset == "digits":
        parts = _digits()
    else:
        parts = _read_mnist(fetch(dataset, data_dir) / _FOLDERS[dataset] / "raw")
    splits = []
    for name, wanted, (images, labels) in zip(
        ("train", "validation", "test"), (n_train, n_validation, n_test), parts, strict=True
    ):
        if wanted is not None and wanted > len(labels):
            raise UserError(
                f"n_{name} = {wanted:,}: {_TITLES[dataset]} has {len(labels):,} {name} images; "
                "use fewer, or leave it out for all of them"
            )
        pixels = images[:wanted].astype("float32").reshape(-1, 1, SIDE, SIDE)
        pixels /= 256.0
        splits.append(
            Split(
                torch.from_numpy(pixels).to(device),
                torch.from_numpy(labels[:wanted].astype("int64")).to(device),
            )
        )
    return Dataset(*splits)


def check(dataset: DatasetName, data_dir: str | None) -> None:
    """Read a data set from where it lies, whatever is kept in memory of it.

    Raises:
        UserError: it cannot be had, or is damaged.
    """
    if dataset == "digits":
        _digits()
    else:
        _read_mnist(fetch(dataset, data_dir) / _FOLDERS[dataset] / "raw")


def is_in_files(dataset: str) -> TypeGuard[FileDataset]:
    """Whether it is a data set that has to be found or downloaded."""
    return dataset in _FOLDERS


def locate(dataset: FileDataset, data_dir: str | None) -> Path | None:
    """The first folder that holds all of the data set's files, or None; downloads nothing."""
    for folder in _places(data_dir):
        raw = folder / _FOLDERS[dataset] / "raw"
        if all(os.path.isfile(_packed_or_not(raw, name)) for name in _FILES):
            return folder
    return None


def fetch(dataset: FileDataset, data_dir: str | None) -> Path:
    """The folder that holds the data set, which is downloaded if no folder does.

    A download goes to `data_dir` if given, else to the cache. Of several processes on one
    host that want it, one downloads and the others wait.

    Raises:
        UserError: not found, and the download failed.
    """
    found = locate(dataset, data_dir)
    if found is not None:
        return found
    places = _places(data_dir)
    target = places[0] if data_dir else places[-1]
    try:
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(target / f".{dataset}.lock"):
            found = locate(dataset, data_dir)  # whom we waited for may have brought it
            if found is None:
                _download(dataset, target)
                found = target
    except (OSError, RuntimeError, HTTPException) as error:
        looked = ", ".join(map(str, places))
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise UserError(
            f"{_TITLES[dataset]} is not in {looked}, and downloading it failed ({reason}): give "
            f'a folder that has it with --data-dir or DISTUNE_DATA, or use dataset "digits"'
        ) from error
    return found


def _places(data_dir: str | None) -> list[Path]:
    """Where data is looked for, best first; the last is the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "distune"
    given = [Path(place) for place in (data_dir, os.environ.get("DISTUNE_DATA")) if place]
    return [place.expanduser() for place in (*given, cache)]


def _packed_or_not(raw: Path, name: str) -> Path:
    plain = raw / name
    return plain if os.path.isfile(plain) else raw / f"{name}.gz"


def _download(dataset: FileDataset, target: Path) -> None:
    """Let torchvision download and check the files; each appears in `target` complete."""
    from distune.workloads.vision import import_datasets

    staging = target / f".{dataset}.part"
    shutil.rmtree(staging, ignore_errors=True)  # left by one that was killed
    raw = target / _FOLDERS[dataset] / "raw"
    with _socket_timeout(_SOCKET_TIMEOUT_S):
        getattr(import_datasets(), _FOLDERS[dataset])(staging, download=True)
    raw.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (staging / _FOLDERS[dataset] / "raw" / name).replace(raw / name)
    shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torchvision sets none: a network that swallows packets would hang it for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


Part = tuple["NDArray[np.number[Any]]", "NDArray[np.number[Any]]"]  # images, labels


def _read_mnist(raw: Path) -> list[Part]:
    images, labels, test_images, test_labels = (
        read_idx(_packed_or_not(raw, name), shape) for name, shape in _FILES.items()
    )
    for name, values in (("train", labels), ("t10k", test_labels)):
        if values.max() > 9:
            raise _damaged(_packed_or_not(raw, f"{name}-labels-idx1-ubyte"), "a label above 9")
    n = len(labels) - _N_VALIDATION
    return [(images[:n], labels[:n]), (images[n:], labels[n:]), (test_images, test_labels)]


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A file of unsigned bytes in the IDX format of MNIST, packed if its name ends in `.gz`.

    The format: two zero bytes, 8 for unsigned byte, the number of dimensions, each
    dimension as a big-endian 32-bit integer, then the values, last dimension fastest.

    Raises:
        UserError: it cannot be read or is not an array of this shape; names the file.
    """
    import numpy as np

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    if content[: len(header)] != header:
        raise _damaged(path, f"its header is not that of {shape} bytes")
    if len(content) != len(header) + prod(shape):
        raise _damaged(path, f"{len(content):,} bytes, not {len(header) + prod(shape):,}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(f"{path} is damaged ({problem}): delete it, or get it again")


def _digits() -> list[Part]:
    """scikit-learn's digits, 8x8 with 17 gray levels, scaled to 28x28 and 8 bits (floats)."""
    import torch
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    small = torch.from_numpy(images).reshape(-1, 1, 8, 8) * (255 / 16)
    large = torch.nn.functional.interpolate(small, (SIDE, SIDE), mode="bilinear")[:, 0].numpy()
    # The source is sorted by writer, so mix it: by the one generator whose numbers Python
    # promises never to change for a seed.
    rng = random.Random(0)
    order = sorted(range(len(labels)), key=lambda _: rng.random())
    parts: list[Part] = []
    start = 0
    for size in _DIGITS_SIZES:
        chosen = order[start : start + size]
        parts.append((large[chosen], labels[chosen]))
        start += size
    return parts
