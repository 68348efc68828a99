"""Which checkpoints stay when their trials are over: of the best ones, so that these can be trained
further, and of those that are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from distune.errors import BadRecord
from distune.search.asked import AskedSoFar
from distune.search.further import spanning_schedule
from distune.search.ranking import History
from distune.share import protocol
from distune.share.store import Store
from distune.study.trial import Checkpoint, Purpose, Trial

_LARGEST_SHARE = 0.5  # of the study's `checkpoint_limit`: the others are for what is trained now

Key = tuple[Purpose, int]


@dataclass(eq=False)
class Keeping:
    """`Keeping(store, history, asked).clear()` removes all others. Nothing is remembered of it
    from one master to the next: what stays follows from what is counted (P4).
    """

    _store: Store
    _history: History
    _asked: AskedSoFar
    #: What counted trials have saved last, by trial, attempt and worker.
    _last: dict[tuple[int, int, str], Checkpoint | None] = field(default_factory=dict)

    def clear(self) -> int:
        """Remove the files of trials that are over, but for those that stay; how many.

        Raises:
            ShareError: some of them may be there; do it again.
        """
        over: dict[Key, list[str]] = {}
        for name in self._store.checkpoints():
            key = protocol.key_of_checkpoint(name)
            if key is not None and self._history.has(key):
                over.setdefault(key, []).append(name)
        kept = set(self._kept(over)) if over else set()
        return self._store.remove_checkpoints(
            name for names in over.values() for name in names if name not in kept
        )

    def what_is_left_of(self, trial: int) -> Checkpoint | None:
        """What a counted trial has saved last, for another trial to go on from, if it is there."""
        try:
            last = self._last_of((Purpose.TRAIN, trial))
        except (FileNotFoundError, BadRecord):
            return None
        if last is None:
            return None
        last = last.replace(trial=trial)
        is_there = protocol.checkpoint_name(Purpose.TRAIN, trial, last) in self._store.checkpoints()
        return last if is_there else None

    def begin_from(self, trial: Trial) -> list[Checkpoint]:
        """What a trial that trains another one further can go on from, if that is still there."""
        study = self._history.study
        if trial.extends is None or spanning_schedule(study, trial.params) is not None:
            return []
        left = self.what_is_left_of(trial.extends)
        return [left] if left is not None else []

    def _last_of(self, key: Key) -> Checkpoint | None:
        """What a counted trial has saved last, by its file.

        Raises:
            FileNotFoundError, BadRecord: that cannot be read.
        """
        counted = self._history.get(key)
        if counted is None:
            raise BadRecord("it is not counted")  # whoever names it has made that up
        which = counted.trial.number, counted.trial.attempt, counted.worker
        if which not in self._last:
            file = self._store.read_counted(counted)
            if file.result is None:
                raise BadRecord("there is no result in it")
            self._last[which] = file.checkpoints[-1] if file.checkpoints else None
        return self._last[which]

    def _kept(self, there: dict[Key, list[str]]) -> Iterator[str]:
        room = self._history.study.checkpoint_limit * _LARGEST_SHARE
        needed = {(Purpose.TRAIN, number) for number in self._asked.extending().values()}
        best = self._history.best(self._history.study.checkpoint_keep)
        in_order = [*needed, *(one.key for each in best for one in each.complete)]
        for key in dict.fromkeys(in_order):
            if key not in there:
                continue
            try:
                last = self._last_of(key)
            except (FileNotFoundError, BadRecord):
                yield from there[key]  # it is not known which of them it is
                continue
            name = protocol.checkpoint_name(*key, last) if last is not None else ""
            if last is not None and name in there[key]:
                room -= last.size
                if room >= 0 or key in needed:
                    yield name
