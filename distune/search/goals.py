"""What a configuration is ranked by where one metric is not all: several objectives, and
constraints. Pure.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from distune.study.constraint import SECONDS
from distune.study.study import Study
from distune.study.trial import Result


@dataclass(frozen=True)
class Violation:
    """A constraint that a configuration does not keep.

    Attributes:
        name: of the metric.
        value: its mean over the repeats.
        excess: by how much that is outside, above 0; infinite if it is no number.
        bound: the one that is not kept; `limit` is its name, "max" or "min".
        relative: the excess in units of the bound, so that those of unlike metrics can be added up.
    """

    name: str
    value: float
    excess: float
    limit: str
    bound: float
    relative: float

    def __str__(self) -> str:
        if not math.isfinite(self.excess):
            return f"{self.name} is {self.value}, and {self.limit} is {self.bound:g}"
        side = "above" if self.limit == "max" else "below"
        return f"{self.name} {self.value:.6g} is {self.excess:.6g} {side} {self.bound:g}"


@dataclass(frozen=True)
class Judgement:
    """`goals`: of each objective the mean, so that less is better; not finite if there is none."""

    goals: tuple[float, ...]
    violations: tuple[Violation, ...] = ()

    @property
    def has_all(self) -> bool:
        """Whether each objective has a finite value."""
        return all(map(math.isfinite, self.goals))

    @property
    def violation(self) -> float:
        """How far from feasible it is; 0 if it is feasible."""
        return sum(one.relative for one in self.violations)


def is_plain(study: Study) -> bool:
    """Whether one metric is all that a study ranks by."""
    return not (study.objectives or study.constraints)


def keeps_constraints(study: Study, result: Result) -> bool:
    """Whether one training by itself does; what it does not report it keeps."""
    measured = {**result.metrics, SECONDS: result.seconds}
    bounded = ((measured.get(name), one) for name, one in study.constraints.items())
    return all(value is None or one.excess(value) <= 0 for value, one in bounded)


def judged_beside(study: Study) -> list[str]:
    """What else than its first metric a study ranks by, or bounds."""
    return list(dict.fromkeys([*study.goals, *study.constraints]))[1:]


def judge(study: Study, mean_of: Callable[[str], float | None], *, whole: bool) -> Judgement:
    """What a configuration is ranked by.

    Args:
        mean_of: gives the mean of a metric over its trials; None if none has it.
        whole: whether these were trained to their ends, so that their seconds are known.
    """
    goals = []
    for name, direction in study.goals.items():
        mean = mean_of(name)
        value = math.nan if mean is None else mean
        goals.append(-value if direction == "maximize" else value)
    return Judgement(tuple(goals), tuple(_violations(study, mean_of, whole)))


def _violations(
    study: Study, mean_of: Callable[[str], float | None], whole: bool
) -> Iterator[Violation]:
    for name, constraint in study.constraints.items():
        mean = mean_of(name) if whole or name != SECONDS else None
        broken = None if mean is None else constraint.broken_by(mean)
        if mean is not None and broken is not None:
            yield Violation(name, mean, *broken, broken[0] / constraint.scale)
