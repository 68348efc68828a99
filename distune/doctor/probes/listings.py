"""Whether a listing shows what this host has just done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from distune.doctor.measurements import OwnListing
from distune.doctor.sandbox import Sandbox, WatchedFolder
from distune.share.protocol import Actor, AttemptName, State

_TRIALS = 10


def probe_own_listing(sandbox: Sandbox) -> OwnListing:
    """A listing right after a change of this host's own shows it, at the latest once the host
    was made to forget what it knows: else a claim whose reply was lost would go unnoticed.
    """
    folder = sandbox.folder("listing")
    stale = stubborn = tries = 0
    folder.names("")
    for change, expected in _changes(folder):
        change()
        tries += 1
        if set(folder.names("")) != expected:
            stale += 1
            folder.poke("")
            stubborn += set(folder.names("")) != expected
    return OwnListing(tries=tries, stale=stale, stubborn=stubborn)


def _changes(folder: WatchedFolder) -> Iterator[tuple[Callable[[], None], set[str]]]:
    """One after the other, and what must be there afterwards."""
    for i in range(_TRIALS):
        waiting = AttemptName(i, 1)
        first = waiting.filename
        second = waiting.moved(State.TAKEN, Actor.ANY_WORKER, "doctor").filename
        yield partial(folder.put, first), {first}
        yield partial(folder.transfer, first, second), {second}
        yield partial(folder.operations.retry, folder.remove, second), set()
