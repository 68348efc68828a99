"""A trial to give to a workload, and what the tests of all workloads want of its reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distune.share.records import decode_document
from distune.study.figures import FILE, Figure, Figures
from distune.workloads.data.folders import DataFolders


@dataclass
class Trial:
    """A trial as a worker hands it out; keeps what it is told."""

    number: int = 0
    attempt: int = 1
    seed: int = 0
    device: str = "cpu"
    data: DataFolders = field(default_factory=DataFolders.of)
    max_seconds: float | None = None
    dir: Path = Path(os.devnull)  # no folder: figures are lost there, which costs no result
    told: list[tuple[float, float]] = field(default_factory=list)

    def progress(self, fraction: float, images_per_second: float) -> None:
        self.told.append((fraction, images_per_second))


def without_time(reports: Iterator[dict[str, float]]) -> list[dict[str, float]]:
    """All reports, but for how long they took."""
    return [{k: v for k, v in report.items() if k != "seconds"} for report in reports]


def figures_in(folder: Path) -> list[Figure]:
    """What a workload left in its trial's folder, read as the report reads it."""
    return decode_document(Figures, (folder / FILE).read_bytes()).figures
