"""What `distune master` was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distune.space_file.model import SpaceFile


@dataclass(frozen=True)
class MasterOptions:
    """What to search, where, and which workers to start.

    Attributes:
        source: of the space file, for people.
        name: of the study.
        workers: how many to start on this machine; `worker_arguments` and `device` are theirs.
    """

    space: SpaceFile
    source: str
    name: str
    logs: Path
    workers: int = 0
    device: str = "auto"
    worker_arguments: Sequence[str] = ()
    any_owner: bool = False
    ignore_doctor: bool = False
