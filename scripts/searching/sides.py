"""A search, by distune's sampler and by Optuna's own, both asked and told alike."""

from __future__ import annotations

import heapq
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

from distune.search.asked import AskedSoFar, asked_once_more, trial_of
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.study.study import Study
from distune.study.trial import Asked, Counted, Failure, Outcome, Params, Result

#: What Optuna has in the place of distune's.
THEIRS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}


def study_of(
    params: dict[str, Any], sampler: str, seed: int = 0, duplicates: str | None = None
) -> Study:
    fields = {"objective": "o:o", "metric": "y", "direction": "minimize", "seed": seed}
    fields |= {"duplicates": duplicates}
    file = SpaceFile.model_validate({"params": params, "sampler": sampler, **fields})
    return freeze(file, name="bench", study_id="s", lease=20.0, created=0.0)


class Search:
    """distune's sampler as a master asks it: `ask()`, then `tell(asked, value)`."""

    def __init__(
        self, sampler: str, params: dict[str, Any], seed: int, duplicates: str | None = None
    ) -> None:
        self.study = study_of(params, sampler, seed, duplicates)
        self.history = History(self.study)
        self._sampler = make_sampler(self.study)
        self._running: dict[int, Asked] = {}  # by trial
        self._asked = AskedSoFar(self.study, self.history)

    def ask(self) -> tuple[Asked, Params]:
        question = Question(
            self._asked.next_configuration,
            self.history,
            lambda: list(self._running.values()),
            may_add_to=self._asked.may_add_to,
        )
        found = self._sampler.ask(question)
        assert isinstance(found, Suggestion)
        return self._take(found)

    def add(self, params: Params, value: float) -> None:
        """A trial that was not asked for."""
        self.tell(self._take(Suggestion(dict(params))), value)

    def _take(self, found: Suggestion) -> tuple[Asked, Params]:
        number, configuration = self._asked.next_trial, self._asked.next_configuration
        first = self._asked.of(found.adds_to) if found.adds_to is not None else None
        if first is not None:
            asked = asked_once_more(self.study, self._asked, first, number)
        else:
            asked = Asked(
                study="s", configuration=configuration, trial=number, repeats=1, params=found.params
            )
        self._asked.add(asked)
        self._running[number] = asked
        return asked, found.params

    def tell(self, asked: tuple[Asked, Params], value: float | None) -> None:
        """None: it has run out of memory."""
        one = self._running.pop(asked[0].trial)
        if value is None:
            failure = Failure(message="out of memory")
            result = Result(outcome=Outcome.OUT_OF_MEMORY, seconds=1.0, failure=failure)
        else:
            metrics = {"y": value}
            result = Result(outcome=Outcome.COMPLETE, value=value, metrics=metrics, seconds=1.0)
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

    def tell(self, asked: tuple[optuna.Trial, Params], value: float | None) -> None:
        """None: it has failed."""
        if value is None:
            self._study.tell(asked[0], state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(asked[0], value)


def _distribution(spec: Any) -> optuna.distributions.BaseDistribution:
    if isinstance(spec, list):
        return CategoricalDistribution(spec)
    kind = IntDistribution if spec["type"] == "int" else FloatDistribution
    return kind(spec["low"], spec["high"], log=spec.get("log", False))


def search(
    one: Search | OptunaSearch,
    trials: int,
    workers: int,
    train: Callable[[Params], tuple[float | None, float]],
) -> Params:
    """Have workers that work at the same time train so many settings.

    Args:
        train: gives a value, to be minimized, and how long it takes.

    Returns:
        The setting with the best value that was seen; of several of one setting, their mean.
    """
    running: list[tuple[float, int, Any, Params, float | None]] = []
    best, best_params, now = math.inf, dict[str, Any](), 0.0
    for number in range(trials + workers):
        if number >= min(workers, trials) and running:
            now, _, asked, params, value = heapq.heappop(running)
            one.tell(asked, value)
            if value is not None and value < best:
                best, best_params = value, dict(params)
        if number < trials:
            asked = one.ask()
            value, seconds = train(asked[1])
            heapq.heappush(running, (now + seconds, number, asked, asked[1], value))
    winner = one.history.winner() if isinstance(one, Search) else None
    return best_params if winner is None else winner.params


def geometric(values: Sequence[float], digits: int = 3) -> str:
    """Geometric mean, and its standard error as a factor."""
    logs = [math.log(value) for value in values]
    error = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
    return f"{math.exp(statistics.fmean(logs)):.{digits}f} (x {math.exp(error):.2f})"
