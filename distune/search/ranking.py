"""The history of a study and the ranking of its configurations. Pure.

Configurations are ranked, not runs: a configuration's trials (its repeats) are pooled.
"""

from __future__ import annotations

import bisect
import gc
import itertools
import math
import zlib
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import cast, overload

from sortedcontainers import SortedList

from distune.errors import BadRecord
from distune.share import records
from distune.study.study import Study
from distune.study.trial import Counted, Outcome, Params, Purpose, params_key

#: So many trials, those counted or asked for last, are kept as they are; and configurations.
_TRIALS_KEPT = 256
_CONFIGURATIONS_KEPT = 256


class Tier(IntEnum):
    """A configuration of a lower tier stands above any of a higher one, whatever its value."""

    FULL = 0  # all its repeats are complete: it can win
    PARTIAL = 1  # some are complete
    PRUNED = 2  # it was stopped before any was
    DIVERGED = 3  # a repeat ended without a finite value: a result, ranked last
    FAILED = 4  # no repeat gave a result


_PRUNED, _DIVERGED, _FAILED = int(Tier.PRUNED), int(Tier.DIVERGED), int(Tier.FAILED)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


class _Standing:
    """What a configuration is ranked by, of its runs so far: a number or two of each.

    Attributes:
        diverged: a run ended without a finite value.
    """

    __slots__ = ("_complete", "_pruned", "_was_pruned", "diverged")

    def __init__(self) -> None:
        self.diverged = False
        self._complete = array("d")
        self._pruned = array("d")
        self._was_pruned = False

    def add(self, run: Counted) -> None:
        outcome, value = run.result.outcome, run.result.value
        finite = value is not None and math.isfinite(value)
        if outcome is Outcome.DIVERGED or (outcome is Outcome.COMPLETE and not finite):
            self.diverged = True
        elif outcome is Outcome.COMPLETE:
            self._complete.append(cast(float, value))
        elif outcome is Outcome.PRUNED:
            self._was_pruned = True
            if finite:
                self._pruned.append(cast(float, value))

    @property
    def values(self) -> list[float]:
        return [math.nan] if self.diverged else list(self._complete or self._pruned)

    @property
    def mean(self) -> float | None:
        if self.diverged:
            return math.nan
        values = self._complete or self._pruned
        try:
            return _mean(values) if values else None
        except OverflowError:
            return math.nan

    def tier(self, repeats: int) -> Tier:
        if self.diverged:
            return Tier.DIVERGED
        if len(self._complete) >= repeats:
            return Tier.FULL
        if self._complete:
            return Tier.PARTIAL
        return Tier.PRUNED if self._was_pruned else Tier.FAILED


@dataclass
class Configuration:
    """One setting and the trials made of it, by repeat."""

    params: Params
    runs: list[Counted] = field(default_factory=list)
    tests: list[Counted] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The number of its first trial, which names it."""
        return min(run.trial.number for run in self.runs)

    @property
    def complete(self) -> list[Counted]:
        return [run for run in self.runs if run.result.outcome is Outcome.COMPLETE]

    @property
    def _standing(self) -> _Standing:
        standing = _Standing()
        for run in self.runs:
            standing.add(run)
        return standing

    @property
    def values(self) -> list[float]:
        """What its mean is the mean of: complete runs, or for want of them pruned ones."""
        return self._standing.values

    @property
    def mean(self) -> float | None:
        return self._standing.mean

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over its repeats; None with fewer than two."""
        standing = self._standing
        values = standing.values
        if standing.diverged or len(values) < 2:
            return None
        import statistics  # slow to import, and needed only where there are repeats

        try:
            return statistics.stdev(values)
        except OverflowError:
            return math.nan

    @property
    def seconds(self) -> float:
        """Of training, the mean over its runs."""
        return _mean([run.result.seconds for run in self.runs])

    @property
    def parameters(self) -> float | None:
        """Trainable numbers in the network, if the objective says so."""
        for run in self.runs:
            if "parameters" in run.result.metrics:
                return run.result.metrics["parameters"]
        return None

    def test_mean(self, metric: str) -> float | None:
        """Mean over its repeats of a metric on the test set; None before the end."""
        values = [
            t.result.metrics[metric]
            for t in self.tests
            if t.result.outcome is Outcome.COMPLETE and metric in t.result.metrics
        ]
        return _mean(values) if values else None

    def tier(self, repeats: int) -> Tier:
        return self._standing.tier(repeats)


