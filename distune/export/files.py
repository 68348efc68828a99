"""Trials as files that other programs read: CSV, JSON lines, Parquet, and a data frame."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from distune.errors import UserError
from distune.export.leaderboard import csv_text
from distune.export.table import ExportColumn, Kind, TrialTable, curve_of
from distune.extras import need
from distune.share.records import with_finite_numbers

if TYPE_CHECKING:
    import pandas

#: What pandas calls a kind where some values are missing; else as we do.
_WITH_GAPS = {Kind.INTEGER: "Int64", Kind.BOOLEAN: "boolean"}


@contextmanager
def complete(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """A name to write to; when all is written, that takes the place of `path`, so that others
    see what was there before, or all of the new. A folder takes the place of an empty one.

    Raises:
        UserError: it cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}")
    try:
        if not target.parent.is_dir():
            raise UserError(f"cannot write {path}: there is no folder {target.parent}")
        if target.is_dir():
            if not folder:
                raise UserError(f"{path} is a folder: name a file in it with --out")
            if any(target.iterdir()):
                raise UserError(
                    f"{path} has something in it: remove it, or name another folder with --out"
                )
        if target.exists() and not target.is_dir() and not target.is_file():
            yield target  # a pipe or a device, which nothing may replace
        else:
            yield draft
            draft.replace(target)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):
            draft.unlink()


def write_csv(table: TrialTable, out: IO[str]) -> None:
    """The table as text, `nan` and `inf` as such; what there is not is empty."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([csv_text(column.name) for column in table.columns])
    cells = [map(csv_text, c.values) if c.kind is Kind.TEXT else c.values for c in table.columns]
    writer.writerows(zip(*cells, strict=True))


def write_jsonl(table: TrialTable, out: IO[str]) -> None:
    """One JSON object a line: a `TrialRow`, and its `curve` as `curve_of` makes it."""
    for row, reports in table.with_curves():
        fields = {**vars(row), "curve": curve_of(reports)}
        out.write(json.dumps(with_finite_numbers(fields), ensure_ascii=False, allow_nan=False))
        out.write("\n")


def data_frame(table: TrialTable) -> pandas.DataFrame:
    """The table as pandas has it. Integers and booleans stay what they are where some are
    missing (`Int64`, `boolean`).

    Raises:
        UserError: pandas is not installed.
    """
    need("pandas", extra="export")
    import pandas

    text = pandas.Series([""]).dtype  # as this version of pandas has it

    def dtype(column: ExportColumn) -> Any:
        own = text if column.kind is Kind.TEXT else column.kind.value
        return _WITH_GAPS.get(column.kind, own) if None in column.values else own

    columns = table.columns
    return pandas.DataFrame({c.name: pandas.Series(c.values, dtype=dtype(c)) for c in columns})


def write_parquet(table: TrialTable, path: Path) -> None:
    """The table, a number that is NaN apart from one that is missing."""
    import pyarrow
    import pyarrow.parquet

    arrays = {one.name: pyarrow.array(one.values, one.kind.value) for one in table.columns}
    # So that pandas reads what `data_frame` makes.
    metadata = pyarrow.Schema.from_pandas(data_frame(table), preserve_index=False).metadata
    pyarrow.parquet.write_table(pyarrow.table(arrays).replace_schema_metadata(metadata), path)
