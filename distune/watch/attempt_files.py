"""What the files of attempts say: of running ones, of those that have ended, and what the history
keeps of these.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from msgspec import UNSET

from distune.errors import BadRecord
from distune.search.pruning import Stop
from distune.search.ranking import History
from distune.share import protocol, records
from distune.share.doubts import Doubts
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import Listing, Store
from distune.study.study import Study
from distune.study.trial import (
    Counted,
    Failure,
    Outcome,
    Purpose,
    Report,
    Result,
    Trial,
    summarize,
    with_others,
)
from distune.watch.curves import kept_curve
from distune.watch.expected import ExpectedTrials

#: A number that is higher than that of all counted trials by so much was not published by a master
#: of this study, which is ahead by what waits and is trained.
LONGEST_LEAP = 100_000
_MOST_ATTEMPTS = 900_000  # a trial's; names can hold a few more
#: At a look: what lies there will still lie there at the next one.
_MOST_EXAMINED = 1000  # files
_MOST_ENDED = 10_000  # files
_MOST_READ = 128 * 2**20  # bytes
_CURVES_READ = 40
_MOST_OF_CURVES = 16 * 2**20  # bytes; of one file, too: a viewer looks again and again
_CURVE_AGE = 2.0  # seconds; a network file system's cache is no fresher

_OVER = frozenset({State.DONE, State.PRUNED, State.LOST, State.PAUSED})

Files = dict[AttemptName, AttemptFile]
#: Why a trial is none that the study has asked for, if so, given what was counted before.
Refuse = Callable[[Trial, History], str | None]


@dataclass
class AttemptFiles:
    """The files in `trials/`, from one look to the next.

    Args:
        refuse: why a trial is none of this study's, if so; None to believe the names.
        catch_up: reads what a master may have counted since.
        doubts: which of them could not be used when they were read last.
    """

    store: Store
    history: History
    expected: ExpectedTrials
    refuse: Refuse | None
    catch_up: Callable[[], None]
    doubts: Doubts
    _verdicts: dict[AttemptName, str | None] = field(default_factory=dict)  # of the last listing
    _curves: dict[AttemptName, tuple[float, AttemptFile]] = field(default_factory=dict)
    _paused: Files = field(default_factory=dict)  # nobody adds to these
    _wasted: dict[int, float] = field(default_factory=dict)  # by number of the trial

    def split(
        self, listing: Listing, *, everything: bool = False
    ) -> tuple[tuple[AttemptName, ...], dict[str, str]]:
        """The study's attempts; and the names of all other files, and why they are strangers. What
        it would take too long to examine now is neither, unless `everything` is to be.
        """
        known: list[AttemptName] = []
        strangers = dict.fromkeys(listing.strangers, "it is not the name of an attempt")
        reach = len(self.history)
        if self.refuse is not None:  # then what is expected was asked for
            reach = max(reach, self.expected.next_number)
        verdicts, self._verdicts = self._verdicts, {}
        caught_up, begin = False, self.store.bytes_read
        left = len(listing.attempts) if everything else _MOST_EXAMINED
        for name in sorted(listing.attempts):
            why = self._misplaced(name, reach)
            if why is None and self.refuse is not None and not self.expected.has(name.key):
                if name not in verdicts:
                    if left == 0 or self.store.bytes_read - begin > _MOST_READ:
                        continue
                    left -= 1
                why = verdicts[name] if name in verdicts else self._examine(name, self.refuse)
                if why is not None and name not in verdicts and not caught_up:
                    # Where locks lie a second master may have asked for it.
                    self.catch_up()
                    caught_up, why = True, self._examine(name, self.refuse)
                self._verdicts[name] = why
            if why is not None:
                strangers[name.filename] = why
                continue
            known.append(name)
            if self.refuse is not None:
                reach = max(reach, name.trial + 1)
        return tuple(known), strangers

    def _misplaced(self, name: AttemptName, reach: int) -> str | None:
        if name.state is State.SEEN:
            return f"what is {name.state} has no business in {protocol.TRIALS}/"
        if name.trial >= reach + LONGEST_LEAP or name.attempt > _MOST_ATTEMPTS:
            return "no master asked for such a trial"
        if name.purpose is Purpose.TEST and not self.history.study.has_test:
            return "this study has no test"
        return None

    def _examine(self, name: AttemptName, refuse: Refuse) -> str | None:
        try:
            return refuse(self.store.read_attempt(name).trial, self.history)
        except FileNotFoundError:
            return None  # a worker has moved it on: so it was the study's
        except BadRecord as error:
            return str(error)

    def ended(self, attempts: Iterable[AttemptName]) -> tuple[Files, dict[AttemptName, str]]:
        """The files of attempts that are over, those that count as they are without their reports;
        and which cannot be used, and why. Of very many the first ones: the others have their turn
        when these are settled. What may only be old is neither.
        """
        files: Files = {}
        bad: dict[AttemptName, str] = {}
        begin = self.store.bytes_read
        over = [name for name in attempts if name.state in _OVER]
        if self._paused:
            self._paused = {name: self._paused[name] for name in over if name in self._paused}
            over = [name for name in over if name not in self._paused]
        for name in over[:_MOST_ENDED]:
            if self.store.bytes_read - begin > _MOST_READ:
                break
            try:
                file = self.store.read_ended(name)
                if not self._is_whole(name, file):
                    continue
                files[name] = file if self._needs_reports(name) else self._shortened(file)
                self._add_up(name, files[name])
            except BadRecord as error:
                if self.doubts.confirmed(name.live_path):
                    bad[name] = str(error)
            except FileNotFoundError:
                continue
        self.doubts.keep(name.live_path for name in over if name not in files)
        self._paused.update((n, file) for n, file in files.items() if n.state is State.PAUSED)
        files.update(self._paused)
        return files, bad

    def _needs_reports(self, name: AttemptName) -> bool:
        """What was stopped is counted by what it has reported; and pruners compare curves."""
        compared = name.state is State.DONE and self.history.study.pruner is not None
        return name.state is State.PRUNED or compared

    def _shortened(self, file: AttemptFile) -> AttemptFile:
        """Without its reports; of one that has paused, with as much as the history would keep."""
        study, paused = self.history.study, file.result and file.result.outcome is Outcome.PAUSED
        kept = kept_curve(study, file.reports) if paused else UNSET
        reports = tuple(
            Report(step=int(step), seconds=seconds, metrics={study.metric: standing})
            for step, seconds, standing in (
                zip(*kept, strict=True) if isinstance(kept, list) else ()
            )
        )
        return replace(file, reports=reports, output="", wasted=file.not_gone_on_from())

    def _add_up(self, name: AttemptName, file: AttemptFile) -> None:
        seconds = file.trial.wasted_seconds
        seconds += file.wasted if name.state is State.LOST else 0.0
        if seconds > 0 and name.purpose is Purpose.TRAIN:
            self._wasted[name.trial] = seconds

    @property
    def wasted(self) -> float:
        """Seconds of training that trials have lost which are not counted yet, as far as that was
        seen: one that looks for the first time hears of others when they are over.
        """
        self._wasted = {n: s for n, s in self._wasted.items() if n not in self.history.counted}
        return sum(self._wasted.values())

    def _is_whole(self, name: AttemptName, file: AttemptFile) -> bool:
        """Whether nothing of a file may be missing still. What a worker gives back has a result at
        its end; without, a cache may hide that and the last checkpoint, which the next attempt is
        to go on from (P12). Of a worker that has died, it is waited for in vain.
        """
        sure = name.state is not State.LOST or file.result is not None
        sure = sure or self.history.has(name.key)  # of what is counted there is no next attempt
        return sure or self.doubts.confirmed(name.live_path)

    def running(self, attempts: Iterable[AttemptName], now: float) -> Files:
        """The files of the first of the running attempts, none read too often."""
        running = [name for name in attempts if name.state is State.TAKEN][:_CURVES_READ]
        self._curves = {name: c for name, c in self._curves.items() if name in running}
        begin = self.store.bytes_read
        for name in running:
            if self.store.bytes_read - begin > _MOST_OF_CURVES:
                break  # those that are left have their turn
            if name in self._curves and now - self._curves[name][0] < _CURVE_AGE:
                continue
            try:
                self._curves[name] = (now, self._curve(name))
            except (BadRecord, FileNotFoundError):
                continue
        room = records.Room()
        self._curves = {name: c for name, c in self._curves.items() if room.takes(c[1])}
        return {name: file for name, (_, file) in self._curves.items()}

    def _curve(self, name: AttemptName) -> AttemptFile:
        """What a running attempt has reported of the metric that is ranked; nothing of a file that
        would take seconds to read each time.
        """
        metric = self.history.study.metric
        file = self.store.read_attempt(name, limit=_MOST_OF_CURVES)
        values = ({k: v for k, v in one.metrics.items() if k == metric} for one in file.reports)
        reports = zip(file.reports, values, strict=True)
        return replace(file, reports=tuple(one.replace(metrics=of) for one, of in reports))


def count_attempt(
    study: Study,
    name: AttemptName,
    file: AttemptFile,
    elapsed: float | None,
    stop: Stop | None = None,
) -> Counted:
    """What the history keeps of an attempt that ends its trial; `stop`: why it was stopped."""
    if name.state in (State.PRUNED, State.PAUSED):
        best = summarize(file.reports, study.metric, study.direction, study.summary)
        value = best.metrics[study.metric] if best else None
        finite = value is not None and math.isfinite(value)
        stopped_well = stop is not None and stop.complete and finite
        result = Result(
            outcome=Outcome.COMPLETE if stopped_well else Outcome.PRUNED,
            value=value,
            metrics=with_others(best, file.reports, study.also_judged) if best else {},
            seconds=file.reports[-1].seconds if file.reports else 0.0,
            steps=len(file.reports),
            reason=stop.reason if stop is not None else UNSET,
        )
    else:
        result = file.result or Result(
            outcome=Outcome.FAILED, failure=Failure(message="the file has no result")
        )
    return Counted(
        trial=file.trial,
        worker=name.worker or (file.claim.worker if file.claim else ""),
        device=file.claim.device if file.claim else "",
        code=file.claim.code if file.claim else "",
        result=result,
        elapsed=elapsed,
        curve=kept_curve(study, file.reports) if file.trial.purpose is Purpose.TRAIN else UNSET,
    )


def recover(store: Store, history: History, refuse: Refuse) -> list[Counted]:
    """Add to the history what `seen/` has and it lacks: a crash came between, or the cache is
    gone. What cannot be read there counts nothing: its trial is made again.

    Returns:
        What was added, each trial after those that it rests upon: by number, tests last.
    """
    found: list[Counted] = []
    unknown = store.seen(history.counted)
    for name in sorted(unknown, key=lambda n: (n.purpose is Purpose.TEST, n.trial, n)):
        if name.state is State.LOST or history.has(name.key):
            continue
        if name.trial > len(history) + LONGEST_LEAP:
            continue
        try:
            file = store.read_ended(name, seen=True)
        except (FileNotFoundError, BadRecord):
            continue
        if refuse(file.trial, history) is None:
            found.append(count_attempt(history.study, name, file, None))
            history.add(found[-1])
    return found
