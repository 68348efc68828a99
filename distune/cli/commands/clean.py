"""`distune clean`: removes what an old study needs no more."""

import typer

from distune.cli.options import LOGS, AnyOwner, Logs, StudyName
from distune.cli.reading import opened_to_change

EXAMPLE = "distune clean mnist --logs /shared/logs"


def clean(study: StudyName, logs: Logs = LOGS, any_owner: AnyOwner = False) -> None:
    """Remove checkpoints that no trial will go on from: of a study that is over all of them, else
    those of its counted trials.

    A master does that itself; it cannot where it was killed, or where a worker that had been frozen
    saved one more when the study was over.
    """
    from distune.watch.observer import Observer

    _, store = opened_to_change(logs, study, any_owner)
    snapshot = Observer(store).look()
    over = snapshot.finished is not None
    removed = store.clear_checkpoints(lambda key: over or snapshot.history.has(key))
    typer.echo(f"removed: {removed} checkpoint{'s' * (removed != 1)} of {study}")
