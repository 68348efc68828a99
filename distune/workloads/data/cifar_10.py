"""CIFAR-10: 32x32 colour images of ten classes, in Python pickles of 10,000 each.

A pickle can run any code when it is read. So a file must have the MD5 sum that it is known
by, and is then read by an unpickler that knows nothing but bytes, numbers, lists and dicts.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distune.workloads.data.data_set import DataSet, damaged

if TYPE_CHECKING:
    from distune.workloads.data.data_set import Arrays

_SHAPE = (3, 32, 32)
_N = 10_000  # in each file
#: As torchvision knows them.
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


def read(*paths: Path) -> list[Arrays]:
    """Train, validation, test: pixels (N x 3 x 32 x 32, uint8) and labels (N, int64).

    The paths are those of `MD5`, in that order; the fifth batch is for validation.

    Raises:
        UserError: a file is damaged.
    """
    import numpy as np

    *training, validation, test = (read_batch(path, MD5[path.name]) for path in paths)
    images, labels = zip(*training, strict=True)
    return [(np.concatenate(images), np.concatenate(labels)), validation, test]


def read_batch(path: Path, md5: str) -> Arrays:
    """One file of 10,000 images, with this MD5 sum (hexadecimal).

    Raises:
        UserError: it cannot be read, has another sum or other content; names the file.
    """
    import numpy as np

    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(path, str(error)) from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise damaged(path, f"its MD5 sum is {found}, not {md5}")
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        images = np.frombuffer(batch[b"data"].raw, np.uint8).reshape(_N, *_SHAPE)
        labels = np.array(batch[b"labels"], np.int64).reshape(_N)
    except Exception as error:  # a pickle of something else can fail in any way
        raise damaged(path, f"it is not a batch of CIFAR-10: {error}") from error
    if not ((labels >= 0) & (labels <= 9)).all():
        raise damaged(path, "a label that is not 0 to 9")
    return images, labels


class _Array:
    """Stands for the array in the pickle: keeps its bytes."""

    raw = b""

    def __setstate__(self, state: Any) -> None:
        _, _, dtype, fortran, raw = state
        if dtype.name != b"u1" or fortran:
            raise ValueError("its pixels are not rows of unsigned bytes")
        self.raw = raw


class _Type:
    """Stands for the type of the array's elements: keeps its name."""

    def __init__(self, name: bytes, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


def _new_array(*_: object) -> _Array:
    return _Array()


class _Unpickler(pickle.Unpickler):
    """Of NumPy it takes the names alone, and gives its own harmless classes for them."""

    _KNOWN = {
        ("numpy.core.multiarray", "_reconstruct"): _new_array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Type,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it wants {module}.{name}") from None


def download(folder: Path) -> None:
    # The class itself would go on and unpickle what is in the archive.
    from distune.workloads.data.torchvision_datasets import import_datasets

    datasets = import_datasets()
    known = datasets.CIFAR10
    datasets.utils.download_and_extract_archive(
        known.url, str(folder), filename=known.filename, md5=known.tgz_md5
    )


CIFAR_10 = DataSet(
    name="cifar-10",
    title="CIFAR-10",
    sizes=(40_000, 10_000, 10_000),
    read=read,
    shape=_SHAPE,
    classes=("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    paths=tuple(f"cifar-10-batches-py/{name}" for name in MD5),
    megabytes=170,
    download=download,
)
