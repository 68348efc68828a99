"""What tells of the trials that a study has counted: their files, `history.jsonl` and
`asked.jsonl`, read side by side.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Self

from distune.errors import BadRecord
from distune.search.asked import AskedSoFar
from distune.search.ranking import History
from distune.share import protocol
from distune.share.lines_file import LinesFile
from distune.share.protocol import State
from distune.share.shown_paths import shown
from distune.share.store import SeenFile, Store
from distune.study.study import Study
from distune.study.trial import Asked, Counted, Dropped, Purpose
from distune.watch.agreement import (
    CountedFile,
    Finding,
    Key,
    Mend,
    Said,
    SetAside,
    WriteAsked,
    WriteDropped,
    WriteHistory,
    altered_lines,
    is_same,
    judge,
)
from distune.watch.attempt_files import count_attempt


@dataclass(eq=False)
class Witnesses:
    """`Witnesses.read(store).findings()`.

    Attributes:
        history: what `history.jsonl` has.
        asked: what `asked.jsonl` has, each line of it.
        doubles: further lines of history of one trial that say something else.
        counted: how many trials, and how many tests, some readable file or line was found of.
    """

    store: Store
    study: Study
    history: History
    history_file: LinesFile[Counted]
    asked: AskedSoFar
    asked_file: LinesFile[Asked]
    dropped_file: LinesFile[Dropped]
    doubles: dict[Key, list[Counted]] = field(default_factory=dict)
    counted: dict[Purpose, int] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store) -> Self:
        """Read both files of lines.

        Raises:
            ShareError: the share did not answer.
        """
        study = store.load()
        history_file = LinesFile(store, protocol.HISTORY, Counted, study)
        asked_file = LinesFile(store, protocol.ASKED, Asked, study)
        dropped_file = LinesFile(store, protocol.DROPPED, Dropped, study)
        history, asked = History(study), AskedSoFar(study)
        one = cls(store, study, history, history_file, asked, asked_file, dropped_file)
        one.catch_up()
        return one

    def catch_up(self) -> None:
        """Take in what a master has written since."""
        try:
            for counted, line in self.history_file.read():
                if not self.history.add(counted, line):
                    self._add_double(counted)
        except BadRecord as error:
            self.history_file.problem = str(error)
        try:
            for asked, line in self.asked_file.read():
                self.asked.add(asked, line)
        except BadRecord as error:
            self.asked_file.problem = str(error)
        try:
            for dropped, _ in self.dropped_file.read():
                self.history.drop(dropped)
        except BadRecord as error:
            self.dropped_file.problem = str(error)

    def _add_double(self, counted: Counted) -> None:
        known = [self.history.get(counted.key), *self.doubles.get(counted.key, ())]
        if not any(one is not None and is_same(one, counted) for one in known):
            self.doubles.setdefault(counted.key, []).append(counted)

    # -- looking at all of it ----------------------------------------------------------------

    def findings(self) -> Iterator[list[Finding]]:
        """What is wrong, a trial at a time: nothing with most of them."""
        self.counted = dict.fromkeys(Purpose, 0)
        yield self._about_lines()
        # Before any listing: what is counted from now on is none of this look's business.
        known = self.history.keys()
        for _, files in groupby(self.store.inspect_seen(), lambda one: one.name and one.name.trial):
            yield self._about_seen(list(files))
        for key in self.lacking_files(known):
            yield self._judge(self._said(key, ()))
        yield [*self._about_uncounted(), *self._about_the_end()]

    def look_again(self, key: Key) -> list[Finding]:
        """What is wrong with one trial, as its files are now: a master may be at work."""
        files = list(self.store.inspect_counted(key))
        if not files and key in self._on_its_way():
            return []
        return judge(self.study, self._said(key, files))

    def _on_its_way(self) -> set[Key]:
        """Trials whose files a master has yet to give their names in `seen/`."""
        listed = self.store.listing(viewer=True).attempts
        return {name.key for name in listed if name.state in (State.DONE, State.PRUNED)}

    def lacking_files(self, known: Iterable[Key]) -> list[Key]:
        """Those of these trials that have no counted file, by the names alone."""
        lacking = list(self.store.lacking(known))
        on_its_way = self._on_its_way() if lacking else set()
        return [key for key in lacking if key not in on_its_way]

    def _about_lines(self) -> list[Finding]:
        found = []
        files: list[tuple[str, LinesFile[Any], Mend]] = [
            (protocol.HISTORY, self.history_file, WriteHistory()),
            (protocol.ASKED, self.asked_file, WriteAsked()),
            (protocol.DROPPED, self.dropped_file, WriteDropped()),
        ]
        for path, file, mend in files:
            problem = file.problem
            if problem is None and file.altered:
                problem = altered_lines(file.altered)
            if problem is not None:
                found.append(Finding(path, problem, [mend]))
        return found

    def _about_seen(self, files: list[SeenFile]) -> list[Finding]:
        found: list[Finding] = []
        counted: dict[Key, list[SeenFile]] = {}
        for one in files:
            if one.name is not None and one.name.state is not State.LOST:
                counted.setdefault(one.name.key, []).append(one)
            elif one.file is None:
                aside = SetAside(one.path, one.problem)
                found.append(Finding(shown(one.path), one.problem, [aside]))
        for key, some in counted.items():
            found += self._judge(self._said(key, some))
        return found

    def _judge(self, said: Said) -> list[Finding]:
        readable = said.lines or any(file.counted is not None for file in said.files)
        self.counted[said.key[0]] += bool(readable)
        return judge(self.study, said)

    def _said(self, key: Key, files: Sequence[SeenFile]) -> Said:
        line = self.history.get(key)
        lines = [line, *self.doubles.get(key, ())] if line is not None else []
        return Said(key, [self._counted(one, line) for one in files], lines, self.asked.of(key[1]))

    def _counted(self, one: SeenFile, line: Counted | None) -> CountedFile:
        assert one.name is not None
        file = one.file
        if file is None:
            return CountedFile(one.name, problem=one.problem)
        if one.name.state is State.PRUNED and line is not None:
            # In the earlier layout its worker may have added to it after it was counted.
            file = replace(file, reports=file.reports[: line.result.steps])
        return CountedFile(one.name, file, "", count_attempt(self.study, one.name, file, None))

    def _about_uncounted(self) -> Iterator[Finding]:
        """Trials under way that `asked.jsonl` does not name: the next master will see to them."""
        if not self.study.is_current:
            return
        listed = self.store.listing(viewer=True).attempts
        self.catch_up()  # a master remembers what it asked for before it publishes any of it
        gaps = {n for gap in self.asked.gaps() for n in range(gap.trial, gap.trial + gap.repeats)}
        gaps |= {name.trial for name in listed if self.asked.of(name.trial) is None}
        for number in sorted(gaps):
            if not self.history.has((Purpose.TRAIN, number)):
                problem = f"{protocol.ASKED} lacks it; the next master makes its line again"
                yield Finding(f"trial {number}", problem)

    def _about_the_end(self) -> Iterator[Finding]:
        try:
            finished = self.store.read_finished()
        except BadRecord as error:
            yield Finding(protocol.FINISHED, str(error))
            return
        left = self.counted[Purpose.TRAIN]
        if finished is not None and finished.trials > left:
            yield Finding(
                protocol.FINISHED, f"it says that {finished.trials} trials were counted; {left} are"
            )
