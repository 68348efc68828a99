"""`distune data`: the data sets of the built-in workloads."""

from __future__ import annotations

from typing import Annotated

import typer

from distune.cli.options import DataDir
from distune.errors import UserError

EXAMPLE = "distune data mnist --data-dir /shared/data"

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="mnist, fashion-mnist, usps, cifar-10, house-prices or digits."
    ),
]


def data(dataset: Name, data_dir: DataDir = None) -> None:
    """Find a data set, download it if it is missing, and print where it is.

    Run this where there is internet before you start workers on hosts that have none.
    """
    from distune.workloads.data import DATASETS, announcement, fetch, is_in_files, locate

    place = str(data_dir) if data_dir else None
    if is_in_files(dataset):
        if locate(dataset, place) is None:
            typer.echo(announcement(dataset, place), err=True)
        typer.echo(fetch(dataset, place))
    elif dataset == "digits":
        typer.echo("digits come with scikit-learn: there is nothing to fetch")
    else:
        raise UserError(f"no data set {dataset!r}; there are {', '.join(DATASETS)}")
