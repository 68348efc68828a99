"""Looking for what has no business outside `trials/`, a few places at a time (P11)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from distune.share import protocol
from distune.share.store import Store
from distune.watch.snapshot import WorkerView

_FILES = 20  # of `seen/`, looked at each time


class Patrol:
    """`Patrol(store, lease).look(workers)`, now and then; `lease` in seconds."""

    def __init__(self, store: Store, lease: float) -> None:
        self._store = store
        self._lease = lease
        self._seen = store.inspect_seen()

    def look(self, workers: Iterable[WorkerView]) -> None:
        self._store.mend_folders()
        for path, why in self._store.strange_beats().items():
            self._store.set_aside(path, why)
        for view in workers:
            if view.beat is None and view.silence >= self._lease:
                self._store.set_aside(protocol.beat_path(view.worker), "it is no heartbeat")
        looked_at = 0
        for path, problem in itertools.islice(self._seen, _FILES):
            looked_at += 1
            if problem is not None:
                self._store.set_aside(path, problem)
        if looked_at < _FILES:
            self._seen = self._store.inspect_seen()  # all over again
