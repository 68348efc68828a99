"""Optuna's `PercentilePruner`: what does not belong to the best `percentile` of its peers stops."""

from typing import Annotated

from pydantic import Field

from distune.search.comparing import ComparingOptions, ComparingPruner


class _Options(ComparingOptions):
    percentile: Annotated[float, Field(gt=0, lt=100, strict=False)] = 25.0


class PercentilePruner(ComparingPruner):
    options = _Options

    @property
    def percentile(self) -> float:
        found: float = self._options.percentile
        return found

    @property
    def share(self) -> str:
        return f"the best {self.percentile:g} %"
