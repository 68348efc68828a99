"""Early stopping (Prechelt, "Early stopping, but when?", 1998, the third of his rules): a training
that has not bettered itself for so many steps is over.

Optuna's `PatientPruner` has the same options, and wraps another pruner. By itself it compares with
nothing, so what it stops need not be bad: it has learnt what it can, and is complete.
"""

from typing import Annotated

from pydantic import Field

from distune.search.pruning import Curve, Peers, Pruner, Stop, place_of, shown
from distune.study.space import Strict


class _Options(Strict):
    patience: Annotated[int, Field(ge=1, le=10**9)] = 5  # steps
    min_delta: Annotated[float, Field(ge=0, strict=False)] = 0.0  # that counts as better


class PatiencePruner(Pruner):
    options = _Options

    def judge(self, curve: Curve, peers: Peers) -> Stop | None:
        best, at = curve.points[0], curve.points[0]  # at: since when nothing better was there
        for point in curve.points[1:]:
            if self.loss(point.value) < self.loss(best.value) - self._options.min_delta:
                best = at = point
            if point.step - at.step >= self._options.patience:
                steps = f"{point.step - at.step} steps"
                found = f"no better for {steps} than {shown(best.value)} at step {best.step}"
                return Stop(f"{place_of(curve, point.step)}: {found}", complete=True)
        return None

    def never(self, trials: int | None, steps: int | None) -> str | None:
        patience = self._options.patience
        if steps is not None and patience >= steps:
            return f"a training has {steps} steps, and its patience is for {patience}"
        return None
