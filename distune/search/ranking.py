"""The history of a study and the ranking of its configurations. Pure."""

import bisect
import math
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile
from typing import overload

from distune.search.configuration import (
    Configuration,
    Tier,
    decoded,
    ended_as,
)
from distune.search.confirming import Confirmation, FreshTrainings, Searched, confirm
from distune.search.order import Order
from distune.share import records
from distune.study.study import Study
from distune.study.trial import Counted, Dropped, Outcome, Params, Purpose, is_of_search, params_key


class CountedTrials(Sequence[Counted]):
    """Counted trials, in the order in which they were counted. Each is kept as its line and decoded
    when asked for: half a kilobyte instead of a whole one, and 4 us to decode it.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, i: int) -> Counted: ...
    @overload
    def __getitem__(self, i: slice) -> list[Counted]: ...
    def __getitem__(self, i: int | slice) -> Counted | list[Counted]:
        found = self.lines[i]
        return decoded(found) if isinstance(found, bytes) else list(map(decoded, found))

    def __iter__(self) -> Iterator[Counted]:
        return map(decoded, self.lines)


class History:
    """Every counted trial, once (P3), and the ranking that follows from them: of all but those that
    were tried again, for which their successors stand, and those that a person has dropped. Adding
    one costs the same however many there are (P11), but for a search in the ranking.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.trials = CountedTrials()  # in the order in which they were; without tests
        self.tests: list[Counted] = []
        self.outcomes: Counter[Outcome] = Counter()  # of the trials that are ranked
        self.retried = 0  # attempts that failed and were tried again
        self.taken_back = 0  # attempts that were lost or given back, and tried again
        self.codes: Counter[str] = Counter()  # digests of the code of those that are ranked
        self.highest = -1  # number of a trial
        self.trained = (
            0.0  # seconds of training, of all trials; what is ranked no more and was lost, too
        )
        self.elapsed = 0.0  # seconds that the study had run when the last trial was counted
        self._lines: dict[int, bytes] = {}  # of trials, by number
        self._tests: dict[int, Counted] = {}  # by number
        self._tests_of: dict[str, list[Counted]] = {}  # by configuration
        self._fresh = FreshTrainings()
        self._confirmation: tuple[tuple[int, int], Confirmation] | None = None  # as of when
        self._configurations: dict[str, Configuration] = {}
        self._order = Order(study)
        self._replaced: set[int] = set()  # numbers of trials
        self._extending: set[int] = set()  # numbers of those that trained others further
        self._on_top: set[int] = set()  # numbers of those that the search has not asked for
        self._dropped: dict[int, Dropped] = {}  # by number of the trial

    def __len__(self) -> int:
        return len(self.trials)

    def lines(self) -> Iterator[bytes]:
        """All that was counted, tests last, as lines of the file."""
        return chain(self.trials.lines, map(records.encode, self.tests))

    def has(self, key: tuple[Purpose, int]) -> bool:
        """Whether a trial, or a test, has been counted."""
        purpose, number = key
        return number in (self._tests if purpose is Purpose.TEST else self._lines)

    @property
    def counted(self) -> Container[int]:
        """The trials that have been counted, by their numbers."""
        return self._lines.keys()

    def keys(self) -> list[tuple[Purpose, int]]:
        """Each trial that has been counted, and each test."""
        trained = [(Purpose.TRAIN, number) for number in self._lines]
        return trained + [(Purpose.TEST, number) for number in self._tests]

    def missing(self, start: int, stop: int) -> Iterable[int]:
        """The trials from one number to before another that have not been counted."""
        if start == 0 and stop == len(self._lines) == self.highest + 1:
            return ()  # all of a long history: no need to look at each
        return (number for number in range(start, stop) if number not in self._lines)

    def get(self, key: tuple[Purpose, int]) -> Counted | None:
        purpose, number = key
        if purpose is Purpose.TEST:
            return self._tests.get(number)
        line = self._lines.get(number)
        return None if line is None else decoded(line)

    def add(self, counted: Counted, line: bytes | None = None) -> bool:
        """Count a trial, with its line in the file; False if it has been counted before."""
        if self.has(counted.key):
            return False
        if counted.trial.purpose is Purpose.TEST:
            self._add_test(counted)
        else:
            self._add_trial(counted, line or records.encode(counted))
        return True

    def _add_trial(self, counted: Counted, line: bytes) -> None:
        trial = counted.trial
        self.trials.lines.append(line)
        self._lines[trial.number] = line
        self.retried += trial.failures
        rungs = trial.pauses_at
        promoted = len(rungs.passed) if rungs is not None else 0
        self.taken_back += max(trial.attempt - 1 - trial.failures - promoted, 0)
        self.highest = max(self.highest, trial.number)
        if counted.elapsed is not None:
            self.elapsed = max(self.elapsed, counted.elapsed)
        if math.isfinite(counted.result.seconds):
            self.trained += max(counted.result.seconds, 0.0) + trial.wasted_seconds
        if trial.confirms is not None:
            self._fresh.add(trial)
        if not self._is_out(counted):
            self._rank_trial(counted, line)
        if trial.extends is not None:
            self._extending.add(trial.number)
        if trial.wish is not None or not is_of_search(trial):
            self._on_top.add(trial.number)
        if trial.replaces is not None and trial.replaces not in self._replaced:
            self._take_out(trial.replaces)
            self._replaced.add(trial.replaces)

    def _rank_trial(self, counted: Counted, line: bytes) -> None:
        self.outcomes[counted.result.outcome] += 1
        self.codes[counted.code] += 1
        key, ended = params_key(counted.trial.params), ended_as(counted, line)
        if counted.trial.confirms is not None:
            self._fresh.of(key)[counted.trial.repeat] = ended
            return
        configuration = self._configurations.get(key)
        if configuration is None:
            tests = self._tests_of.get(key, ())
            configuration = (
                Configuration(ended, tests)
                if self.study.confirm is None
                else Configuration(ended, tests, self._fresh.of(key))
            )
            self._configurations[key] = configuration
        else:
            configuration.add(ended)
        self._order.change(key, configuration)

    def _take_out(self, number: int) -> None:
        """Rank a trial no more, if it is ranked."""
        counted = self.get((Purpose.TRAIN, number))
        if counted is None or self._is_out(counted):
            return
        self.outcomes[counted.result.outcome] -= 1
        self.codes[counted.code] -= 1
        key = params_key(counted.trial.params)
        if counted.trial.confirms is not None:
            self._fresh.take_out(counted.trial)
            return
        configuration = self._configurations[key]
        configuration.remove(number)
        if configuration.size:
            self._order.change(key, configuration)
            return
        del self._configurations[key]
        self._order.remove(key, configuration)

    def _is_out(self, counted: Counted) -> bool:
        number = counted.trial.number
        dropped = self._dropped.get(number)
        return number in self._replaced or (dropped is not None and dropped == Dropped.of(counted))

    def drop(self, dropped: Dropped) -> None:
        """Rank a trial no more, whether it has been counted yet or not."""
        counted = self.get((Purpose.TRAIN, dropped.trial))
        if counted is not None and Dropped.of(counted) == dropped:
            self._take_out(dropped.trial)
        self._dropped[dropped.trial] = dropped

    @property
    def versions(self) -> dict[str, int]:
        """How many of the trials that are ranked each version of the user's code has trained, by
        its digest; none of those that are not known.
        """
        return {code: count for code, count in self.codes.items() if code and count > 0}

    @property
    def standing(self) -> Sequence[Counted]:
        """The trials that are ranked, in the order in which they were counted."""
        if not self._replaced and not self._dropped:
            return self.trials
        return [counted for counted in self.trials if not self._is_out(counted)]

    @property
    def dropped(self) -> list[int]:
        """Numbers of the counted trials that a person has dropped, and nothing has replaced."""
        found = (self.get((Purpose.TRAIN, number)) for number in sorted(self._dropped))
        return [
            one.trial.number
            for one in found
            if one is not None and self._is_out(one) and one.trial.number not in self._replaced
        ]

    @property
    def drops(self) -> list[Dropped]:
        """What persons have dropped, counted or not, in that order."""
        return list(self._dropped.values())

    def stands(self, counted: Counted) -> bool:
        """Whether a counted trial is ranked."""
        return not self._is_out(counted)

    @property
    def left_out(self) -> int:
        """Grows with each trial that is ranked no more."""
        return len(self._replaced) + len(self._dropped)

    @property
    def tried(self) -> frozenset[str]:
        """The `params_key` of all settings of which a trial is ranked, as of now."""
        return frozenset(self._configurations)

    def known(self, params: Params) -> Configuration | None:
        """That with these params, whether its place in the ranking is known or not: while that is
        worked out, another thread may ask.
        """
        return self._configurations.get(params_key(params))

    def configuration_of(self, params: Params) -> Configuration | None:
        """That with these params, if a trial of it is ranked."""
        next(iter(self._order), None)  # it may have changed
        return self._configurations.get(params_key(params))

    @property
    def over(self) -> int:
        """How many trials are over: one that was tried again counts once."""
        return len(self.trials) - sum(number in self._lines for number in self._replaced)

    @property
    def confirming(self) -> int:
        """How many of these are fresh trainings that confirm what the search has found."""
        return len(self._fresh.numbers - self._replaced)

    @property
    def on_top(self) -> int:
        """How many of these the search has not asked for: no limit counts them."""
        return len(self._on_top - self._replaced)

    def is_replaced(self, number: int) -> bool:
        """Whether another trial stands for this one."""
        return number in self._replaced

    def _add_test(self, counted: Counted) -> None:
        self.tests.append(counted)
        self._tests[counted.trial.number] = counted
        key = params_key(counted.trial.params)
        tests = self._tests_of.setdefault(key, [])
        bisect.insort(tests, counted, key=lambda test: test.trial.number)
        if key in self._configurations:
            self._configurations[key].tests = tests

    def begin_anew(self, many: Iterable[Counted]) -> None:
        """Forget all of it and count these: some lines were not what their trials had been."""
        dropped = self._dropped
        vars(self).update(vars(History(self.study)), _dropped=dropped)
        self.extend(many)

    def extend(self, many: Iterable[Counted]) -> None:
        for counted in many:
            self.add(counted)

    # -- the ranking -----------------------------------------------------------------------

    def front(self) -> list[Configuration]:
        """Of several objectives: the configurations that no other one dominates, in the order of
        the ranking. All have all their repeats, unless none does. Else nothing.
        """
        return self._order.front()

    @property
    def configurations(self) -> int:
        """How many there are."""
        return len(self._configurations)

    def confirmation(self) -> Confirmation | None:
        """How confirming the best would stand, or does, if the search were over; None where a study
        does without.
        """
        if self.study.confirm is None:
            return None
        now = len(self.trials), self.left_out
        if self._confirmation is None or self._confirmation[0] != now:
            before = self._confirmation[1].order if self._confirmation is not None else []
            found = confirm(self.study, self.study.confirm, self._searched(self.study.confirm.top))
            for one in before:
                one.is_confirmed = False
            for one in found.order:
                one.is_confirmed, one.rounds = True, found.found.rounds
            self._confirmation = now, found
        return self._confirmation[1]

    def _searched(self, count: int) -> Searched:
        complete = self._order.complete()
        best = self._not_extended((one for *_, one in complete), count)
        median = complete[len(complete) // 2][3].searched_mean if complete else None
        trainings = self.over - self.confirming
        return Searched(best, median or 0.0, trainings, self.confirming)

    def _placed(self) -> Iterator[Configuration]:
        """The configurations, best first: what is confirmed stands before all others."""
        confirmation = self.confirmation()
        first = confirmation.order if confirmation is not None else []
        yield from first
        for *_, one in self._order:
            if not one.is_confirmed:
                yield one

    def ranking(self, count: int | None = None) -> list[Configuration]:
        """The configurations, best first; all, or the first `count`. Of several objectives: the
        front, then what would be the front without it, and so on, each by the first objective.
        """
        return list(islice(self._placed(), count))

    def places(self, count: int | None = None) -> Iterator[tuple[int | None, Configuration]]:
        """The same, each with its rank, from 1; one that failed has none."""
        for rank, one in enumerate(self.ranking(count), 1):
            yield None if one.tier(self.study.repeats) is Tier.FAILED else rank, one

    def best(self, count: int) -> list[Configuration]:
        """The first `count` that have a result, but for those that were trained further since."""
        repeats = self.study.repeats
        with_result = takewhile(lambda one: one.tier(repeats) <= Tier.PARTIAL, self._placed())
        return self._not_extended(with_result, count)

    def _not_extended(self, some: Iterable[Configuration], count: int) -> list[Configuration]:
        extended = {counted.trial.extends for counted in self._extensions()}
        found = (
            one
            for one in some
            if not extended.issuperset(counted.trial.number for counted in one.complete)
        )
        return list(islice(found, count))

    def _extensions(self) -> Iterator[Counted]:
        """The trials that are ranked, and have trained others further."""
        for number in self._extending:
            counted = decoded(self._lines[number])
            if counted.result.outcome is Outcome.COMPLETE and not self._is_out(counted):
                yield counted

    def winner(self) -> Configuration | None:
        """The best configuration; None while none has a finite value.

        One with all its repeats beats any without: a lucky single trial is no winner. Of several
        objectives, it is the one of the front that is best by the first.
        """
        first = next(self._placed(), None)
        return first if first is not None and first.is_confirmed else self.best_of_search()

    def best_of_search(self) -> Configuration | None:
        """The same, whatever has been confirmed since."""
        for tier, order, _, configuration in islice(self._order, 1):
            if math.isfinite(order) and tier < Tier.INFEASIBLE:
                return configuration
        return None

    def target_reached(self, target: float | None) -> Configuration | None:
        """The best of the search, if it has all its repeats and is good enough."""
        best = self.best_of_search()
        mean = best.searched_mean if best is not None else None
        if target is None or best is None or mean is None:
            return None
        if best.tier(self.study.repeats) is not Tier.FULL:
            return None
        reached = mean >= target if self.study.direction == "maximize" else mean <= target
        return best if reached else None
