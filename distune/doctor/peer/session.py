"""How two doctors find each other, talk, and part."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from distune.doctor.watched_folder import Operations, WatchedFolder
from distune.errors import BadRecord, DistuneError, ShareError
from distune.share import records
from distune.share.folder import Folder
from distune.study.trial import Count, Document

_VERSION = 2
_BEAT_EVERY = 1.0  # seconds between two signs of life of a doctor
_LOOK_FOR_OTHERS_EVERY = 0.2
_LOOK_EVERY = 0.1
_SHORTEST_PATIENCE = 60.0
#: Longer than any cache that was measured: file attributes live up to 60 s on NFS.
LONGEST_LOOK = 90.0
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


class Session:
    """Two doctors in one directory, as one of them sees it: how they find each other, and the
    messages between them, heard in the order they were said.

    Args:
        root: the directory of this doctor; those of the others lie beside it.
        host: this one.
        operations: hears of every operation but the signs of life.
        patience: seconds of silence after which the other is taken for dead.
        announce: takes a line when something begins.

    Attributes:
        here, there: the two doctors.
        sandbox: of the two alone.
        leads: whether this doctor is the one of the two that prepares, writes and clears up.
    """

    there: str
    sandbox: WatchedFolder
    leads: bool

    def __init__(
        self,
        root: Path,
        host: str,
        operations: Operations,
        patience: float,
        announce: Callable[[str], None],
    ) -> None:
        self.here = root.name
        self.announce = announce
        self._host = host
        self._patience = max(_SHORTEST_PATIENCE, patience)
        # Other hosts change it, too, so every listing needs the change before.
        self._lobby = WatchedFolder(root.parent, operations, partial(Folder, network=True))
        self._signs = Folder(root.parent, network=True)
        self._partner = ""
        self._counter = count()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._said = self._heard = 0

    @contextmanager
    def held(self, wait: float) -> Iterator[None]:
        """Find the other doctor; apologise to it when this one has to stop; say goodbye. All the
        while this one says that it is here, again and again, from a thread of its own.

        Args:
            wait: seconds to wait for the other.

        Raises:
            PeerError: there is no other, or it does not go on.
        """
        self._thread.start()
        try:
            self._meet(wait)
            try:
                yield
                self._part()
            except PeerError:
                self._clear_up()
                raise
            except (OSError, ShareError, BadRecord, SystemExit) as error:
                with suppress(ShareError, OSError):  # then silence tells
                    self.say("sorry", str(error) or type(error).__name__)
                raise
        finally:
            self._over.set()
            self._thread.join(_BEAT_EVERY)
            with suppress(ShareError, FileNotFoundError):
                self._signs.remove(self.here + _HERE)

    def _part(self) -> None:
        # The last one here clears up: what the other has not read yet must stay.
        if self.leads:
            self.hear("goodbye")
            self._clear_up()
        else:
            self.say("goodbye")

    def _go_on(self) -> None:
        while True:
            with suppress(ShareError, FileNotFoundError):  # the next one may arrive
                self._show()
            if self._over.wait(_BEAT_EVERY):
                return

    def _show(self) -> None:
        with self._lock:
            counter, partner = next(self._counter), self._partner
            here = Here(doctor=self.here, host=self._host, counter=counter, partner=partner)
            data = records.encode_document(here).ljust(_SIZE - 1) + b"\n"
            self._signs.rewrite(self.here + _HERE, data)

    def _sign_of(self, doctor: str) -> bytes:
        """That doctor's sign of life, which changes as long as it lives."""
        return self._lobby.read(doctor + _HERE, limit=2**16)

    def _meet(self, wait: float) -> None:
        """Wait for the one other doctor. Only one whose sign changes while this one looks is
        alive.
        """
        deadline = time.monotonic() + wait
        first: dict[str, int] = {}
        alive: list[Here] = []
        while True:
            with suppress(ShareError):  # look again
                others = self._look_around()
                alive = [o for o in others if o.counter != first.setdefault(o.doctor, o.counter)]
            free = [other for other in alive if other.partner in ("", self.here)]
            if len(free) == 1:
                break
            if time.monotonic() >= deadline:
                raise PeerError(_why_alone(alive, free))
            time.sleep(_LOOK_FOR_OTHERS_EVERY)
        (other,) = free
        if other.version != _VERSION:
            raise PeerError(f"{other.host} has another version of distune")
        self.there = self._partner = other.doctor
        self._show()
        self.announce(f"meeting {other.host}")
        self.leads = self.here < self.there
        self.sandbox = self._lobby.folder("+".join(sorted((self.here, self.there))))
        self._talk = self.sandbox.folder("talk")

    def _look_around(self) -> list[Here]:
        """The other doctors that left a sign of life here, dead ones included."""
        found = []
        for name in self._lobby.fresh_names():
            doctor = name.removesuffix(_HERE)
            if doctor not in (name, self.here):
                with suppress(BadRecord, FileNotFoundError):
                    here = records.decode_document(Here, self._sign_of(doctor))
                    if here.doctor == doctor:
                        found.append(here)
        return found

    def say(self, word: str, value: Any = None) -> None:
        self._said += 1
        data = json.dumps({"word": word, "value": value}).encode()
        self._talk.put(f"{self.here}.{self._said:05d}", data)

    def hear(self, word: str) -> Any:
        """Wait for the other's next message, which has to be this one.

        Raises:
            PeerError: it is another one, or the other has been silent for too long.
        """
        self._heard += 1
        match self._next(f"{self.there}.{self._heard:05d}", word):
            case {"word": "sorry", "value": why}:
                raise PeerError(f"the other doctor had to stop: {why}")
            case {"word": said, "value": value} if said == word:
                return value
            case other:
                said = str(other)[:80]
                raise PeerError(f"the other doctor said {said!r} where {word!r} was expected")

    def _next(self, name: str, word: str) -> Any:
        sign, since = None, time.monotonic()
        while True:
            try:
                if name in self._talk.fresh_names():
                    return json.loads(self._talk.read(name, limit=2**20))
                now = self._sign_of(self.there)
                if now != sign:
                    sign, since = now, time.monotonic()
            except (ShareError, FileNotFoundError, BadRecord, ValueError):
                pass  # not there yet, or half of it
            if time.monotonic() - since > self._patience:
                raise PeerError(
                    f"the other doctor fell silent while this one waited for its {word!r}"
                )
            time.sleep(_LOOK_EVERY)

    def both(self, word: str, value: Any = None) -> Any:
        """Say it, and wait until the other has said it too."""
        self.say(word, value)
        return self.hear(word)

    def _clear_up(self) -> None:
        with self.sandbox.operations.doing(f"clearing up {self.sandbox.root}"):
            shutil.rmtree(self.sandbox.root, ignore_errors=True)


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


def watch(look: Callable[[], bool], limit: float, begin: float | None = None) -> float | None:
    """Seconds since `begin`, which is now, until it is seen; None if it is not within `limit`."""
    begin = time.monotonic() if begin is None else begin
    while True:
        try:
            if look():
                return time.monotonic() - begin
        except (ShareError, FileNotFoundError, BadRecord):
            pass  # not seen
        if time.monotonic() - begin > limit:
            return None
        time.sleep(_LOOK_EVERY)


def await_name(folder: WatchedFolder, name: str) -> None:
    """Wait until a listing shows a file of the other host's, whatever that takes.

    Raises:
        PeerError: it does not come.
    """
    if watch(lambda: name in folder.fresh_names(), LONGEST_LOOK) is None:
        raise PeerError(
            f"{folder.root / name}, made by the other host, is in no listing here after "
            f"{LONGEST_LOOK:.0f} s"
        )
