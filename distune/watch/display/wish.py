"""What a viewer has asked for with keys: where to look, and in which order. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter

from distune.search.configuration import Configuration
from distune.search.ranking import History

_PAGE = 10  # rows
_END = 10**9  # the last row, however many there are
_STEPS = {"up": -1, "down": 1, "page up": -_PAGE, "page down": _PAGE, "home": -_END, "end": _END}


class Order(StrEnum):
    RANK = "rank"
    NEWEST = "newest"
    LONGEST = "longest"


class Part(StrEnum):
    """Lists that keys move in; the names are their headings."""

    RANKING = "Ranking"
    RUNNING = "Running"
    WORKERS = "Workers"
    EVENTS = "Events"


@dataclass(frozen=True)
class Wish:
    """Where a viewer looks.

    Attributes:
        order: of the ranking.
        failures: these stand in the place of the ranking.
        part: where keys move.
        at: the row of it that is marked, from 0; None: nobody has moved yet.
        opened: numbers of the trials whose page is shown instead.
        first: how many lines of that page stand above the screen.
        help: the keys are shown instead.
    """

    order: Order = Order.RANK
    failures: bool = False
    part: Part = Part.RANKING
    at: int | None = None
    opened: tuple[int, ...] = ()
    first: int = 0
    help: bool = False

    @property
    def is_page(self) -> bool:
        """Whether something else is shown than the study."""
        return self.help or bool(self.opened)

    def after(self, key: str, total: int) -> "Wish":
        """What is wished for when a key was pressed; `total`: how many rows, or first lines of a
        page, there are to move in.
        """
        if key == "?":
            return replace(self, help=not self.help, first=0)
        if key in ("escape", "backspace"):
            return self._back()
        if key in _STEPS:
            return self._moved(_STEPS[key], total)
        if self.is_page:
            return self
        if key == "s":
            orders = list(Order)
            return Wish(order=orders[(orders.index(self.order) + 1) % len(orders)])
        if key == "f":
            return Wish(order=self.order, failures=not self.failures)
        if key in ("tab", "back tab"):
            parts = list(Part)
            part = parts[(parts.index(self.part) + (1 if key == "tab" else -1)) % len(parts)]
            return replace(self, part=part, at=_END if part is Part.EVENTS else 0)
        return self

    def opening(self, trials: tuple[int, ...]) -> "Wish":
        return replace(self, opened=trials, first=0)

    def _back(self) -> "Wish":
        if self.help:
            return replace(self, help=False, first=0)
        return replace(self, opened=(), first=0) if self.opened else Wish(order=self.order)

    def _moved(self, by: int, total: int) -> "Wish":
        if self.is_page:
            return replace(self, first=_within(self.first + by, total))
        before = self.at
        if before is None:
            before = -1 if by == 1 else 0
        return replace(self, at=_within(min(before, total - 1) + by, total))

    def shown(self, part: Part, rows: int, total: int) -> range:
        """The rows of a list that fit: those around the marked one."""
        at = (self.at or 0) if part is self.part else 0
        first = max(min(at - rows // 2, total - rows), 0)
        return range(first, min(first + rows, total))

    def marked(self, part: Part, total: int) -> int | None:
        """The row that is marked, if it is one of this list."""
        if part is not self.part or self.at is None or not total:
            return None
        return min(self.at, total - 1)

    def places(self, history: History, shown: range) -> list[tuple[int | None, Configuration]]:
        """These configurations, each with its rank, if it has one."""
        if self.order is Order.RANK:
            return list(history.places(shown.stop))[shown.start :]
        everything = list(history.places())
        by = attrgetter("first" if self.order is Order.NEWEST else "seconds")
        everything.sort(key=lambda one: by(one[1]), reverse=True)
        return everything[shown.start : shown.stop]

    def hint(self, quits: bool) -> list[tuple[str, int]]:
        """The keys that there are, each with how soon it goes where space is short."""
        leave = "q quit" if quits else "Ctrl-C stop"
        if self.is_page:
            return [("esc back", 0), ("↑ ↓ scroll", 2), (leave, 1)]
        listing = ("f ranking", 4) if self.failures else ("f failures", 4)
        sort = [] if self.failures else [(f"s sort ({self.order})", 5)]
        return [(leave, 1), ("↑ ↓ move", 3), ("enter open", 2), *sort, listing, ("? keys", 0)]


def _within(at: int, total: int) -> int:
    return max(0, min(at, total - 1))


#: As nobody has asked for anything.
UNCHANGED = Wish()
