"""One look at a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distune.cli import terminal

if TYPE_CHECKING:
    from distune.watch.snapshot import Snapshot


def look(logs: Path, study: str | None) -> Snapshot:
    """A snapshot of the study; says so if the share takes long to answer."""
    from distune.share.find_studies import open_study
    from distune.watch.observer import Observer

    with terminal.stall().watched():
        return Observer(open_study(logs, study)).look(curves=True)
