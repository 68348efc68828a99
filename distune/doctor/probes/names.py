"""What a name may be, and whether a file can have two."""

from __future__ import annotations

import errno
import os

from distune.doctor.measurements import Names
from distune.doctor.sandbox import Sandbox, WatchedFolder
from distune.errors import ShareError
from distune.share.protocol import AttemptName, State
from distune.study.trial import Purpose

#: The draft of the longest name the protocol makes.
_LONGEST_NAME = (
    f".{AttemptName(10**12 - 1, 10**6 - 1, Purpose.TEST, 'w' * 80, State.PRUNED).filename}.{0:012}"
)


def probe_names(sandbox: Sandbox) -> Names:
    """The longest name the protocol makes, and whether letters keep their case."""
    folder = sandbox.folder("names")
    longest, changed = 0, False
    for length in (40, 60, 80, 100, len(_LONGEST_NAME)):
        listed = _is_listed(folder, "x" * length)
        if not listed:
            changed = listed is False
            break
        longest = length
    for name in ("Case", "case"):
        folder.rewrite(name, name.encode())
    there = folder.names("")
    return Names(
        needed=len(_LONGEST_NAME),
        longest=longest,
        case_sensitive=len(there) == 2,
        changed=changed or there not in (["Case", "case"], ["Case"], ["case"]),
    )


def _is_listed(folder: WatchedFolder, name: str) -> bool | None:
    """Whether a file of that name is listed under it; None if no file can have it."""
    try:
        folder.rewrite(name, b"x")
    except ShareError as error:
        if getattr(error.__cause__, "errno", None) in (errno.ENAMETOOLONG, errno.EINVAL):
            return None
        raise
    if name not in folder.names(""):
        return False
    folder.remove(name)
    return True


def probe_links(sandbox: Sandbox) -> bool:
    """Whether there are hard links; publishing is exact with them."""
    folder = sandbox.folder("links")
    folder.rewrite("one", b"x")
    with folder.operations.doing("linking links/one"):
        try:
            os.link(folder.root / "one", folder.root / "two")
        except OSError:
            return False
    return folder.names("") == ["one", "two"]
