"""What is new in a history since the last look at it. Pure."""

from collections.abc import Iterator

from distune.search.ranking import History
from distune.study.trial import Counted, is_of_search


class Following:
    """`begins_anew(history)`, then `new(history)`."""

    def __init__(self) -> None:
        self._history: History | None = None
        self._out = self._read = 0

    def begins_anew(self, history: History) -> bool:
        """Whether what was taken in before is void: it is another history, or a trial that was in
        this one stands no more.
        """
        anew = history is not self._history or self._out != history.left_out
        if anew:
            self._history, self._out, self._read = history, history.left_out, 0
        return anew

    def new(self, history: History) -> Iterator[tuple[int, Counted]]:
        """Trials of the search that stand, each with its place in the history."""
        for place in range(self._read, len(history.trials)):
            counted = history.trials[place]  # decoded one by one: all at once fill the memory
            if is_of_search(counted.trial) and history.stands(counted):
                yield place, counted
        self._read = len(history.trials)
