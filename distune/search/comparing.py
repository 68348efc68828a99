"""What pruners have in common that compare a training with its peers, after as many steps or after
as much time.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from distune.search.pruning import (
    Curve,
    Peers,
    Point,
    Pruner,
    Stop,
    WhenOptions,
    due,
    place_of,
    shown,
)


class ComparingOptions(WhenOptions):
    """Named as Optuna's `PercentilePruner` names them, but for `resource`."""

    n_startup_trials: Annotated[int, Field(ge=0, le=10**9)] = 5  # complete ones, before any stops
    n_min_trials: Annotated[int, Field(ge=1, le=10**9)] = 1  # peers that came as far
    resource: Literal["steps", "seconds"] = "steps"  # that all that are compared had as much of


class ComparingPruner(Pruner):
    """Stops a training that stands worse than a share of its peers did when they had trained for as
    many steps, or as long. Peers are all that came so far: complete ones, those that run, and those
    that were stopped.
    """

    options = ComparingOptions

    @property
    def percentile(self) -> float:
        """How many per cent of the peers are good enough."""
        raise NotImplementedError

    @property
    def share(self) -> str:
        """The same in words: "the median"."""
        raise NotImplementedError

    def judge(self, curve: Curve, peers: Peers) -> Stop | None:
        complete = sum(one.complete for one in peers.counted)
        point = due(curve, self._options)
        if point is None or complete < self._options.n_startup_trials:
            return None
        stood = (self._stood(one, point) for one in (*peers.counted, *peers.running))
        losses = sorted(self.loss(one) for one in stood if one is not None)
        if len(losses) < self._options.n_min_trials:
            return None
        bound = quantile(losses, self.percentile)
        if self.loss(point.standing) <= bound:
            return None
        worst = shown(-bound if self.direction == "maximize" else bound)
        found = f"{shown(point.standing)}, worse than {worst}, {self.share} of {len(losses)}"
        return Stop(f"{self._place(curve, point)}: {found}")

    def _stood(self, peer: Curve, point: Point) -> float | None:
        if self._options.resource == "seconds":
            return peer.after(point.seconds)
        return peer.at_step(point.step)

    def _place(self, curve: Curve, point: Point) -> str:
        after = f" after {point.seconds:.3g} s" if self._options.resource == "seconds" else ""
        return place_of(curve, point.step) + after

    def never(self, trials: int | None, steps: int | None) -> str | None:
        startup, warmup = self._options.n_startup_trials, self._options.n_warmup_steps
        if trials is not None and startup >= trials:
            return f"n_startup_trials ({startup}) are all {trials} trials"
        if steps is not None and warmup >= steps:
            return f"n_warmup_steps ({warmup}) are all {steps} steps of a training"
        return None


def quantile(losses: Sequence[float], percentile: float) -> float:
    """Of sorted losses, not all of which need be finite; between two where it is none of them."""
    place = percentile / 100 * (len(losses) - 1)
    low, high = losses[math.floor(place)], losses[math.ceil(place)]
    if low == high or not math.isfinite(high):
        return low
    return low + (high - low) * (place - math.floor(place))
