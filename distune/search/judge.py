"""Which of the running trainings are not worth going on with."""

from collections.abc import Mapping, Sequence

from distune.search.following import Following
from distune.search.pruners import PRUNERS
from distune.search.pruning import Curve, KeptPoints, Peers, Stop, may_stop, place_of, shown
from distune.search.race import Race, Verdicts
from distune.search.racing import RacingPruner
from distune.search.ranking import History
from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.study.study import Study
from distune.study.trial import Counted, Outcome, Trial


class Judge:
    """`Judge(study).verdicts(history, curves)`: each report is judged once, by what is known then.
    It remembers nothing else than what it has read of the history.
    """

    def __init__(self, study: Study) -> None:
        named = PRUNERS.get(study.pruner or "")
        self._pruner = named(study.direction, study.pruner_options) if named is not None else None
        self.race: Race | None = None  # of a pruner that has trials pause, and go on
        self._judged: dict[AttemptName, int] = {}  # how many steps
        self._following = Following()
        self._begin(study)

    def _begin(self, study: Study) -> None:
        self._counted: list[Curve] = []
        if isinstance(self._pruner, RacingPruner):
            self.race = self._pruner.race(study)
        self._stopped: dict[int, Counted] = {}  # by configuration, one of its repeats

    def _follow(self, history: History) -> None:
        if self._following.begins_anew(history):
            self._begin(history.study)
        for _, counted in self._following.new(history):
            if isinstance(counted.curve, list):
                complete = counted.result.outcome is Outcome.COMPLETE
                self._add(Curve(counted.trial, KeptPoints(counted.curve), complete))
            if counted.result.outcome is Outcome.PRUNED and counted.result.why:
                self._stopped.setdefault(counted.trial.configuration, counted)

    def _add(self, curve: Curve) -> None:
        if self.race is not None:
            self.race.note(curve, over=True)
        else:
            self._counted.append(curve)

    def verdicts(
        self, history: History, curves: Mapping[AttemptName, Curve]
    ) -> dict[AttemptName, Stop]:
        """Which running attempts are to be stopped, given what they have reported so far."""
        if self._pruner is None:
            return {}
        self._follow(history)
        found: dict[AttemptName, Stop] = {}
        judged, self._judged = self._judged, {}
        for name, curve in curves.items():
            stop = self._judge(curve, curves, new=len(curve.points) > judged.get(name, 0))
            if stop is not None:
                found[name] = stop
            else:
                self._judged[name] = len(curve.points)
        return found

    def begun(self, trial: Trial) -> Trial:
        """A first attempt, with what its pruner wants it to know."""
        return self.race.begun(trial) if self.race is not None else trial

    def goes_on(self, file: AttemptFile, *, promoted: bool) -> Trial:
        """The trial of an attempt that says it has paused, with the rungs of its next one, be that
        `promoted` now or found to be lost.
        """
        rungs = self.race.goes_on(file, promoted=promoted) if self.race is not None else None
        return file.trial if rungs is None else file.trial.replace(rungs=rungs)

    def look(
        self,
        history: History,
        paused: Mapping[AttemptName, AttemptFile],
        others: Sequence[Trial] = (),
    ) -> None:
        """Take in what is counted, what has paused, and which rungs others have passed that are not
        counted.
        """
        if self.race is not None:
            self._follow(history)
            self.race.note_paused(paused.values())
            self.race.note_promoted(others)

    def reached(
        self, paused: Mapping[AttemptName, AttemptFile], others: Sequence[Trial]
    ) -> dict[int, tuple[int, float]]:
        """By configuration, at which step and with what value those stand that have paused at a
        rung, or gone on from it: what samplers hear of them before they are counted.
        """
        return {} if self.race is None else self.race.reached(paused.values(), others)

    def at_rest(
        self, paused: Mapping[AttemptName, AttemptFile], most: float, *, last: bool = False
    ) -> Verdicts:
        """Which of the trials that have paused go on, and which need not be waited for any more, of
        at most so many configurations in all; `last`: nothing else is to come.
        """
        if self.race is None:
            return Verdicts()
        return self.race.verdicts(paused, most, last=last)

    def why_not(self, paused: Mapping[AttemptName, AttemptFile]) -> dict[AttemptName, Stop]:
        """Why trials that have paused do not go on, now that the search is over."""
        if self.race is None:
            return dict.fromkeys(paused, Stop("it had paused when the search ended"))
        return self.race.places(paused)

    def verdict(
        self, history: History, curve: Curve, running: Mapping[AttemptName, Curve]
    ) -> Stop | None:
        """Why an attempt was stopped of which nobody remembers it: why it would be now, if it would
        be; None in a study in which only its end stops any.
        """
        if self._pruner is None or not may_stop(curve.trial):
            return None
        self._follow(history)
        last = curve.points[-1] if curve.points else None
        where = f"{place_of(curve, last.step)}: {shown(last.standing)}" if last else "step 0"
        unknown = Stop(f"{where}; why is not known: the master that stopped it has ended")
        return self._judge(curve, running) or unknown

    def _judge(
        self, curve: Curve, running: Mapping[AttemptName, Curve], *, new: bool = True
    ) -> Stop | None:
        assert self._pruner is not None
        mine = curve.trial.configuration
        if not may_stop(curve.trial):
            return None
        other = self._stopped.get(mine)
        if other is not None:
            return Stop(f"repeat {other.trial.repeat + 1} of its configuration was stopped")
        if not new or not curve.points:
            return None
        if self.race is not None:
            stop = self.race.judge(curve)
        else:
            peers = Peers(
                [one for one in self._counted if one.trial.configuration != mine],
                [one for one in running.values() if one.trial.configuration != mine],
            )
            stop = self._pruner.judge(curve, peers)
        return None if stop is None else stop._replace(steps=len(curve.points))
