"""`distune data`: the data sets of the built-in workloads."""

from typing import Annotated

import typer

from distune.cli.options import DataDir
from distune.errors import UserError
from distune.workloads.data import DATA_SETS

EXAMPLE = "distune data mnist --data-dir /shared/data"

_FETCHED = {name: one for name, one in DATA_SETS.items() if one.can_be_fetched}
Name = Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(_FETCHED)}.")]


def data(dataset: Name, data_dir: DataDir = None) -> None:
    """Find a data set, download it if it is missing, and print where it is.

    Run this where there is internet before you start workers on hosts that have none.
    """
    from distune.workloads.data.folders import DataFolders

    if dataset not in _FETCHED:
        raise UserError(f"no data set {dataset!r}; there are {', '.join(_FETCHED)}")
    data_set, folders = _FETCHED[dataset], DataFolders.of(data_dir)
    if data_set.bundled_with:
        typer.echo(f"{dataset} come with {data_set.bundled_with}: there is nothing to fetch")
        return
    if folders.locate(data_set) is None:
        typer.echo(folders.announcement(data_set), err=True)
    typer.echo(folders.fetch(data_set))
