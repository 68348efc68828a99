"""The trials whose files should be there, and how long they have not been."""

from collections.abc import Iterable

from distune.search.ranking import History
from distune.share.protocol import AttemptName
from distune.study.trial import Purpose

Key = tuple[Purpose, int]


class ExpectedTrials:
    """`ExpectedTrials(history).follow(attempts)` after each listing of `trials/`. `absent` and
    `next_number` are those of a `Snapshot`.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._attempts: dict[Key, int] = {}  # the highest seen, of open trials
        self.absent: dict[Key, int] = {}
        self.next_number = 0
        if history.trials:
            self.expect((Purpose.TRAIN, history.highest))

    def expect(self, key: Key, attempt: int = 0) -> None:
        """The master is about to publish this trial: were it in no listing from now on, that
        would be because its file has moved on or vanished, not because it never was. `attempt`:
        which file of it, if there is one.
        """
        purpose, number = key
        if purpose is Purpose.TRAIN:
            for missed in self._history.missing(self.next_number, number + 1):
                self.absent[Purpose.TRAIN, missed] = 0
            self.next_number = max(self.next_number, number + 1)
        if not self._history.has(key):
            self.absent.setdefault(key, 0)
        if attempt:
            self.absent[key] = 0
            self._attempts[key] = max(attempt, self._attempts.get(key, 0))

    def follow(self, attempts: Iterable[AttemptName]) -> None:
        """Take in a listing, to notice a trial whose file has vanished."""
        present = set()
        for name in attempts:
            self.expect(name.key, name.attempt)
            present.add(name.key)
        for key in list(self.absent):
            if self._history.has(key):
                del self.absent[key]
                self._attempts.pop(key, None)
            else:
                self.absent[key] = 0 if key in present else self.absent[key] + 1

    def has(self, key: Key) -> bool:
        """Whether it is expected, or was counted."""
        purpose, number = key
        if purpose is Purpose.TRAIN:
            return number < self.next_number
        return key in self.absent or self._history.has(key)

    def last_attempt(self, key: Key) -> int:
        """The highest attempt that has been seen of a trial that is not over; 0 if none."""
        return self._attempts.get(key, 0)

    @property
    def unseen(self) -> frozenset[Key]:
        """Trials that should be there or counted, and of which no listing has had a file."""
        return frozenset(key for key in self.absent if key not in self._attempts)
