"""The order of the configurations of a study, best first. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import cast

from sortedcontainers import SortedList

from distune.search.configuration import Configuration, Rank, Tier
from distune.search.goals import is_plain, judge
from distune.search.pareto import Remembered, fronts
from distune.study.study import Study


class Order:
    """Iterates over the ranks of configurations. What has changed since is sorted in at once: a
    start with a long history sorts it once.

    Of several objectives: the configurations that no other one dominates (the front), then those
    that none of the rest does, and so on, each front by the first objective.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._ranked: SortedList = SortedList()
        self._fronts: Remembered[list[Rank]] | None = None  # of several objectives
        self._changed: dict[str, Configuration] = {}

    def change(self, key: str, configuration: Configuration) -> None:
        """A configuration is new, or there is another trial of it, or one less."""
        self._changed[key] = configuration

    def remove(self, key: str, configuration: Configuration) -> None:
        """There is no trial of it any more."""
        self._changed.pop(key, None)
        if configuration.rank is not None:
            self._ranked.remove(configuration.rank)
            self._fronts = None

    def __iter__(self) -> Iterator[Rank]:
        self._sort()
        if self._fronts is None:
            return iter(cast(Iterable[Rank], self._ranked))
        return chain.from_iterable(self._fronts)

    def complete(self) -> Sequence[Rank]:
        """Those with all their repeats and a value, whatever the objectives beside the first."""
        self._sort()
        return list(islice(self._ranked, self._ranked.bisect_left((Tier.FULL, math.inf))))

    def front(self) -> list[Configuration]:
        """Of several objectives: all of the front. All have all their repeats, unless none does."""
        self._sort()
        first = next(iter(self._fronts or ()), [])
        return [one for tier, *_, one in first if tier <= Tier.PARTIAL]

    def _sort(self) -> None:
        changed, self._changed = self._changed, {}
        for configuration in changed.values():
            if configuration.rank is not None:
                self._ranked.remove(configuration.rank)
            configuration.rank = _rank(self._study, configuration)
        self._ranked.update(configuration.rank for configuration in changed.values())
        if self._study.objectives and (changed or self._fronts is None):
            self._fronts = Remembered(_by_front(list(self._ranked)))


def _rank(study: Study, configuration: Configuration) -> Rank:
    if not is_plain(study):
        configuration.judgement = judge(
            study, configuration.mean_of, whole=bool(configuration.complete)
        )
    mean, tier = configuration.searched_mean, configuration.tier(study.repeats)
    if mean is None or not math.isfinite(mean):
        order = math.inf
    else:
        order = -mean if study.direction == "maximize" else mean
    if tier is Tier.INFEASIBLE and configuration.judgement is not None:
        order = configuration.judgement.violation
    return int(tier), order, configuration.first, configuration


def _by_front(ranks: Sequence[Rank]) -> Iterator[list[Rank]]:
    """Sorted ranks, front by front; those that have no result at last, together."""
    for tier, group in groupby(ranks, key=itemgetter(0)):
        some = list(group)
        if tier > Tier.PARTIAL:
            yield some
            continue
        judged = (one.judgement for *_, one in some)
        for front in fronts([one.goals for one in judged if one is not None]):
            yield [some[place] for place in front]
