"""CIFAR-10: 32x32 colour images of ten classes, in Python pickles of 10,000 each.

A pickle can run any code when it is read. So a file must have the MD5 sum that it is known
by, and is then read by an unpickler that knows nothing but bytes, numbers, lists and dicts.
"""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

from distune.workloads.data.data_set import Arrays, DataSet, damaged, read_file

_SHAPE = (3, 32, 32)
_N = 10_000  # in each file
ARCHIVE = "cifar-10-python.tar.gz"
#: Of the files in it. These sums, and those of what else is downloaded, are torchvision's.
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

    content = read_file(path)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise damaged(path, f"its MD5 sum is {found}, not {md5}")
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        pixels = batch[b"data"]
        if pixels.dtype != np.uint8 or not pixels.flags.c_contiguous:
            raise ValueError("its pixels are not rows of unsigned bytes")
        images = pixels.reshape(_N, *_SHAPE)
        labels = np.array(batch[b"labels"], np.int64).reshape(_N)
    except Exception as error:  # a pickle of something else can fail in any way
        raise damaged(path, f"it is not a batch of CIFAR-10: {error}") from error
    if not ((labels >= 0) & (labels <= 9)).all():
        raise damaged(path, "a label that is not 0 to 9")
    return images, labels


class _Unpickler(pickle.Unpickler):
    """Knows NumPy's arrays, and nothing else that is not built into the format."""

    def find_class(self, module: str, name: str) -> Any:
        import numpy as np

        known = {
            # The function has moved: each version says where it is in its own pickles.
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it wants {module}.{name}")
        return known[module, name]


def unpack(folder: Path) -> None:
    with tarfile.open(folder / ARCHIVE) as archive:
        for path in CIFAR_10.paths:
            batch = archive.extractfile(path)
            assert batch is not None
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(batch.read())


CIFAR_10 = DataSet(
    name="cifar-10",
    title="CIFAR-10",
    sizes=(40_000, 10_000, 10_000),
    read=read,
    shape=_SHAPE,
    classes=("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    paths=tuple(f"cifar-10-batches-py/{name}" for name in MD5),
    megabytes=170,
    downloads={
        ARCHIVE: (
            f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",
            "c58f30108f718f92721af3b95e74349a",
        )
    },
    unpack=unpack,
)
