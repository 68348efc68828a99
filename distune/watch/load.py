"""A study in Python, as it stands: `distune.load("logs/mnist")`. Read-only."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from distune.errors import BadRecord, ShareError, UserError
from distune.export.files import data_frame
from distune.export.table import TrialRow, TrialTable, curve_of, trial_rows
from distune.search.ranking import History
from distune.share import protocol
from distune.share.find_studies import find_studies, open_study
from distune.share.store import Store
from distune.study.trial import Direction, Purpose, Report
from distune.watch.observer import Observer

if TYPE_CHECKING:
    import pandas
    from rich.console import Console, ConsoleOptions, RenderResult


@dataclass(eq=False)
class StoredCurves(Mapping[int, Sequence[Report]]):
    """What trials have reported, by their numbers; a trial's file is read when it is asked for.

    Attributes:
        around: entered around each look at the share.
        unreadable: numbers of trials whose file was asked for, and is gone or spoilt.
    """

    store: Store
    history: History
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    unreadable: list[int] = field(default_factory=list)

    def __getitem__(self, number: int) -> Sequence[Report]:
        counted = self.history.get((Purpose.TRAIN, number))
        if counted is None:
            raise KeyError(number)
        if counted.result.steps == 0:
            return ()  # as it says itself: there is nothing to look for
        try:
            with self.around():
                return self.store.read_counted(counted).reports
        except (FileNotFoundError, BadRecord):
            self.unreadable.append(number)
            return ()

    def __iter__(self) -> Iterator[int]:
        return (counted.trial.number for counted in self.history.standing)

    def __len__(self) -> int:
        return len(self.history.standing)


@dataclass(frozen=True)
class LoadedTrial(TrialRow):
    """A counted trial: the fields of `distune.export.table.TrialRow`, and its curve."""

    _curves: StoredCurves = field(repr=False, compare=False)

    @property
    def curve(self) -> list[dict[str, float]]:
        """Its steps, read from the trial's file now; empty if that is gone or spoilt.

            >>> study.trials[17].curve[0]
            {'step': 1, 'seconds': 0.71, 'val_accuracy': 0.93, 'val_loss': 0.24}

        Raises:
            ShareError: the share does not answer.
        """
        return curve_of(self._curves[self.number])


class LoadedStudy:
    """A study as it was when it was loaded.

    Attributes:
        name: of the study.
        metric: what is ranked.
        direction: "maximize" or "minimize".
        trials: those that are over, in the order of their numbers.
        history: the same, with the ranking.
        curves: of the trials, by their numbers.
    """

    def __init__(
        self, store: Store, around: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        with around():
            self._snapshot = Observer(store).look()
        self.history = self._snapshot.history
        self.curves = StoredCurves(store, self.history, around)
        self.name: str = self.history.study.name
        self.metric: str = self.history.study.metric
        self.direction: Direction = self.history.study.direction
        rows = trial_rows(self.history)
        self.trials = [LoadedTrial(**vars(row), _curves=self.curves) for row in rows]

    def __repr__(self) -> str:
        best, seeks = self.best, self.history.study.aim
        found = "" if best is None else f", best {best.value:.6g} in trial {best.number}"
        return f"<study {self.name!r}: {seeks}, {len(self.trials)} trials{found}>"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As at the end of `distune master`: `rich.print(study)`."""
        from distune.watch.display.leaderboard import final_table

        yield final_table(self._snapshot, options.max_width)

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from distune.watch.display.html import study_html

        return study_html(self._snapshot)

    @property
    def best(self) -> LoadedTrial | None:
        """The trial of the best configuration, and where that has repeats, the best of them;
        None while no trial has a finite value.
        """
        winner = self.history.winner()
        if winner is None:
            return None
        numbers = {one.trial.number for one in winner.complete or winner.trials}
        trials = {trial.value: trial for trial in self.trials if trial.number in numbers}
        values = [value for value in trials if value is not None and math.isfinite(value)]
        return trials[max(values) if self.direction == "maximize" else min(values)]

    def to_pandas(self) -> pandas.DataFrame:
        """One row a trial: the columns are the fields of a trial, then `params.NAME`,
        `metrics.NAME` and `test.NAME`.

            >>> study.to_pandas().groupby("configuration").value.agg(["mean", "std", "count"])

        Raises:
            UserError: pandas is not installed; says how to.
        """
        return data_frame(TrialTable(self.history))


def load(path: str | os.PathLike[str], study: str | None = None) -> LoadedStudy:
    """See `distune.load`."""
    folder = Path(os.path.abspath(path))
    if study is None and (folder / protocol.STUDY).exists():
        return LoadedStudy(open_study(folder.parent, folder.name))
    studies = find_studies(folder)
    if study is None:
        if not studies:
            raise UserError(f"no study in {folder}{_beside(folder)}")
        if len(studies) > 1:
            raise UserError(
                f"{len(studies)} studies in {folder} ({', '.join(studies)}): load one, as in "
                f"distune.load({str(folder / next(iter(studies)))!r})"
            )
        (study,) = studies
    elif study not in studies:
        raise UserError(f"no study {study!r} in {folder} (there: {', '.join(studies) or 'none'})")
    return LoadedStudy(open_study(folder, study))


def _beside(folder: Path) -> str:
    """For a name that may be misspelt."""
    try:
        studies = find_studies(folder.parent)
    except ShareError:
        return ""
    return f"; {folder.parent} has {', '.join(studies)}" if studies else ""
