"""Whether locks lock. No trial needs one."""

from __future__ import annotations

import fcntl
from collections.abc import Callable

from distune.doctor.sandbox import Sandbox


def probe_flock(sandbox: Sandbox) -> bool | None:
    """Whether a second lock on a locked file is refused; None where there are no locks."""
    folder = sandbox.folder("locks")
    folder.rewrite("lock", b"")
    path = folder.root / "lock"
    with (
        folder.operations.doing("locking locks/lock"),
        path.open("rb") as one,
        path.open("rb") as two,
    ):
        if not lock(one.fileno(), fcntl.flock):
            return None
        return not lock(two.fileno(), fcntl.flock)


def lock(fd: int, how: Callable[[int, int], object]) -> bool:
    """Whether a descriptor could be locked, without waiting."""
    try:
        how(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
