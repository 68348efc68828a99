"""Two doctors that have found each other: how they talk, and how they part."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from distune.doctor.peer.meeting import Lobby, PeerError
from distune.doctor.watched_folder import WatchedFolder
from distune.errors import BadRecord, ShareError

_SHORTEST_PATIENCE = 60.0  # seconds
_LOOK_EVERY = 0.1
#: Longer than any cache that was measured: file attributes live up to 60 s on NFS.
LONGEST_LOOK = 90.0


class Session:
    """What two doctors have in common, as one of them sees it, and the messages between them,
    heard in the order they were said.

    Args:
        lobby: where they met.
        there: the other doctor.
        patience: seconds of silence after which the other is taken for dead.
        announce: tells people what begins.

    Attributes:
        sandbox: of the two alone.
        leads: whether this doctor is the one of the two that prepares, writes and clears up.
    """

    def __init__(
        self, lobby: Lobby, there: str, patience: float, announce: Callable[[str], None]
    ) -> None:
        self.here = lobby.doctor
        self.there = there
        self.leads = self.here < there
        self.announce = announce
        self.sandbox = lobby.folder.folder("+".join(sorted((self.here, there))))
        self._lobby = lobby
        self._patience = patience
        self._folder = self.sandbox.folder("talk")
        self._said = self._heard = 0

    def say(self, word: str, value: Any = None) -> None:
        self._said += 1
        data = json.dumps({"word": word, "value": value}).encode()
        self._folder.put(f"{self.here}.{self._said:05d}", data)

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
                self._folder.poke("")
                if name in self._folder.names(""):
                    return json.loads(self._folder.read(name, limit=2**20))
                now = self._lobby.sign_of(self.there)
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

    def clear_up(self) -> None:
        with self.sandbox.operations.doing(f"clearing up {self.sandbox.root}"):
            shutil.rmtree(self.sandbox.root, ignore_errors=True)


@contextmanager
def session_in(
    lobby: Lobby, wait: float, patience: float, announce: Callable[[str], None]
) -> Iterator[Session]:
    """Find the other doctor; apologise to it when this one has to stop; say goodbye.

    Args: those of `Session`; `wait`: seconds to wait for the other.

    Raises:
        PeerError: there is no other, or it does not go on.
    """
    with lobby:
        there = lobby.meet(wait)
        announce(f"meeting {there.host}")
        session = Session(lobby, there.doctor, max(_SHORTEST_PATIENCE, patience), announce)
        try:
            yield session
            # The last one here clears up: what the other has not read yet must stay.
            if session.leads:
                session.hear("goodbye")
                session.clear_up()
            else:
                session.say("goodbye")
        except PeerError:
            session.clear_up()
            raise
        except (OSError, ShareError, BadRecord, SystemExit) as error:
            with suppress(ShareError, OSError):  # then silence tells
                session.say("sorry", str(error) or type(error).__name__)
            raise


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

    def look() -> bool:
        folder.poke("")
        return name in folder.names("")

    if watch(look, LONGEST_LOOK) is None:
        raise PeerError(
            f"{folder.root / name}, made by the other host, is in no listing here after "
            f"{LONGEST_LOOK:.0f} s"
        )
