"""The master's checks of what is counted: by names at a start, file by file on patrol, and all of
it before the study is over.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from distune.master.asked import Remembered
from distune.master.counting import Counting
from distune.master.mending import Mender
from distune.search.asked import AskedSoFar
from distune.share.doubts import Doubts
from distune.share.protocol import State
from distune.share.store import SeenFile, Store
from distune.watch.agreement import Finding
from distune.watch.observer import Observer
from distune.watch.witnesses import Witnesses

_AT_ONCE = 500  # files: between two of the master's looks, so that its heart goes on beating


@dataclass(eq=False)
class Checking:
    """`Checking(...).go_on()` at each step until all has been compared."""

    _store: Store
    _observer: Observer
    _asked: Remembered
    _counting: Counting
    _doubts: Doubts
    _rest: Iterator[list[Finding]] | None = None  # of the last check, which has begun
    _mender: Mender | None = field(default=None, repr=False)

    def restore_files(self) -> None:
        """At a start: make files again that the history has a line for, and `seen/` no name."""
        witnesses = self._witnesses(self._asked.so_far)
        lacking = witnesses.lacking_files(self._observer.history.keys())
        self._mend(self._mender_of(witnesses), map(witnesses.look_again, lacking))

    def look_into(self, one: SeenFile) -> None:
        """On patrol: make a file again that cannot be read, if its trial is counted; set aside
        what else has no business in `seen/`.
        """
        if one.file is not None:
            self._doubts.dropped(one.path)
            return
        if not self._doubts.confirmed(one.path):
            return  # until it is met again
        name, history = one.name, self._observer.history
        if name is not None and name.state is not State.LOST and history.has(name.key):
            witnesses = self._witnesses(self._asked.so_far)
            found = witnesses.look_again(name.key)
            if any(self._mend(self._mender_of(witnesses), [found])):
                return
        self._store.set_aside(one.path, one.problem)

    def go_on(self) -> bool:
        """Before the end: compare all files with all lines, some at each call. Returns whether all
        of it has been compared and says the same, as far as that could be mended.

        Raises:
            ShareError: the share did not answer. The next call begins all over again.
        """
        rest, self._rest = self._rest, None
        if rest is None or self._mender is None:
            self._counting.compare()
            asked = self._asked.read_again()
            witnesses = self._witnesses(asked)
            rest, self._mender = witnesses.findings(), self._mender_of(witnesses)
        some = list(itertools.islice(rest, _AT_ONCE))
        self._mend(self._mender, some)
        if len(some) == _AT_ONCE:
            self._rest = rest
        return self._rest is None and not self._mender.is_unsure

    def _witnesses(self, asked: AskedSoFar) -> Witnesses:
        observer = self._observer
        return Witnesses(
            self._store,
            observer.study,
            observer.history,
            observer.history_file,
            asked,
            self._asked.file,
            observer.dropped_file,
        )

    def _mender_of(self, witnesses: Witnesses) -> Mender:
        return Mender(self._store, witnesses, self._doubts)

    def _mend(self, mender: Mender, many: Iterable[list[Finding]]) -> list[bool]:
        """Mend what was found, and say so; whether that was done."""
        mended = list(itertools.chain.from_iterable(map(mender.mend, many)))
        mender.write()
        for one in mended:
            self._observer.add_event("trouble", str(one))
        return [one.done for one in mended]
