"""Which file system a directory lies on, and whether other hosts may see it too."""

import os
from pathlib import Path

#: File systems of one machine; anything else is treated as one that hosts share.
_LOCAL = frozenset(
    {"apfs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "nilfs2"}
    | {"overlay", "ramfs", "reiserfs", "rootfs", "tmpfs", "vfat", "xfs", "zfs"}
)


def file_system_of(path: Path) -> str:
    """The type of the file system a path lies on, as the system calls it (`nfs4`)."""
    import psutil

    mounts = {one.mountpoint: one.fstype for one in psutil.disk_partitions(all=True)}
    where = Path(os.path.realpath(path))
    return next((mounts[p] for p in map(str, [where, *where.parents]) if p in mounts), "unknown")


def is_network(path: Path) -> bool:
    """Whether other hosts may see this directory; the careful answer is yes."""
    return file_system_of(path) not in _LOCAL
