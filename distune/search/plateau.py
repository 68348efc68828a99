"""How long a search has found nothing better. Pure."""

import math

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
        self._begin(History(study))

    def _begin(self, history: History) -> None:
        self._history, self._out = history, history.left_out
        self._read = self._since = 0
        self._best = math.nan
        self._open: dict[int, list[Counted]] = {}  # by configuration: repeats that are counted

    def since(self, history: History) -> int:
        """How many there are; the history has grown since, or is another one."""
        if history is not self._history or self._out != history.left_out:
            self._begin(history)
        for place in range(self._read, len(history.trials)):
            counted = history.trials[place]  # decoded one by one: all at once fill the memory
            searched = counted.trial.extends is None and counted.trial.confirms is None
            if searched and history.stands(counted):
                repeats = self._open.setdefault(counted.trial.configuration, [])
                repeats.append(counted)
                if len(repeats) >= self._study.repeats:
                    self._take_in(self._open.pop(counted.trial.configuration))
        self._read = len(history.trials)
        return self._since

    def _take_in(self, repeats: list[Counted]) -> None:
        outcomes = {one.result.outcome for one in repeats}
        values = [one.result.value for one in repeats if one.result.value is not None]
        mean = math.fsum(values) / len(repeats) if outcomes == {Outcome.COMPLETE} else math.nan
        if better(mean, self._best, self._study.direction):
            self._best, self._since = mean, 0
        elif outcomes & {Outcome.COMPLETE, Outcome.PRUNED, Outcome.DIVERGED}:
            self._since += 1
