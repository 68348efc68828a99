"""Two spirals in the plane, wound about each other: generated, not read."""

from distune.workloads.data.data_set import Arrays, DataSet

_SIZES = (4_000, 1_000, 500)
_NOISE = 0.4  # standard deviation in each direction


def read() -> list[Arrays]:
    """Train, validation, test: points (N x 2, float64) and classes (N, int64), in random order.

    A point of class 0 is (phi + 1) (cos phi, sin phi) plus Gaussian noise, with phi uniform
    in [1, 15]; for class 1 it is multiplied by -1. Half of the points are of each class.
    """
    import numpy as np

    rng = np.random.RandomState(0)  # promised never to change
    arrays: list[Arrays] = []
    for n in _SIZES:
        phi = rng.uniform(1, 15, n)
        arms = (phi + 1)[:, None] * np.stack([np.cos(phi), np.sin(phi)], axis=1)
        points = arms + rng.normal(0, _NOISE, (n, 2))
        labels = np.arange(n) // (n // 2)
        points[labels == 1] *= -1
        order = rng.permutation(n)
        arrays.append((points[order], labels[order].astype(np.int64)))
    return arrays


SPIRALS = DataSet(name="spirals", title="spirals", sizes=_SIZES, read=read)
