"""Mending what was found wrong with a study's counted trials, with what two of three tell."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby

from distune.errors import NotAFolder
from distune.master.counting import lines_of
from distune.search.asked import asks_for
from distune.share import protocol, records
from distune.share.doubts import Doubts
from distune.share.store import Store
from distune.study.trial import Asked, Counted, Purpose
from distune.watch.agreement import (
    Finding,
    Key,
    Mend,
    SetAside,
    WriteAsked,
    WriteDropped,
    WriteFile,
    WriteHistory,
)
from distune.watch.witnesses import Witnesses


@dataclass(frozen=True)
class Mended:
    """What was found, and whether it has been put right."""

    finding: Finding
    done: bool

    def __str__(self) -> str:
        if not self.done:
            return f"{self.finding}: it cannot be mended"
        mends = self.finding.mends  # what is set aside is told of by the store
        done = [mend for mend in mends if not isinstance(mend, SetAside)] or mends
        return f"{self.finding}: {'; '.join(map(str, done))}"


@dataclass(eq=False)
class Mender:
    """`mender.mend(finding)` for each, then `mender.write()`: only the study's master does so, or
    what keeps masters out meanwhile.
    """

    _store: Store
    _witnesses: Witnesses
    _doubts: Doubts = field(default_factory=lambda: Doubts(0.0, time.monotonic))
    #: Whether it has left alone what may only have been read too early.
    is_unsure: bool = False
    _lines: dict[Key, Counted] = field(default_factory=dict)  # of history, to be written
    _writes_history: bool = False
    _writes_asked: bool = False

    def mend(self, found: Iterable[Finding]) -> Iterator[Mended]:
        """Look at it once more, and mend what is still wrong: a trial's file at once, lines when
        `write` is called. What was found of one trial comes together.

        Raises:
            ShareError: the share did not answer; what was not done is found again.
        """
        for key, some in groupby(found, lambda one: one.key):
            again = list(some)
            if key is not None:
                self._forget_cache(key)
                again = self._witnesses.look_again(key)
            if not all(map(self._doubts.confirmed, _set_aside(again))):
                self.is_unsure = True
                continue
            for one in again:
                yield Mended(one, bool(one.mends) and all(map(self._do, one.mends)))

    def _forget_cache(self, key: Key) -> None:
        """The listing that made something seem wrong may have been this host's own old one."""
        try:
            self._store.folder.poke(protocol.seen_folder(key[1]))
        except (FileNotFoundError, NotAFolder):
            pass  # it is made when a file is

    def _do(self, mend: Mend) -> bool:
        match mend:
            case SetAside(path, why):
                self._store.set_aside(path, why)
                return True
            case WriteFile(counted, file):
                return self._store.count_as(counted.key, lines_of(counted, file))
            case WriteHistory(counted):
                self._writes_history = True
                if counted is not None:
                    self._lines[counted.key] = counted
                return True
            case WriteAsked(asked):
                self._writes_asked = True
                return asked is None or self._puts_right(asked)
            case WriteDropped():
                drops = self._witnesses.history.drops
                self._witnesses.dropped_file.write_anew(map(records.encode, drops))
                return True
        raise AssertionError(mend)

    def _puts_right(self, asked: Asked) -> bool:
        """Take in a line of `asked.jsonl`, if all that is counted of its trials fits it."""
        history, study = self._witnesses.history, self._witnesses.study
        numbers = range(asked.trial, asked.trial + asked.repeats)
        of_them = [history.get((Purpose.TRAIN, number)) for number in numbers]
        if not all(one is None or asks_for(study, asked, one.trial) for one in of_them):
            return False
        return self._witnesses.asked.put_right(asked)

    def write(self) -> None:
        """Write both files of lines anew, where that is needed.

        Raises:
            ShareError: it is not known whether that has happened; do it again.
        """
        if self._writes_history:
            self._write_history()
            self._writes_history = False
        if self._writes_asked:
            self._witnesses.asked_file.write_anew(self._witnesses.asked.lines())
            self._writes_asked = False

    def _write_history(self) -> None:
        history, file = self._witnesses.history, self._witnesses.history_file
        if self._lines:
            known = chain(history.trials, history.tests)
            lines = [self._lines.pop(one.key, one) for one in known]
            history.begin_anew([*lines, *sorted(self._lines.values(), key=_tests_last)])
            self._lines.clear()
        file.write_anew(history.lines())


def _set_aside(found: Iterable[Finding]) -> Iterator[str]:
    """The paths of what would be set aside."""
    for one in found:
        yield from (mend.path for mend in one.mends if isinstance(mend, SetAside))


def _tests_last(counted: Counted) -> tuple[bool, int]:
    return counted.trial.purpose is Purpose.TEST, counted.trial.number
