"""How much a training process has grown over its trials, and when that is too much."""

from collections.abc import Callable

import psutil

_AT_LEAST = 2**28  # bytes; for less it is not worth to import everything again


class Growth:
    """What trials leave behind in the memory of their process, which all its trials share: lists
    that a module keeps, caches, figures that nobody closed.

    Too much is what the host has no second time: one more trial, or another program, might find
    no memory then, and the kernel would kill what it likes. Where memory abounds, it may grow.

    Args:
        free_memory: bytes that may still be used on this host.
        say: takes a line for people.
    """

    def __init__(self, free_memory: Callable[[], int], say: Callable[[str], None]) -> None:
        self._free_memory = free_memory
        self._say = say
        self._process: psutil.Process | None = None
        self._at_first = 0  # bytes that it held after its first trial, all imports and data with it

    def is_too_much(self, pid: int) -> bool:
        """Whether a process, of which a trial has just ended, should train no more of them."""
        try:
            is_first = self._process is None or self._process.pid != pid
            if self._process is None or is_first:
                self._process = psutil.Process(pid)
            held: int = self._process.memory_info().rss
        except psutil.Error:
            return False  # it has died, which others notice
        if is_first:
            self._at_first = held
        grown = held - self._at_first
        if grown < _AT_LEAST or grown <= (free := self._free_memory()):
            return False
        self._say(
            f"the training process has grown by {grown / 2**30:.1f} GB from trial to trial, and "
            f"{free / 2**30:.1f} GB are free: a fresh one goes on"
        )
        return True
