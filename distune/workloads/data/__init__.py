"""Data sets as tensors on the device: read by one module each, found and downloaded by one.

Nothing here imports torch or numpy before data is wanted. What is made or divided at random
is so by generators whose numbers are promised never to change, from a fixed seed: everybody
has the same training, validation and test data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from distune.errors import UserError
from distune.workloads.data.places import (
    FILES,
    FileDataset,
    announcement,
    fetch,
    is_in_files,
    locate,
    packed_or_not,
)
from distune.workloads.data.shared import share

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

__all__ = [
    "CLASSES",
    "COLOURS",
    "DATASETS",
    "HOUSE_COLUMNS",
    "SHAPES",
    "SIZES",
    "Dataset",
    "DatasetName",
    "FileDataset",
    "Split",
    "announcement",
    "as_floats",
    "check",
    "fetch",
    "is_in_files",
    "load",
    "locate",
]

DatasetName = FileDataset | Literal["digits", "coloured-usps", "spirals"]

#: What a user can ask for by name: the others are made of these, or of nothing.
DATASETS: tuple[str, ...] = (*FILES, "digits")
#: How many examples: for training, validation, test.
SIZES: dict[DatasetName, tuple[int, int, int]] = {
    "mnist": (50_000, 10_000, 10_000),
    "fashion-mnist": (50_000, 10_000, 10_000),
    "digits": (1_200, 297, 300),
    "usps": (6_000, 1_291, 2_007),
    "coloured-usps": (6_000, 1_291, 2_007),
    "cifar-10": (40_000, 10_000, 10_000),
    "spirals": (4_000, 1_000, 500),
    "house-prices": (1_000, 200, 260),
}
#: Of one image: channels, height, width.
SHAPES: dict[str, tuple[int, int, int]] = {
    "mnist": (1, 28, 28),
    "fashion-mnist": (1, 28, 28),
    "digits": (1, 28, 28),
    "usps": (1, 16, 16),
    "coloured-usps": (3, 16, 16),
    "cifar-10": (3, 32, 32),
}
#: What the labels stand for, in their order.
CLASSES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("mnist", "digits", "usps"), tuple("0123456789")),
    "fashion-mnist": (
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "boot",
    ),
    "cifar-10": (
        "plane",
        "car",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
}
COLOURS = ("red", "green", "blue", "yellow", "magenta")
HOUSE_COLUMNS = ("OverallQual", "YearBuilt", "TotalBsmtSF", "GrLivArea", "SalePrice")


class Split(NamedTuple):
    """One part of a data set, of N examples.

    Attributes:
        inputs: what `as_floats` makes float32 of. Images: N x channels x height x width, in
            [0, 1), which are 8-bit pixels divided by 256. Spirals: N x 2, the two coordinates.
            House prices: N x 4, the first four of `HOUSE_COLUMNS` (quality 1 to 10, year,
            square feet twice).
        targets: of images int64, N, in 0..9; of coloured digits int64, N x 2: the digit and
            the colour (0..4, as in `COLOURS`); of spirals int64, N, in 0..1; of house prices
            float32, N, dollars.
    """

    inputs: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Dataset:
    """A data set's three parts, on one device."""

    train: Split
    validation: Split
    test: Split


Part = tuple["NDArray[np.number[Any]]", "NDArray[np.number[Any]]"]  # inputs, targets


def as_floats(inputs: torch.Tensor) -> torch.Tensor:
    """The float32 numbers that a network is given for some of a split's inputs.

    On a CPU the pixels of images are kept as the 8 bits they have, and become numbers a batch at
    a time: a quarter of the memory, and less of it to fetch than the division costs.
    """
    import torch

    return inputs.to(torch.float32).mul_(1 / 256) if inputs.dtype == torch.uint8 else inputs


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

    How many examples there are is in `SIZES`. Validation data are the last of the training
    images of MNIST and CIFAR-10, a random part of those of USPS, and the second of three parts
    of the house prices, in the order of their file.

    Of each part only the first so many are kept if a number is given. The last answer is
    kept, so asking again for the same costs nothing.

    Raises:
        UserError: the data can neither be found nor downloaded, a file is damaged, or more
            is wanted than there is.
    """
    import numpy as np
    import torch

    splits = []
    for name, wanted, (inputs, targets) in zip(
        ("train", "validation", "test"),
        (n_train, n_validation, n_test),
        _parts(dataset, data_dir),
        strict=True,
    ):
        if wanted is not None and wanted > len(targets):
            title = FILES[dataset].title if is_in_files(dataset) else dataset
            things = "images" if dataset in SHAPES else "rows"
            raise UserError(
                f"n_{name} = {wanted:,}: {title} has {len(targets):,} {name} {things}; "
                "use fewer, or leave it out for all of them"
            )
        # Arrays over a file's bytes cannot be written to, and torch warns of those.
        inputs, targets = (np.require(x[:wanted], requirements="W") for x in (inputs, targets))
        values = torch.from_numpy(inputs).to(device)
        if values.dtype != torch.uint8:
            values = values.to(torch.float32)
            if dataset in SHAPES:  # 8 bits as well, but not whole numbers
                values /= 256.0
        elif values.device.type != "cpu":
            values = as_floats(values)  # there a kernel for every batch costs more than memory
        splits.append(Split(values, torch.from_numpy(targets).to(device)))
    return Dataset(*splits)


def check(dataset: DatasetName, data_dir: str | None) -> None:
    """Read a data set from where it lies, whatever is kept in memory of it.

    Raises:
        UserError: it cannot be had, or is damaged.
    """
    _read(dataset, data_dir)


# Module and function that read it, and the files they read: by name, because the modules
# import numpy.
_READERS: dict[DatasetName, tuple[str, str, FileDataset | None]] = {
    "mnist": ("mnist", "read", "mnist"),
    "fashion-mnist": ("mnist", "read", "fashion-mnist"),
    "usps": ("usps", "read", "usps"),
    "coloured-usps": ("usps", "read_coloured", "usps"),
    "cifar-10": ("cifar", "read", "cifar-10"),
    "house-prices": ("houses", "read", "house-prices"),
    "digits": ("digits", "read", None),
    "spirals": ("spirals", "read", None),
}


def _read(dataset: DatasetName, data_dir: str | None) -> list[Part]:
    """Train, validation, test: inputs (of images the 8-bit pixels), and targets as in `Split`."""
    return _reader(dataset, _sources(dataset, data_dir))()


def _parts(dataset: DatasetName, data_dir: str | None) -> list[Part]:
    """The same, of images in files from this host's copy."""
    sources = _sources(dataset, data_dir)
    read = _reader(dataset, sources)
    if not sources or dataset not in SHAPES:
        return read()
    files = [packed_or_not(path) for path in sources]
    return share(dataset, files, read)


def _sources(dataset: DatasetName, data_dir: str | None) -> list[Path]:
    """The files it is read from, downloaded if they are not on this machine."""
    files = _READERS[dataset][2]
    if files is None:
        return []
    folder = fetch(files, data_dir)
    return [folder / path for path in FILES[files].paths]


def _reader(dataset: DatasetName, sources: list[Path]) -> Callable[[], list[Part]]:
    module, function, _ = _READERS[dataset]
    return partial(getattr(import_module(f"{__name__}.{module}"), function), *sources)
