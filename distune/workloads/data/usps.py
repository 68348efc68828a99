"""USPS: 16x16 images of handwritten digits, in the text format of LIBSVM."""

from pathlib import Path

from distune.workloads.data.data_set import Arrays, DataSet, damaged, read_file

_URL = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass"
_SIDE = 16  # pixels
_SIZES = (7_291, 2_007)
_N_TRAIN = 6_000  # a random choice of the training images; the others are for validation


def read(train: Path, test: Path) -> list[Arrays]:
    """Train, validation, test: pixels (N x 1 x 16 x 16, uint8) and labels (N, int64).

    The training images are divided at random, always in the same way.
    """
    import numpy as np

    (images, labels), held_out = (
        read_libsvm(path, n) for path, n in zip((train, test), _SIZES, strict=True)
    )
    order = np.random.RandomState(0).permutation(len(labels))  # promised never to change
    chosen, others = order[:_N_TRAIN], order[_N_TRAIN:]
    return [(images[chosen], labels[chosen]), (images[others], labels[others]), held_out]


def read_libsvm(path: Path, n: int) -> Arrays:
    """`n` lines `label 1:value ... 256:value`: n x 1 x 16 x 16 pixels, labels 0 to 9.

    The file counts labels from 1 and has values in [-1, 1], which become 8-bit pixels as
    `torchvision.datasets.USPS` makes them: the whole part of (value + 1) / 2 * 255.

    Raises:
        UserError: it cannot be read or is something else; names the file.
    """
    import numpy as np

    content = read_file(path)
    size = _SIDE * _SIDE
    try:
        numbers = np.array(content.replace(b":", b" ").split(), np.float32)
        table = numbers.reshape(n, 1 + 2 * size)
    except ValueError as error:
        raise damaged(path, f"it is not {n:,} lines of a label and {size} pixels") from error
    labels, places, values = table[:, 0], table[:, 1::2], table[:, 2::2]
    if not (places == np.arange(1, size + 1)).all():
        raise damaged(path, f"the pixels of a line are not numbered 1 to {size}")
    if not np.isin(labels, np.arange(1, 11)).all():
        raise damaged(path, "a label that is not 1 to 10")
    if not (np.abs(values) <= 1).all():
        raise damaged(path, "a pixel that is not in -1 to 1")
    pixels = ((values + 1) / 2 * 255).astype(np.uint8)
    return pixels.reshape(n, 1, _SIDE, _SIDE), labels.astype(np.int64) - 1


USPS = DataSet(
    name="usps",
    title="USPS",
    sizes=(_N_TRAIN, _SIZES[0] - _N_TRAIN, _SIZES[1]),
    read=read,
    shape=(1, _SIDE, _SIDE),
    classes=tuple("0123456789"),
    paths=("usps.bz2", "usps.t.bz2"),
    megabytes=8.4,
    downloads={
        "usps.bz2": (f"{_URL}/usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
        "usps.t.bz2": (f"{_URL}/usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),
    },
)
