"""How long a search has found nothing better. Pure."""

import math

from distune.search.following import Following
from distune.search.ranking import History
from distune.study.study import Study
from distune.study.trial import Counted, Outcome, better


class Plateau:
    """`Plateau(study).since(history)`: configurations in a row that are over, and have not bettered
    the best. Those that failed say nothing, and what persons had trained further, or what confirms
    the best, is no part of it.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._following = Following()
        self._begin()

    def _begin(self) -> None:
        self._since = 0
        self._best = math.nan
        self._open: dict[int, list[Counted]] = {}  # by configuration: repeats that are counted

    def since(self, history: History) -> int:
        """How many there are; the history has grown since, or is another one."""
        if self._following.begins_anew(history):
            self._begin()
        for _, counted in self._following.new(history):
            repeats = self._open.setdefault(counted.trial.configuration, [])
            repeats.append(counted)
            if len(repeats) >= self._study.repeats:
                self._take_in(self._open.pop(counted.trial.configuration))
        return self._since

    def _take_in(self, repeats: list[Counted]) -> None:
        outcomes = {one.result.outcome for one in repeats}
        values = [one.result.value for one in repeats if one.result.value is not None]
        mean = math.fsum(values) / len(repeats) if outcomes == {Outcome.COMPLETE} else math.nan
        if better(mean, self._best, self._study.direction):
            self._best, self._since = mean, 0
        elif outcomes & {Outcome.COMPLETE, Outcome.PRUNED, Outcome.DIVERGED}:
            self._since += 1
