"""The bridge to Optuna's samplers: an Optuna study in memory that is told what distune knows. Only
this imports Optuna, and only when a question needs it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from distune.search.drawing import draw
from distune.search.ranking import History
from distune.study.space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Space,
    is_one_of,
    may_be,
)
from distune.study.trial import Asked, Counted, Outcome, Params, Scalar

if TYPE_CHECKING:
    import optuna

#: What an objective is to blame for: such a setting is told as worse than all that have a value.
#: Told as failed, Optuna would forget it, and propose its like again and again.
_BAD = {Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.DIVERGED}


@dataclass
class _Over:
    """What is known of a configuration all of whose trials are counted."""

    params: Params
    values: list[float] = field(default_factory=list)  # of complete trials
    pruned: list[tuple[int, float]] = field(default_factory=list)  # steps, and the value there
    bad: bool = False

    def take_in(self, counted: Counted) -> None:
        result = counted.result
        value = result.value
        self.bad |= result.outcome in _BAD
        if value is None or not math.isfinite(value):
            self.bad |= value is not None
        elif result.outcome is Outcome.COMPLETE:
            self.values.append(value)
        elif result.outcome is Outcome.PRUNED:
            self.pruned.append((result.steps, value))

    @property
    def state(self) -> optuna.trial.TrialState:
        """Pruned before its first step, a trial is worse to Optuna than all others."""
        from optuna.trial import TrialState

        if self.values:
            return TrialState.COMPLETE
        return TrialState.PRUNED if self.pruned or self.bad else TrialState.FAIL

    @property
    def value(self) -> float | None:
        return math.fsum(self.values) / len(self.values) if self.values else None

    @property
    def steps(self) -> dict[int, float]:
        """Where it was pruned."""
        return {} if self.values else dict([max(self.pruned)] if self.pruned else [])


class OptunaStudy:
    """An Optuna study in memory: `follow(history, in_flight)`, then `suggest(seed)`.

    Its trials are the configurations in the order of their numbers, whatever was counted first: so
    a master that starts anew makes the same study.

    Args:
        space: its parameters are all always there for Optuna; one whose condition does not hold
            has a value that was drawn.
        sampler, options: a class of `optuna.samplers`, and its arguments.
    """

    def __init__(self, space: Space, sampler: str, options: Mapping[str, Any]) -> None:
        self._sampler = sampler
        self._options = options
        self._space = space
        self._constants = space.constants  # which looks at all values of all parameters
        self._free = {n: spec for n, spec in space.params.items() if n not in self._constants}
        self._distributions = {name: _distribution(spec) for name, spec in self._free.items()}
        self._history: History | None = None

    def _begin(self, history: History) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction=history.study.direction)
        # What samplers write to when they are asked. Waiting, it is none that they learn from.
        self._study.enqueue_trial({})
        self._next = 1  # number of the trial that is added next
        self._history, self._out = history, history.left_out
        self._read = 0
        self._trials: dict[int, int | None] = {}  # by configuration; None: not of the space
        self._open: dict[int, _Over] = {}  # configurations of which something is counted

    def follow(self, history: History, in_flight: Sequence[Asked]) -> None:
        """Tell what has been counted, and what is in flight."""
        if history is not self._history or self._out != history.left_out:
            self._begin(history)
        for counted in history.trials[self._read :]:
            self._read += 1
            # One that trains another further is no setting of the space.
            if history.stands(counted) and counted.trial.extends is None:
                over = self._open.setdefault(
                    counted.trial.configuration, _Over(counted.trial.params)
                )
                over.take_in(counted)
        # What is tried again, or trained further, has had its say; its successor is heard later.
        by_sampler = (one for one in in_flight if one.replaces is None and one.extends is None)
        running = {one.configuration: one.params for one in by_sampler}
        new = {**{number: one.params for number, one in self._open.items()}, **running}
        for number in sorted(number for number in new if number not in self._trials):
            ended = self._open.pop(number) if number not in running else None
            self._add(number, new[number], ended)
        for number in sorted(self._open.keys() - running.keys()):
            self._tell(self._trials[number], self._open.pop(number))

    def _add(self, number: int, params: Params, over: _Over | None) -> None:
        """Have a trial for a configuration, one that runs unless it is over."""
        import optuna

        values = self._values(number, params)
        if values is None:
            self._trials[number] = None
            return
        state = over.state if over is not None else optuna.trial.TrialState.RUNNING
        self._study.add_trial(
            optuna.trial.create_trial(
                state=state,
                params=values,
                distributions=self._distributions,
                value=over.value if over is not None else None,
                intermediate_values=over.steps if over is not None else None,
            )
        )
        self._trials[number] = self._next
        self._next += 1

    def _tell(self, trial: int | None, over: _Over) -> None:
        """Have a trial that runs be over."""
        if trial is None:
            return
        identifier = self._study.get_trials(deepcopy=False)[trial]._trial_id
        for step, value in over.steps.items():
            self._study._storage.set_trial_intermediate_value(identifier, step, value)
        self._study.tell(trial, over.value, state=over.state)

    def _values(self, number: int, params: Params) -> dict[str, Any] | None:
        """What Optuna has in the place of a setting; None for one that is not of the space."""
        rng = Random(f"distune left out {number}")
        found = {}
        for name, spec in self._free.items():
            value = params[name] if name in params else draw(spec, rng)
            if not may_be(spec, value):
                return None
            found[name] = _place(spec, value) if isinstance(spec, CategoricalParameter) else value
        return found

    def suggest(self, seed: int) -> dict[str, Scalar] | None:
        """A setting, which depends on the seed and on what it has been told alone; None if that is
        too little.
        """
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is experimental there
            # When to begin with it has been decided before it is asked.
            make = getattr(optuna.samplers, self._sampler)
            sampler = make(seed=seed, n_startup_trials=1, **self._options)
            trial = self._study.get_trials(deepcopy=False)[0]
            found = sampler.sample_relative(self._study, trial, dict(self._distributions))
        if not found:  # it knows of no trial with a value
            return None
        chosen: dict[str, Scalar] = {}
        for name, spec in self._space.params.items():
            if spec.is_active(chosen):
                is_free = name in self._free
                chosen[name] = _value_of(spec, found[name]) if is_free else self._constants[name]
        return chosen


def _place(spec: CategoricalParameter, value: Scalar) -> int:
    return next(place for place, one in enumerate(spec.choices) if is_one_of(value, [one]))


def _distribution(spec: Parameter) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    match spec:
        case CategoricalParameter():
            # By their places: Optuna takes 1 for true.
            return CategoricalDistribution(range(len(spec.choices)))
        case FloatParameter(step=float()):
            high = spec.at_step(spec.steps - 1)
            return FloatDistribution(spec.low, high, step=spec.step)
        case FloatParameter():
            return FloatDistribution(spec.low, spec.high, log=spec.log)
        case IntParameter():
            step = spec.step or 1
            high = spec.high - (spec.high - spec.low) % step
            return IntDistribution(spec.low, high, log=spec.log, step=step)


def _value_of(spec: Parameter, found: Any) -> Scalar:
    """A value of the parameter, from what Optuna has suggested."""
    match spec:
        case CategoricalParameter():
            return spec.choices[int(found)]
        case FloatParameter(step=float() as step):
            return spec.at_step(min(max(round((found - spec.low) / step), 0), spec.steps - 1))
        case FloatParameter():
            return min(max(float(found), spec.low), spec.high)
        case IntParameter():
            return min(max(int(found), spec.low), spec.high)
