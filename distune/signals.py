"""Signals by which a process is asked to end, as a cluster does that needs the machine."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

#: Slurm sends USR1 or USR2 where its user says so, a closed terminal HUP.
REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: The exit status of a worker that has followed one, whichever that was.
EXIT_DRAINED = 143


def on_request(handle: Callable[[int, FrameType | None], object]) -> None:
    """Call this for each of the `REQUESTS`, but for SIGHUP under `nohup`."""
    for sig in REQUESTS:
        if sig != signal.SIGHUP or signal.getsignal(sig) is not signal.SIG_IGN:
            signal.signal(sig, handle)


def leave_on_request() -> None:
    """Follow a request at once: for a worker that holds nothing yet. What it has started ends with
    it, and nothing is said, because the line of text might have to wait for its reader.
    """
    on_request(_leave)


def _leave(sig: int, frame: FrameType | None) -> NoReturn:
    os._exit(EXIT_DRAINED)
