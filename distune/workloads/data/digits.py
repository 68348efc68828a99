"""Real handwriting, 8x8, which comes with scikit-learn and needs no files."""

import random
from importlib.metadata import distribution
from typing import Any

from distune.workloads.data.data_set import Arrays, DataSet

_SIDE = 28  # pixels, as MNIST's
_SIZES = (1_200, 297, 300)
_FILE = "sklearn/datasets/data/digits.csv.gz"


def read() -> list[Arrays]:
    """Train, validation, test: scikit-learn's digits, scaled to 28x28 and 8 bits.

    Their 17 gray levels become floats (N x 1 x 28 x 28, 0 to 255); the labels are int64, N.
    """
    import numpy as np
    import torch

    images, labels = _scans()
    small = torch.from_numpy(images).reshape(-1, 1, 8, 8) * (255 / 16)
    large = torch.nn.functional.interpolate(small, (_SIDE, _SIDE), mode="bilinear").numpy()
    # The source is sorted by writer, so mix it: by the one generator whose numbers Python
    # promises never to change for a seed.
    rng = random.Random(0)
    order = sorted(range(len(labels)), key=lambda _: rng.random())
    return [
        (large[chosen], labels[chosen].astype("int64"))
        for chosen in np.split(order, np.cumsum(_SIZES)[:-1])
    ]


def _scans() -> tuple[Any, Any]:
    """What `load_digits` gives: N x 64 and N. Its file is read without it, because to import it
    takes about as long as to import torch.
    """
    import numpy as np

    try:
        table = np.loadtxt(str(distribution("scikit-learn").locate_file(_FILE)), delimiter=",")
    except OSError:  # a release that keeps it elsewhere
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        return images, labels
    return table[:, :-1], table[:, -1]


DIGITS = DataSet(
    name="digits",
    title="digits",
    sizes=_SIZES,
    read=read,
    shape=(1, _SIDE, _SIDE),
    classes=tuple("0123456789"),
    bundled_with="scikit-learn",
)
