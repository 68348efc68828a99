"""A trial, as the trainer sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from distune.workloads.data.folders import DataFolders


class TrialContext(Protocol):
    """What the trainer wants to know of its trial, and what it tells it."""

    @property
    def seed(self) -> int:
        """For initial weights, dropout and the order of the examples."""

    @property
    def device(self) -> str:
        """As torch names it."""

    @property
    def data(self) -> DataFolders:
        """Where this host's data sets are."""

    @property
    def max_seconds(self) -> float | None:
        """Of training, after which the trial ends with what it has; None for no limit."""

    @property
    def dir(self) -> Path:
        """A folder for what shall be kept of the trial, made when first asked for."""

    def progress(self, fraction: float, images_per_second: float) -> None:
        """Told some four times a second: share of the trial that is over, current speed in
        examples.
        """
