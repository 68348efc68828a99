"""What pruners that compare a training with its peers have in common: when, and after how much."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distune.search.pruning import Curve, Peers, Point, Pruner, Stop, shown
from distune.study.space import Strict

_Count = Annotated[int, Field(ge=0, le=10**9)]
_Some = Annotated[int, Field(ge=1, le=10**9)]


class ComparingOptions(Strict):
    """Named as Optuna's `PercentilePruner` names them, but for `resource`."""

    n_startup_trials: _Count = 5  # complete ones, before any is stopped
    n_warmup_steps: _Count = 0  # that each may make in any case
    interval_steps: _Some = 1  # between two judgements
    n_min_trials: _Some = 1  # peers that came as far
    resource: Literal["steps", "seconds"] = "steps"  # of which all have had the same


class ComparingPruner(Pruner):
    """Stops a training that stands worse than a share of its peers did when they had trained for as
    many steps, or as long. Peers are all that came so far: complete ones, those that run, and those
    that were stopped.
    """

    options = ComparingOptions
    name: ClassVar[str]  # of what it is compared with: "the median"

    def percentile(self) -> float:
        """How many per cent of the peers are to be good enough."""
        raise NotImplementedError

    def judge(self, curve: Curve, peers: Peers) -> Stop | None:
        if sum(one.complete for one in peers.counted) < self._options.n_startup_trials:
            return None
        point = due(curve.points, self._options.n_warmup_steps, self._options.interval_steps)
        if point is None:
            return None
        found = [self._stood(one, point) for one in (*peers.counted, *peers.running)]
        losses = sorted(self.loss(one.standing) for one in found if one is not None)
        if len(losses) < self._options.n_min_trials:
            return None
        loss, bound = self.loss(point.standing), quantile(losses, self.percentile())
        if loss <= bound:
            return None
        worst = shown(-bound if self._direction == "maximize" else bound)
        than = f"{self.name.format(len(losses))}"
        return Stop(f"{self._where(point)}: {shown(point.standing)}, worse than {worst}, {than}")

    def _stood(self, peer: Curve, point: Point) -> Point | None:
        if self._options.resource == "seconds":
            return peer.after(point.seconds)
        return peer.at_step(point.step)

    def _where(self, point: Point) -> str:
        if self._options.resource == "seconds":
            return f"after {point.seconds:.3g} s (step {point.step})"
        return f"step {point.step}"


def due(points: Sequence[Point], warmup: int, interval: int) -> Point | None:
    """The last step at which a training is judged: the first one reported in each interval, after
    the warm-up.
    """
    before = -1
    found: Point | None = None
    for point in points:
        if point.step <= warmup:
            continue
        place = (point.step - warmup - 1) // interval
        if place > before:
            before, found = place, point
    return found


def quantile(losses: Sequence[float], percentile: float) -> float:
    """Of sorted losses, between the two next to it where it is none of them (as numpy does)."""
    place = percentile / 100 * (len(losses) - 1)
    low = losses[math.floor(place)]
    high = losses[math.ceil(place)]
    if low == high or not math.isfinite(high):
        return low
    return low + (high - low) * (place - math.floor(place))
