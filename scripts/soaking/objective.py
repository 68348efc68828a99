"""The objective of a soak: waits a little, imports nothing, and returns a number."""

import os
import time
from collections.abc import Iterator
from typing import Any


def train(params: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Four steps of `pause` seconds in sum, or of what the file $SOAK_PACE says."""
    for step in range(4):
        time.sleep(pause(params["pause"]) / 4)
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / (step + 1)}


def pause(default: float) -> float:
    """Seconds for a whole trial. A file that is made later is seen at once, even where
    the contents of files are cached: so a folder of names says how fast to go.
    """
    return min(map(float, os.listdir(os.environ["SOAK_PACE"])), default=default)
