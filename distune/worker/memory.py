"""How many trials a worker trains at a time where they share a memory. Pure."""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

from distune.study.trial import FAILURES, Outcome

#: The memory that all of a worker's trainings share, wherever they compute.
HOST = "this host"
# After twenty trials that ended well within a limit one more is tried; after forty, if that had
# been too many, and so on. What has filled a memory may be gone, or may not.
_PATIENCE = 10


@dataclass(frozen=True)
class MemoryShortage:
    """An attempt was out of memory beside others."""

    memory: str  # which was too small: a device, or `HOST`
    most: int  # how many may share it from now on
    alone: bool = False  # the same trial was there for the second time: for its next try only


class MemoryLimit:
    """How many slots of a worker, each of which trains on a device, may be busy at a time.

    Out of memory beside others is the fault of all of them: then one fewer is trained there, and
    the trial is tried again; the second time alone, so that one that is too large to be trained
    beside any other does not bring the limit down to one. Alone, it is the trial's own fault.

    Args:
        devices: of the slots, in their order.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        # On a CPU there is no memory but the host's.
        self._memories = [{HOST} if device == "cpu" else {HOST, device} for device in devices]
        self._devices = devices
        self._slots = Counter(memory for memories in self._memories for memory in memories)
        self._most = dict(self._slots)
        self._well: Counter[str] = Counter()
        self._patience = dict.fromkeys(self._slots, _PATIENCE)
        self._shared: dict[int, set[str]] = {}  # by slot: memories that it used beside others
        self._too_large: set[tuple[str, Hashable]] = set()  # memories and trials, once
        self._afterwards: dict[str, int] = {}  # how many, when one has been alone

    @property
    def most(self) -> int:
        """How many may be trained at a time, in all."""
        own = sum(most for memory, most in self._most.items() if memory != HOST)
        return min(self._most[HOST], own + sum(device == "cpu" for device in self._devices))

    def allows(self, slot: int, busy: Collection[int]) -> bool:
        """Whether a slot may begin while others are busy."""
        return all(self._used(memory, busy) < self._most[memory] for memory in self._memories[slot])

    def began(self, slot: int, busy: Collection[int]) -> None:
        """A slot begins to train while others are busy."""
        self._shared[slot] = set()
        for other in busy:
            common = self._memories[slot] & self._memories[other]
            self._shared[slot] |= common
            self._shared.setdefault(other, set()).update(common)

    def ended(
        self,
        slot: int,
        busy: Collection[int],
        outcome: Outcome,
        trial: Hashable,
        *,
        killed: bool = False,
    ) -> MemoryShortage | None:
        """A slot's attempt at a trial is over, others are still busy.

        Args:
            killed: by the kernel, which knows the host's memory only.
        """
        shared = self._shared.pop(slot, set())
        for memory in self._memories[slot] - shared:
            if memory in self._afterwards:
                self._most[memory] = self._afterwards.pop(memory)
        if outcome is Outcome.OUT_OF_MEMORY:
            device = self._devices[slot]
            memory = HOST if killed or device == "cpu" else device
            return self._lower(memory, busy, trial) if memory in shared else None
        if outcome not in FAILURES and outcome is not Outcome.RELEASED:
            for memory in self._memories[slot]:
                self._ended_well(memory)
        return None

    def _lower(self, memory: str, busy: Collection[int], trial: Hashable) -> MemoryShortage:
        if (memory, trial) in self._too_large:
            self._afterwards.setdefault(memory, self._most[memory])
            self._most[memory] = 1
            return MemoryShortage(memory, 1, alone=True)
        self._too_large.add((memory, trial))
        most, together = self._most[memory], 1 + self._used(memory, busy)
        # Fewer than there were; where the others have ended meanwhile, it is not known how many.
        self._most[memory] = max(1, (min(most, together) if together > 1 else most) - 1)
        self._patience[memory] *= 2
        self._well[memory] = 0
        return MemoryShortage(memory, self._most[memory])

    def _ended_well(self, memory: str) -> None:
        if self._most[memory] == self._slots[memory] or memory in self._afterwards:
            return
        self._well[memory] += 1
        if self._well[memory] >= self._patience[memory]:
            self._well[memory] = 0
            self._most[memory] += 1

    def _used(self, memory: str, busy: Collection[int]) -> int:
        return sum(memory in self._memories[slot] for slot in busy)
