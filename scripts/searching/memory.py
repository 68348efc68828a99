"""A search among networks of which the large ones do not fit into memory: how many it tries."""

from __future__ import annotations

import math
import statistics
from typing import Any

from distune.study.trial import Params
from scripts.benching import spread, table
from scripts.searching.sides import THEIRS, OptunaSearch, Search, search

SPACE: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "width": {"type": "int", "low": 8, "high": 1024, "log": True},
    "depth": {"type": "int", "low": 1, "high": 12},
}
_MOST = 512  # of 12,288
SAMPLERS = ("random", "tpe", "cmaes", "nsga2")


def loss(params: Params) -> float | None:
    """The larger the better, up to what does not fit: None."""
    lr, width, depth = (float(params[name] or 0) for name in SPACE)
    if width * depth > _MOST:
        return None
    return 0.03 * math.log(1024 * 12 / (width * depth)) + 0.2 * (math.log10(lr) + 1.5) ** 2


def memory(seeds: int, trials: int, workers: int) -> None:
    """How many of the trials fail, and the best loss of the others."""
    rows = []
    for name in SAMPLERS:
        for side in ("distune", "Optuna"):
            failed, best = [], []
            for seed in range(seeds):
                one: Any = (
                    Search(name, SPACE, seed)
                    if side == "distune"
                    else OptunaSearch(SPACE, THEIRS[name](seed))
                )
                seen: list[float | None] = []

                def train(
                    params: Params, seen: list[float | None] = seen
                ) -> tuple[float | None, float]:
                    seen.append(loss(params))
                    return seen[-1], 1.0

                search(one, trials, workers, train)
                failed.append(float(seen.count(None)))
                best.append(min(value for value in seen if value is not None))
            rows.append([f"{side}, {name}", spread(failed), spread(best, 3)])
            rows[-1].append(f"{statistics.fmean(failed):.0f}")
    table([f"of {trials} trials", "failed", "best loss", "failed, mean"], rows)
