"""Two spirals in the plane, wound about each other: generated, not read."""

from functools import partial

from distune.workloads.data.data_set import Arrays, DataSet

_SIZES = (4_000, 1_000, 500)


def read(low: float, high: float, noise: float, beside: float) -> list[Arrays]:
    """Train, validation, test: points (N x 2, float64) and classes (N, int64), in random order.

    A point of class 0 is ((phi + 1) cos phi, (phi + `beside`) sin phi) plus Gaussian noise of a
    standard deviation of `noise` in each direction, with phi uniform in [low, high]; for class 1
    it is multiplied by -1. Half of the points are of each class.
    """
    import numpy as np

    rng = np.random.RandomState(0)  # promised never to change
    arrays: list[Arrays] = []
    for n in _SIZES:
        phi = rng.uniform(low, high, n)
        arms = np.stack([(phi + 1) * np.cos(phi), (phi + beside) * np.sin(phi)], axis=1)
        points = arms + rng.normal(0, noise, (n, 2))
        labels = np.arange(n) // (n // 2)
        points[labels == 1] *= -1
        order = rng.permutation(n)
        arrays.append((points[order], labels[order].astype(np.int64)))
    return arrays


#: As the course drew them in a year: the reports are on those of 2020; later ones are harder.
SPIRALS = {
    year: DataSet(name=f"spirals-{year}", title="spirals", sizes=_SIZES, read=partial(read, *drawn))
    for year, drawn in {"2020": (0, 10, 0.3, 0), "2021": (1, 15, 0.4, 1)}.items()
}
