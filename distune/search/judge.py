"""Which of the running trainings are not worth going on with."""

from collections.abc import Mapping, Sequence

from distune.search.pruners import PRUNERS
from distune.search.pruning import Curve, Peers, Point, Stop
from distune.search.ranking import History
from distune.share.protocol import AttemptName
from distune.study.study import Study
from distune.study.trial import Counted, Outcome, Purpose, Trial


class Judge:
    """`Judge(study).verdicts(history, curves)`: what it says follows from these alone; it remembers
    the curves of the history.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        named = PRUNERS.get(study.pruner or "")
        self._pruner = named(study.direction, study.pruner_options) if named is not None else None
        self._begin(History(study))

    def _begin(self, history: History) -> None:
        self._history, self._out = history, history.left_out
        self._read = 0
        self._counted: list[Curve] = []
        self._stopped: dict[int, Counted] = {}  # by configuration, one of its repeats

    def _follow(self, history: History) -> None:
        if history is not self._history or self._out != history.left_out:
            self._begin(history)
        for counted in history.trials[self._read :]:
            self._read += 1
            if not history.stands(counted) or counted.trial.extends is not None:
                continue
            if isinstance(counted.curve, list):
                points = [Point(int(s), t, value, value) for s, t, value in counted.curve]
                complete = counted.result.outcome is Outcome.COMPLETE
                self._counted.append(Curve(counted.trial, points, complete))
            if counted.result.outcome is Outcome.PRUNED and counted.result.why:
                self._stopped.setdefault(counted.trial.configuration, counted)

    def verdicts(
        self, history: History, curves: Mapping[AttemptName, Curve]
    ) -> dict[AttemptName, Stop]:
        """Which running attempts are to be stopped, given what they have reported so far."""
        if self._pruner is None:
            return {}
        self._follow(history)
        running = list(curves.values())
        found = {name: self._judge(curve, running) for name, curve in curves.items()}
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    def _judge(self, curve: Curve, running: Sequence[Curve]) -> Stop | None:
        assert self._pruner is not None
        trial = curve.trial
        if not may_stop(trial):
            return None
        other = self._stopped.get(trial.configuration)
        if other is not None:
            return Stop(f"repeat {other.trial.repeat} of its configuration was stopped")
        if not curve.points:
            return None
        same = trial.configuration
        peers = Peers(
            [one for one in self._counted if one.configuration != same],
            [one for one in running if one.configuration != same],
        )
        return self._pruner.judge(curve, peers)


def may_stop(trial: Trial) -> bool:
    """Whether a pruner has a say: it has none in what persons ask for, nor in tests."""
    asked_by_person = trial.replaces is not None or trial.extends is not None
    return trial.purpose is Purpose.TRAIN and not asked_by_person
