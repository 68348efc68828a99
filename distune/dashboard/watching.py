"""The studies of a folder, each looked at with one observer, whoever asks."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from distune.dashboard.importance import ImportanceOf
from distune.errors import BadRecord, DistuneError, NotAFolder, ShareError, UserError
from distune.page.curves import Point, points, sample
from distune.share import records
from distune.share.find_studies import find_studies
from distune.share.store import Store
from distune.watch.display.json_data import trial_json
from distune.watch.load import StoredCurves
from distune.watch.observer import Observer
from distune.watch.snapshot import Snapshot

_IDENTIFIED_EVERY = 15.0  # seconds
_RECENT = 60.0  # seconds
_BEST, _OTHERS = 40, 80  # trials of which curves are drawn


class Watched:
    """A study that threads may look at.

    Args:
        store: of it.
        again: finds it again, where it may be another one by now.
    """

    def __init__(self, store: Store, again: Callable[[], Store]) -> None:
        self._store: Store | None = store
        self._again = again
        self._lock = threading.Lock()
        self._observer: Observer | None = None
        self._snapshot: tuple[float, Snapshot] | None = None  # and when that was made
        self._identified = -math.inf
        self._curves: dict[int, list[Point]] = {}
        self._importance: tuple[int, dict[str, Any]] | None = None
        self._working: ImportanceOf | None = None

    @contextmanager
    def looked(self, age: float = 0.0) -> Iterator[Snapshot]:
        """What it looks like; nobody else looks meanwhile, and what is counted stays as it is.

        Args:
            age: seconds for which an earlier look is good enough.

        Raises:
            DistuneError: it cannot be read now; the message says why.
        """
        with self._lock:
            try:
                if self._snapshot is None or time.monotonic() - self._snapshot[0] > age:
                    self._snapshot = time.monotonic(), self._look()
                yield self._snapshot[1]
            except FileNotFoundError:
                self._forget()
                raise UserError("it is gone, or the shared folder is away") from None

    def _found(self) -> Store:
        if self._store is None:
            self._store = self._again()
        return self._store

    def _look(self) -> Snapshot:
        try:
            if self._observer is None:
                self._observer = Observer(self._found())
                self._identified = time.monotonic()
            elif time.monotonic() - self._identified > _IDENTIFIED_EVERY:
                self._identified = time.monotonic()
                if self._observer.store.is_replaced():
                    self._forget()
                    self._observer = Observer(self._found())
            return self._observer.look(curves=True)
        except (BadRecord, NotAFolder):
            self._forget()
            raise
        except ShareError:
            if self._observer is not None:
                self._observer.blind()
            raise

    def _forget(self) -> None:
        """What is known: another study may lie there now."""
        self._store = self._observer = self._snapshot = self._importance = None
        self._curves = {}

    def curves(self) -> dict[int, list[Point]]:
        """Of the best trials and of others, drawn at random, by their numbers. What is counted does
        not change: each file is read once.
        """
        with self.looked(_RECENT) as snapshot:
            chosen = [one.trial.number for one in sample(snapshot.history, _BEST, _OTHERS)]
            stored, metric = StoredCurves(self._found(), snapshot.history), snapshot.study.metric
        for number in chosen:
            # A look may come between two files; files are read by one thread at a time.
            with self._lock, suppress(DistuneError):
                if number not in self._curves:
                    self._curves[number] = points(stored[number], metric)
        return {number: self._curves.get(number, []) for number in chosen}

    def trial(self, number: int) -> dict[str, Any] | None:
        """All that is known of a trial; None if there is none of that number.

        Raises:
            DistuneError: it cannot be read now.
        """
        with self.looked(_RECENT) as snapshot:
            store = self._found()
            attempts = store.attempts_of(number)
            if not attempts:
                return None
            found = trial_json(attempts, snapshot.history)
            for one in found["attempts"]:
                one["artifacts"] = store.artifacts_of(number, one["attempt"])
            return found

    def importance(self) -> dict[str, Any]:
        """What mattered; or why that is unknown. It is worked out once for so many trials."""
        with self.looked(_RECENT) as snapshot:
            history = snapshot.history
            known, count = self._importance, len(history) + history.left_out
            if known is not None and known[0] == count:
                return known[1]
            lines = [*history.lines(), *map(records.encode, history.drops)]
        self._working = ImportanceOf(history.study, lines)
        found = self._working.found()
        self._importance = count, found
        return found

    def end(self) -> None:
        """What is worked out is wanted no more."""
        if self._working is not None:
            self._working.end()


class Studies:
    """Those of a logs directory: `Studies(logs).there()`."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._watched: dict[str, Watched] = {}

    def there(self) -> dict[str, Watched]:
        """All of them, by name.

        Raises:
            ShareError: the directory cannot be listed now.
        """
        found = find_studies(self.logs)
        known = self._watched
        self._watched = {
            name: known.get(name) or Watched(store, partial(self._again, name))
            for name, store in found.items()
        }
        return self._watched

    def __getitem__(self, name: str) -> Watched:
        """The one of that name; only what a listing has had is ever looked for.

        Raises:
            UserError: there is none.
            ShareError: as above.
        """
        if name not in self._watched and name not in self.there():
            raise UserError(f"there is no study of that name in {self.logs}")
        return self._watched[name]

    def end(self) -> None:
        for one in self._watched.values():
            one.end()

    def _again(self, name: str) -> Store:
        found = find_studies(self.logs, name).get(name)
        if found is None:
            raise UserError(f"there is no study {name} in {self.logs} any more")
        return found
