"""How two doctors find each other."""

from __future__ import annotations

import threading
import time

from distune.doctor.sandbox import WatchedFolder
from distune.errors import BadRecord, DistuneError, ShareError
from distune.share import records
from distune.share.folder import Folder
from distune.study.document import Count, Document

_VERSION = 2
_BEAT_EVERY = 1.0  # seconds between two signs of life of a doctor
_LOOK_EVERY = 0.2
_SIZE = 512
HERE = ".here"


class PeerError(DistuneError):
    """The other host cannot be examined with this one; says why."""


class Here(Document):
    """A doctor's sign of life, rewritten in place. `partner`: the doctor it has chosen."""

    version: int = _VERSION
    doctor: str
    host: str
    counter: Count
    partner: str = ""


class Presence:
    """Says that this doctor is here, again and again, from a thread of its own."""

    def __init__(self, folder: Folder, doctor: str, host: str) -> None:
        self.doctor = doctor
        self._folder = folder
        self._here = Here(doctor=doctor, host=host, counter=0)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def begin(self) -> None:
        self.say()
        self._thread.start()

    def say(self, partner: str | None = None) -> None:
        """Rewrite the sign; from now on with this partner, if one is given."""
        with self._lock:
            here = self._here
            changes = {"counter": here.counter + 1, "partner": partner or here.partner}
            self._here = here.model_copy(update=changes)
            data = records.encode_document(self._here).ljust(_SIZE - 1) + b"\n"
            self._folder.rewrite(self.doctor + HERE, data)

    def _go_on(self) -> None:
        while not self._over.wait(_BEAT_EVERY):
            try:
                self.say()
            except (ShareError, FileNotFoundError):
                continue  # the next one may arrive

    def end(self) -> None:
        """Stop, and take the sign away."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(_BEAT_EVERY)
        try:
            self._folder.remove(self.doctor + HERE)
        except (ShareError, FileNotFoundError):
            pass


def meet(lobby: WatchedFolder, presence: Presence, wait: float) -> Here:
    """Wait for the one other doctor. Only one whose sign changes while we look is alive.

    Args:
        lobby: where the signs of life lie.
        presence: this doctor's.
        wait: seconds.

    Raises:
        PeerError: no other doctor came, or more than one.
    """
    deadline = time.monotonic() + wait
    first: dict[str, int] = {}
    alive: list[Here] = []
    while True:
        try:
            alive = [
                here
                for here in _look_around(lobby)
                if here.doctor != presence.doctor
                and here.counter != first.setdefault(here.doctor, here.counter)
            ]
        except ShareError:
            pass  # look again
        free = [here for here in alive if here.partner in ("", presence.doctor)]
        if len(free) == 1:
            (there,) = free
            if there.version != _VERSION:
                raise PeerError(f"{there.host} has another version of distune")
            presence.say(there.doctor)
            return there
        if time.monotonic() >= deadline:
            raise PeerError(_why_alone(alive, free))
        time.sleep(_LOOK_EVERY)


def _look_around(lobby: WatchedFolder) -> list[Here]:
    """The doctors that left a sign of life here, dead ones included."""
    lobby.poke("")
    found = []
    for name in lobby.names(""):
        if name.endswith(HERE):
            try:
                here = records.decode_document(Here, lobby.read(name, limit=2**16))
            except (BadRecord, FileNotFoundError):
                continue
            if here.doctor + HERE == name:
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
