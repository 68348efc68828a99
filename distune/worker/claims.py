"""Which waiting trials a worker claims, and in which order. Pure."""

import math
import random
from collections.abc import Collection

from distune.share.protocol import AttemptName, Halt
from distune.study.trial import Purpose, Trial

Names = Collection[AttemptName]
_CLAIM_AMONG = 8  # at least, so that many workers do not all try the same file
_LISTING_LASTS = 1.0  # seconds in which a listing is good enough to claim from
_RIVALS_REMEMBERED = 10.0  # seconds
_RIVALS_LIST_EVERY = 0.1  # seconds at least: what comes meanwhile is found with one look


class Candidates:
    """The trials of a study that its last listing shows as waiting, the next one to claim last."""

    def __init__(self) -> None:
        #: Of the trials that wait for another attempt: the workers that failed.
        self.failed_on: dict[AttemptName, list[str]] = {}
        self.read: dict[AttemptName, Trial] = {}  # before they are claimed
        self._names: list[AttemptName] = []
        self._listed = -math.inf
        self._next_listing = -math.inf
        self._lost = -math.inf  # when another worker was faster

    def replace(self, waiting: Names, others: Names, now: float, rng: random.Random) -> None:
        """Take in a listing; some of what waits in it is left to others."""
        there = set(waiting)
        self.failed_on = {name: on for name, on in self.failed_on.items() if name in there}
        self.read = {name: trial for name, trial in self.read.items() if name in there}
        self._names = order_of_claims(waiting, others, self.read, rng)[::-1]
        self._listed = now

    def are_fresh(self, now: float) -> bool:
        return now < self._listed + _LISTING_LASTS

    def may_be_listed(self, now: float, *, rivals: bool) -> bool:
        """Whether to list the study now, in order to claim; less often if others claim as fast."""
        if rivals and now < self._next_listing:
            return False
        self._next_listing = now + _RIVALS_LIST_EVERY
        return True

    def have_rivals(self, now: float) -> bool:
        """Others have claimed what this worker was about to claim, not long ago."""
        return now < self._lost + _RIVALS_REMEMBERED

    def are_exhausted(self) -> None:
        """None of them could be claimed: the next claim begins with a listing."""
        self._listed = -math.inf

    @property
    def next(self) -> AttemptName | None:
        return self._names[-1] if self._names else None

    def pop(self) -> AttemptName | None:
        return self._names.pop() if self._names else None

    def lost_one(self, now: float, rng: random.Random) -> None:
        """Another worker was faster, and likely claims the next ones, too: go on elsewhere."""
        self._lost = now
        if self._names:
            place = rng.randrange(len(self._names))
            self._names = [*self._names[place:], *self._names[:place]]


def order_of_claims(
    waiting: Names, others: Names, read: Names, rng: random.Random
) -> list[AttemptName]:
    """What to claim first, second, ...; what is left to others is not.

    The winner's test holds everything up, so it goes first; then what has waited for a lease
    already; then the oldest.
    """
    ordered = sorted(waiting, key=lambda name: (not _is_urgent(name), name))
    suitable = [name for name in ordered if name not in others]
    nearest = suitable[: max(_CLAIM_AMONG, len(ordered) * 3 // 4)]
    nearest = [name for name in nearest if _is_urgent(name)] or nearest
    # From somewhere on, in their order: several workers that have the same listing then run into
    # each other once in a while, and not at every second claim.
    begin = rng.randrange(len(nearest)) if nearest else 0
    order = [*nearest[begin:], *nearest[:begin]]
    return sorted(order, key=lambda name: name not in read)  # what is read already comes first


def may_be_claimed(name: AttemptName, halt: Halt | None, confirming: Names = ()) -> bool:
    """Whether any worker may claim what waits. A study that is stopped ends like any other: with
    what confirms its winner, and the test of it.
    """
    at_the_end = name.purpose is Purpose.TEST or name in confirming
    return halt is None or (halt is Halt.STOP and at_the_end)


def _is_urgent(name: AttemptName) -> bool:
    return name.purpose is Purpose.TEST or name.attempt > 1
