"""One master a study: the lock, and the heartbeat of a master on another host."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from distune.errors import BadRecord, Forbidden, UserError
from distune.share import protocol
from distune.share.store import Store


@dataclass(frozen=True)
class Identity:
    """Which process a master or worker is."""

    host: str
    pid: int


@contextmanager
def only_master(
    study_folder: Path, store: Store, identity: Identity, wait: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Be this study's only master. Where the lock cannot be trusted (sshfs lets both win), the
    heartbeat of a master on another host is watched as well; and if both fail, two masters still
    count every trial once.

    Raises:
        UserError: there is one already; says where.
    """
    # The lock's library opens whatever is there for writing.
    try:
        store.folder.read(protocol.LOCK, limit=0, part=True)
    except (FileNotFoundError, Forbidden):
        pass  # another user's, whose master may be at work
    except BadRecord as error:
        store.set_aside(protocol.LOCK, str(error))
    lock = filelock.FileLock(study_folder / protocol.LOCK, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UserError(_second_master(study_folder, store)) from None
    except (NotImplementedError, OSError):
        pass  # no locks on this file system: the heartbeat has to do
    try:
        first = store.read_master()
        if first is not None and first.state == "running" and first.host != identity.host:
            wait(3 * store.load().beat_interval)
            second = store.read_master()
            if second is not None and second.counter != first.counter:
                raise UserError(_second_master(study_folder, store))
        yield
    finally:
        lock.release()


def _second_master(study_folder: Path, store: Store) -> str:
    beat = store.read_master()
    where = f"on {beat.host}, pid {beat.pid}" if beat else "just starting"
    return (
        f"the study {study_folder.name!r} has a master already ({where}); "
        "watch it with: distune top, or stop that one first"
    )
