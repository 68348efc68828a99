"""Two doctors that have found each other: how they talk, and how they part."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from distune.doctor.peer.meeting import HERE, PeerError, Presence, meet
from distune.doctor.sandbox import Operations, Sandbox, WatchedFolder
from distune.errors import BadRecord, ShareError
from distune.share.folder import Folder

_SHORTEST_PATIENCE = 60.0  # seconds
_LOOK_EVERY = 0.1
#: Longer than any cache that was measured: file attributes live up to 60 s on NFS.
LONGEST_LOOK = 90.0

#: Another host looks at these, too, so every listing needs the change before.
_shared_folder = partial(Folder, network=True)


class Session:
    """What two doctors have in common, as one of them sees it, and the messages between them,
    heard in the order they were said.

    Args:
        sandbox: of the two alone.
        lobby: where their signs of life lie.
        here, there: the two doctors.
        patience: seconds of silence after which the other is taken for dead.
        announce: tells people what begins.

    Attributes:
        leads: whether this doctor is the one of the two that prepares, writes and clears up.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        lobby: WatchedFolder,
        here: str,
        there: str,
        patience: float,
        announce: Callable[[str], None],
    ) -> None:
        self.sandbox = sandbox
        self.here = here
        self.there = there
        self.leads = here < there
        self.announce = announce
        self._lobby = lobby
        self._patience = patience
        self._folder = sandbox.folder("talk")
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
                text = str(other)[:80]
                raise PeerError(f"the other doctor said {text!r} where {word!r} was expected")

    def _next(self, name: str, word: str) -> Any:
        sign, since = None, time.monotonic()
        while True:
            try:
                self._folder.poke("")
                if name in self._folder.names(""):
                    return json.loads(self._folder.read(name, limit=2**20))
                now = self._lobby.read(self.there + HERE, limit=2**16)
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


@contextmanager
def session_in(
    own: Path,
    host: str,
    operations: Operations,
    wait: float,
    patience: float,
    announce: Callable[[str], None],
) -> Iterator[Session]:
    """Find the other doctor; apologise to it when this one has to stop; say goodbye.

    Args:
        own: the directory of this doctor, beside which the other has its own.
        host: this one.
        operations: hears of every operation.
        wait: seconds to wait for the other.
        patience: seconds after which an operation counts as one that never answers.
        announce: tells people what begins.

    Raises:
        PeerError: there is no other, or it does not go on.
    """
    lobby = WatchedFolder(_shared_folder(own.parent), own.parent, operations)
    presence = Presence(_shared_folder(own.parent), own.name, host)
    try:
        presence.begin()
        there = meet(lobby, presence, wait)
        announce(f"meeting {there.host}")
        root = lobby.root / "+".join(sorted((own.name, there.doctor)))
        sandbox = Sandbox(root, operations, _shared_folder)
        last = False  # whether this doctor is the one to clear up behind both
        try:
            session = Session(
                sandbox, lobby, own.name, there.doctor, max(_SHORTEST_PATIENCE, patience),
                announce,
            )  # fmt: skip
            try:
                yield session
                # What the other has not read yet must not be taken away.
                session.hear("goodbye") if session.leads else session.say("goodbye")
                last = session.leads
            except PeerError:
                last = True
                raise
            except (OSError, ShareError, BadRecord, SystemExit) as error:
                with suppress(ShareError, OSError):  # then silence tells
                    session.say("sorry", str(error) or type(error).__name__)
                raise
        finally:
            if last:
                with operations.doing(f"clearing up {root}"):
                    shutil.rmtree(root, ignore_errors=True)
    finally:
        presence.end()


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
