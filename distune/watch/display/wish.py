"""What a viewer has asked for with a key: another part of the ranking, another order. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

from distune.search.configuration import Configuration
from distune.search.ranking import History

_PAGE = 10  # configurations


class Order(StrEnum):
    RANK = "best first"
    NEWEST = "newest first"
    LONGEST = "longest first"


@dataclass(frozen=True)
class Wish:
    """Which configurations are shown, and how sorted.

    Attributes:
        first: how many stand above the screen.
    """

    first: int = 0
    order: Order = Order.RANK

    def after(self, key: str, total: int) -> "Wish":
        """What is wished for when a key was pressed; `total`: configurations that there are."""
        if key == "s":
            orders = list(Order)
            return Wish(order=orders[(orders.index(self.order) + 1) % len(orders)])
        steps = {"up": -1, "down": 1, "page up": -_PAGE, "page down": _PAGE}
        places = {"home": 0, "end": total}
        first = places.get(key, self.first + steps.get(key, 0))
        return replace(self, first=max(0, min(first, total - 1)))

    def places(self, history: History, rows: int) -> list[tuple[int | None, Configuration]]:
        """So many configurations, each with its rank, if it has one."""
        if self.order is Order.RANK:
            return list(history.places(self.first + rows))[self.first :]
        everything = list(history.places())
        if self.order is Order.NEWEST:
            everything.sort(key=lambda one: -one[1].trials[-1].trial.number)
        else:
            everything.sort(key=lambda one: -one[1].seconds)
        return everything[self.first : self.first + rows]

    @property
    def hint(self) -> str:
        """The keys that there are."""
        return f"q quit · ↑ ↓ scroll · s sort ({self.order})"


#: As nobody has asked for anything.
UNCHANGED = Wish()
