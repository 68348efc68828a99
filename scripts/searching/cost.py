"""What an answer costs, beside Optuna's own."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from distune.search.sampler import Question
from distune.search.staged import make_sampler
from distune.study.trial import Params
from scripts.benching import ratio, spread, table, tell
from scripts.searching.sides import THEIRS, OptunaSearch, Search

SIX: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99},
    "dropout": {"type": "float", "low": 0.0, "high": 0.8},
    "width": {"type": "int", "low": 8, "high": 512, "log": True},
    "layers": {"type": "int", "low": 1, "high": 8},
    "optimizer": ["sgd", "adam", "rmsprop"],
}
#: CMA-ES takes ranges alone.
SIX_RANGES = {**SIX, "optimizer": {"type": "int", "low": 0, "high": 2}}
#: Of each: how many trials there are before, and how many answers are timed.
_COSTS = {
    "tpe": ((100, 1000, 10_000), 30),
    "cmaes": ((100, 1000, 10_000), 30),
    "nsga2": ((100, 1000, 10_000), 30),
    "gp": ((100,), 30),
}


def value_of(params: Params) -> float:
    """Cheap, and not flat."""
    values = params.values()
    return sum(len(v) if isinstance(v, str) else math.log1p(float(v or 0)) for v in values)


def cost(samplers: Sequence[str] = ()) -> None:
    """Milliseconds of ask and tell after so many trials; the two sides take turns."""
    rows = []
    for sampler in samplers or _COSTS:
        counts, answers = _COSTS[sampler]
        params = SIX_RANGES if sampler == "cmaes" else SIX
        for count in counts:
            ours, other = Search(sampler, params, 0), OptunaSearch(params, THEIRS[sampler](0))
            sides: list[Any] = [ours, other]
            drawn = Search("random", params, 0)
            for _ in range(count):
                if sampler in ("cmaes", "nsga2"):  # which know a trial by what they noted at it
                    for side in sides:
                        asked = side.ask()
                        side.tell(asked, value_of(asked[1]))
                    continue
                _, setting = drawn.ask()
                for side in sides:
                    side.add(setting, value_of(setting))
            began = time.perf_counter()
            make_sampler(ours.study).ask(Question(count, ours.history))
            restart = time.perf_counter() - began
            # Once before it counts; what stayed in flight on one side alone would cost it more.
            for side in sides:
                asked = side.ask()
                side.tell(asked, value_of(asked[1]))
            took: tuple[list[float], list[float]] = ([], [])
            for _ in range(answers):
                for side, times in zip(sides, took, strict=True):
                    began = time.perf_counter()
                    asked = side.ask()
                    side.tell(asked, value_of(asked[1]))
                    times.append(1000 * (time.perf_counter() - began))
            tell(f"{sampler}, {count:,} trials: done")
            cells = [spread(took[0], 1), spread(took[1], 1), ratio(*took, 2), f"{restart:.2f} s"]
            rows.append([f"{sampler}, {count:,} trials", *cells])
    table(["ask and tell, ms", "distune", "Optuna", "ratio", "first answer after a restart"], rows)
