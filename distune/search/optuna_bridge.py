"""The bridge to Optuna's samplers: an Optuna study in memory that is told what distune knows. Only
this imports Optuna, and only when a question needs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any

from distune.search.drawing import draw
from distune.search.neighbours import Neighbours
from distune.search.ranking import History
from distune.search.sampler import Reached
from distune.search.told import Telling, Told, filled_in
from distune.study.space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Space,
    is_one_of,
)
from distune.study.trial import Asked, Params, Scalar

if TYPE_CHECKING:
    import optuna


#: As a constraint: above zero is violated.
_VIOLATED = {"it can be trained": 1.0}
#: Of these the first is taken that does not lie nearest to a setting that can have no value: a
#: model of where good ones are says little of a region from which no value ever comes.
_PROPOSALS = 10


class OptunaStudy:
    """An Optuna study in memory: `follow(history, in_flight, reached)`, then `suggest(seed)`.

    Its trials are the configurations in the order of their numbers, whatever was counted first: so
    a master that starts anew makes the same study.

    Args:
        space: its parameters are all always there for Optuna; one whose condition does not hold
            has a value that was drawn.
        sampler, options: a class of `optuna.samplers`, and its arguments.
        worst: whether a setting that can have no value is told with the worst value there is, and
            one that was pruned with what it had reached, for a sampler that hears of nothing else;
            else as one that violates a constraint, or as pruned. Told as failed, Optuna would
            forget it, and propose its like again and again.
    """

    def __init__(
        self, space: Space, sampler: str, options: Mapping[str, Any], *, worst: bool = False
    ) -> None:
        self._sampler = sampler
        self._options = options
        self._worst = worst
        self._space = space
        self._constants = space.constants  # which looks at all values of all parameters
        self._free = {n: spec for n, spec in space.params.items() if n not in self._constants}
        self._telling = Telling()

    @cached_property
    def _distributions(self) -> dict[str, Any]:
        """Not before a question: who only looks at a study makes its sampler, too."""
        return {name: _distribution(spec) for name, spec in self._free.items()}

    def _begin(self, history: History) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(directions=list(history.study.goals.values()))
        self._bounded = list(history.study.constraints)
        # What samplers write to when they are asked. Waiting, it is none that they learn from.
        self._study.enqueue_trial({})
        self._next = 1  # number of the trial that is added next
        self._trials: dict[int, int | None] = {}  # by configuration; None: not of the space
        self._violating: list[int] = []  # trials
        self._neighbours = Neighbours(self._free)

    def follow(self, history: History, in_flight: Sequence[Asked], reached: Reached) -> None:
        """Tell what has been counted, what is in flight, and what of that has come to rungs."""
        news = self._telling.follow(history, in_flight, reached)
        if news.anew:
            self._begin(history)
        for told in news.over:
            values = self._inner(told.number, told.params) if told.is_known else None
            if values is not None:
                self._neighbours.add(values, violates=told.is_violating)
        known = {**news.reached, **{told.number: told for told in news.over}}
        new = {**news.running, **{told.number: told.params for told in news.over}}
        for number in sorted(new.keys() - self._trials.keys()):
            self._add(number, new[number], known.pop(number, None))
        for number in sorted(known):
            self._tell(self._trials[number], known[number])
        for told in news.again:
            self._tell_once_more(self._trials.get(told.number), told)

    def _add(self, number: int, params: Params, told: Told | None) -> None:
        """Have a trial for a configuration, one that runs unless something is known of it."""
        import optuna

        values = self._inner(number, params)
        if values is None:
            self._trials[number] = None
            return
        state = self._state(told) if told is not None else optuna.trial.TrialState.RUNNING
        self._study.add_trial(
            optuna.trial.create_trial(
                state=state,
                params=values,
                distributions=self._distributions,
                values=self._values(told) if told is not None else None,
                intermediate_values=_steps(told) if told is not None else None,
                constraints=self._constraints(told),
            )
        )
        self._trials[number] = self._next
        if told is not None and told.is_violating:
            self._violating.append(self._next)
        self._next += 1

    def _tell(self, trial: int | None, told: Told | None) -> None:
        """Have a trial say what is known of it now, in the place of what was: that it runs, or was
        pruned at a rung.
        """
        from optuna.trial import TrialState

        if trial is None:
            return
        found = self._study.get_trials(deepcopy=False)[trial]
        found.state, found.values, found.intermediate_values = TrialState.RUNNING, None, {}
        if told is None:
            return
        for step, value in _steps(told).items():
            self._study._storage.set_trial_intermediate_value(found._trial_id, step, value)
        for key, violation in self._constraints(told).items():
            found.set_constraint(key, violation)
        self._study.tell(trial, self._values(told), state=self._state(told))
        if told.is_violating:
            self._violating.append(trial)

    def _tell_once_more(self, trial: int | None, told: Told) -> None:
        """Have what is complete be as good as the mean of all its repeats, one more now."""
        from optuna.trial import TrialState

        found = self._study.get_trials(deepcopy=False)[trial] if trial is not None else None
        if found is None or found.state is not TrialState.COMPLETE or not told.values:
            return
        found.values = self._values(told)
        for key, violation in self._constraints(told).items():
            found.set_constraint(key, violation)

    def _inner(self, number: int, params: Params) -> dict[str, Any] | None:
        """What Optuna has in the place of a setting; None for one that is not of the space."""
        values = filled_in(self._free, number, params)
        if values is None:
            return None
        for name, spec in self._free.items():
            if isinstance(spec, CategoricalParameter):
                values[name] = _place(spec, values[name])
        return values

    def suggest(self, seed: int) -> dict[str, Scalar] | None:
        """A setting, which depends on the seed and on what it has been told alone; None if that is
        too little.
        """
        if self._worst:
            self._tell_the_worst()
        rng, first = Random(seed), self._proposed(seed)
        found = first
        for _ in range(_PROPOSALS):
            if found is None or self._worst or not self._neighbours.violates(found):
                break
            found = self._proposed(rng.getrandbits(32))
        else:
            found = first
        return self._setting(found, rng) if found else None

    def _proposed(self, seed: int) -> dict[str, Any] | None:
        """What Optuna suggests; it may leave out what is to be drawn."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is experimental there
            trial = self._study.get_trials(deepcopy=False)[0]
            # Some samplers look at the trials as they were when Optuna's study was asked last, and
            # this one never is: a master that starts anew would find more of them.
            self._study._thread_local.cached_all_trials = None
            sampler = self._make(seed)
            return sampler.sample_relative(self._study, trial, dict(self._distributions)) or None

    def _make(self, seed: int) -> optuna.samplers.BaseSampler:
        import optuna

        # When to begin with it has been decided before it is asked.
        made = getattr(optuna.samplers, self._sampler)(
            seed=seed, n_startup_trials=1, **self._options
        )
        assert isinstance(made, optuna.samplers.BaseSampler)
        return made

    def _tell_the_worst(self) -> None:
        """Have what can have no value be complete, with the worst value that there is so far."""
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        trials = self._study.get_trials(deepcopy=False)
        violating = [trials[number] for number in self._violating]
        for trial in violating:
            trial.state = TrialState.PRUNED
        complete = [one.values for one in trials if one.state is TrialState.COMPLETE]
        worst = [
            (max if direction is StudyDirection.MINIMIZE else min)(column)
            for direction, column in zip(
                self._study.directions, zip(*complete, strict=True), strict=False
            )
        ]
        for trial in violating if complete else ():
            trial.state, trial.values = TrialState.COMPLETE, list(worst)

    def _setting(self, found: Mapping[str, Any], rng: Random) -> dict[str, Scalar]:
        """What Optuna has suggested, as params; what it has left to chance is drawn."""
        chosen: dict[str, Scalar] = {}
        for name, spec in self._space.params.items():
            if not spec.is_active(chosen):
                continue
            if name in found:
                chosen[name] = _value_of(spec, found[name])
            else:
                chosen[name] = draw(spec, rng) if name in self._free else self._constants[name]
        return chosen

    def _constraints(self, told: Told | None) -> dict[str, float]:
        if told is None or not told.is_violating:
            if told is None or told.values or not self._worst:
                return told.excesses if told is not None else {}
            return dict.fromkeys(self._bounded, 0.0)  # what was stopped may keep them or not
        # Some models want the same constraints of all trials.
        return dict.fromkeys(self._bounded, 1.0) if self._worst else _VIOLATED

    def _values(self, told: Told) -> list[float] | None:
        if told.values:
            return told.goals
        # Of several objectives, what was stopped has one at most.
        reached = self._worst and not told.violated and not told.study.objectives
        return [told.stopped[1]] if reached and told.stopped else None

    def _state(self, told: Told) -> optuna.trial.TrialState:
        """Pruned before its first step, a trial is worse to Optuna than all others."""
        from optuna.trial import TrialState

        if self._values(told) is not None:
            return TrialState.COMPLETE
        return TrialState.PRUNED if told.is_known else TrialState.FAIL


def _steps(told: Told) -> dict[int, float]:
    """Where it was pruned. Of several objectives Optuna wants to know of no steps."""
    stopped = None if told.values or told.study.objectives else told.stopped
    return dict([stopped] if stopped is not None else [])


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
