"""What was asked: the configurations of a study, as their sampler gave them. Remembered, never
computed again: a sampler that learns cannot give its answer twice. Pure.
"""

import itertools
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence

from distune.search.configuration import Configuration
from distune.search.ranking import History
from distune.share import records
from distune.study.study import MOST_ADDED, Study
from distune.study.trial import (
    Asked,
    Checkpoint,
    Params,
    Purpose,
    Trial,
    is_by_search,
    is_of_search,
)


class AskedSoFar:
    """The configurations that were asked for, by the numbers of their trials. The history, which
    may only ever grow, has the params of those that are over; so only the lines of the others are
    kept, and sixteen bytes for each configuration.
    """

    def __init__(self, study: Study, history: History | None = None) -> None:
        self.study = study
        self.next_configuration = 0  # the lowest number that is higher than all of them
        self.next_trial = 0  # likewise, of their trials
        self._history = history if history is not None else History(study)
        self._first = array("q")  # of a line's trials, in their order; and the last one of each
        self._last = array("q")
        self.trials = 0  # how many were asked for
        self._lines: dict[int, bytes] = {}  # by the first trial: of what is not over
        #: Counted trials that are tried again, and the trials that were asked for in their place.
        self.again: dict[int, int] = {}
        #: Trials that train counted ones further, and which ones.
        self.extends: dict[int, int] = {}
        #: What persons have asked for while the study was under way, and its configurations.
        self.wishes: dict[str, int] = {}
        self._wished: list[int] = []  # numbers of its trials
        #: Fresh trainings that confirm the best: by the first trial of the configuration that they
        #: confirm and the index of their seed. Of one that was tried again, the last trial.
        self.confirms: dict[tuple[int, int], int] = {}
        self._at_the_end: set[int] = set()  # numbers of these that no person has asked for
        #: How many repeats beyond the study's were asked for, by configuration.
        self.added: dict[int, int] = {}
        #: Numbers of all that the limit does not count, sorted.
        self._by_name: list[int] = []

    def __len__(self) -> int:
        return len(self._first)

    def add(self, asked: Asked, line: bytes | None = None) -> bool:
        """Take one in, with the line that it is encoded as, if that is known. False if another has
        one of its trials already, or is the repeat of a configuration that this one asks for: that
        stands then.
        """
        last = asked.trial + asked.repeats - 1
        place = bisect_right(self._first, last)
        if place and self._last[place - 1] >= asked.trial:
            return False
        if place == len(self._first) and self._is_late(asked):
            return False
        self._first.insert(place, asked.trial)
        self._last.insert(place, last)
        self.trials += asked.repeats
        if asked.replaces is not None:
            self.again[asked.replaces] = asked.trial
        if asked.extends is not None:
            self.extends[asked.trial] = asked.extends
        if asked.confirms is not None:
            which = asked.confirms, asked.repeat
            self.confirms[which] = max(asked.trial, self.confirms.get(which, 0))
            if asked.replaces is None:
                self._at_the_end.add(asked.trial)
        if asked.adds_to is not None:
            added = asked.repeat - self.study.repeats + 1
            self.added[asked.configuration] = max(added, self.added.get(asked.configuration, 0))
        if asked.wish is not None:
            self.wishes.setdefault(asked.wish, asked.configuration)
            self._wished += range(asked.trial, last + 1)
        if asked.wish is not None or asked.replaces is not None or not is_of_search(asked):
            for number in range(asked.trial, last + 1):
                insort(self._by_name, number)
        if not self._is_over(asked.trial, last):
            self._lines[asked.trial] = line or records.encode(asked)
        self.next_configuration = max(self.next_configuration, asked.configuration + 1)
        self.next_trial = max(self.next_trial, last + 1)
        return True

    def _is_late(self, asked: Asked) -> bool:
        """Whether what comes after all others has a number that one of these has: of two masters
        that ask at the same time, one may have used up the number of a trial alone.
        """
        if asked.replaces is not None:
            return asked.replaces in self.again
        if asked.confirms is not None:
            return (asked.confirms, asked.repeat) in self.confirms
        if not is_of_search(asked):
            return False
        if asked.adds_to is not None:
            before = self.added.get(asked.configuration, 0)
            return asked.repeat < self.study.repeats + before
        return asked.repeat == 0 and asked.configuration < self.next_configuration

    def put_right(self, asked: Asked) -> bool:
        """Take one in in the place of the line that asks for the same trials; False if lines
        that ask for others, too, are in its way.
        """
        place = bisect_right(self._first, asked.trial) - 1
        last = asked.trial + asked.repeats - 1
        if place >= 0 and (self._first[place], self._last[place]) == (asked.trial, last):
            self._lines[asked.trial] = records.encode(asked)
            return True
        return self.add(asked)

    def not_over(self) -> Iterator[Asked]:
        """The configurations of which a trial is not counted yet."""
        return (self._at(bisect_right(self._first, first) - 1) for first in list(self._lines))

    def of(self, trial: int) -> Asked | None:
        """The line that asks for a trial."""
        place = bisect_right(self._first, trial) - 1
        if place < 0 or trial > self._last[place]:
            return None
        return self._at(place)

    def pending(self) -> list[int]:
        """The trials that are tried again, and of which that is not over."""
        return [
            replaced
            for replaced, number in self.again.items()
            if not self._history.has((Purpose.TRAIN, number))
        ]

    def extending(self) -> dict[int, int]:
        """Those of `extends` that are not over."""
        has = self._history.has
        return {n: of for n, of in self.extends.items() if not has((Purpose.TRAIN, n))}

    def wished(self) -> bool:
        """Whether a person has asked for a configuration, and that is not over."""
        has = self._history.has
        return any(not has((Purpose.TRAIN, number)) for number in self._wished)

    def is_wanted(self) -> bool:
        """Whether a person has asked for any of this, and that is not over."""
        return bool(self.pending() or self.extending() or self.wished())

    def for_the_end(self, before: int) -> int:
        """How many trials with lower numbers confirm the best, as far as they are not counted."""
        has = self._history.has
        return sum(n < before and not has((Purpose.TRAIN, n)) for n in self._at_the_end)

    def is_for_the_end(self, number: int) -> bool:
        """Whether a trial confirms one of the best, and no person has asked for it."""
        return number in self._at_the_end

    def wishes_before(self, configuration: int) -> int:
        """How many configurations persons have asked for before this one, and no sampler."""
        return sum(number < configuration for number in self.wishes.values())

    def may_add_to(self, configuration: int) -> bool:
        """Whether a configuration may have one more repeat, beyond the study's."""
        return self.study.repeats_duplicates and self.added.get(configuration, 0) < MOST_ADDED

    def wants(self, number: int, limit: int | None) -> bool:
        """Whether a trial is one of the first `limit`, not counting those that a person has asked
        for, which are wanted whatever the limit, nor those that confirm the best: which of these
        are wanted, the end says.
        """
        if number in self._at_the_end:
            return False
        if limit is None:
            return True
        before = bisect_left(self._by_name, number)
        by_name = self._by_name[before : before + 1] == [number]
        return by_name or number - before < limit

    def lines(self) -> Iterator[bytes]:
        """All of them, in the order of their trials; those of what is over made again."""
        for place, first in enumerate(self._first):
            yield self._lines.get(first) or records.encode(self._at(place))

    def forget_what_is_over(self) -> None:
        """Keep no line of a configuration whose trials are all counted."""
        for first in list(self._lines):
            if self._is_over(first, self._last[bisect_right(self._first, first) - 1]):
                del self._lines[first]

    def _is_over(self, first: int, last: int) -> bool:
        numbers = range(first, last + 1)
        return all(self._history.has((Purpose.TRAIN, number)) for number in numbers)

    def has_gaps(self) -> bool:
        """Whether lines were lost, and no trial tells of them."""
        return self.trials < self.next_trial

    def gaps(self) -> Iterator[Asked]:
        """What is missing: lines without params, with the lowest free configuration's numbers."""
        if not self.has_gaps():
            return
        known = {self._at(place).configuration for place in range(len(self))}
        free = (number for number in itertools.count() if number not in known)
        trial = 0
        for first, last in zip(self._first, self._last, strict=True):
            while trial < first:
                repeats = min(self.study.repeats, first - trial)
                yield Asked(
                    study=self.study.id,
                    configuration=next(free),
                    trial=trial,
                    repeats=repeats,
                    params={},
                )
                trial += repeats
            trial = last + 1

    def _at(self, place: int) -> Asked:
        first = self._first[place]
        line = self._lines.get(first)
        if line is not None:
            asked = records.decode_again(line)
            assert isinstance(asked, Asked)
            return asked
        counted = self._history.get((Purpose.TRAIN, first))
        assert counted is not None  # or the line would have been kept
        return Asked(
            study=self.study.id,
            configuration=counted.trial.configuration,
            trial=first,
            repeat=counted.trial.repeat,
            repeats=self._last[place] - first + 1,
            replaces=counted.trial.replaces,
            extends=counted.trial.extends,
            wish=counted.trial.wish,
            confirms=counted.trial.confirms,
            adds_to=counted.trial.adds_to,
            checkpoints=counted.trial.checkpoints if counted.trial.extends is not None else [],
            params=counted.trial.params,
            origin="recovered",
        )


