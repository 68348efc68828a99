"""Two doctors that have found each other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from distune.doctor.peer.conversation import Conversation
from distune.doctor.peer.presence import Here, Presence, meet
from distune.doctor.peer.waiting import PeerError
from distune.doctor.sandbox import Sandbox, WatchedFolder
from distune.errors import BadRecord, ShareError
from distune.share.folder import Folder

_SHORTEST_PATIENCE = 60.0  # seconds

#: Another host looks at these, too, so every listing needs the change before.
shared_folder = partial(Folder, network=True)


@dataclass(frozen=True)
class Session:
    """What the two have in common, as one of them sees it.

    Attributes:
        sandbox: of the two alone.
        conversation: between them.
        announce: tells people what begins.
    """

    sandbox: Sandbox
    conversation: Conversation
    announce: Callable[[str], None]

    @property
    def leads(self) -> bool:
        return self.conversation.leads


@contextmanager
def session_in(
    lobby: WatchedFolder,
    presence: Presence,
    *,
    wait: float,
    patience: float,
    announce: Callable[[str], None],
) -> Iterator[Session]:
    """Find the other doctor; apologise to it when this one has to stop; say goodbye.

    Args:
        lobby: where doctors look for each other.
        presence: this doctor's.
        wait: seconds to wait for the other.
        patience: seconds after which an operation counts as one that never answers.
        announce: tells people what begins.

    Raises:
        PeerError: there is no other, or it does not go on.
    """
    try:
        presence.begin()
        there = meet(lobby, presence, wait)
        announce(f"meeting {there.host}")
        with _with(there, lobby, presence.doctor, patience, announce) as session:
            yield session
    finally:
        presence.end()


@contextmanager
def _with(
    there: Here,
    lobby: WatchedFolder,
    here: str,
    patience: float,
    announce: Callable[[str], None],
) -> Iterator[Session]:
    root = lobby.root / "+".join(sorted((here, there.doctor)))
    sandbox = Sandbox(root, lobby.operations, shared_folder)
    last = False  # whether this doctor is the one to clear up behind both
    try:
        conversation = Conversation(
            sandbox.folder("talk"), here, there.doctor, lobby, max(_SHORTEST_PATIENCE, patience)
        )
        try:
            yield Session(sandbox, conversation, announce)
            conversation.leave()
            last = conversation.leads
        except PeerError:
            last = True
            raise
        except (OSError, ShareError, BadRecord, SystemExit) as error:
            conversation.apologise(error)
            raise
    finally:
        if last:
            with sandbox.operations.doing(f"clearing up {root}"):
                shutil.rmtree(root, ignore_errors=True)
