"""What persons want tried while the master is at work: `distune enqueue` and `distune retry`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from distune.errors import BadRecord
from distune.master.asked import Remembered
from distune.master.keeping import Keeping
from distune.search.asked import asked_again
from distune.search.enqueued import asked_by_a_person
from distune.search.ranking import History
from distune.share import protocol
from distune.share.doubts import Doubts
from distune.share.store import Store
from distune.study.trial import Asked, Purpose
from distune.watch.observer import Observer


@dataclass(eq=False)
class Wishes:
    """`wishes.take_in(names, trials, next_number)` asks for them, and takes their files away."""

    _store: Store
    _observer: Observer
    _asked: Remembered
    _keeping: Keeping
    _doubts: Doubts
    _tell: Callable[[str, str], None]  # a kind of event, and what has happened

    @property
    def _history(self) -> History:
        return self._observer.history

    def take_in(
        self, wishes: Iterable[str], retries: Iterable[int], next_number: Callable[[], int]
    ) -> None:
        """Ask for what a listing shows.

        Args:
            wishes: settings that are to be tried.
            retries: counted trials that are to be trained again.
            next_number: of a trial, the lowest that none has had.

        Raises:
            ShareError: what was not asked for is found again.
        """
        settings, trials = sorted(wishes), sorted(retries)
        for wish in settings:
            # The line first: a master that dies here finds the file again, and the line, too.
            if wish in self._asked.so_far.wishes or self._try(wish, next_number()):
                self._store.remove_wish(wish)
        for trial in trials:
            if trial in self._asked.so_far.again or self._try_again(trial, next_number()):
                self._store.remove_retry(trial)
        paths = [*map(protocol.wish_path, settings), *map(protocol.retry_path, trials)]
        self._doubts.keep(paths)

    def _try(self, wish: str, number: int) -> bool:
        """Have its configuration in `asked.jsonl`; False if that cannot be."""

        def line() -> Asked:
            setting = self._store.read_wish(wish)
            return asked_by_a_person(self._history.study, self._asked.so_far, wish, setting, number)

        asked = self._ask(protocol.wish_path(wish), line)
        if asked is None:
            return False
        self._tell("enqueued", f"trial {number}, asked for by hand: {asked.params}")
        return True

    def _try_again(self, trial: int, number: int) -> bool:
        """Have it in `asked.jsonl`, as a trial of that number; False if that cannot be."""

        def line() -> Asked:
            self._store.check_retry(trial)
            key = Purpose.TRAIN, trial
            if not self._history.has(key):
                self._observer.catch_up()  # where locks lie, another master may have counted it
            counted = self._history.get(key)
            if counted is None:
                raise ValueError(f"trial {trial} is not counted")
            left = self._keeping.begin_from(counted.trial)
            return asked_again(self._history.study, counted.trial, number, left)

        if self._ask(protocol.retry_path(trial), line) is None:
            return False
        self._tell("retried", f"trial {trial}: trained again as trial {number}, asked for by hand")
        return True

    def _ask(self, path: str, line: Callable[[], Asked]) -> Asked | None:
        """Have a line in the file for what lies at `path`, if that is what it should be."""
        try:
            asked = line()
        except FileNotFoundError:
            return None
        except (BadRecord, ValueError) as error:
            if self._doubts.confirmed(path):
                self._store.set_aside(path, str(error))
            return None
        # Its number may be another master's: at the next look.
        return asked if self._asked.add([asked]) else None
