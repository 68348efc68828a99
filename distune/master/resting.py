"""What has paused at a rung, as one look of the master shows it. Pure."""

from distune.search.asked import AskedSoFar
from distune.search.judge import Judge
from distune.search.pruning import Stop
from distune.search.race import Verdicts, most_configurations
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study.trial import Purpose
from distune.watch.snapshot import Snapshot


class Resting:
    """The attempts that have paused, and are the ones that their trials are at: `names`."""

    def __init__(self, snapshot: Snapshot, judge: Judge) -> None:
        self.names: list[AttemptName] = []
        self._snapshot = snapshot
        self._judge = judge
        self._promotable = False
        self._others = [
            *(
                file.trial
                for name, file in snapshot.files.items()
                if name.state is not State.PAUSED
            ),
            *(trial for trial in snapshot.going_on.values() if trial is not None),
        ]

    def look(self) -> None:
        """Tell the judge, who may be asked about what is lost."""
        self._judge.look(self._snapshot.history, self._files(), self._others)

    def reached(self) -> dict[int, tuple[int, float]]:
        """By configuration, where those stand that have paused, or gone on from a rung."""
        return self._judge.reached(self._files(), self._others)

    def verdicts(self, *, last: bool = False) -> Verdicts:
        """Which go on, and which are hopeless, of as many configurations as there can be, or if
        nothing else is to come.
        """
        if not self.names or self._snapshot.unread:
            return Verdicts()  # what has just been claimed may have gone on from a rung
        repeats, size = self._snapshot.study.repeats, self._snapshot.size
        trials = None if size is None else size * repeats
        most = most_configurations([self._snapshot.limits.trials, trials], repeats)
        found = self._judge.at_rest(self._files(), most, last=last)
        self._promotable = bool(found.promoted)
        return found

    def why_not(self) -> dict[AttemptName, Stop]:
        """Why they do not go on, now that the search is over."""
        return self._judge.why_not(self._files())

    def _files(self) -> dict[AttemptName, AttemptFile]:
        return {name: self._snapshot.files[name] for name in self.names}

    def are_all(self, asked: AskedSoFar, limit: int | None) -> bool:
        """Whether nothing else is under way, nor missing from the listing, and none of them goes
        on: there is nothing to wait for.
        """
        trained = [name for name in self._snapshot.attempts if name.purpose is Purpose.TRAIN]
        unlisted = any(
            listings and asked.wants(number, limit)
            for (_, number), listings in self._snapshot.absent.items()
        )
        return not (self._promotable or unlisted) and len(trained) == len(self.names)
