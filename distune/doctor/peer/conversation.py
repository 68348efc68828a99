"""How two doctors talk."""

from __future__ import annotations

import json
import time
from typing import Any

from distune.doctor.peer.presence import HERE
from distune.doctor.peer.waiting import LOOK_EVERY, PeerError
from distune.doctor.sandbox import WatchedFolder
from distune.errors import BadRecord, ShareError


class Conversation:
    """Messages between two doctors, heard in the order they were said.

    Args:
        folder: of the two alone.
        here, there: the two doctors.
        lobby: where their signs of life lie.
        patience: seconds of silence after which the other is taken for dead.

    Attributes:
        leads: whether this doctor is the one of the two that prepares, writes and clears up.
    """

    def __init__(
        self, folder: WatchedFolder, here: str, there: str, lobby: WatchedFolder, patience: float
    ) -> None:
        self.here = here
        self.there = there
        self.leads = here < there
        self._folder = folder
        self._lobby = lobby
        self._patience = patience
        self._said = self._heard = 0

    def say(self, word: str, value: Any = None) -> None:
        self._said += 1
        name = f"{self.here}.{self._said:05d}"
        data = json.dumps({"word": word, "value": value}).encode()
        for pause in (0.1, 0.5, 2.0, 5.0, None):
            try:
                self._folder.publish(name, data)
                return
            except FileExistsError:
                return  # said already: the reply was lost
            except ShareError:
                if pause is None:
                    raise
                time.sleep(pause)

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
            time.sleep(LOOK_EVERY)

    def both(self, word: str, value: Any = None) -> Any:
        """Say it, and wait until the other has said it too."""
        self.say(word, value)
        return self.hear(word)

    def apologise(self, why: BaseException) -> None:
        """Tell the other that this doctor stops."""
        try:
            self.say("sorry", str(why) or type(why).__name__)
        except (ShareError, OSError):
            pass  # then silence tells

    def leave(self) -> None:
        """Say goodbye. The leader hears it and is the last one here, which may clear up: what
        the other has not read yet must not be taken away.
        """
        if self.leads:
            self.hear("goodbye")
        else:
            self.say("goodbye")
