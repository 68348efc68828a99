"""`distune export`: the trials for other programs."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Logs, OneStudy

EXAMPLE = (
    "distune export --logs /shared/logs --out trials.parquet\n"
    "         distune export --format optuna; optuna-dashboard sqlite:///mnist.db"
)

Format = Annotated[
    str | None,
    typer.Option(
        metavar="csv|parquet|jsonl|optuna|tensorboard",
        help="csv and parquet are tables; the others hold the learning curves too. By default what "
        "the name to write to ends in (csv, parquet, jsonl, db), else csv.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Where to write; - is standard output. tensorboard takes a folder; optuna takes a "
        "database URL or a file: one that ends in .log (Optuna's journal) is written many times "
        "faster than any other (SQLite). By default a file in the current directory, named after "
        "the study.",
    ),
]
Top = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Only the trials of the N best configurations."),
]


def export(
    logs: Logs = LOGS,
    study: OneStudy = None,
    format: Format = None,
    out: Out = None,
    top: Top = None,
) -> None:
    """Write the finished trials to a file for other programs, one row a trial.

    The columns are number, configuration (shared by repeats), rank, stage (if the study has
    any), repeat, attempt, seed, outcome, value (of the metric), seconds (of training), elapsed
    (since the study began), steps, worker, device, failure, then params.NAME, metrics.NAME (at
    the best step) and test.NAME (on the test set).

    An existing file is replaced once the new one is complete. A study in an Optuna storage and
    a folder that is not empty are left alone.
    """
    from distune.export.formats import export_table, format_of
    from distune.export.table import TrialTable
    from distune.share.find_studies import open_study
    from distune.watch.load import LoadedStudy

    stall = terminal.stall()
    with stall.watched():
        store = open_study(logs, study)
    opened = LoadedStudy(store, stall.watched)

    def count(done: int) -> None:
        if done % 50 == 0:
            terminal.remark(f"trial {done} of {len(opened.trials)}")

    try:
        table = TrialTable(opened.history, opened.curves, top, count)
        written = export_table(table, format or format_of(out), out)
    finally:
        terminal.remark("")
    if opened.curves.unreadable:
        numbers = ", ".join(map(str, opened.curves.unreadable[:10]))
        more = ", ..." if len(opened.curves.unreadable) > 10 else ""
        terminal.warn(f"without the curves of trials whose files cannot be read: {numbers}{more}")
    if written:
        typer.echo(written)
