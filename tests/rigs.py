"""Rigs: real parts to test against that are no part of this repository.

They are looked for in `$DISTUNE_RIGS`, else beside the repository, in `../shared/rigs`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

RIGS = Path(
    os.environ.get("DISTUNE_RIGS", Path(__file__).resolve().parents[2] / "shared" / "rigs")
).resolve()
FAULTFS = RIGS / "faultfs" / "faultfs.py"


def why_no_faultfs() -> str | None:
    """Why file systems that misbehave on request cannot be mounted here; None if they can."""
    if not FAULTFS.is_file():
        return f"no {FAULTFS} (DISTUNE_RIGS says where rigs are)"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no access to /dev/fuse"
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        return "mounting needs root or fusermount3"
    return None


def load_faultfs() -> ModuleType:
    """The rig's module."""
    spec = importlib.util.spec_from_file_location("faultfs", FAULTFS)
    assert spec is not None
    assert spec.loader is not None
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the rig may be read-only
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def faultfs(backing: Path, mountpoint: Path, work: Path | None = None, **settings: Any) -> Any:
    """A mount of `backing` that misbehaves on request, a context manager: the rig's `FaultFS`.

    Args:
        backing: two mounts of one are two hosts.
        mountpoint: a folder.
        work: where its control file and log go; beside the mount point by default.
        settings: the rig's, for example `skew=3600`.
    """
    return load_faultfs().FaultFS(
        str(backing), str(mountpoint), str(work) if work else None, **settings
    )
