"""How two doctors find each other."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from distune.doctor.watched_folder import Operations, WatchedFolder
from distune.errors import BadRecord, DistuneError, ShareError
from distune.share import records
from distune.share.folder import Folder
from distune.study.document import Document
from distune.study.trial import Count

_VERSION = 2
_BEAT_EVERY = 1.0  # seconds between two signs of life of a doctor
_LOOK_EVERY = 0.2
_SIZE = 512
_HERE = ".here"


class PeerError(DistuneError):
    """The other host cannot be examined with this one; says why."""


class Here(Document):
    """A doctor's sign of life, rewritten in place. `partner`: the doctor it has chosen."""

    version: int = _VERSION
    doctor: str
    host: str
    counter: Count
    partner: str = ""


class Lobby:
    """The folder in which doctors look for each other. `with Lobby(...) as lobby:` this one says
    that it is here, again and again, from a thread of its own.

    Args:
        root: the directory of this doctor; those of the others lie beside it.
        host: this one.
        operations: hears of every operation but the signs of life.
    """

    def __init__(self, root: Path, host: str, operations: Operations) -> None:
        self.doctor = root.name
        # Other hosts change it, too, so every listing needs the change before.
        self.folder = WatchedFolder(root.parent, operations, partial(Folder, network=True))
        self._signs = Folder(root.parent, network=True)
        self._here = Here(doctor=root.name, host=host, counter=0)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Lobby:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_BEAT_EVERY)
        with suppress(ShareError, FileNotFoundError):
            self._signs.remove(self.doctor + _HERE)

    def _go_on(self) -> None:
        while True:
            with suppress(ShareError, FileNotFoundError):  # the next one may arrive
                self._say()
            if self._over.wait(_BEAT_EVERY):
                return

    def _say(self, partner: str | None = None) -> None:
        with self._lock:
            here = self._here
            changes = {"counter": here.counter + 1, "partner": partner or here.partner}
            self._here = here.model_copy(update=changes)
            data = records.encode_document(self._here).ljust(_SIZE - 1) + b"\n"
            self._signs.rewrite(self.doctor + _HERE, data)

    def sign_of(self, doctor: str) -> bytes:
        """That doctor's sign of life, which changes as long as it lives."""
        return self.folder.read(doctor + _HERE, limit=2**16)

    def meet(self, wait: float) -> Here:
        """Wait that many seconds for the one other doctor. Only one whose sign changes while
        this one looks is alive.

        Raises:
            PeerError: no other doctor came, or more than one.
        """
        deadline = time.monotonic() + wait
        first: dict[str, int] = {}
        alive: list[Here] = []
        while True:
            with suppress(ShareError):  # look again
                others = self._look_around()
                alive = [o for o in others if o.counter != first.setdefault(o.doctor, o.counter)]
            free = [other for other in alive if other.partner in ("", self.doctor)]
            if len(free) == 1:
                (there,) = free
                if there.version != _VERSION:
                    raise PeerError(f"{there.host} has another version of distune")
                self._say(partner=there.doctor)
                return there
            if time.monotonic() >= deadline:
                raise PeerError(_why_alone(alive, free))
            time.sleep(_LOOK_EVERY)

    def _look_around(self) -> list[Here]:
        """The other doctors that left a sign of life here, dead ones included."""
        self.folder.poke("")
        found = []
        for name in self.folder.names(""):
            doctor = name.removesuffix(_HERE)
            if doctor not in (name, self.doctor):
                with suppress(BadRecord, FileNotFoundError):
                    here = records.decode_document(Here, self.sign_of(doctor))
                    if here.doctor == doctor:
                        found.append(here)
        return found


def _why_alone(alive: list[Here], free: list[Here]) -> str:
    if free:
        hosts = ", ".join(sorted(here.host for here in free))
        return f"{len(free)} others are here ({hosts}): start it on two hosts, no more"
    if alive:
        return "two other doctors are at work here: wait until they are done"
    return (
        "no other host came: start the same command on the other host within that time; if you "
        "did, the two do not see the same directory, or one sees old news of it"
    )
