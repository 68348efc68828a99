"""What kind of file system it is, and how full."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from distune.doctor.measurements import Space
from distune.doctor.sandbox import Sandbox
from distune.share.file_system import file_system_of, is_network
from distune.share.store import LOCAL_LEASE, NETWORK_LEASE


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


def probe_space(sandbox: Sandbox) -> Space:
    """Free bytes and inodes, as far as a user other than root may fill them."""
    folder = sandbox.folder("space")
    with folder.operations.doing(f"asking how full {folder.root} is"):
        status = os.statvfs(folder.root)
    return Space(
        bytes_free=status.f_bavail * status.f_frsize,
        inodes_free=status.f_favail if status.f_files else None,
    )
