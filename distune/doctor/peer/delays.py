"""How long it takes until this host sees what the other has done."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from distune.doctor.diagnosis import Delay
from distune.doctor.peer.session import LONGEST_LOOK, Session, await_name, watch
from distune.doctor.watched_folder import WatchedFolder

_LONG_ROUND = 3.0  # seconds: a round that takes longer is the last


def _make_file(own: WatchedFolder, other: WatchedFolder, i: int) -> None:
    own.put(f"new{i}")


@dataclass(frozen=True)
class _Change:
    """Something that each host does in its own folder, and the other looks for.

    Attributes:
        what: what it is, for people.
        is_seen: whether this host sees that the other has done it; with the folder of this host,
            that of the other, and the round.
        make: does it.
        before: files that each host puts into its own folder beforehand.
        limit: seconds to look for it.
    """

    what: str
    is_seen: Callable[[WatchedFolder, WatchedFolder, int], bool]
    make: Callable[[WatchedFolder, WatchedFolder, int], object] = _make_file
    before: tuple[str, ...] = ()
    limit: float = LONGEST_LOOK
    rounds: int = 3


#: By the name of the delay in `PairMeasurements`.
_CHANGES = {
    "new_file": _Change(
        "a new file of the other's in a fresh listing",
        is_seen=lambda own, other, i: f"new{i}" in other.names(""),
    ),
    "new_file_poked": _Change(
        "the same after changing the directory",
        is_seen=lambda own, other, i: f"new{i}" in other.fresh_names(),
    ),
    "missed_name": _Change(
        "the same by opening a name that was missed before",
        is_seen=lambda own, other, i: bool(other.read(f"new{i}")),
        limit=10.0,  # nothing depends on it
        rounds=1,
    ),
    "appended": _Change(
        "lines that the other appends",
        is_seen=lambda own, other, i: b"line %d\n" % i in other.read("file"),
        make=lambda own, other, i: own.operations.retry(own.append, "file", b"line %d\n" % i),
        before=("file",),
    ),
    "evicted": _Change(
        "a file that the other takes away",
        is_seen=lambda own, other, i: f"taken{i}" not in own.names(""),
        make=lambda own, other, i: other.transfer(f"taken{i}", f"lost{i}"),
        before=("taken0", "taken1", "taken2"),
    ),
}


def measure_delays(session: Session) -> dict[str, Delay]:
    """Each of them, by its name in `PairMeasurements`."""
    delays = {}
    for name, change in _CHANGES.items():
        session.announce(change.what)
        delays[name] = _measure(session, name, change)
    return delays


def _measure(session: Session, name: str, change: _Change) -> Delay:
    """A few times: the other changes something, and this one looks for it."""
    own = session.sandbox.folder(f"{name}-{session.here}")
    other = session.sandbox.folder(f"{name}-{session.there}")
    for file in change.before:
        own.put(file)
    session.both(f"{name} prepared")
    for file in change.before:
        await_name(other, file)
    delays: list[float | None] = []
    for i in range(change.rounds):
        look = partial(change.is_seen, own, other, i)
        watch(look, 0.0)  # so that whatever this host caches is cached
        session.both(f"{name} ready")
        begin = time.monotonic()
        session.both(f"{name} go")
        change.make(own, other, i)
        took = watch(look, change.limit, begin)
        delays.append(took)
        enough = took is None or took > _LONG_ROUND
        if session.both(f"{name} seen", enough) or enough:
            break
    seconds = [took for took in delays if took is not None]
    return Delay(seconds=seconds, never=delays.count(None), limit=change.limit)
