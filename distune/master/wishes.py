"""What persons want tried while the master is at work: `distune enqueue`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distune.errors import BadRecord
from distune.master.asked import Remembered
from distune.search.enqueued import asked_by_a_person
from distune.share import protocol
from distune.share.doubts import Doubts
from distune.share.store import Store
from distune.study.study import Study


@dataclass(eq=False)
class Wishes:
    """`wishes.take_in(names, next_number)` asks for them, and takes their files away."""

    _store: Store
    _study: Study
    _asked: Remembered
    _doubts: Doubts
    _tell: Callable[[str, str], None]  # a kind of event, and what has happened

    def take_in(self, wishes: Sequence[str], next_number: Callable[[], int]) -> None:
        """Ask for what a listing shows.

        Args:
            next_number: of a trial, the lowest that none has had.

        Raises:
            ShareError: what was not asked for is found again.
        """
        for wish in sorted(wishes):
            # The line first: a master that dies here finds the file again, and the line, too.
            if wish not in self._asked.so_far.wishes and not self._ask(wish, next_number()):
                continue
            self._store.remove_wish(wish)
        self._doubts.keep(map(protocol.wish_path, wishes))

    def _ask(self, wish: str, number: int) -> bool:
        """Have its configuration in `asked.jsonl`; False if that cannot be."""
        path = protocol.wish_path(wish)
        try:
            setting = self._store.read_wish(wish)
            asked = asked_by_a_person(self._study, self._asked.so_far, wish, setting, number)
        except FileNotFoundError:
            return False
        except (BadRecord, ValueError) as error:
            if self._doubts.confirmed(path):
                self._store.set_aside(path, str(error))
            return False
        if not self._asked.add([asked]):
            return False  # its number is another master's: at the next look
        self._tell("enqueued", f"trial {number}, asked for by hand: {setting}")
        return True
