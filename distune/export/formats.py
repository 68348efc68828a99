"""The formats of `distune export`, and where each is written."""

import shlex
import sys
from pathlib import Path

from distune.errors import UserError
from distune.export.files import complete, write_csv, write_jsonl, write_parquet
from distune.export.table import TrialTable
from distune.extras import need
from distune.streams import print_data

#: The formats, and the libraries that each needs.
FORMATS: dict[str, tuple[str, ...]] = {
    "csv": (),
    "parquet": ("pandas", "pyarrow"),
    "jsonl": (),
    "optuna": ("optuna",),
    "tensorboard": ("tensorboard",),
}
#: How a name ends that the user has not given: else by the format's own.
_ENDINGS = {"optuna": ".db", "tensorboard": "-tensorboard"}
#: TensorBoard ticks 500 runs by itself, one of which is the HParams table.
_SHOWN_BY_TENSORBOARD = 499


def format_of(out: str | None) -> str:
    """What a name to write to says of the format: `trials.parquet`; without a word, CSV."""
    ending = Path(out or "").suffix.removeprefix(".")
    if ending in ("db", "log") or "://" in (out or ""):
        return "optuna"
    return ending if ending in FORMATS else "csv"


def export_table(table: TrialTable, format: str, out: str | None) -> str:
    """Write a study's trials, all or nothing.

    Args:
        table: of its trials; CSV and Parquet leave the curves out.
        format: one of `FORMATS`.
        out: a file, `-` for standard output (CSV and JSON lines), a folder for TensorBoard, a
            file or URL for Optuna; None for the study's name in this directory.

    Returns:
        A line for people, empty if they see the trials themselves.

    Raises:
        UserError: there is no such format, it cannot be written, or a library is not installed.
    """
    if format not in FORMATS:
        raise UserError(f"no format {format!r}; there are {', '.join(FORMATS)}")
    out = out or f"{table.history.study.name}{_ENDINGS.get(format, f'.{format}')}"
    if out == "-" and format not in ("csv", "jsonl"):
        raise UserError(f"--out - is for csv and jsonl; {format} needs a name")
    need(*FORMATS[format], extra="export")
    count, everything = len(table.rows), len(table.history.standing)
    of = "" if count == everything else f" of {everything}"
    wrote = f"wrote {count}{of} trial{'s' * (everything != 1)} to "
    match format:
        case "csv" | "jsonl":
            write = write_csv if format == "csv" else write_jsonl
            if out == "-":
                print_data()
                write(table, sys.stdout)
                return ""
            with complete(Path(out)) as path, path.open("w", encoding="utf-8", newline="") as file:
                write(table, file)
        case "parquet":
            with complete(Path(out)) as path:
                write_parquet(table, path)
        case "optuna":
            from distune.export.optuna_storage import write_optuna_storage

            storage = write_optuna_storage(table, out)
            return f"{wrote}{storage}; look at them: optuna-dashboard {shlex.quote(storage)}"
        case "tensorboard":
            from distune.export.event_files import write_event_files

            with complete(Path(out), folder=True) as folder:
                write_event_files(table, folder)
            said = f"{wrote}{out}; look at them: tensorboard --logdir {shlex.quote(out)}"
            if count > _SHOWN_BY_TENSORBOARD:
                said += (
                    f"\nWith more than {_SHOWN_BY_TENSORBOARD} trials TensorBoard is slow, and "
                    "draws only the curves that are ticked: export fewer with --top N"
                )
            return said
    return f"{wrote}{out}"
