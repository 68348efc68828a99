"""What pruners with rungs have in common: trials pause there, and the best of them go on."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distune.search.pruning import Pruner
from distune.search.race import Race
from distune.search.rungs import Ladder
from distune.study.space import Strict
from distune.study.study import Study
from distune.study.trial import Scalar

Factor = Annotated[int, Field(ge=2, le=100)]


#: Of the whole training, up to the first rung, if nothing else is said: after less than that, the
#: beginning of a long one says little of its end (docs/search.md).
_FIRST = 1 / 40


class RacingOptions(Strict):
    """Named as Optuna's `SuccessiveHalvingPruner` names them, but for `resource`."""

    min_resource: Annotated[float, Field(gt=0, le=10**9)] | None = None  # the first rung
    max_resource: Annotated[float, Field(gt=0, le=10**9)] | None = None  # where all run to the end
    reduction_factor: Factor = 3
    resource: Literal["steps", "seconds"] = "steps"


class RacingPruner(Pruner):
    """A pruner that a `Race` executes: it compares with what has paused, too.

    Attributes:
        needs_end: it has to know how far trainings go.
    """

    options = RacingOptions
    needs_end: ClassVar[bool] = False

    def ladders(self, first: float, end: float) -> tuple[list[Ladder], list[int]]:
        """The rungs of each bracket before trainings end, and how many configurations of all go
        into each, in proportion. `first`: the lowest rung of all.
        """
        raise NotImplementedError

    def ladder(self, first: float, end: float) -> Ladder:
        """One whose first rung is this."""
        in_seconds = self._options.resource == "seconds"
        return Ladder(first, self._options.reduction_factor, end, in_seconds)

    def first(self, epochs: int | None, max_seconds: float | None) -> float:
        """The first rung, in what rungs are counted in: a step or a second at least."""
        if self._options.min_resource is not None:
            return float(self._options.min_resource)
        in_steps = self._options.resource == "steps" and self._options.max_resource is None
        cut_short = in_steps and max_seconds is not None  # after who knows how many steps
        end = self.end(epochs, max_seconds)
        return 1 if cut_short or math.isinf(end) else max(1, math.floor(end * _FIRST))

    def end(self, epochs: int | None, max_seconds: float | None) -> float:
        """How far trainings go, as far as that is known, in what its rungs are counted in."""
        own = self._options.max_resource
        known = max_seconds if self._options.resource == "seconds" else epochs
        return min(math.inf if one is None else one for one in (own, known))

    @classmethod
    def check_trainings(
        cls,
        options: Mapping[str, Scalar],
        epochs: int | None,
        max_seconds: float | None,
        *,
        staged: bool,
    ) -> None:
        if staged:
            raise ValueError(
                "pruner: its rungs are for all configurations, and those of different stages are "
                'no peers: leave the stages out, or name another, such as "median"'
            )
        pruner = cls("maximize", options)
        end = pruner.end(epochs, max_seconds)
        first = pruner.first(epochs, max_seconds)
        if cls.needs_end and math.isinf(end):
            missing = "max_seconds" if pruner._options.resource == "seconds" else "epochs"
            raise ValueError(
                "pruner: it has to know how long a training is: give it max_resource, or the "
                f"study a constant {missing}"
            )
        if first >= end:
            raise ValueError(
                f"pruner.min_resource: the first rung, at {first:g}, is not before the end of a "
                f"training, at {end:g}"
            )

    def race(self, study: Study) -> Race:
        """That of a study."""
        known = study.epochs, study.max_seconds
        return Race(study, *self.ladders(self.first(*known), self.end(*known)))

    def never(self, trials: int | None, steps: int | None) -> str | None:
        factor = self._options.reduction_factor
        if trials is not None and trials < factor:
            return f"one of {factor} goes on, and there are {trials}"
        return None
