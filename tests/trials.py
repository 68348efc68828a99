"""A trial to give to a workload, a workload of a test's own, and what the tests of all workloads
want of their reports.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from distune.share.records import decode_document
from distune.study.figures import FILE, Figure, Figures
from distune.workloads import Workload
from distune.workloads.data.data_set import DataSet
from distune.workloads.data.digits import DIGITS
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.loading import Splits
from distune.workloads.hyperparameters import TrainingParams
from distune.workloads.workload import Recipe

if TYPE_CHECKING:
    from torch import nn

    from distune.workloads.problems import Problem


@dataclass
class QuietTrial:
    """A trial as a worker hands it out; keeps the progress that is reported."""

    number: int = 0
    attempt: int = 1
    seed: int = 0
    device: str = "cpu"
    data: DataFolders = field(default_factory=DataFolders.of)
    max_seconds: float | None = None
    dir: Path = Path(os.devnull)  # no folder: figures are lost there, which costs no result
    reported: list[tuple[float, float]] = field(default_factory=list)

    @property
    def save_due(self) -> bool:
        return False

    @property
    def saves_last(self) -> bool:
        return False

    def save(self, state: Mapping[str, Any], *, last: bool = False) -> None:
        raise AssertionError(f"{len(state)} things were to be saved where nothing was due")

    def load(self) -> dict[str, Any] | None:
        return None

    def progress(self, fraction: float, images_per_second: float) -> None:
        self.reported.append((fraction, images_per_second))


class Ticking:
    """A clock that goes on by a tenth of a second each time it is read."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def needs(file: str) -> pytest.MarkDecorator:
    """Skips a test where the real data is not there."""
    there = (Path(os.environ.get("DISTUNE_DATA", "nowhere")) / file).is_file()
    return pytest.mark.skipif(not there, reason=f"DISTUNE_DATA names no folder with {file}")


def workload_of(
    network: Callable[[], nn.Module],
    problem: Problem,
    data: DataSet = DIGITS,
    *,
    splits: Splits | None = None,
) -> Workload:
    """A workload with this network, whatever the params, trained on `splits` if they are given."""
    return Workload(
        name="of a test",
        summary="",
        hyperparameters=TrainingParams,
        reports=(),
        recipe=lambda params: Recipe(
            network, problem, lambda data, predict: [], lambda data: splits or data
        ),
        data=lambda: data,
        data_by=(),
    )


def without_time(reports: Iterator[dict[str, float]]) -> list[dict[str, float]]:
    """All reports, but for how long they took."""
    return [{k: v for k, v in report.items() if k != "seconds"} for report in reports]


def figures_in(folder: Path) -> list[Figure]:
    """What a workload left in its trial's folder, read as the report reads it."""
    return decode_document(Figures, (folder / FILE).read_bytes()).figures
