"""Following heartbeats: the workers' and the master's, and how long each has been silent."""

import math
from collections.abc import Callable, Iterable, Set

from distune.share import records
from distune.share.heartbeat import Beat, MasterBeat, Watch
from distune.share.store import Store
from distune.study.reporting import lacking
from distune.study.study import Study
from distune.watch.snapshot import WorkerView

_BEATS_LAST = 2.0  # seconds; a study is looked at more often than its workers


class Heartbeats:
    """The heartbeats of a study, as a watcher finds them from one look to the next.

    Args:
        monotonic: the watcher's clock, for silence (P6).
        on_trouble: takes a line when a worker says that it is in trouble.
    """

    def __init__(
        self,
        store: Store,
        study: Study,
        monotonic: Callable[[], float],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._store = store
        self._study = study
        self._lasts = min(_BEATS_LAST, study.lease / 8)
        self._monotonic = monotonic
        self._on_trouble = on_trouble
        self._watch = Watch(longest_step=study.lease / 4)
        self._trouble: dict[str, str] = {}  # that each worker was last in
        self._said_lacking = False
        self._views: tuple[WorkerView, ...] = ()
        self._next = -math.inf
        self._master_watch = Watch(longest_step=60.0)
        self._master: MasterBeat | None = None

    def workers(self, holders: Set[str]) -> tuple[WorkerView, ...]:
        """The workers as their heartbeats show them, read now or a moment ago. `holders` have a
        trial, so their heartbeats should be there.
        """
        if self._monotonic() >= self._next:
            beats = self._store.beats()
            # The clock after the reading: the time that it took is no worker's silence.
            now = self._monotonic()
            silence = self._watch.look(beats, now, set(holders))
            self._next = now + self._lasts
            said, heard = self._watch.said, self._watch.heard
            for worker, beat in said.items():
                if beat.trouble and beat.trouble != self._trouble.get(worker):
                    self._on_trouble(f"{worker} {beat.state}: {beat.trouble}")
            self._trouble = {worker: beat.trouble for worker, beat in said.items()}
            self._say_what_lacks(said.values())
            self._views = tuple(
                WorkerView(w, said.get(w), silence[w], w in heard) for w in sorted(silence)
            )
        return self._views

    def _say_what_lacks(self, beats: Iterable[Beat]) -> None:
        """Say once which metrics trainings should have reported by now."""
        found = (lacking(self._study, beat.unreported) for beat in beats if beat.unreported)
        said = next(filter(None, found), None) if not self._said_lacking else None
        if said is not None:
            self._said_lacking = True
            self._on_trouble(said)

    def master(self, now: float) -> tuple[MasterBeat | None, float, bool]:
        """What the master said last, how long it has been silent, and whether it was ever heard."""
        self._master = self._store.read_master() or self._master
        signature = records.encode_document(self._master) if self._master else b""
        silence = self._master_watch.look({"master": signature}, now)["master"]
        return self._master, silence, "master" in self._master_watch.heard

    def blind(self) -> None:
        """The share could not be read: neither a worker nor the master was silent meanwhile."""
        self._watch.blind()
        self._master_watch.blind()
