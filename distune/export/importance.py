"""Which parameters mattered, how sure that is, and what chance alone would give: PED-ANOVA, through
Optuna.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from distune.errors import UserError
from distune.export.optuna_bridge import placed
from distune.search.configuration import Configuration, Tier
from distune.search.ranking import History
from distune.study.space import did_you_mean
from distune.study.trial import Direction

#: Configurations below which nothing is said.
FEWEST = 20
#: Of more than this, so many are drawn: the answer would be the same, and take minutes.
_MOST = 500
RESAMPLES = 100
_SPREAD = (0.05, 0.95)
_CHANCE = 0.95
#: Of the configurations, which are compared with all: a tenth, PED-ANOVA's own default, but not
#: fewer than so many, of which it would make what it likes.
_BEST_SHARE, _FEWEST_BEST = 0.1, 5


@dataclass(frozen=True)
class Importance:
    """Of one parameter.

    Attributes:
        share: of the sum over all parameters, 0 to 1.
        low, high: where that lies in nine of ten resamples.
        configurations: that have the parameter, on which it was judged.
        stands_out: whether it is more than what chance gives, and there are enough of these.
    """

    name: str
    share: float
    low: float
    high: float
    configurations: int
    stands_out: bool


@dataclass(frozen=True)
class Importances:
    """Of all parameters that vary, the greatest first.

    Attributes:
        objective: the metric.
        configurations: with a complete trial and a finite mean, on which it rests.
        best: of these, how many are compared with all.
        drawn: of how many, if these are only some of them; else None.
        floor: the share that the greatest of so many parameters stays below in 95 of 100 cases if
            none of them matters.
    """

    objective: str
    configurations: int
    best: int
    drawn: int | None
    floor: float
    parameters: tuple[Importance, ...]


class Unknown(UserError):
    """Nothing can be said of importance; the message says why."""


def importances(history: History, objective: str | None = None, *, seed: int = 0) -> Importances:
    """How much each parameter tells the best configurations from all of them.

    PED-ANOVA (Watanabe, Bansal, Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter
    Importance in Arbitrary Subspaces"); a parameter that exists only under a condition is judged
    where it exists. The spread is that over configurations drawn with replacement, the floor that
    over values dealt out anew.

    Args:
        objective: one of the study's; its first metric if None.
        seed: of what is drawn.

    Raises:
        Unknown: there are too few, or they do not differ.
        UserError: the study has no such objective.
    """
    study = history.study
    name = objective or study.metric
    if name not in study.goals:
        hint = did_you_mean(name, study.goals)
        raise UserError(f"--objective: {study.name} has no objective {name!r}{hint}")
    known = _known(history, name)
    if len(known) < FEWEST:
        raise Unknown(
            f"{study.name} has {len(known)} configurations with a complete trial: too few to tell "
            f"which parameters mattered; it takes {FEWEST}"
        )
    rng, drawn = Random(f"distune importance {seed}"), len(known)
    if drawn > _MOST:
        known = rng.sample(known, _MOST)
    names = _varying([one for one, _ in known])
    values = [value for _, value in known]
    trials = _frozen(history, [one for one, _ in known])
    found = _evaluated(trials, values, names, study.goals[name])
    total = sum(found.values())
    if not total:
        raise Unknown(f"no parameter of {study.name} can be seen to have mattered: {_why(known)}")
    shares: dict[str, list[float]] = {one: [] for one in names}
    greatest = []
    for _ in range(RESAMPLES):
        places = rng.choices(range(len(trials)), k=len(trials))
        again = _evaluated(
            [trials[i] for i in places], [values[i] for i in places], names, study.goals[name]
        )
        whole = sum(again.values())
        for one in names:
            shares[one].append(again[one] / whole if whole else 0.0)
        dealt = rng.sample(values, len(values))
        greatest.append(max(_evaluated(trials, dealt, names, study.goals[name]).values()))
    floor = _quantile(greatest, _CHANCE)
    of = []
    for one in sorted(names, key=lambda n: -found[n]):
        count = sum(one in trial.params for trial in trials)
        low, high = (_quantile(shares[one], level) for level in _SPREAD)
        out = found[one] > floor and count >= FEWEST
        of.append(Importance(one, found[one] / total, low, high, count, out))
    some = drawn if drawn > len(known) else None
    best = math.ceil(_best_share(trials) * len(known))
    return Importances(name, len(known), best, some, floor / total, tuple(of))


def _why(known: Sequence[tuple[Configuration, float]]) -> str:
    same = len({value for _, value in known}) == 1
    return "what was tried reached the same" if same else "none of them varied"


def _known(history: History, name: str) -> list[tuple[Configuration, float]]:
    """The configurations with a complete trial, by the numbers of their first ones, and what they
    reached. One that trains another further is no setting of the space.
    """
    repeats, found = history.study.repeats, []
    for one in sorted(history.ranking(), key=lambda one: one.first):
        complete = one.complete
        if one.tier(repeats) is Tier.DIVERGED or not complete or complete[0].trial.extends:
            continue
        mean = one.mean if name == history.study.metric else one.mean_of(name)
        if mean is not None and math.isfinite(mean):
            found.append((one, mean))
    return found


def _varying(configurations: Sequence[Configuration]) -> list[str]:
    values: dict[str, set[Any]] = {}
    for one in configurations:
        for name, value in one.params.items():
            values.setdefault(name, set()).add((type(value), value))
    return [name for name, seen in values.items() if len(seen) > 1]


def _frozen(history: History, configurations: Sequence[Configuration]) -> list[FrozenTrial]:
    trials = []
    for number, params in enumerate(placed(history, [one.params for one in configurations])):
        values = {name: value for name, (value, _) in params.items()}
        domains = {name: domain for name, (_, domain) in params.items()}
        trial = optuna.trial.create_trial(value=0.0, params=values, distributions=domains)
        trial._trial_id = trial.number = number
        trials.append(trial)
    return trials


class _Trials:
    """As much of an Optuna study as the evaluator asks for. A real one would have to be filled
    anew for each resample, which takes longer than what it is for.
    """

    def __init__(self, trials: Sequence[FrozenTrial], direction: Direction) -> None:
        self._trials = list(trials)
        self.directions = [optuna.study.StudyDirection[direction.upper()]]

    def get_trials(self, deepcopy: bool, states: Sequence[TrialState]) -> list[FrozenTrial]:
        return self._trials

    def _is_multi_objective(self) -> bool:
        return False


def _evaluated(
    trials: Sequence[FrozenTrial], values: Sequence[float], names: list[str], direction: Direction
) -> Mapping[str, float]:
    """How much each parameter sets the best apart, not as a share."""
    for trial, value in zip(trials, values, strict=True):
        trial.value = value
    study: Any = _Trials(trials, direction)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_best_share(trials))
    with warnings.catch_warnings(action="ignore"):  # of few trials: that is said otherwise
        found: Mapping[str, float] = evaluator.evaluate(study, params=names)
    return found


def _best_share(trials: Sequence[FrozenTrial]) -> float:
    return max(_BEST_SHARE, _FEWEST_BEST / len(trials))


def _quantile(values: Sequence[float], level: float) -> float:
    return sorted(values)[min(int(level * len(values)), len(values) - 1)]