def _seed_of(study: Study, one: Asked | Trial, repeat: int) -> int:
    if one.confirms is not None:
        return study.confirming_seed(repeat)
    return study.seed_of(one.configuration, repeat)


def trial_of(study: Study, asked: Asked, number: int) -> Trial:
    """One of the trials that were asked for, as its first attempt has it."""
    repeat = asked.repeat + number - asked.trial
    return Trial(
        study=study.id,
        number=number,
        attempt=1,
        configuration=asked.configuration,
        repeat=repeat,
        replaces=asked.replaces,
        extends=asked.extends,
        wish=asked.wish,
        confirms=asked.confirms,
        adds_to=asked.adds_to,
        checkpoints=asked.checkpoints,
        seed=_seed_of(study, asked, repeat),
        params=asked.params,
    )


def asks_for(study: Study, asked: Asked, trial: Trial) -> bool:
    """Whether a line asks for just this trial, whichever attempt or test of it this is."""
    wanted = trial_of(study, asked, trial.number)
    same = ("params", "seed", "configuration", "repeat", "wish")
    others = ("replaces", "extends", "confirms", "adds_to")
    return all(getattr(trial, name) == getattr(wanted, name) for name in (*same, *others))


def recovered_from(study: Study, trial: Trial) -> Asked | None:
    """The line that asked for a trial, made again from it; None if it is none of this study's."""
    by_name = not is_by_search(trial)
    first = trial.number - (0 if by_name else trial.repeat)
    repeats = study.repeats
    if trial.confirms is not None:
        repeats = study.confirm.max_repeats if study.confirm is not None else 0
    elif trial.adds_to is not None:
        repeats += MOST_ADDED if study.repeats_duplicates else 0
    its_own = trial.study == study.id and trial.repeat < repeats and first >= 0
    if not its_own or trial.seed != _seed_of(study, trial, trial.repeat):
        return None
    return Asked(
        study=study.id,
        configuration=trial.configuration,
        trial=first,
        repeat=trial.repeat if by_name else 0,
        repeats=1 if by_name else study.repeats,
        replaces=trial.replaces,
        extends=trial.extends,
        wish=trial.wish,
        confirms=trial.confirms,
        adds_to=trial.adds_to,
        # Of any other trial they are what its own attempts have left, and no matter of the line's.
        checkpoints=trial.checkpoints if trial.extends is not None else [],
        params=trial.params,
        origin="recovered",
    )