#: Tier, what it is ranked by, its first trial, and which configuration it is.
_Place = tuple[int, float, int, int]


def _rows(runs: int | list[int]) -> list[int]:
    """Of a configuration; most have one, and an object less for it."""
    return [runs] if isinstance(runs, int) else runs


@contextmanager
def _no_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Lines:
    """Many lines, one after the other: an object for each would be a tenth more."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._ends = array("Q", [0])
        self._checked = 0, 0

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, i: int) -> bytes:
        return bytes(self._data[self._ends[i] : self._ends[i + 1]])

    def append(self, line: bytes) -> None:
        self._data += line
        self._ends.append(len(self._data))

    def begin(self, text: bytes, ends: array[int]) -> None:
        """Have these lines, which are one text already."""
        self._data, self._ends = bytearray(text), ends

    def lengths(self) -> array[int]:
        return array("I", (end - begin for begin, end in itertools.pairwise(self._ends)))

    def checksum(self) -> tuple[int, int]:
        """How many bytes there are, and their CRC; what was asked for before goes fast."""
        size, crc = self._checked
        with memoryview(self._data) as data, data[size:] as new:
            self._checked = len(data), zlib.crc32(new, crc)
        return self._checked


@dataclass(frozen=True)
class Indexed:
    """What a history knows of its lines, for `distune.share.index`.

    Attributes:
        size, crc: of the lines.
        outcomes, retried, taken_back, elapsed: of the history.
        rows, numbers, configuration_of: of each trial, in the order in which they were counted.
        digests, tiers, orders, firsts: of each configuration; see `_Place`.
        ranked: the configurations, best first.
        tests: the rows of the tests.
        lengths: of all lines, in bytes.
    """

    size: int
    crc: int
    outcomes: Counter[Outcome]
    retried: int
    taken_back: int
    elapsed: float
    rows: array[int]
    numbers: array[int]
    configuration_of: array[int]
    digests: array[int]
    tiers: array[int]
    orders: array[float]
    firsts: array[int]
    ranked: array[int]
    tests: array[int]
    lengths: array[int]

    def is_consistent(self) -> bool:
        """Whether a history can be so."""
        lines, count, configurations = len(self.lengths), len(self.rows), len(self.digests)
        return (
            len(self.numbers) == len(self.configuration_of) == count == self.outcomes.total()
            and len(self.tiers) == len(self.orders) == len(self.firsts) == configurations
            and len(self.ranked) == configurations
            and count + len(self.tests) == lines
            and set(self.rows).union(self.tests) == set(range(lines))
            and len(set(self.numbers)) == count
            and len(set(self.digests)) == configurations
            and set(self.ranked) == set(self.configuration_of) == set(range(configurations))
            and not any(map(math.isnan, self.orders))
        )


class Trials(Sequence[Counted]):
    """Counted trials, in the order in which they were: read from their lines when asked for."""

    def __init__(self, history: History) -> None:
        self._history = history

    def __len__(self) -> int:
        return len(self._history)

    @overload
    def __getitem__(self, i: int) -> Counted: ...
    @overload
    def __getitem__(self, i: slice) -> list[Counted]: ...
    def __getitem__(self, i: int | slice) -> Counted | list[Counted]:
        rows = self._history._trial_rows[i]
        if isinstance(rows, int):
            return self._history._counted(rows)
        return [self._history._counted(row) for row in rows]

    def __iter__(self) -> Iterator[Counted]:
        for row in self._history._trial_rows:
            yield self._history._counted(row)


class History:
    """Every counted trial, once (P3), and the ranking that follows from them.

    Of a trial it keeps the line of `history.jsonl`, which is read again when somebody asks for
    it, and its place in the ranking: less than a kilobyte. Adding one costs the same however
    many there are (P11), but for a search in the ranking.

    Attributes:
        trials: those counted, in the order in which they were; tests are not among them.
        tests: likewise.
        outcomes: how many of the trials ended how.
        retried: attempts at them that failed and were tried again.
        taken_back: attempts at them that were lost or given back, and tried again.
        highest: the highest number of a trial; -1 if there is none.
        elapsed: how long the study had run when a trial was counted, at the latest.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._sign = -1.0 if study.direction == "maximize" else 1.0
        self._when_complete = int(Tier.FULL if study.repeats <= 1 else Tier.PARTIAL)
        self.trials: Sequence[Counted] = Trials(self)
        self.tests: list[Counted] = []
        self.outcomes: Counter[Outcome] = Counter()
        self.retried = 0
        self.taken_back = 0
        self.highest = -1
        self.elapsed = 0.0
        self._lines = _Lines()  # a row for each trial and test
        self._trial_rows = array("Q")
        self._row_of: dict[int, int] = {}  # by trial
        self._tests: dict[int, Counted] = {}  # by trial
        self._tests_of: dict[str, list[Counted]] = {}  # by setting
        self._kept: dict[int, Counted] = {}  # by row
        self._keeps_all = False
        # Configurations are numbered as they come.
        self._known: dict[int, int] = {}  # by a digest of their setting
        self._runs: list[int | list[int]] = []  # its row, or rows
        self._places: list[_Place] = []
        self._standings: dict[int, _Standing] = {}  # of those of several runs
        self._configurations: dict[int, Configuration] = {}  # looked at lately
        self._ranked: SortedList = SortedList()
        self._to_rank: list[_Place] = []
        self._to_drop: list[_Place] = []

    def __len__(self) -> int:
        return len(self._trial_rows)

    def lines(self, count: int | None = None) -> Iterator[bytes]:
        """All that was counted, tests too, in the order in which it was, as lines of the file.

        Args:
            count: the first so many.
        """
        return map(self.line, range(self.rows if count is None else count))

    def line(self, row: int) -> bytes:
        """One of them."""
        return self._lines[row]

    @property
    def rows(self) -> int:
        """How many lines those are."""
        return len(self._lines)

    def keep_all(self) -> None:
        """Keep each trial as it is once it was asked for: for who goes through all of them again
        and again, and has the memory.
        """
        self._keeps_all = True

    def has(self, key: tuple[Purpose, int]) -> bool:
        """Whether a trial, or a test, has been counted."""
        purpose, number = key
        return number in (self._tests if purpose is Purpose.TEST else self._row_of)

    @property
    def counted(self) -> Container[int]:
        """The trials that have been counted, by their numbers."""
        return self._row_of.keys()

    def missing(self, start: int, stop: int) -> Iterable[int]:
        """The trials from one number to before another that have not been counted."""
        if start == 0 and stop == len(self._row_of) == self.highest + 1:
            return ()  # all of a long history: no need to look at each
        return (number for number in range(start, stop) if number not in self._row_of)

    def get(self, key: tuple[Purpose, int]) -> Counted | None:
        purpose, number = key
        if purpose is Purpose.TEST:
            return self._tests.get(number)
        row = self._row_of.get(number)
        return None if row is None else self._counted(row)

    def _counted(self, row: int) -> Counted:
        counted = self._kept.get(row)
        if counted is None:
            counted = cast(Counted, records.decode_again(self._lines[row]))
            self._keep(row, counted)
        return counted

    def _keep(self, row: int, counted: Counted) -> None:
        self._kept[row] = counted
        if len(self._kept) > 2 * _TRIALS_KEPT and not self._keeps_all:
            self._kept = dict(list(self._kept.items())[-_TRIALS_KEPT:])

    def add(self, counted: Counted, line: bytes | None = None) -> bool:
        """Count a trial; False if it has been counted before, which then stands.

        Args:
            counted: the trial.
            line: what it is in the file, if that is known.
        """
        trial = counted.trial
        if self.has(trial.key):
            return False
        row = len(self._lines)
        self._lines.append(line or records.encode(counted))
        if trial.purpose is Purpose.TEST:
            self._add_test(counted)
            return True
        self._row_of[trial.number] = row
        self._trial_rows.append(row)
        self._keep(row, counted)
        self.outcomes[counted.result.outcome] += 1
        if trial.attempt > 1:
            self.retried += trial.failures
            self.taken_back += max(trial.attempt - 1 - trial.failures, 0)
        if trial.number > self.highest:
            self.highest = trial.number
        if counted.elapsed is not None and counted.elapsed > self.elapsed:
            self.elapsed = counted.elapsed
        self._rank(counted, row)
        return True

    def _add_test(self, counted: Counted) -> None:
        self.tests.append(counted)
        self._tests[counted.trial.number] = counted
        key = params_key(counted.trial.params)
        tests = self._tests_of.setdefault(key, [])
        tests.append(counted)
        tests.sort(key=lambda test: test.trial.number)
        configuration = self._number_of(key)[1]
        if configuration is not None:
            self._configurations.pop(configuration, None)

    def extend(self, many: Iterable[Counted]) -> None:
        for counted in many:
            self.add(counted)

    # -- the ranking -----------------------------------------------------------------------

    def _number_of(self, key: str) -> tuple[int, int | None]:
        """A digest of a setting that is its own, and the configuration's number, if it has one."""
        digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
        while (number := self._known.get(digest)) is not None:
            first = self._counted(_rows(self._runs[number])[0])
            if params_key(first.trial.params) == key:
                return digest, number
            digest = (digest + 1) % 2**64  # two settings share it
        return digest, None

    def _rank(self, counted: Counted, row: int) -> None:
        digest, number = self._number_of(params_key(counted.trial.params))
        if number is None:
            number = len(self._runs)
            if number == row:
                number = row  # one object, not two: there will be many
            self._known[digest] = number
            self._runs.append(row)
            self._places.append((*self._first_place(counted), counted.trial.number, number))
        else:
            self._add_run(counted, row, number)
        self._to_rank.append(self._places[number])

    def _add_run(self, counted: Counted, row: int, number: int) -> None:
        """One more of a configuration, at no more cost if it has had ten thousand."""
        standing = self._standing(number)
        standing.add(counted)
        self._runs[number] = several = _rows(self._runs[number])
        # By number, not by arrival: what is shown must not depend on who was faster.
        at = bisect.bisect(
            several, counted.trial.number, key=lambda one: self._counted(one).trial.number
        )
        several.insert(at, row)
        configuration = self._configurations.get(number)
        if configuration is not None:
            configuration.runs.insert(at, counted)
        mean, first = standing.mean, min(self._places[number][2], counted.trial.number)
        order = math.inf if mean is None or not math.isfinite(mean) else self._sign * mean
        self._to_drop.append(self._places[number])
        self._places[number] = int(standing.tier(self.study.repeats)), order, first, number

    def _standing(self, number: int) -> _Standing:
        known = self._standings.get(number)
        if known is None:
            known = self._standings[number] = _Standing()
            for row in _rows(self._runs[number]):
                known.add(self._counted(row))
        return known

    def _configuration(self, number: int) -> Configuration:
        known = self._configurations.get(number)
        if known is None:
            counted = [self._counted(row) for row in _rows(self._runs[number])]
            params = counted[0].trial.params
            tests = self._tests_of.get(params_key(params), []) if self._tests_of else []
            known = Configuration(params, counted, list(tests))
            if len(self._configurations) >= _CONFIGURATIONS_KEPT and not self._keeps_all:
                self._configurations.clear()
            self._configurations[number] = known
        return known

    def _first_place(self, counted: Counted) -> tuple[int, float]:
        """Where one trial stands that is all there is of its configuration: as by its `_Standing`,
        which takes four times as long.
        """
        outcome, value = counted.result.outcome, counted.result.value
        finite = value is not None and math.isfinite(value)
        if outcome is Outcome.COMPLETE and finite:
            tier = self._when_complete
        elif outcome is Outcome.PRUNED:
            tier = _PRUNED
        else:
            ran = outcome in (Outcome.COMPLETE, Outcome.DIVERGED)
            return _DIVERGED if ran else _FAILED, math.inf
        return tier, self._sign * value if value is not None and finite else math.inf

    def _in_order(self) -> SortedList:
        """The places, sorted. All that came since somebody asked before is sorted in at once:
        a start with a long history sorts it once.
        """
        if self._to_rank:
            self._ranked.update(self._to_rank)
            for place in self._to_drop:
                self._ranked.remove(place)
            self._to_rank, self._to_drop = [], []
        return self._ranked

    @property
    def configurations(self) -> int:
        """How many there are."""
        return len(self._runs)

    def ranking(self, count: int | None = None) -> list[Configuration]:
        """The configurations, best first; all, or the first `count`."""
        return list(self.ranked(count))

    def ranked(self, count: int | None = None) -> Iterator[Configuration]:
        """The same, one after the other: for who wants all, but not all of them in memory."""
        for place in self._in_order()[:count]:
            yield self._configuration(place[3])

    # -- the index -------------------------------------------------------------------------

    def indexed(self) -> Indexed:
        """What `begin` needs."""
        size, crc = self._lines.checksum()
        configuration_of = array("Q", bytes(8 * len(self._lines)))  # by row
        for number, runs in enumerate(self._runs):
            for row in _rows(runs):
                configuration_of[row] = number
        digests = array("Q", bytes(8 * len(self._known)))
        for digest, number in self._known.items():
            digests[number] = digest
        return Indexed(
            size=size,
            crc=crc,
            outcomes=self.outcomes,
            retried=self.retried,
            taken_back=self.taken_back,
            elapsed=self.elapsed,
            rows=self._trial_rows,
            numbers=array("Q", self._row_of),
            configuration_of=array("Q", (configuration_of[row] for row in self._trial_rows)),
            digests=digests,
            tiers=array("B", (place[0] for place in self._places)),
            orders=array("d", (place[1] for place in self._places)),
            firsts=array("Q", (place[2] for place in self._places)),
            ranked=array("Q", (place[3] for place in self._in_order())),
            tests=array("Q", sorted(set(range(self.rows)).difference(self._trial_rows))),
            lengths=self._lines.lengths(),
        )

    def begin(self, known: Indexed, text: bytes) -> bool:
        """Be what `indexed` said of another history, which had these lines.

        Args:
            known: what it said.
            text: the lines.

        Returns:
            False if that cannot be: then nothing has happened.
        """
        assert not self.rows
        ends = array("Q", itertools.accumulate(known.lengths, initial=0))
        if ends[-1] != len(text) or not known.is_consistent():
            return False
        try:
            tested = [records.decode(text[ends[row] : ends[row + 1]]) for row in known.tests]
        except BadRecord:
            return False
        self._lines.begin(text, ends)
        self.outcomes = Counter(known.outcomes)
        self.retried, self.taken_back = known.retried, known.taken_back
        self.elapsed, self.highest = known.elapsed, max(known.numbers, default=-1)
        with _no_collection():  # of a hundred thousand new tuples, none is garbage
            self._trial_rows = known.rows
            self._row_of = dict(zip(known.numbers, known.rows, strict=True))
            self._known = {digest: number for number, digest in enumerate(known.digests)}
            self._runs = self._runs_of(known)
            configurations = range(len(known.digests))
            self._places = list(
                zip(known.tiers, known.orders, known.firsts, configurations, strict=True)
            )
            self._ranked = SortedList(self._places[number] for number in known.ranked)
        for test in tested:
            if isinstance(test, Counted):
                self._add_test(test)
        return True

    def _runs_of(self, known: Indexed) -> list[int | list[int]]:
        """The rows of each configuration, in the order of their numbers."""
        runs: list[int | list[int]] = [-1] * len(known.digests)
        if len(runs) == len(known.rows):
            for row, number in zip(known.rows, known.configuration_of, strict=True):
                runs[number] = row
            return runs
        # By number, not by arrival.
        in_order = sorted(zip(known.numbers, known.rows, known.configuration_of, strict=True))
        for _, row, number in in_order:
            several = runs[number]
            if several == -1:
                runs[number] = row
            elif isinstance(several, int):
                runs[number] = [several, row]
            else:
                several.append(row)
        return runs

    def winner(self) -> Configuration | None:
        """The best configuration; None while none has a finite value.

        One with all its repeats beats any without: a lucky single run is no winner.
        """
        for _, order, _, number in self._in_order()[:1]:
            if math.isfinite(order):
                return self._configuration(number)
        return None

    def target_reached(self, target: float | None) -> Configuration | None:
        """The winner, if it has all its repeats and is good enough."""
        for tier, order, _, number in self._in_order()[:1]:
            if target is None or tier != Tier.FULL or not math.isfinite(order):
                continue
            if order <= self._sign * target:
                return self._configuration(number)
        return None
