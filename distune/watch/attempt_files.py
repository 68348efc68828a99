"""What the files in `trials/` say: of attempts that have ended, and the curves of running ones."""

from __future__ import annotations

from collections.abc import Iterable

from distune.errors import BadRecord
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import Store

_CURVES_READ = 40
_CURVE_AGE = 2.0  # seconds; a network file system's cache is no fresher

Files = dict[AttemptName, AttemptFile]


class AttemptFiles:
    """`AttemptFiles(store).ended(attempts)`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._curves: dict[AttemptName, tuple[float, AttemptFile]] = {}

    def ended(self, attempts: Iterable[AttemptName]) -> tuple[Files, dict[AttemptName, str]]:
        """The files of done and lost attempts; and which cannot be used, and why."""
        files: Files = {}
        bad: dict[AttemptName, str] = {}
        for name in attempts:
            if name.state in (State.DONE, State.LOST):
                try:
                    files[name] = self._store.read_ended(name)
                except BadRecord as error:
                    bad[name] = str(error)
                except FileNotFoundError:
                    continue
        return files, bad

    def running(self, attempts: Iterable[AttemptName], now: float) -> Files:
        """The files of the first of the running attempts, none read too often."""
        running = [name for name in attempts if name.state is State.TAKEN][:_CURVES_READ]
        self._curves = {name: c for name, c in self._curves.items() if name in running}
        for name in running:
            if name in self._curves and now - self._curves[name][0] < _CURVE_AGE:
                continue
            try:
                self._curves[name] = (now, self._store.read_attempt(name))
            except (BadRecord, FileNotFoundError):
                continue
        return {name: file for name, (_, file) in self._curves.items()}
