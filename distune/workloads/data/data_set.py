"""What a data set says of itself. A new one is a file in this folder and a line in `DATA_SETS`.

Importing a description loads neither torch nor numpy: what reads or downloads imports them.
"""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from distune.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.number[Any]]"
Arrays: TypeAlias = tuple[Array, Array]  # inputs, targets
Bytes: TypeAlias = "NDArray[np.uint8]"


@dataclass(frozen=True)
class DataSet:
    """A data set: what is in it, where its files come from, how they are read.

    What is made or divided at random is so by generators whose numbers are promised never to
    change, from a fixed seed: the training, validation and test data are the same everywhere.

    Attributes:
        name: as a space file's `dataset` and `distune data` name it.
        title: as messages name it.
        sizes: how many examples there are for training, validation and test.
        read: given the paths of the files, gives arrays for training, validation and test:
            inputs (the 8-bit pixels of images) and targets, as `loading.Split` describes them.
            Raises `UserError` for a file that is damaged or is something else, and names it.
        shape: of images: channels, height, width; None for anything else.
        classes: what the labels stand for, in their order.
        paths: of its files, from the folder that holds them, as torchvision lays them out.
        megabytes: how much is downloaded.
        downloads: what, by its path in the folder: the URL, and the MD5 sum (hexadecimal) that
            it must have.
        unpack: makes the files in the folder of those downloads.
        packed: whether each file may lie there packed instead (`.gz`).
        remedy: what else to do where it cannot be downloaded.
        bundled_with: the package that brings it along, if one does.
        made_from: the data set whose files it is read from, if they are not its own.
    """

    name: str
    title: str
    sizes: tuple[int, int, int]
    read: Callable[..., list[Arrays]]
    shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    megabytes: float = 0
    downloads: dict[str, tuple[str, str]] = field(default_factory=dict, hash=False)
    unpack: Callable[[Path], None] = lambda folder: None
    packed: bool = False
    remedy: str = 'use dataset "digits"'
    bundled_with: str = ""
    made_from: DataSet | None = None

    @property
    def origin(self) -> DataSet:
        """The data set that has the files: this one, unless it is made from another."""
        return self.made_from or self

    @property
    def can_be_fetched(self) -> bool:
        """Whether a user can ask for it by name: the others are made of these, or of nothing."""
        return bool(self.paths or self.bundled_with)


def packed_or_not(path: Path) -> Path:
    """The file itself, or the name that its packed copy (`.gz`) would have."""
    return path if os.path.isfile(path) else path.with_name(f"{path.name}.gz")


def read_file(path: Path) -> bytes:
    """What a file holds, unpacked if its name ends in `.gz` or `.bz2`.

    Raises:
        UserError: it cannot be read; names it.
    """
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
    try:
        with openers.get(path.suffix, open)(path, "rb") as file:
            return bytes(file.read())
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, problem: str) -> UserError:
    """What to raise for a file that is not what it should be."""
    return UserError(f"{path} is damaged ({problem}): delete it, or get it again")
