"""How a doctor waits for something that the other host has done."""

from __future__ import annotations

import time
from collections.abc import Callable

from distune.doctor.sandbox import WatchedFolder
from distune.errors import BadRecord, DistuneError, ShareError

LOOK_EVERY = 0.1  # seconds
#: Longer than any cache that was measured: file attributes live up to 60 s on NFS.
LONGEST_LOOK = 90.0


class PeerError(DistuneError):
    """The other host cannot be examined with this one; says why."""


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
        time.sleep(LOOK_EVERY)


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
