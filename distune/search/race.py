"""The race of a study's configurations up the rungs of its pruner: which trials that have paused
go on, and which need not be waited for any more. Pure.
"""

import math
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from distune.search.finalists import FIRST
from distune.search.pruning import Curve, Point, Stop, may_stop, points_of
from distune.search.rungs import MOST_PAUSED, Bracket, Ladder, Standing
from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.study.study import Study
from distune.study.trial import Rungs, Trial

#: Reports after a rung's, until a training is taken for one that does not pause.
_REPORTS_TO_PAUSE = 2


@dataclass
class Verdicts:
    """About trials that have paused."""

    promoted: list[AttemptName] = field(default_factory=list)  # furthest first, then the best
    hopeless: dict[AttemptName, Stop] = field(default_factory=dict)


class Race:
    """`Race(study, ladders, shares)`: what it says follows from what it was told alone, in whatever
    order that was.

    Args:
        ladders: one for each bracket.
        shares: how many configurations of all go into each, in proportion.
    """

    def __init__(self, study: Study, ladders: Sequence[Ladder], shares: Sequence[int]) -> None:
        self._study = study
        self._shares = shares
        # What is confirmed is compared with others that were trained as far.
        least = FIRST if study.confirm is not None else 1
        self._brackets = [
            Bracket(one, study.repeats, study.direction, least=least) for one in ladders
        ]

    def _bracket_of(self, trial: Trial) -> Bracket:
        """Drawn by the number of its configuration: always the same."""
        text = f"{self._study.seed}/{trial.configuration}".encode()
        place = zlib.crc32(text) % sum(self._shares)
        for share, bracket in zip(self._shares, self._brackets, strict=True):
            if place < share:
                return bracket
            place -= share
        raise AssertionError("the place is below the sum of the shares")

    def begun(self, trial: Trial) -> Trial:
        """A first attempt, with the rung at which it pauses."""
        if not may_stop(trial):
            return trial
        ladder = self._bracket_of(trial).ladder
        return trial.replace(rungs=ladder.after([], trial.epochs))

    # -- what is known -----------------------------------------------------------------------

    def note(self, curve: Curve, *, over: bool = False) -> None:
        """What a trial has reported so far; whether it is counted."""
        if may_stop(curve.trial):
            values = self._values(curve.trial, curve.points)
            self._note(curve.trial, values, over=over)

    def note_paused(self, files: Iterable[AttemptFile]) -> None:
        """What trials have reached that have paused."""
        for file in files:
            self._note(file.trial, self._paused_with(file))

    def note_promoted(self, trials: Iterable[Trial]) -> None:
        """What trials that are not counted have passed."""
        for trial in trials:
            if may_stop(trial) and trial.pauses_at is not None and trial.pauses_at.passed:
                self._note(trial, trial.pauses_at.passed)

    def _note(self, trial: Trial, values: Sequence[float], *, over: bool = False) -> None:
        passed = len(trial.pauses_at.passed) if trial.pauses_at is not None else 0
        bracket = self._bracket_of(trial)
        bracket.note(trial.configuration, trial.number, values, passed=passed, over=over)

    def _values(self, trial: Trial, points: Sequence[Point]) -> list[float]:
        """At the rungs that it has reached."""
        rungs, ladder = trial.pauses_at, self._bracket_of(trial).ladder
        values = [*rungs.passed] if rungs is not None else []
        for point in points:
            while ladder.is_reached(len(values), point.step, point.seconds):
                values.append(point.standing)
        return values

    def _paused_with(self, file: AttemptFile) -> list[float]:
        return self._values(file.trial, points_of(self._study, file.reports))

    def standing(self, file: AttemptFile) -> tuple[Standing | None, str]:
        """How one that has paused stands at its rung, and that in words."""
        bracket, rung = self._bracket_of(file.trial), len(self._paused_with(file)) - 1
        standing = bracket.standing(file.trial.configuration, rung) if rung >= 0 else None
        return standing, standing.says(bracket.ladder, rung) if standing is not None else ""

    def reached(
        self, paused: Iterable[AttemptFile], going_on: Iterable[Trial]
    ) -> dict[int, tuple[int, float]]:
        """By configuration, what those have come to that have paused, or gone on: the step of
        their last rung (or the second of training), and the mean of their repeats there.
        """
        rungs: dict[int, tuple[int, Trial]] = {}
        found = [(len(self._paused_with(file)), file.trial) for file in paused]
        found += [(len(t.pauses_at.passed), t) for t in going_on if t.pauses_at is not None]
        for many, trial in found:
            if may_stop(trial) and many > rungs.get(trial.configuration, (0, None))[0]:
                rungs[trial.configuration] = many, trial
        known = {n: self._bracket_of(trial).reached(n, many) for n, (many, trial) in rungs.items()}
        return {number: one for number, one in known.items() if one is not None}

    # -- what follows from it ----------------------------------------------------------------

    def verdicts(
        self, paused: Mapping[AttemptName, AttemptFile], most: float, *, last: bool = False
    ) -> Verdicts:
        """About those that have paused, of at most so many configurations in all; or nothing else
        is to come.
        """
        self.note_paused(paused.values())
        found, promoted = Verdicts(), []
        left = defaultdict(list)  # by bracket and rung
        entered = sum(map(len, self._brackets))
        for name, file in paused.items():
            bracket, rung = self._bracket_of(file.trial), len(self._paused_with(file)) - 1
            standing, says = self.standing(file)
            if standing is None:
                continue
            here = most - (entered - len(bracket))
            if standing.goes_on(bracket.ladder.factor, least=bracket.least if last else 0):
                promoted.append((-rung, standing.place, name))
            elif bracket.is_hopeless(file.trial.configuration, rung, here):
                found.hopeless[name] = Stop(says)
            else:
                left[id(bracket), rung].append((standing.place, name, says))
        found.promoted = [name for *_, name in sorted(promoted)]
        for some in left.values():
            found.hopeless |= {name: Stop(says) for _, name, says in sorted(some)[MOST_PAUSED:]}
        return found

    def places(self, paused: Mapping[AttemptName, AttemptFile]) -> dict[AttemptName, Stop]:
        """Where those that have paused stand, in words."""
        self.note_paused(paused.values())
        says = {name: self.standing(file)[1] for name, file in paused.items()}
        return {
            name: Stop(said or "its other repeats have not come as far")
            for name, said in says.items()
        }

    def goes_on(self, file: AttemptFile, *, promoted: bool) -> Rungs | None:
        """The rungs of the attempt after one that says it has paused. If that is lost, it was
        promoted, or its worker died before its name said so: then it may have to pause again.
        """
        self.note_paused([file])
        bracket, (standing, _) = self._bracket_of(file.trial), self.standing(file)
        best = standing is not None and standing.goes_on(bracket.ladder.factor)
        if not (promoted or best):
            return file.trial.pauses_at
        return bracket.ladder.after(self._paused_with(file), file.trial.epochs)

    def judge(self, curve: Curve) -> Stop | None:
        """Whether a training that did not pause at its rung, because it saves no state that it
        could go on from, is to be stopped there: then it stands still for those that pause.
        """
        trial = curve.trial
        rungs = trial.pauses_at
        if rungs is None or (rungs.step is None and rungs.seconds is None):
            return None
        beyond = curve.points[:-_REPORTS_TO_PAUSE]
        rung = len(self._values(trial, beyond)) - 1
        if rung < len(rungs.passed):
            return None
        self.note(curve)
        bracket = self._bracket_of(trial)
        standing = bracket.standing(trial.configuration, rung)
        factor = bracket.ladder.factor
        if standing is None or standing.of < factor or standing.is_among_the_best(factor):
            return None
        return Stop(standing.says(bracket.ladder, rung))


def most_configurations(limits: Iterable[int | None], repeats: int) -> float:
    """How many a study can have, at most, of these limits of its trials."""
    known = [math.ceil(limit / repeats) for limit in limits if limit is not None]
    return min(known, default=math.inf)
