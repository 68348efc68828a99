"""Counting trials: first a trial's one name in `seen/`, then the line of `history.jsonl`, made
from the file that has won that name. So two masters count alike, whoever was faster.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from distune.errors import BadRecord
from distune.search.judge import Judge
from distune.search.pruning import Curve, Stop, points_of
from distune.share import protocol, records
from distune.share.doubts import Doubts
from distune.share.protocol import Actor, AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import Store
from distune.study.reporting import how_to_report
from distune.study.trial import (
    Claim,
    Counted,
    Failure,
    Outcome,
    Output,
    Purpose,
    Record,
    Result,
    Trial,
)
from distune.watch.attempt_files import count_attempt
from distune.watch.observer import Observer
from distune.watch.snapshot import Snapshot


@dataclass(eq=False)
class Counting:
    """What the master has counted, in the observer's history and in `history.jsonl`."""

    _store: Store
    _observer: Observer
    _doubts: Doubts
    _judge: Judge
    #: Whether the file may have lines that are not known: an append failed, or another master has
    #: counted.
    _unsure: bool = False
    #: What was pruned, and why; None: the study is over.
    _stops: dict[AttemptName, Stop | None] = field(default_factory=dict)
    _won: list[Counted] = field(default_factory=list)  # in `seen/`, and maybe not in the history

    def mend(self) -> None:
        """Make the file say what is known, now that `seen/` has been compared with it."""
        file, known = self._observer.history_file, self._observer.history
        self._store.distrust_tail(protocol.HISTORY)
        if file.problem is not None:
            self._write_anew()
        else:
            recovered = [records.encode(one) for one in self._observer.recovered]
            file.append(recovered, known.lines())

    def prune(self, name: AttemptName, stop: Stop | None) -> None:
        """Taken -> pruned; it is counted when a listing shows it."""
        self._stops[name.moved(State.PRUNED, Actor.MASTER)] = stop
        self._store.prune(name)

    def count(self, names: Mapping[AttemptName, Stop | None], snapshot: Snapshot) -> None:
        """Count attempts that are over, those that are the first of their trial: of what has
        paused, and why it does not go on.
        """
        for name, stop in names.items():
            self._count(name, snapshot, stop)
        self.write_won()

    def _with_reports(self, name: AttemptName) -> AttemptFile | None:
        """All that one that has paused had said; None if it is gone, or cannot be read any more."""
        try:
            file = self._store.read_ended(name)
        except FileNotFoundError:
            return None
        except BadRecord as error:
            if self._doubts.confirmed(name.live_path):
                self._store.quarantine(name.filename, str(error))
            return None
        return file

    def _count(self, name: AttemptName, snapshot: Snapshot, stop: Stop | None) -> None:
        file: AttemptFile | None = snapshot.files[name]
        if name.state is State.PAUSED:
            file = self._with_reports(name)
        elif name.state is State.PRUNED:
            stop = self._why_pruned(name, snapshot)
        if file is None:
            return
        is_old = stop is not None and len(file.reports) < stop.steps
        if is_old and not self._doubts.confirmed(name.live_path):
            return  # a cache has an old copy: this master has read more of it before
        self._doubts.dropped(name.live_path)
        elapsed, in_its_own_file = snapshot.elapsed, name.state in (State.PRUNED, State.PAUSED)
        counted = count_attempt(self._observer.study, name, file, elapsed, stop)
        if in_its_own_file:
            # A power cut may have undone a rename, but not the line of history.
            counted = self._observer.history.get(name.key) or counted
            won = self._store.count_as(name.key, lines_of(counted, file))
        else:
            won = self._store.count(name)
        if won:
            self._won.append(counted)
        elif not self._take_winner(name.key, elapsed):
            return  # what took the name is none that counts, or not yet
        if in_its_own_file:
            self._store.lose(name, Actor.MASTER)
            self._stops.pop(name, None)
        elif not won:
            self._store.drop(name)

    def _why_pruned(self, name: AttemptName, snapshot: Snapshot) -> Stop | None:
        """Why an attempt was stopped; if a master was killed that knew, why it would be now."""
        if name in self._stops:
            return self._stops[name]
        file, study = snapshot.files[name], self._observer.study
        curve = Curve(file.trial, points_of(study, file.reports))
        return self._judge.verdict(snapshot.history, curve, snapshot.curves)

    def count_unreadable(self, name: AttemptName, trial: Trial, why: str, elapsed: float) -> None:
        """Count a trial as failed whose last attempt cannot be read."""
        failure = Failure(message=f"its file cannot be read: {why}")
        result = Result(outcome=Outcome.FAILED, failure=failure)
        counted = Counted(trial=trial, worker=name.worker, result=result, elapsed=elapsed)
        if self._store.count_as(name.key, lines_of(counted)):
            self._won.append(counted)
        else:
            self._take_winner(name.key, elapsed)
        self.write_won()

    def count_seen(self, key: tuple[Purpose, int], elapsed: float) -> None:
        """Count a trial that has its name in `seen/` already."""
        self._take_winner(key, elapsed)
        self.write_won()

    def _take_winner(self, key: tuple[Purpose, int], elapsed: float) -> bool:
        """Have what has the one name of a trial written into the history; False if that is gone,
        or nothing that counts, or not yet to be read.
        """
        name = AttemptName.counted(key)
        try:
            file = self._store.read_ended(name, seen=True)
        except FileNotFoundError:
            return False
        except BadRecord as error:
            if self._doubts.confirmed(name.seen_path):
                self._store.set_aside(name.seen_path, str(error))
            return False
        self._doubts.dropped(name.seen_path)
        self._unsure = True
        self._won.append(count_attempt(self._observer.study, name, file, elapsed))
        return True

    def write_won(self) -> None:
        """Have the history say what `seen/` does, those trials that this master has put there.

        Raises:
            ShareError: it may say so, or not. Do the same again later.
        """
        if self._won:
            self.add(self._won)
            self._won.clear()

    def add(self, counted: Sequence[Counted]) -> None:
        """Add trials to the history, those of them that it lacks."""
        if self._unsure:
            self._observer.catch_up()
        history = self._observer.history
        new = [(one, records.encode(one)) for one in counted if not history.has(one.key)]
        self._unsure = True
        lines = [line for _, line in new]
        self._observer.history_file.append(lines, itertools.chain(history.lines(), lines))
        self._unsure = False
        for one, line in new:
            history.add(one, line)
            self._see_steps(one)

    def _see_steps(self, counted: Counted) -> None:
        """Say it where a pruner has nothing to judge by, of the first trial that shows it."""
        study, history = self._observer.study, self._observer.history
        complete = counted.result.outcome is Outcome.COMPLETE
        if not complete or history.outcomes[Outcome.COMPLETE] > 1 or study.pruner is None:
            return
        steps = len(counted.curve[0]) if isinstance(counted.curve, list) else 0
        if steps <= 1:
            self._observer.add_event(
                "trouble",
                f"the pruner {study.pruner} can stop nothing: trial {counted.trial.number} has "
                f"reported {study.metric} {'once' if steps else 'never'}; have the objective "
                f"{how_to_report(study)} after each epoch, and begin a new study; this one goes "
                "on without",
            )

    def compare(self) -> None:
        """Read all of the file again, and write it anew if it is not what is remembered."""
        file, known = self._observer.history_file, self._observer.history
        missing, differ = set(known.lines()), False
        try:
            for counted, line in file.read_again():
                if line in missing:
                    missing.discard(line)
                elif (first := known.get(counted.key)) is None:
                    self._observer.take_in(counted, line)  # a second master's
                else:
                    differ |= records.encode(first) != line
        except BadRecord as error:
            file.problem = str(error)
        if missing or differ:
            self._write_anew()

    def keep(self) -> None:
        """Write what is remembered anew if the file has lost lines."""
        if self._observer.history_file.has_lost_lines():
            self._observer.catch_up()  # a second master, or that of a copy, may have written
            self._write_anew()

    def _write_anew(self) -> None:
        known = self._observer.history
        self._observer.history_file.write_anew(known.lines())
        count = len(known) + len(known.tests)
        self._observer.add_event(
            "trouble", f"{protocol.HISTORY} had lost lines; all {count} written anew"
        )


def lines_of(counted: Counted, file: AttemptFile | None = None) -> list[Record]:
    """A file that says what was counted, with the reports of the attempt's own."""
    claim = file.claim if file is not None else None
    if claim is None:
        worker, device, code = counted.worker, counted.device, counted.code
        claim = Claim(worker=worker, host="", device=device, time=0.0, code=code)
    if file is None:
        return [counted.trial, claim, counted.result]
    resumed = [file.resumed] if file.resumed is not None else []
    output = [Output(text=file.output)] if file.output else []
    saved = file.checkpoints
    return [counted.trial, claim, *resumed, *file.reports, *saved, *output, counted.result]
