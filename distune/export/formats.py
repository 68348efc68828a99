"""The formats of `distune export`, and where each is written."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from distune.errors import UserError
from distune.export.event_files import write_event_files
from distune.export.files import (
    Curves,
    Tell,
    complete,
    write_csv,
    write_jsonl,
    write_parquet,
)
from distune.export.optuna_storage import write_optuna_storage
from distune.search.ranking import History

FORMATS = ("csv", "parquet", "jsonl", "optuna", "tensorboard")
#: How a name ends that nobody has given: else by the format's own.
_ENDINGS = {"optuna": ".db", "tensorboard": "-tensorboard"}
#: Runs that TensorBoard ticks by itself are 500; one is the HParams table.
_SHOWN_BY_TENSORBOARD = 499


def export_history(
    history: History,
    curves: Curves,
    format: str,
    out: str | None,
    tell: Tell,
    top: int | None = None,
) -> str:
    """Write a study's trials, all or nothing.

    Args:
        history: of the study.
        curves: of its trials; CSV and Parquet have none.
        format: one of `FORMATS`.
        out: a file, `-` for standard output (CSV and JSON lines), a folder for TensorBoard, a
            file or URL for Optuna; None for the study's name in this directory.
        tell: takes how many trials are written, where that takes long.
        top: how many configurations, the best ones; all if None.

    Returns:
        A line for people, empty if they see the trials themselves.

    Raises:
        UserError: there is no such format, it cannot be written, or a library is not installed.
    """
    if format not in FORMATS:
        raise UserError(f"no format {format!r}; there are {', '.join(FORMATS)}")
    out = out or f"{history.study.name}{_ENDINGS.get(format, f'.{format}')}"
    if out == "-" and format not in ("csv", "jsonl"):
        raise UserError(f"--out - is for csv and jsonl; {format} needs a name")
    everything = len(history)
    count = everything if top is None else sum(len(one.trials) for one in history.ranking(top))
    trials = f"{count} trials" if count == everything else f"{count} of {everything} trials"
    wrote = f"wrote {trials} to {out}"
    match format:
        case "csv":
            with _text(out) as file:
                write_csv(history, file, top)
        case "jsonl":
            with _text(out) as file:
                write_jsonl(history, curves, file, tell, top)
        case "parquet":
            with complete(Path(out)) as path:
                write_parquet(history, path, top)
        case "optuna":
            storage = write_optuna_storage(history, curves, out, tell, top)
            wrote = f"wrote {trials} to {storage}"
            return f"{wrote}; look at them: optuna-dashboard {shlex.quote(storage)}"
        case "tensorboard":
            with complete(Path(out), folder=True) as folder:
                write_event_files(history, curves, folder, tell, top)
            said = f"{wrote}; look at them: tensorboard --logdir {shlex.quote(out)}"
            if count > _SHOWN_BY_TENSORBOARD:
                said += (
                    f"\nWith more than {_SHOWN_BY_TENSORBOARD} trials TensorBoard is slow, and "
                    "draws only the curves that are ticked: export fewer with --top N"
                )
            return said
    return "" if out == "-" else wrote


@contextmanager
def _text(out: str) -> Iterator[IO[str]]:
    if out == "-":
        yield sys.stdout
    else:
        with complete(Path(out)) as path, path.open("w", encoding="utf-8", newline="") as file:
            yield file
