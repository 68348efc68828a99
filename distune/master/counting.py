"""Counting trials: `history.jsonl` first, then the rename, and both kept alike."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from distune.errors import BadRecord
from distune.share import protocol, records
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.study.trial import Counted
from distune.watch.attempt_files import count_attempt
from distune.watch.observer import Observer
from distune.watch.snapshot import Snapshot


@dataclass(eq=False)
class Counting:
    """What the master has counted, in the observer's history and in `history.jsonl`."""

    _store: Store
    _observer: Observer
    _unsure: bool = False  # an append failed: some of its lines may be there

    def mend(self) -> None:
        """Make the file say what is known, now that `seen/` has been compared with it."""
        file, known = self._observer.history_file, self._observer.history.lines()
        self._store.distrust_tail(protocol.HISTORY)
        if file.problem is not None:
            file.write_anew(known)
        else:
            file.append([records.encode(one) for one in self._observer.recovered], known)

    def count(self, names: Sequence[AttemptName], snapshot: Snapshot) -> None:
        """Count done attempts, and put them away. History first, then the rename: the planner sees
        a crash in between by the attempt's name.
        """
        if names:
            files, study = snapshot.files, snapshot.study
            self.add([count_attempt(study, one, files[one], snapshot.elapsed) for one in names])
        for name in names:
            self._store.settle(name)

    def count_seen(self, name: AttemptName, elapsed: float) -> None:
        """Count an attempt that lies in `seen/` already."""
        try:
            file = self._store.read_attempt(name, seen=True)
        except FileNotFoundError:
            return  # the next look will miss it
        except BadRecord as error:
            self._store.set_aside(name.seen_path, str(error))
            return
        self.add([count_attempt(self._observer.study, name, file, elapsed)])

    def add(self, counted: Sequence[Counted]) -> None:
        """Add trials to the history, those of them that it lacks."""
        if self._unsure:
            self._observer.catch_up()
        history = self._observer.history
        new = [(one, records.encode(one)) for one in counted if not history.has(one.key)]
        self._unsure = True
        lines = [line for _, line in new]
        self._observer.history_file.append(lines, itertools.chain(history.lines(), lines))
        self._unsure = False
        for one, line in new:
            history.add(one, line)

    def keep(self) -> None:
        """Write what is remembered anew if the file has lost lines."""
        file, known = self._observer.history_file, self._observer.history
        if file.has_lost_lines():
            file.write_anew(known.lines())
            count = len(known) + len(known.tests)
            self._observer.add_event(
                "trouble", f"{protocol.HISTORY} had lost lines; all {count} written anew"
            )
