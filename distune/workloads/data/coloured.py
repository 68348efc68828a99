"""Handwritten digits, each in one colour."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from distune.workloads.data import DATA_SETS
from distune.workloads.data.data_set import Arrays, DataSet

_RGB = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "magenta": (1, 0, 1),
    "cyan": (0, 1, 1),
    "white": (1, 1, 1),
}
COLOURS = tuple(_RGB)


@lru_cache  # the same object for the same data: what is kept of it in memory is found by that
def coloured(dataset: str, n_colours: int) -> DataSet:
    """The images of one of gray digits in the first so many of `COLOURS`."""
    gray = DATA_SETS[dataset]
    assert gray.shape is not None
    name = f"{dataset}-in-{n_colours}-colours"
    return DataSet(
        name=name,
        title=name,
        sizes=gray.sizes,
        read=partial(_read, gray.read, n_colours),
        shape=(3, *gray.shape[1:]),
        made_from=gray,
    )


def _read(read_gray: Callable[..., list[Arrays]], n: int, *paths: Path) -> list[Arrays]:
    """Pixels (N x 3 x height x width, uint8), digit and colour (N x 2, int64).

    Each image has one of `n` colours, chosen uniformly and whatever its digit, but always the
    same: the RGB values of a pixel are gray times that.
    """
    import numpy as np

    rgb = np.array(list(_RGB.values()), np.uint8)
    rng = np.random.RandomState(0)  # promised never to change
    arrays: list[Arrays] = []
    for images, digits in read_gray(*paths):
        colours = rng.randint(n, size=len(digits))
        inputs = images * rgb[colours][:, :, None, None]
        arrays.append((inputs, np.stack([digits, colours], axis=1).astype(np.int64)))
    return arrays
