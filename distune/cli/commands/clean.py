"""`distune clean`: removes what an old study needs no more."""

import typer

from distune.cli.options import LOGS, AnyOwner, Logs, StudyName
from distune.cli.reading import opened_to_change

EXAMPLE = "distune clean mnist --logs /shared/logs"


def clean(study: StudyName, logs: Logs = LOGS, any_owner: AnyOwner = False) -> None:
    """Remove checkpoints that no trial goes on from: of a study that is over all of them, else
    those of its counted trials. The best ones are kept for distune extend until then.

    A master removes all others itself; it cannot where it was killed, or where a worker that had
    been frozen saved one more when the study was over.
    """
    from distune.share.protocol import key_of_checkpoint
    from distune.study.trial import Purpose
    from distune.watch.observer import Observer
    from distune.watch.witnesses import Witnesses

    _, store = opened_to_change(logs, study, any_owner)
    snapshot = Observer(store).look()
    over, history = snapshot.finished is not None, snapshot.history
    extends = Witnesses.read(store).asked.extends.items()
    needed = {(Purpose.TRAIN, of) for by, of in extends if not history.has((Purpose.TRAIN, by))}

    def is_needed(name: str) -> bool:
        key = key_of_checkpoint(name)
        return key is None or key in needed or not (over or history.has(key))

    removed = store.remove_checkpoints(one for one in store.checkpoints() if not is_needed(one))
    typer.echo(f"removed: {removed} checkpoint{'s' * (removed != 1)} of {study}")