def asked_again(
    study: Study, counted: Trial, number: int, checkpoints: Sequence[Checkpoint] = ()
) -> Asked:
    """The line that asks for a counted trial once more, under another number. `checkpoints`: what
    it goes on from, if it trains another one further.
    """
    return Asked(
        study=study.id,
        configuration=counted.configuration,
        trial=number,
        repeat=counted.repeat,
        repeats=1,
        replaces=counted.number,
        extends=counted.extends,
        wish=counted.wish,
        confirms=counted.confirms,
        adds_to=counted.adds_to,
        checkpoints=[*checkpoints],
        params=counted.params,
        origin="retry",
    )


def asked_further(study: Study, counted: Trial, number: int, params: Params) -> Asked:
    """The line that asks for a trial that trains a counted one further, with these params."""
    return Asked(
        study=study.id,
        configuration=counted.configuration,
        trial=number,
        repeat=counted.repeat,
        repeats=1,
        extends=counted.number,
        adds_to=counted.adds_to,
        params=dict(params),
        origin="extend",
    )


def asked_to_confirm(study: Study, configuration: Configuration, index: int, number: int) -> Asked:
    """The line that asks for a fresh training of a configuration, with the seed of this index."""
    return Asked(
        study=study.id,
        configuration=configuration.trials[0].trial.configuration,
        trial=number,
        repeat=index,
        repeats=1,
        confirms=configuration.first,
        params=dict(configuration.params),
        origin="confirm",
    )


def asked_once_more(study: Study, so_far: AskedSoFar, first: Asked, number: int) -> Asked:
    """The line that asks for one more repeat of a configuration: `first` asks for its first."""
    return Asked(
        study=study.id,
        configuration=first.configuration,
        trial=number,
        repeat=study.repeats + so_far.added.get(first.configuration, 0),
        repeats=1,
        adds_to=first.trial,
        params=first.params,
    )
