"""What is asked for and published next, as one look of the master shows what is known. Pure."""

from collections.abc import Iterator

from distune.master.actions import Action, Count, Promote, Publish
from distune.master.attempts import Attempts
from distune.master.resting import Resting
from distune.search.asked import AskedSoFar, asked_once_more, trial_of
from distune.search.judge import Judge
from distune.search.sampler import Nothing, Question, Sampler, Suggestion
from distune.share.heartbeat import WILLING
from distune.share.protocol import State
from distune.study.trial import FAILURES, Asked, Outcome, Purpose
from distune.watch.snapshot import Snapshot

_FEWEST_WAITING = 4
_AHEAD = 12  # times as many waiting as ended since the last look
_MOST_WAITING = 1000


class Publishing:
    """Asks the sampler, once for each configuration, and publishes its trials. `limit`: of what the
    search asks for; what persons ask for is wanted in any case.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        asked: AskedSoFar,
        sampler: Sampler,
        judge: Judge,
        resting: Resting,
        attempts: Attempts,
        limit: int | None,
    ) -> None:
        self._snapshot = snapshot
        self._study = snapshot.study
        self._known = asked
        self._sampler = sampler
        self._judge = judge
        self._resting = resting
        self._attempts = attempts
        self._limit = limit
        self.new: list[Asked] = []  # asked for now
        self.nothing: Nothing | None = None  # that the sampler had, when it was asked last

    def new_trials(self) -> Iterator[Action]:
        """As many as keep the workers busy until the next look; what has paused goes first."""
        slots = self.slots
        done = len(self._snapshot.in_state(State.DONE)) if self._some_succeed() else 0
        if self._sampler.at_once is None:
            wanted = max(_FEWEST_WAITING, 2 * slots, _AHEAD * done)
        else:
            # What waits was asked for with less known, and an idle worker waits for nothing.
            idle = max(0, slots - len(self._snapshot.in_state(State.TAKEN)))
            wanted = idle + max(1, slots // 8, 2 * done)
        more = min(wanted, _MOST_WAITING) - len(self._snapshot.in_state(State.WAITING))
        for action in self.promotions(more):
            yield action
            more -= isinstance(action, Promote)
        number = self._snapshot.next_number
        for _ in range(more):
            while not self._known.wants(number, self._limit):
                number += 1
                if number > self._known.next_trial:
                    return
            asked = self.asked(number)
            if asked is None:
                return
            yield Publish(self._judge.begun(trial_of(self._study, asked, number)))
            number += 1

    @property
    def slots(self) -> int:
        """How many trials the workers train at a time."""
        busy = [view for view in self._snapshot.workers if view.silence < self._study.lease]
        return sum(
            view.beat.jobs for view in busy if view.beat is not None and view.beat.state in WILLING
        )

    def promotions(self, most: int = _MOST_WAITING, *, last: bool = False) -> Iterator[Action]:
        """As late as that does not keep a worker waiting: the more is known."""
        verdicts = self._resting.verdicts(last=last)
        for name, stop in verdicts.hopeless.items():
            yield Count(name, stop)
        for name in verdicts.promoted[: max(0, most)]:
            trial = self._attempts.successor(name, promoted=True)
            if trial is not None:
                yield Promote(name, trial)

    def give_up(self) -> Iterator[Action]:
        """Count what has paused with what it has reached."""
        yield from (Count(name, stop) for name, stop in self._resting.why_not().items())

    def asked(self, number: int) -> Asked | None:
        """What asks for a trial, now if it is the next one; None if there is nothing to try."""
        known = self._known.of(number)
        if known is not None or self.nothing is not None:
            return known
        last = self.new[-1] if self.new else None
        trial = last.trial + last.repeats if last else self._known.next_trial
        if number != trial:
            return last if last is not None and last.trial <= number < trial else None
        if self._sampler.at_once is not None and len(self.new) >= self._sampler.at_once:
            return None  # the others at the next look, which comes soon
        asked = self._asked_anew(trial)
        if asked is not None:
            self.new.append(asked)
        return asked

    def _asked_anew(self, trial: int) -> Asked | None:
        """What the sampler answers, for a trial with this number and those after it."""
        used = max((one.configuration for one in self.new), default=-1)
        configuration = max(self._known.next_configuration, used + 1)
        its_own = configuration - self._known.wishes_before(configuration)
        reached = self._resting.reached
        question = Question(
            its_own, self._snapshot.history, self._in_flight, reached, self._known.may_add_to
        )
        found = self._sampler.ask(question)
        if not isinstance(found, Suggestion):
            self.nothing = found
            return None
        first = self._known.of(found.adds_to) if found.adds_to is not None else None
        if first is not None:
            once_more = asked_once_more(self._study, self._known, first, trial)
            return once_more.replace(state=found.state)
        return Asked(
            study=self._study.id,
            configuration=configuration,
            trial=trial,
            repeats=self._study.repeats,
            params=found.params,
            stage=found.stage,
            state=found.state,
        )

    def _in_flight(self) -> list[Asked]:
        """Configurations that were asked for and are not over, oldest first."""
        open_ones = {n for purpose, n in self._snapshot.absent if purpose is Purpose.TRAIN}
        open_ones.update(range(self._snapshot.next_number, self._known.next_trial))
        found = (self._known.of(number) for number in sorted(open_ones))
        known = {one.trial: one for one in found if one is not None}
        return [*known.values(), *self.new]

    def _some_succeed(self) -> bool:
        """Whether there is anything but failures: these come quickly, and in vain."""
        ended = self._snapshot.in_state(State.DONE)
        results = (file.result for name in ended if (file := self._snapshot.files.get(name)))
        return counted_results(self._snapshot) > 0 or any(
            result is not None and result.outcome not in FAILURES for result in results
        )


def counted_results(snapshot: Snapshot) -> int:
    """How many counted trials are no failures. What was pruned says nothing without a pruner: then
    the end itself has done it.
    """
    outcomes = snapshot.history.outcomes
    pruned = outcomes[Outcome.PRUNED] if snapshot.study.pruner is not None else 0
    return outcomes[Outcome.COMPLETE] + outcomes[Outcome.DIVERGED] + pruned
