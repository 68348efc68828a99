"""How long a search has found nothing better. Pure."""

import math
from collections.abc import Sequence

from distune.search.following import Following
from distune.search.goals import judge
from distune.search.ranking import History
from distune.study.constraint import SECONDS
from distune.study.study import Study
from distune.study.trial import Counted, Outcome


class Plateau:
    """`Plateau(study).since(history)`: configurations in a row that are over, and have not bettered
    the best: of several objectives, that none before had dominated, or equalled. What breaks a
    constraint betters nothing. Those that failed say nothing, and what persons had trained further,
    what confirms the best, or is one more repeat, is no part of it.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._following = Following()
        self._begin()

    def _begin(self) -> None:
        self._since = 0
        self._front: list[
            Sequence[float]
        ] = []  # none dominates another; of one objective, the best
        self._open: dict[int, list[Counted]] = {}  # by configuration: repeats that are counted

    def since(self, history: History) -> int:
        """How many there are; the history has grown since, or is another one."""
        if self._following.begins_anew(history):
            self._begin()
        for _, counted in self._following.new(history):
            if counted.trial.adds_to is not None:
                continue
            repeats = self._open.setdefault(counted.trial.configuration, [])
            repeats.append(counted)
            if len(repeats) >= self._study.repeats:
                self._take_in(self._open.pop(counted.trial.configuration))
        return self._since

    def _take_in(self, repeats: Sequence[Counted]) -> None:
        outcomes = {one.result.outcome for one in repeats}
        if outcomes == {Outcome.COMPLETE} and self._betters(repeats):
            self._since = 0
        elif outcomes & {Outcome.COMPLETE, Outcome.PRUNED, Outcome.DIVERGED}:
            self._since += 1

    def _betters(self, repeats: Sequence[Counted]) -> bool:
        """Whether it is on the front, which has it then."""

        def mean_of(name: str) -> float:
            values = [_measured(self._study, one, name) for one in repeats]
            try:
                return math.fsum(values) / len(values)
            except (OverflowError, ValueError):  # too large, or an infinity less another
                return math.nan

        found = judge(self._study, mean_of, whole=True)
        if found.violations or not found.has_all:
            return False
        if any(_is_nowhere_worse(one, found.goals) for one in self._front):
            return False
        self._front = [one for one in self._front if not _is_nowhere_worse(found.goals, one)]
        self._front.append(found.goals)
        return True


def _measured(study: Study, counted: Counted, name: str) -> float:
    result = counted.result
    if name == study.metric:
        return math.nan if result.value is None else result.value
    return result.seconds if name == SECONDS else result.metrics.get(name, math.nan)


def _is_nowhere_worse(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(mine <= its for mine, its in zip(one, other, strict=True))
