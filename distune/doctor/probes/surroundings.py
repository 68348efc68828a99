"""What kind of directory it is: names, links, locks, space, speed and clock."""

import errno
import fcntl
import os
import socket
import time
import timeit
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median

from distune.doctor.diagnosis import FreeSpace, Names
from distune.doctor.probes.files import heartbeat
from distune.doctor.watched_folder import WatchedFolder
from distune.errors import ShareError
from distune.share.file_system import file_system_of, is_network
from distune.share.protocol import AttemptName, State
from distune.share.store import LOCAL_LEASE, NETWORK_LEASE
from distune.study.trial import Purpose

#: The draft of the longest name the protocol makes.
_LONGEST_NAME = (
    f".{AttemptName(10**12 - 1, 10**6 - 1, Purpose.TEST, 'w' * 80, State.PRUNED).filename}.{0:012}"
)
_TIMES = 15  # that an operation is timed


def identify(path: Path) -> dict[str, object]:
    """What kind of directory this is: fields of `HostMeasurements`."""
    network = is_network(path)
    boot = Path("/proc/sys/kernel/random/boot_id")
    return {
        "host": socket.gethostname(),
        "boot": boot.read_text().strip() if boot.exists() else "",
        "device": os.stat(path).st_dev,
        "file_system": file_system_of(path),
        "network": network,
        "default_lease": NETWORK_LEASE if network else LOCAL_LEASE,
    }


def probe_names(folder: WatchedFolder) -> Names:
    """The longest name the protocol makes, and whether letters keep their case."""
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


def probe_links(folder: WatchedFolder) -> bool:
    """Whether there are hard links; publishing is exact with them."""
    folder.rewrite("one", b"x")
    with folder.operations.doing("linking links/one"):
        try:
            os.link(folder.root / "one", folder.root / "two")
        except OSError:
            return False
    return folder.names("") == ["one", "two"]


def probe_flock(folder: WatchedFolder) -> bool | None:
    """Whether a second lock on a locked file is refused; None where there are no locks."""
    folder.rewrite("lock", b"")
    path = folder.root / "lock"
    with folder.operations.doing("locking flock/lock"), path.open() as one, path.open() as two:
        return not lock(two.fileno(), fcntl.flock) if lock(one.fileno(), fcntl.flock) else None


def lock(fd: int, how: Callable[[int, int], object]) -> bool:
    """Whether a descriptor could be locked, without waiting."""
    try:
        how(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def probe_space(folder: WatchedFolder) -> FreeSpace:
    """Free bytes and inodes, as far as a user other than root may fill them."""
    with folder.operations.doing(f"asking how full {folder.root} is"):
        status = os.statvfs(folder.root)
    return FreeSpace(
        bytes_free=status.f_bavail * status.f_frsize,
        inodes_free=status.f_favail if status.f_files else None,
    )


def probe_speed(folder: WatchedFolder) -> dict[str, float]:
    """Seconds that each operation takes, one after the other, each several times."""
    retry = folder.operations.retry
    line = b"x" * 200 + b"\n"
    operations: dict[str, Callable[[int], object]] = {
        "publish": lambda i: folder.put(f"a{i}", line),
        "rename": lambda i: folder.transfer(f"a{i}", f"b{i}"),
        "list": lambda i: folder.names(""),
        "read": lambda i: folder.read(f"b{i}"),
        "append": lambda i: retry(folder.append, f"b{i}", line),
        "rewrite": lambda i: retry(folder.rewrite, "beat", heartbeat(i)),
    }
    return {name: _median_seconds(do) for name, do in operations.items()}


def _median_seconds(do: Callable[[int], object]) -> float:
    rounds = count()
    return median(timeit.repeat(lambda: do(next(rounds)), number=1, repeat=_TIMES))


def probe_clock(folder: WatchedFolder) -> float:
    """Seconds that the clock which stamps files is ahead of this host's. Shown only (P6)."""
    before = time.time()
    folder.rewrite("file", heartbeat(0))
    with folder.operations.doing("reading the time of clock/file"):
        stamp = os.stat(folder.root / "file").st_mtime
    return stamp - (before + time.time()) / 2
