"""Which file system a directory lies on, and whether other hosts may see it too."""

import os
import sys
from pathlib import Path

#: File systems of one machine; anything else is treated as one that hosts share.
_LOCAL = frozenset(
    {"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay"}
    | {"ramfs", "reiserfs", "rootfs", "tmpfs", "vfat", "xfs", "zfs"}
)


def file_system_of(path: Path) -> str:
    """The type of the file system a path lies on, as Linux calls it (`nfs4`), else `unknown`."""
    if not sys.platform.startswith("linux"):
        return "unknown"
    target = os.path.realpath(path)
    best, kind = "", "unknown"
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind


def is_network(path: Path) -> bool:
    """Whether other hosts may see this directory; the careful answer is yes."""
    return file_system_of(path) not in _LOCAL
