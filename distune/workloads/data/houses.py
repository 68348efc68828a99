"""House prices in Ames, Iowa: four facts of a house, and what it was sold for."""

from __future__ import annotations

import csv
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np

from distune.workloads.data import HOUSE_COLUMNS, Part
from distune.workloads.data.places import damaged

_SIZES = (1_000, 200, 260)  # in the order of the file


def read(path: Path) -> list[Part]:
    """Train, validation, test: facts (N x 4, float64) and prices in dollars (N, float32).

    The file has a line of names, which may be more than `HOUSE_COLUMNS` and in any order,
    and a line for each of 1,460 houses.

    Raises:
        UserError: it cannot be read, or is something else; names the file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise damaged(path, str(error)) from error
    missing = [name for name in HOUSE_COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise damaged(path, f"it has no column {', '.join(missing)}")
    if len(rows) != sum(_SIZES):
        raise damaged(path, f"{len(rows):,} houses, not {sum(_SIZES):,}")
    table = np.empty((len(rows), len(HOUSE_COLUMNS)))
    for i, row in enumerate(rows):
        for j, name in enumerate(HOUSE_COLUMNS):
            try:
                table[i, j] = float(row[name])
            except (TypeError, ValueError):
                raise damaged(path, f"line {i + 2}: {name} is {row[name]!r}") from None
    if not np.isfinite(table).all():
        raise damaged(path, "a number that is not finite")
    facts, prices = table[:, :4], table[:, 4].astype(np.float32)
    ends = np.cumsum((0, *_SIZES))
    return [(facts[a:b], prices[a:b]) for a, b in pairwise(ends)]


def download(folder: Path) -> None:
    """Write `house_prices.csv` with what OpenML has under that name, through scikit-learn.

    Raises:
        OSError: OpenML cannot be reached, or has something else.
        ImportError: pandas is not installed, without which scikit-learn cannot read it.
    """
    from sklearn.datasets import fetch_openml

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it tries again; the error comes, too
        try:
            found = fetch_openml(name="house_prices", as_frame=True, data_home=str(folder))
            columns = found.frame[list(HOUSE_COLUMNS)]
        except (ValueError, KeyError) as error:
            raise OSError(f"OpenML: {error}") from error
    columns.to_csv(folder / "house_prices.csv", index=False)
