"""The studies that a worker finds in its logs directory: open, left alone, left to others, over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from distune.errors import BadRecord, NotAFolder, ShareError, UserError
from distune.share import protocol, records
from distune.share.store import Store
from distune.study.study import Study
from distune.study.trial import FAILURES, Counted
from distune.worker.context import WorkerContext
from distune.worker.open_study import OpenStudy

_DISCOVER_EVERY, _DISCOVER_AT_WORK_EVERY = 2.0, 8.0  # seconds between looks for new studies
_LISTINGS_TO_FORGET = 15
_HISTORY_PIECE = 2**16  # bytes, once for a study: dozens of trials, however many there are


@dataclass(eq=False)
class Studies:
    """`studies.discover()` once in a while; then `open` has what there is to work on, by name."""

    _context: WorkerContext
    _find: Callable[[], Mapping[str, Store]]
    _may_open: Callable[[str, Study], bool]
    open: dict[str, OpenStudy] = field(default_factory=dict)
    #: Those that this worker cannot work on, and why.
    refused: dict[str, str] = field(default_factory=dict)
    #: Those that it has left to others, because its trials failed, and why.
    left: dict[str, str] = field(default_factory=dict)
    all_finished: bool = False  # the last discovery found some, and nothing is left to do
    _next_discovery: float = 0.0
    _over: set[str] = field(default_factory=set)
    _bad: dict[str, str] = field(default_factory=dict)  # studies that cannot be read, and why
    _preparing: set[str] = field(default_factory=set)

    @property
    def knows_nothing(self) -> bool:
        """No study has been seen yet."""
        return not (self.open or self._over or self.refused or self.left or self._preparing)

    @property
    def only_refused(self) -> bool:
        """There is work here, but none that this worker can do."""
        return bool(self.refused or self.left) and not self.open and not self._preparing

    @property
    def why_nothing_waits(self) -> str:
        """For people, why there is nothing to claim, as far as that is known."""
        if not self.open:
            return "every study that this worker can work on is over; waiting for another"
        halted = {study.name: study.halt for study in self.open.values() if study.halt}
        if len(halted) == len(self.open):
            whys = "; ".join(f"study {name} {halt.meaning}" for name, halt in halted.items())
            return f"{whys} (distune resume takes that back)"
        elsewhere = sum(study.trained_elsewhere for study in self.open.values())
        if elsewhere:
            return f"other workers train what there is ({elsewhere}); waiting for more"
        return "no other worker trains any either; does the master still run? (distune status)"

    @property
    def gone(self) -> list[OpenStudy]:
        """The open studies whose folders another study has now, or which are deleted while others
        are there (else see P9).
        """
        return [
            study
            for study in self.open.values()
            if study.replaced or study.unlisted >= _LISTINGS_TO_FORGET
        ]

    def is_over(self, study: OpenStudy) -> None:
        self._over.add(study.name)
        self.leave(study)

    def leave(self, study: OpenStudy) -> None:
        del self.open[study.name]
        self._next_discovery = 0.0

    def discover(self, now: float, has_time_for: Callable[[OpenStudy], bool]) -> None:
        """Look at all studies that are not open, if it is time to.

        Raises:
            ShareError, FileNotFoundError: one of them, or the directory, did not answer.
        """
        if now < self._next_discovery:
            return
        found = self._find()
        # Not before it has succeeded. A worker without time for another study looks seldom.
        free = not self.open or any(map(has_time_for, self.open.values()))
        self._next_discovery = now + (_DISCOVER_EVERY if free else _DISCOVER_AT_WORK_EVERY)
        trouble: list[ShareError | FileNotFoundError] = []
        for name, store in found.items():
            if name in self.open or name in self.left:
                continue
            try:
                self._look_at(name, store)
            except (ShareError, FileNotFoundError) as error:
                trouble = [error]  # the others may answer
        for study in self.open.values():
            study.unlisted = study.unlisted + 1 if found and study.name not in found else 0
        for name in list(self.refused):
            if name not in found or name in self._over:
                del self.refused[name]
        if trouble:
            raise trouble.pop()  # a frame that keeps what it raises is never let go
        waiting = self.open or self.refused or self.left or self._preparing
        self.all_finished = bool(self._over) and not waiting

    def _look_at(self, name: str, store: Store) -> None:
        store.tell = self._context.say
        try:
            study = store.load()
            over = store.is_finished()
        except (BadRecord, NotAFolder) as error:  # it is looked at again each time
            bad = isinstance(error, BadRecord)
            why = f"{protocol.STUDY} cannot be used: {error}" if bad else str(error)
            if self._bad.get(name) != why:
                self._bad[name] = why
                self._context.say(f"study {name} is left alone until that is mended: {why}")
            return
        self._bad.pop(name, None)
        if over:
            self._over.add(name)
            return
        self._over.discard(name)
        self._preparing.discard(name)
        try:
            if not self._may_open(name, study):
                self._preparing.add(name)
                return
        except UserError as error:
            if name not in self.refused:
                self._context.say(f"study {name} is left alone: {error}")
            self.refused[name] = str(error)
            return
        self.refused.pop(name, None)
        self._context.say(f"study {name}: {study.objective_name}, {study.metric}")
        opened = OpenStudy(self._context, name, store, study)
        if self._context.limits.need_durations:
            self._context.limits.learn(study.id, _durations(store))
            if store.checkpoints():
                opened.can_resume()
        self.open[name] = opened


def _durations(store: Store) -> list[float]:
    """Seconds of training that a study's first trials took, as its history has them."""
    try:
        data = store.folder.read(protocol.HISTORY, 0, _HISTORY_PIECE, part=True)
        counted = [one for one in records.decode_lines(data) if isinstance(one, Counted)]
    except (BadRecord, FileNotFoundError):
        return []  # nothing is counted yet
    return [one.result.seconds for one in counted if one.result.outcome not in FAILURES]
