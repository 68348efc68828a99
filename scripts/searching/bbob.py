"""A search on functions with integers among their parameters, and on noisy ones (COCO's suites)."""

from __future__ import annotations

import math
import statistics
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from typing import Any

from distune.study.trial import Params
from scripts.benching import table, tell
from scripts.searching.sides import THEIRS, OptunaSearch, Search, search

_DIMENSIONS = 5
#: Of each suite: one function of each of its groups, and another one of most.
FUNCTIONS = {
    "bbob-mixint": (1, 3, 6, 8, 10, 13, 15, 17, 20, 22),
    "bbob-noisy": (101, 104, 107, 110, 113, 116, 119, 122, 125, 128),
}
_LOOKS = 101  # at a noisy function, the median of which is its value


def _problem(suite: str, function: int, instance: int) -> tuple[Any, Any]:
    """COCO's suite, which has to live as long, and one of its problems."""
    import cocoex

    which = f"function_indices:{function % 100} instance_indices:{instance}"
    found = cocoex.Suite(suite, "", f"dimensions:{_DIMENSIONS} {which}")
    return found, found[0]


def _space(problem: Any) -> dict[str, Any]:
    """Its first parameters are integers, in a suite that has them."""
    ranges = enumerate(zip(problem.lower_bounds, problem.upper_bounds, strict=True))
    integers = problem.number_of_integer_variables
    return {
        f"x{i}": {"type": "int", "low": int(low), "high": int(high)}
        if i < integers
        else {"type": "float", "low": float(low), "high": float(high)}
        for i, (low, high) in ranges
    }


def _best(
    suite: str, function: int, seed: int, name: str, side: str, trials: int, workers: int
) -> float:
    """The true value of what a search takes for its best."""
    kept, problem = _problem(suite, function, 1 + seed % 15)
    space = _space(problem)
    one: Any = (
        Search(name, space, seed) if side == "distune" else OptunaSearch(space, THEIRS[name](seed))
    )

    def value(params: Params) -> float:
        return float(problem([float(params[key] or 0) for key in space]))

    best = search(one, trials, workers, lambda params: (value(params), 1.0))
    looks = _LOOKS if suite == "bbob-noisy" else 1
    del kept
    return statistics.median(value(best) for _ in range(looks))


def _compare(
    case: tuple[str, str, int], seeds: int, trials: int, workers: int
) -> tuple[float, float]:
    """How often distune's best is better than Optuna's, over all pairs of searches of an instance,
    and than that of a random search.
    """
    name, suite, function = case

    def of(sampler: str, side: str) -> list[float]:
        some = range(seeds)
        return [_best(suite, function, s, sampler, side, trials, workers) for s in some]

    ours, theirs, drawn = of(name, "distune"), of(name, "Optuna"), of("random", "distune")
    tell(f"{name}, {suite}, f{function}: done")
    return _wins(ours, theirs), _wins(ours, drawn)


def _wins(ours: list[float], theirs: list[float]) -> float:
    """Of searches of one and the same instance, 0.5 for a tie."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.fmean(0.5 if a == b else float(a < b) for a, b in pairs)


def bbob(samplers: list[str], seeds: int, trials: int, workers: int, jobs: int) -> None:
    """How often distune's sampler finds what is better than what Optuna's same sampler finds."""
    cases = [
        (name, suite, function)
        for (suite, functions), name in product(FUNCTIONS.items(), samplers)
        for function in functions
    ]
    with ProcessPoolExecutor(jobs) as pool:
        some = partial(_compare, seeds=seeds, trials=trials, workers=workers)
        wins = dict(zip(cases, pool.map(some, cases), strict=True))
    rows = []
    for suite, name in product(FUNCTIONS, samplers):
        some_wins = [won for (n, s, _), won in wins.items() if (n, s) == (name, suite)]
        searches = seeds * len(some_wins)
        rows.append(
            [f"{suite}, {name}", *(_share(list(w), searches) for w in zip(*some_wins, strict=True))]
        )
    header = [f"best of {trials}, {workers} workers, better than", "Optuna's", "random search's"]
    table(header, rows)


def _share(shares: list[float], searches: int) -> str:
    """Per cent, and its standard error."""
    share = statistics.fmean(shares)
    return f"{100 * share:.0f} % (+- {100 * math.sqrt(share * (1 - share) / searches):.0f})"
