"""What an objective sees of its trial."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from distune.workloads.data.folders import DataFolders


@dataclass
class TrialContext:
    """What an objective sees of its trial, if it asks for a second argument.

    Attributes:
        number, attempt: of the trial in the study, from 0; of the try at it, from 1.
        seed: for everything random.
        device: `cpu`, `cuda:0`, `mps`.
        max_seconds: of training, after which it should end; the driver sees to it too.
        data: where this host's data sets are.
    """

    number: int
    attempt: int
    seed: int
    device: str
    folder: str
    max_seconds: float | None = None
    data: DataFolders = field(default_factory=DataFolders.of)
    report_progress: Callable[[float, float | None], None] = field(
        default=lambda fraction, rate: None
    )

    @property
    def dir(self) -> Path:
        """A folder of this attempt's own, on the share, made when first asked for."""
        path = Path(self.folder)
        for one in (path, path.parent):
            if one.is_symlink():  # whatever it leads to is none of the study's
                raise OSError(f"{one} is a symbolic link, which distune does not follow")
        path.mkdir(parents=True, exist_ok=True)
        return path

    def progress(self, fraction: float, images_per_second: float | None = None) -> None:
        """Tell how far it is, in [0, 1], and how fast. Cheap; call it as often as you like."""
        self.report_progress(fraction, images_per_second)
