"""Processes that a trial starts and leaves behind."""

from __future__ import annotations

import os
import re

import psutil

from distune.training import children

#: Helpers of libraries that live as long as the process they help.
_HELPERS = re.compile(r"multiprocessing[./](resource_tracker|forkserver)|compile_worker")
_WALL = 0x40000000  # waitid(2): children of any kind


class Leftovers:
    """Processes that a trial starts and leaves behind: `Leftovers()` before it, `clear()` after.

    Orphans become this process's children, so that a daemon of a trial's cannot hide in a session
    of its own.
    """

    def __init__(self) -> None:
        children.adopt_orphans()
        self._before = self._mine()

    def _mine(self) -> set[int]:
        return children.descendants(os.getpid()) if _has_children() else set()

    def clear(self) -> int:
        """Kill them; how many they were. Libraries' own helpers are let live."""
        left = {pid for pid in self._mine() - self._before if not _is_helper(pid)}
        children.kill(left)
        living = 0
        for pid in left:
            try:
                dead, status = os.waitpid(pid, 0)  # no zombies either
                living += dead != 0 and os.WIFSIGNALED(status)
            except ChildProcessError:
                living += 1  # a grandchild, whose parent has waited for it
        return living


def _has_children() -> bool:
    """A look that costs next to nothing, because it is taken in every trial."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except ChildProcessError:
        return False
    except (AttributeError, OSError):
        pass  # a system that does not tell
    return True


def _is_helper(pid: int) -> bool:
    try:
        return _HELPERS.search(" ".join(psutil.Process(pid).cmdline())) is not None
    except psutil.Error:
        return False
