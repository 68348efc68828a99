"""Signals by which a process is asked to end, as a cluster does that needs the machine."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

#: Slurm sends USR1 or USR2 where its user says so, a closed terminal HUP.
REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: The exit status of a worker that has followed one, whichever that was.
EXIT_DRAINED = 143


def on_request(handle: Callable[[int], object]) -> None:
    """Have a thread call this for each of the `REQUESTS`, but for SIGHUP under `nohup`.

    Python's own handlers wait for the main thread, which may hang in a share that does not answer.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def listen() -> None:
        while came := os.read(reading, 1):
            if came[0] in REQUESTS:
                handle(came[0])

    threading.Thread(target=listen, daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _handle_by(_nothing)


def leave_on_request(*, may_hang: bool = False) -> None:
    """Follow a request at once: for a worker that holds nothing yet. What it has started ends with
    it, and nothing is said, because the line of text might have to wait for its reader.

    Args:
        may_hang: also while the main thread hangs, which takes a thread: not before a fork.
    """
    if may_hang:
        on_request(_leave)
    else:
        _handle_by(_leave)


def _handle_by(handler: Callable[[int, FrameType | None], object]) -> None:
    for sig in REQUESTS:
        if sig != signal.SIGHUP or signal.getsignal(sig) is not signal.SIG_IGN:
            signal.signal(sig, handler)


def _nothing(sig: int, frame: FrameType | None) -> None:
    """The thread sees to it."""


def _leave(sig: int, frame: FrameType | None = None) -> None:
    os._exit(EXIT_DRAINED)
