"""House prices in Ames, Iowa: four features of a house, and what it was sold for."""

import csv
from itertools import takewhile
from pathlib import Path

from distune.workloads.data.data_set import Arrays, DataSet, damaged

FEATURES = ("OverallQual", "YearBuilt", "TotalBsmtSF", "GrLivArea")
COLUMNS = (*FEATURES, "SalePrice")
# Not scikit-learn's `fetch_openml`: where a data set has columns of strings, as this one has,
# that needs pandas.
#: OpenML's data set 42165, `house_prices`: Kaggle's 1,460 houses in Kaggle's order.
ARFF = "house_prices.arff"
_FILE = "house_prices.csv"
_SIZES = (1_000, 200, 260)  # in the order of the file


def read(path: Path) -> list[Arrays]:
    """Train, validation, test: features (N x 4, float64) and prices in dollars (N, float32).

    The file has a line of names, which may be more than `COLUMNS` and in any order,
    and a line for each of 1,460 houses.
    """
    import numpy as np

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise damaged(path, str(error)) from error
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise damaged(path, f"it has no column {', '.join(missing)}")
    if len(rows) != sum(_SIZES):
        raise damaged(path, f"{len(rows):,} houses, not {sum(_SIZES):,}")
    table = np.array([_numbers(path, line, row) for line, row in enumerate(rows, 2)])
    if not np.isfinite(table).all():
        raise damaged(path, "a number that is not finite")
    splits = np.split(table, np.cumsum(_SIZES)[:-1])
    return [(split[:, :4], split[:, 4].astype(np.float32)) for split in splits]


def _numbers(path: Path, line: int, row: dict[str, str]) -> list[float]:
    numbers = []
    for name in COLUMNS:
        try:
            numbers.append(float(row[name]))
        except (TypeError, ValueError):
            raise damaged(path, f"line {line}: {name} is {row[name]!r}") from None
    return numbers


def write_csv(folder: Path) -> None:
    """Write the `ARFF` in a folder as a file that `read` knows: `COLUMNS`, the houses as there.

    The format (ARFF): a line `@ATTRIBUTE name type` for each column, a line `@DATA`, then a
    line for each house, with commas between its values and single quotes around some.
    """
    source, target = folder / ARFF, folder / _FILE
    with source.open(encoding="utf-8") as file, target.open("w", encoding="utf-8") as table:
        header = [line.split() for line in takewhile(lambda line: line.strip() != "@DATA", file)]
        names = [words[1] for words in header if words[:1] == ["@ATTRIBUTE"]]
        houses = csv.DictReader(file, names, quotechar="'")
        out = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
        out.writeheader()
        out.writerows(houses)


HOUSE_PRICES = DataSet(
    name="house-prices",
    title="house prices",
    sizes=_SIZES,
    read=read,
    paths=(_FILE,),
    megabytes=0.5,
    downloads={
        ARFF: (
            "https://openml.org/data/v1/download/21754539/house_prices.arff",
            "d5ca59f8d02b1b1c127034392c0f995f",  # as OpenML's description of it says
        )
    },
    unpack=write_csv,
    remedy=f"write {_FILE} there yourself: Kaggle's train.csv has its columns",
)
