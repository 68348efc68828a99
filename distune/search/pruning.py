"""What a pruner is: of a training's curve and its peers', it says whether to go on. Pure."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from distune.study.options import check_options
from distune.study.space import Strict
from distune.study.study import Study
from distune.study.trial import Direction, Report, Scalar, Trial, better


class Point(NamedTuple):
    """A step of a curve."""

    step: int  # from 1
    seconds: float  # of training, so far
    value: float  # of the metric that is ranked
    standing: float  # what the trial would be ranked by, were this its last step


@dataclass(frozen=True)
class Curve:
    """What a trial has reported of the metric that is ranked, step after step. Of a counted one the
    `value` of a point is its `standing`, and of a long one not every point is kept.
    """

    trial: Trial
    points: Sequence[Point]
    complete: bool = False  # it has no more to report

    @property
    def configuration(self) -> int:
        return self.trial.configuration

    def at_step(self, step: int) -> Point | None:
        """Where it stood after so many steps; None if it has not come so far."""
        if not self.points or self.points[-1].step < step:
            return None
        place = bisect_right(self._steps, step)
        return self.points[place - 1] if place else None

    def after(self, seconds: float) -> Point | None:
        """Where it stood after so many seconds of training; None if it has not come so far. One
        that is complete stands where it ended.
        """
        place = bisect_right(self._seconds, seconds)
        if not place or (place == len(self.points) and not self.complete):
            return self.points[-1] if place and self._seconds[-1] == seconds else None
        return self.points[place - 1]

    @cached_property
    def _steps(self) -> list[int]:
        return [point.step for point in self.points]

    @cached_property
    def _seconds(self) -> list[float]:
        return [point.seconds for point in self.points]


def points_of(study: Study, reports: Iterable[Report], known: Sequence[Point] = ()) -> list[Point]:
    """A curve's points: those that are known, and those of reports that come after them."""
    points = [*known]
    for report in reports:
        value = report.metrics.get(study.metric)
        if value is None or (points and report.step <= points[-1].step):
            continue
        stood = points[-1].standing if points else value
        stays = study.summary == "best" and not better(value, stood, study.direction)
        points.append(Point(report.step, report.seconds, value, stood if stays else value))
    return points


class Stop(NamedTuple):
    """That a training is to end, and why."""

    reason: str  # "step 3: 0.71, worse than 0.84, the median of 27"


@dataclass(frozen=True)
class Peers:
    """The curves of other configurations that a training is compared with."""

    counted: Sequence[Curve]  # in the order in which they were
    running: Sequence[Curve] = ()


class Pruner:
    """A pruner that a space file can name. What it says follows from its arguments alone: a master
    that starts anew comes to the same.

    Attributes:
        options: what it takes beside its name, as fields.
    """

    options: ClassVar[type[Strict]]

    @classmethod
    def check(cls, options: Mapping[str, Scalar]) -> None:
        """See that it knows these options.

        Raises:
            ValueError: it does not; `key: problem`, as of a space file's mistakes.
        """
        check_options("pruner", cls.options, options)

    def __init__(self, direction: Direction, options: Mapping[str, Scalar]) -> None:
        self._direction = direction
        self._options: Any = self.options.model_validate(dict(options))

    def judge(self, curve: Curve, peers: Peers) -> Stop | None:
        """Whether a running training, which has reported something, is to stop; None if not."""
        raise NotImplementedError

    def loss(self, value: float) -> float:
        """A value as what is to be minimized; the worst of all if it is not finite."""
        if not math.isfinite(value):
            return math.inf
        return -value if self._direction == "maximize" else value


def shown(value: float) -> str:
    """A value, for people."""
    return f"{value:.5g}"
