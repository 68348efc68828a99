"""How long it takes until this host sees what the other has done."""

from __future__ import annotations

import time

from distune.doctor.measurements import Delay
from distune.doctor.peer.session import Session
from distune.doctor.peer.waiting import LONGEST_LOOK, await_name, watch

_ROUNDS = 3
_LONG_ROUND = 3.0  # seconds: a round that takes longer is the last


class NewFile:
    """A new file of the other's, in a fresh listing. Base of the other changes, too."""

    limit = LONGEST_LOOK
    rounds = _ROUNDS

    def __init__(self, session: Session, name: str) -> None:
        self.own = session.sandbox.folder(f"{name}-{session.conversation.here}")
        self.other = session.sandbox.folder(f"{name}-{session.conversation.there}")

    def prepare(self) -> None:
        """Make what this host needs of its own before the first round."""

    def await_other(self, i: int) -> None:
        """Wait for what the other has made for this round."""

    def change(self, i: int) -> None:
        """Do what the other looks for."""
        self.own.put(f"new{i}")

    def seen(self, i: int) -> bool:
        """Whether this host sees that the other has done it."""
        return f"new{i}" in self.other.names("")


class NewFilePoked(NewFile):
    """The same after changing the directory."""

    def seen(self, i: int) -> bool:
        self.other.poke("")
        return super().seen(i)


class MissedName(NewFile):
    """The same by opening a name that was not there before."""

    limit = 10.0  # nothing depends on it
    rounds = 1

    def seen(self, i: int) -> bool:
        try:
            return bool(self.other.read(f"new{i}"))
        except FileNotFoundError:
            return False


class AppendedLine(NewFile):
    """A line that the other appends, by open and read."""

    def prepare(self) -> None:
        self.own.put("file")

    def await_other(self, i: int) -> None:
        await_name(self.other, "file")

    def change(self, i: int) -> None:
        self.own.operations.retry(self.own.append, "file", b"line %d\n" % i)

    def seen(self, i: int) -> bool:
        return b"line %d\n" % i in self.other.read("file")


class TakenAway(NewFile):
    """A file of this host's that the other renames, gone from a fresh listing."""

    def prepare(self) -> None:
        for i in range(_ROUNDS):
            self.own.put(f"taken{i}")

    def await_other(self, i: int) -> None:
        await_name(self.other, f"taken{i}")

    def change(self, i: int) -> None:
        self.other.transfer(f"taken{i}", f"lost{i}")

    def seen(self, i: int) -> bool:
        return f"taken{i}" not in self.own.names("")


#: By the name of the delay in `PairMeasurements`; with what people are told.
_CHANGES: dict[str, tuple[str, type[NewFile]]] = {
    "new_file": ("a new file of the other's in a fresh listing", NewFile),
    "new_file_poked": ("the same after changing the directory", NewFilePoked),
    "missed_name": ("the same by opening a name that was missed before", MissedName),
    "appended": ("lines that the other appends", AppendedLine),
    "evicted": ("a file that the other takes away", TakenAway),
}


def measure_delays(session: Session) -> dict[str, Delay]:
    """Each of them, by its name in `PairMeasurements`."""
    delays = {}
    for name, (what, make) in _CHANGES.items():
        session.announce(what)
        delays[name] = _measure(session, name, make(session, name))
    return delays


def _measure(session: Session, name: str, change: NewFile) -> Delay:
    """A few times: the other changes something, and this one looks for it."""
    both = session.conversation.both
    change.prepare()
    both(f"{name} prepared")
    seconds: list[float] = []
    never = 0
    for i in range(change.rounds):
        change.await_other(i)
        change.seen(i)  # so that whatever this host caches is cached
        both(f"{name} ready")
        begin = time.monotonic()
        both(f"{name} go")
        change.change(i)
        took = watch(lambda i=i: change.seen(i), change.limit, begin)  # type: ignore[misc]
        if took is None:
            never += 1
        else:
            seconds.append(took)
        enough = took is None or took > _LONG_ROUND
        if both(f"{name} seen", enough) or enough:
            break
    return Delay(seconds=seconds, never=never, limit=change.limit)
