"""What the files in `trials/` say: of attempts that have ended, and the curves of running ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from distune.errors import BadRecord
from distune.search.ranking import History
from distune.share import protocol
from distune.share.protocol import COUNTED, AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import Listing, Store
from distune.study.trial import Purpose
from distune.watch.counting import LONGEST_LEAP, Refuse
from distune.watch.expected import ExpectedTrials

_MOST_ATTEMPTS = 900_000  # a trial's; names have room for a few more
_CURVES_READ = 40
_CURVE_AGE = 2.0  # seconds; a network file system's cache is no fresher

Files = dict[AttemptName, AttemptFile]


class AttemptFiles:
    """The files in `trials/`, from one look to the next.

    Args:
        refuse: why a trial is none of this study's, if so; None to believe the names.
        catch_up: reads what a master may have counted since.
    """

    def __init__(
        self,
        store: Store,
        history: History,
        expected: ExpectedTrials,
        refuse: Refuse | None,
        catch_up: Callable[[], None],
    ) -> None:
        self._store = store
        self._history = history
        self._expected = expected
        self._refuse = refuse
        self._catch_up = catch_up
        self._verdicts: dict[AttemptName, str | None] = {}  # of the last listing
        self._curves: dict[AttemptName, tuple[float, AttemptFile]] = {}

    def split(self, listing: Listing) -> tuple[tuple[AttemptName, ...], dict[str, str]]:
        """The study's attempts; and the names of all other files, and why they are strangers."""
        known: list[AttemptName] = []
        strangers = dict.fromkeys(listing.strangers, "it is not the name of an attempt")
        reach = max(self._expected.next_number, len(self._history))
        verdicts, self._verdicts = self._verdicts, {}
        caught_up = False
        for name in sorted(listing.attempts):
            why = self._misplaced(name, reach)
            if why is None and self._refuse is not None and not self._expected.has(name.key):
                why = verdicts[name] if name in verdicts else self._examine(name, self._refuse)
                if why is not None and name not in verdicts and not caught_up:
                    # Where locks lie a second master may have asked for it.
                    self._catch_up()
                    caught_up, why = True, self._examine(name, self._refuse)
                self._verdicts[name] = why
            if why is None:
                known.append(name)
                reach = max(reach, name.trial + 1)
            else:
                strangers[name.filename] = why
        return tuple(known), strangers

    def _misplaced(self, name: AttemptName, reach: int) -> str | None:
        if name.state in COUNTED:
            return f"what is {name.state} has no business in {protocol.TRIALS}/"
        if name.trial >= reach + LONGEST_LEAP or name.attempt > _MOST_ATTEMPTS:
            return "nobody asked for such a trial"
        if name.purpose is Purpose.TEST and not self._history.study.has_test:
            return "this study has no test"
        return None

    def _examine(self, name: AttemptName, refuse: Refuse) -> str | None:
        try:
            return refuse(self._store.read_attempt(name).trial, self._history)
        except FileNotFoundError:
            return None  # a worker has moved it on: so it was the study's
        except BadRecord as error:
            return str(error)

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
