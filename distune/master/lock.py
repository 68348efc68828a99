"""One master a study: the lock, and the heartbeats of other masters, because locks may lie."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from distune.errors import BadRecord, Forbidden, HasMaster
from distune.share import protocol
from distune.share.heartbeat import MasterBeat
from distune.share.store import Store


@dataclass(frozen=True)
class Identity:
    """Which process a master or worker is."""

    host: str
    pid: int
    token: str = ""  # random, of a master: hosts and pids are not unique


@dataclass(eq=False)
class Rivals:
    """Other masters of the study, by their heartbeats: all of them write the same file, and read it
    before they do. Of two that both live the one that started later goes, and of two that started
    at the same time, the one whose token is greater. So one goes, and one stays.

    Args:
        term: of this master.
        token: likewise.
    """

    term: int
    token: str
    _counters: dict[str, int] = field(default_factory=dict)  # of each, when it was seen first

    def is_outranked_by(self, beat: MasterBeat | None) -> bool:
        """Whether this master has to go: what it finds shows that one before it lives. A first
        sight shows nothing, for that may be the last heartbeat of a dead one.
        """
        if beat is None or beat.state != "running" or beat.token == self.token:
            return False
        lives = beat.counter > self._counters.setdefault(beat.token, beat.counter)
        return lives and (beat.term, beat.token) < (self.term, self.token)


@contextmanager
def only_master(
    study_folder: Path, store: Store, identity: Identity, wait: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Be this study's only master. Where the lock cannot be trusted (sshfs lets both win), the
    heartbeat of a master on another host is watched as well; if both fail, the later master notices
    while it runs (`Rivals`), and until then both count alike.

    Raises:
        HasMaster: there is one already; says where.
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
        raise HasMaster(second_master(study_folder.name, store.read_master())) from None
    except (NotImplementedError, OSError):
        pass  # no locks on this file system: the heartbeat has to do
    try:
        first = store.read_master()
        if first is not None and first.state == "running" and first.host != identity.host:
            wait(3 * store.load().beat_interval)
            second = store.read_master()
            if second is not None and second.counter != first.counter:
                raise HasMaster(second_master(study_folder.name, second))
        yield
    finally:
        lock.release()


def second_master(study: str, beat: MasterBeat | None) -> str:
    """What to tell the user of a master that is not the only one; the other one's heartbeat says
    where that is.
    """
    where = f"on {beat.host}, pid {beat.pid}" if beat else "just starting"
    return (
        f"the study {study!r} has a master already ({where}); "
        "watch it with: distune top, or stop that one first"
    )
