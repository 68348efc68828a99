"""What a pruner is: of a training's curve and its peers', it says whether to go on. Pure."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, NamedTuple, overload

from pydantic import Field

from distune.study.options import check_options
from distune.study.space import Strict
from distune.study.study import Study
from distune.study.trial import Direction, Purpose, Report, Scalar, Trial, better, is_by_search


class Point(NamedTuple):
    """A step of a curve."""

    step: int  # from 1
    seconds: float  # of training, so far
    value: float  # of the metric that is ranked
    standing: float  # what the trial would be ranked by, were this its last step


class KeptPoints(Sequence[Point]):
    """What is kept of a counted trial's curve, as `kept_curve` has made it, in little memory."""

    def __init__(self, kept: Sequence[Sequence[float]]) -> None:
        self.steps, self.seconds, self.standings = (array("d", column) for column in kept)

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, i: int) -> Point: ...
    @overload
    def __getitem__(self, i: slice) -> list[Point]: ...
    def __getitem__(self, i: int | slice) -> Point | list[Point]:
        if isinstance(i, slice):
            return [self[place] for place in range(len(self))[i]]
        standing = self.standings[i]
        return Point(int(self.steps[i]), self.seconds[i], standing, standing)


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

    def at_step(self, step: int) -> float | None:
        """Where it stood after so many steps; None if it has not come so far."""
        steps = self._columns.steps
        place = bisect_right(steps, step)
        came_so_far = place and (place < len(steps) or steps[-1] == step)
        return self._columns.standings[place - 1] if came_so_far else None

    def after(self, seconds: float) -> float | None:
        """Where it stood after so many seconds of training; None if it has not come so far. One
        that is complete stands where it ended.
        """
        times = self._columns.seconds
        place = bisect_right(times, seconds)
        came_so_far = place and (place < len(times) or self.complete or times[-1] == seconds)
        return self._columns.standings[place - 1] if came_so_far else None

    @cached_property
    def _columns(self) -> KeptPoints:
        points = self.points
        return points if isinstance(points, KeptPoints) else KeptPoints(columns_of(points))


def columns_of(points: Sequence[Point]) -> list[list[float]]:
    """Their steps, seconds and standings."""
    return [
        [float(point.step) for point in points],
        [point.seconds for point in points],
        [point.standing for point in points],
    ]


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


def may_stop(trial: Trial) -> bool:
    """Whether a pruner has a say: it has none in what persons have tried again or trained further,
    in what confirms the best, in one more repeat of what is complete, nor in tests.
    """
    return trial.purpose is Purpose.TRAIN and is_by_search(trial)


class Stop(NamedTuple):
    """That a training is to end, and why."""

    reason: str  # "step 3 of 10: 0.71, worse than 0.84, the median of 27"
    #: It has learnt what it can: a result like any other, and ranked as one.
    complete: bool = False
    steps: int = 0  # that had been reported by then


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

    @classmethod
    def check_trainings(
        cls,
        options: Mapping[str, Scalar],
        epochs: int | None,
        max_seconds: float | None,
        *,
        staged: bool,
    ) -> None:
        """See that it can judge trainings of this length, where that is known, in a study that has
        stages or not; most judge any.

        Raises:
            ValueError: as of `check`.
        """

    def __init__(self, direction: Direction, options: Mapping[str, Scalar]) -> None:
        self.direction = direction
        self._options: Any = self.options.model_validate(dict(options))

    def judge(self, curve: Curve, peers: Peers) -> Stop | None:
        """Whether a running training, which has reported something, is to stop; None if not."""
        raise NotImplementedError

    def never(self, trials: int | None, steps: int | None) -> str | None:
        """Why it can stop nothing in a study of so many trials, of so many steps each, if so."""
        raise NotImplementedError

    def loss(self, value: float) -> float:
        """A value as what is to be minimized; the worst of all if it is not finite."""
        if not math.isfinite(value):
            return math.inf
        return -value if self.direction == "maximize" else value


class WhenOptions(Strict):
    """When a training is judged, in the words of Optuna's pruners."""

    n_warmup_steps: Annotated[int, Field(ge=0, le=10**9)] = 0  # that it may make in any case
    interval_steps: Annotated[int, Field(ge=1, le=10**9)] = 1  # between two judgements


def due(curve: Curve, when: WhenOptions) -> Point | None:
    """The last step at which a training is to be judged: after the warm-up, in each interval the
    first one that it has reported.
    """
    before, found = -1, None
    for point in curve.points:
        interval = (point.step - when.n_warmup_steps - 1) // when.interval_steps
        if point.step > when.n_warmup_steps and interval > before:
            before, found = interval, point
    return found


def place_of(curve: Curve, step: int) -> str:
    """ "step 3 of 10", or "step 3" where nobody knows how many there will be."""
    epochs = curve.trial.epochs
    return f"step {step} of {epochs}" if epochs is not None and epochs >= step else f"step {step}"


def shown(value: float) -> str:
    """A value, for people."""
    return f"{value:.5g}"
