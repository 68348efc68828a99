"""Data sets as tensors on a device. Imports torch and numpy only when data is wanted."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from distune.errors import UserError
from distune.workloads.data.data_set import Arrays, DataSet, packed_or_not
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.host_copy import read_host_copy

if TYPE_CHECKING:
    import torch


class Split(NamedTuple):
    """One of the three divisions of a data set, of N examples.

    Attributes:
        inputs: what `as_floats` makes float32 of. Images: N x channels x height x width, in
            [0, 1), which are 8-bit pixels divided by 256. Spirals: N x 2, the two coordinates.
            House prices: N x 4, `house_prices.FEATURES` (quality 1 to 10, year, square feet
            twice).
        targets: of images int64, N, in 0..9; of coloured digits int64, N x 2: the digit and
            the colour (as in `COLOURS`); of spirals int64, N, in 0..1; of house prices
            float32, N, dollars.
    """

    inputs: torch.Tensor
    targets: torch.Tensor


class Splits(NamedTuple):
    """A data set's examples, on one device."""

    train: Split
    validation: Split
    test: Split


def as_floats(inputs: torch.Tensor) -> torch.Tensor:
    """The float32 numbers that a network is given for some of a split's inputs.

    On a CPU the pixels of images are kept as the 8 bits they have, and become numbers a batch at
    a time: a quarter of the memory, and less of it to fetch than the division costs.
    """
    import torch

    return inputs.to(torch.float32).mul_(1 / 256) if inputs.dtype == torch.uint8 else inputs


@lru_cache(maxsize=1)  # a warm process pays once; two data sets at a time would be a waste
def load(
    data_set: DataSet,
    folders: DataFolders,
    device: str,
    n_train: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
) -> Splits:
    """A data set as tensors on `device`, downloaded if it is not on this host.

    Of each split only the first so many examples are kept if a number is given. The last answer
    is kept, so asking again for the same costs nothing.

    Raises:
        UserError: the data can neither be found nor downloaded, a file is damaged, or more
            is wanted than there is.
    """
    wanted = n_train, n_validation, n_test
    named = zip(Splits._fields, wanted, _arrays(data_set, folders), strict=True)
    return Splits(*(_split(data_set, name, n, arrays, device) for name, n, arrays in named))


def check(data_set: DataSet, folders: DataFolders) -> None:
    """Read a data set from where it lies, whatever is kept in memory of it.

    Raises:
        UserError: it cannot be had, or is damaged.
    """
    data_set.read(*_files(data_set, folders))


def _split(data_set: DataSet, name: str, wanted: int | None, arrays: Arrays, device: str) -> Split:
    import numpy as np
    import torch

    inputs, targets = arrays
    if wanted is not None and wanted > len(targets):
        things = "images" if data_set.shape else "rows"
        raise UserError(
            f"n_{name} = {wanted:,}: {data_set.title} has {len(targets):,} {name} {things}; "
            "use fewer, or leave it out for all of them"
        )
    # Arrays over a file's bytes cannot be written to, and torch warns of those.
    inputs, targets = (np.require(x[:wanted], requirements="W") for x in (inputs, targets))
    values = torch.from_numpy(inputs).to(device)
    if values.dtype != torch.uint8:
        values = values.to(torch.float32)
        if data_set.shape:  # 8 bits as well, but not whole numbers
            values /= 256.0
    elif values.device.type != "cpu":
        values = as_floats(values)  # there a kernel for every batch costs more than memory
    return Split(values, torch.from_numpy(targets).to(device))


def _arrays(data_set: DataSet, folders: DataFolders) -> list[Arrays]:
    """What the data set's `read` gives; of images in files from this host's copy."""
    files = _files(data_set, folders)
    if not files or not data_set.shape:
        return data_set.read(*files)
    sources = [packed_or_not(path) for path in files]
    return read_host_copy(data_set.name, sources, partial(data_set.read, *files))


def _files(data_set: DataSet, folders: DataFolders) -> list[Path]:
    """The files it is read from, downloaded if they are not on this host."""
    origin = data_set.origin
    if not origin.paths:
        return []
    folder = folders.fetch(origin)
    return [folder / path for path in origin.paths]
