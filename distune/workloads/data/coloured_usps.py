"""USPS in colours: each image has one of five, chosen uniformly and whatever its digit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distune.workloads.data.data_set import DataSet
from distune.workloads.data.usps import USPS

if TYPE_CHECKING:
    from distune.workloads.data.data_set import Arrays

_RGB = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "magenta": (1, 0, 1),
}
COLOURS = tuple(_RGB)


def read(train: Path, test: Path) -> list[Arrays]:
    """Train, validation, test: pixels (N x 3 x 16 x 16, uint8), digit and colour (N x 2, int64).

    The RGB values of a pixel are gray times the image's colour, always the same.

    Raises:
        UserError: a file is damaged.
    """
    import numpy as np

    rgb = np.array(list(_RGB.values()), np.uint8)
    rng = np.random.RandomState(0)  # promised never to change
    arrays: list[Arrays] = []
    for images, digits in USPS.read(train, test):
        colours = rng.randint(len(rgb), size=len(digits))
        coloured = images * rgb[colours][:, :, None, None]
        arrays.append((coloured, np.stack([digits, colours], axis=1).astype(np.int64)))
    return arrays


COLOURED_USPS = DataSet(
    name="coloured-usps",
    title="coloured-usps",
    sizes=USPS.sizes,
    read=read,
    shape=(3, 16, 16),
    made_from=USPS,
)
