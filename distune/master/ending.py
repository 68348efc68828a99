"""Why a study ends, and what comes before its end: the best are confirmed, the winner is tested.
Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from msgspec import UNSET

from distune.master.actions import Action, Finish, Prune, Publish, Replace, Withdraw
from distune.master.attempts import LISTINGS_TO_VANISH, Attempts
from distune.master.publishing import Publishing, counted_results
from distune.search.asked import AskedSoFar, asked_to_confirm, trial_of
from distune.search.configuration import Configuration
from distune.search.confirming import Confirmation
from distune.search.sampler import Nothing
from distune.share.protocol import AttemptName, Halt, State
from distune.study.trial import FAILURES, Purpose, Trial
from distune.watch.snapshot import Snapshot

#: As long as nothing but failures was counted, this many are enough to stop (PEERS: one
#: bad objective must not fail 500 trials).
FAILURES_TO_STOP = 10
_STOPPED = Finish("it was stopped (distune stop)", stopped=True)


class Ending:
    """The end of a study. `winner`: the first configuration that has reached the target."""

    def __init__(
        self,
        snapshot: Snapshot,
        asked: AskedSoFar,
        attempts: Attempts,
        publishing: Publishing,
        winner: Configuration | None,
        limit: int | None,
    ) -> None:
        self._snapshot = snapshot
        self._study = snapshot.study
        self._asked = asked
        self._attempts = attempts
        self._publishing = publishing
        self._winner = winner
        self._limit = limit

    def why(self) -> Finish | None:
        """Why no more trials are wanted, if so. Only what is counted counts."""
        snapshot, history, halt = self._snapshot, self._snapshot.history, self._snapshot.halt
        if halt is Halt.NOW:
            return _STOPPED
        total, pending = history.over - history.confirming, self._asked.pending()
        failures = (
            0 if counted_results(snapshot) else sum(history.outcomes[one] for one in FAILURES)
        )
        failures -= min(len(pending), failures)  # these get another chance
        wanted = self._asked.is_wanted()
        if self._winner is not None and not wanted:
            first = self._winner.first
            return Finish(f"the target {snapshot.limits.target} is reached by trial {first}")
        time_limit = snapshot.limits.time_limit
        if time_limit is not None and snapshot.elapsed >= time_limit:
            return Finish(f"the time limit of {time_limit:g} s is over")
        spent = _used_up(snapshot) if not wanted else None
        if spent is not None:
            return Finish(spent)
        asked_for = history.over - history.on_top
        enough = self._limit is not None and asked_for >= self._limit and not wanted
        if enough or (halt is None and self._is_exhausted()):
            if failures:
                return Finish(self._all_failed(), failed=True)
            one = total == 1
            return Finish("its trial is counted" if one else f"all {total} trials are counted")
        if failures >= FAILURES_TO_STOP:
            return Finish(self._all_failed(), failed=True)
        return _STOPPED if halt is Halt.STOP else None

    def _is_exhausted(self) -> bool:
        """Whether all that was asked for is counted, and the sampler has no more."""
        number = self._snapshot.next_number
        if len(self._snapshot.history.trials) + self._asked.for_the_end(number) < number:
            return False
        while self._asked.is_for_the_end(number):
            number += 1
        nothing_left = self._publishing.asked(number) is None
        return nothing_left and self._publishing.nothing is Nothing.NO_MORE

    def _all_failed(self) -> str:
        failures = [c.result.failure for c in self._snapshot.history.standing if c.result.failure]
        if len(failures) == 1:
            return f"its trial failed: {failures[-1].message}"
        why = f"; the last one: {failures[-1].message}" if failures else ""
        return f"all of the first {len(failures)} trials failed{why}"

    def see_to(self, ending: Finish) -> Iterator[Action]:
        """Take back what is not wanted any more, have the best confirmed and the winner tested, and
        end.
        """
        ended = [*self._snapshot.in_state(State.DONE, State.PRUNED, State.LOST)]
        running = self._snapshot.in_state(State.TAKEN)
        # Whichever master wanted them: another may have seen more.
        confirming = {(Purpose.TRAIN, number) for number in self._asked.confirms.values()}

        def of_the_search(name: AttemptName) -> bool:
            return name.purpose is Purpose.TRAIN and name.key not in confirming

        if not ending.stopped:
            ended += self._snapshot.in_state(State.PAUSED)
            yield from self._publishing.give_up()
            yield from map(Withdraw, filter(of_the_search, self._snapshot.in_state(State.WAITING)))
            for name in filter(of_the_search, running):
                if self._snapshot.history.get(name.key) is None:
                    yield Prune(name)
        if any(map(of_the_search, (*ended, *running))):
            return
        on = not ending.failed and self._snapshot.halt is not Halt.NOW
        confirmation = self._snapshot.history.confirmation() if on else None
        if confirmation is not None and not confirmation.is_over:
            for trial in self._fresh_trials(confirmation):
                yield from self._see_to(trial)
            return
        if confirmation is not None:
            yield from self._begun_in_vain(confirmation.found.rounds)
        tests = self._wanted_tests() if on else []
        open_tests = [test for test in tests if self._snapshot.history.get(test.key) is None]
        for trial in open_tests:
            yield from self._see_to(trial)
        if not open_tests and not ended and not running:
            said = [confirmation.words()[0]] if confirmation is not None else []
            yield replace(ending, reason="; ".join([ending.reason, *said]))

    def _see_to(self, trial: Trial) -> Iterator[Action]:
        """Have a trial of the end under way."""
        if trial.key in self._attempts.live:
            return
        listings = self._snapshot.absent.get(trial.key)
        if listings is None:
            yield Publish(trial)
        elif listings >= LISTINGS_TO_VANISH:
            yield Replace(trial)

    def _begun_in_vain(self, rounds: int) -> Iterator[Action]:
        """Take back what was begun ahead of a round of fresh trainings that does not come: so many
        have decided. Of a first one nothing is taken back: who has not read the whole history yet
        may think that there is nothing to compare.
        """
        for name in self._snapshot.in_state(State.WAITING, State.TAKEN) if rounds else ():
            fresh = name.purpose is Purpose.TRAIN and self._asked.is_for_the_end(name.trial)
            asked = self._asked.of(name.trial) if fresh else None
            in_vain = asked is not None and asked.repeat >= rounds
            if in_vain and not self._snapshot.history.has(name.key):
                yield Withdraw(name) if name.state is State.WAITING else Prune(name)

    def _fresh_trials(self, confirmation: Confirmation) -> list[Trial]:
        """Those that are wanted now, to confirm the best, and as many of the next round as would
        leave no worker without anything to do. What was not asked for before is.
        """
        under_way = {
            which
            for which, number in self._asked.confirms.items()
            if (Purpose.TRAIN, number) in self._attempts.live
            and not self._snapshot.history.has((Purpose.TRAIN, number))
        }
        wanted = {(one.first, index) for one, index in confirmation.wanted}
        left = confirmation.left - len(wanted | under_way)
        if left < 0:  # what one that is beaten has begun ahead counts, too: that is over soon
            return []
        idle = self._publishing.slots - len(wanted | under_way)
        ahead = [(one, i) for one, i in confirmation.ahead if (one.first, i) not in under_way]
        return self._trials_for([*confirmation.wanted, *ahead[: max(0, min(idle, left))]])

    def _trials_for(self, wanted: Iterable[tuple[Configuration, int]]) -> list[Trial]:
        found = []
        for configuration, index in wanted:
            number = self._asked.confirms.get((configuration.first, index))
            if number is None:
                free = max(self._asked.next_trial, self._snapshot.history.highest + 1)
                number = free + len(self._publishing.new)
                asked = asked_to_confirm(self._study, configuration, index, number)
                self._publishing.new.append(asked)
                found.append(trial_of(self._study, asked, number))
            elif (known := self._attempts.known_trial(number)) is not None:
                found.append(known)
        return found

    def _wanted_tests(self) -> list[Trial]:
        """The winner's trials, to be evaluated on the test set: once each; of one that is
        confirmed, those that have done so.
        """
        winner = self._snapshot.history.winner() if self._study.has_test else None
        trained = winner.to_test if winner is not None else []
        return [
            counted.trial.replace(
                attempt=1,
                purpose=Purpose.TEST,
                failed_on=[],
                best=counted.result.metrics,
                checkpoints=[],  # those are of its training, and go on for longer
                rungs=UNSET,  # it trains as far as the best step, at once
                wasted=UNSET,
            )
            for counted in trained
        ]


def _used_up(snapshot: Snapshot) -> str | None:
    """Which limit of what a search is worth is reached, if one is."""
    limits, history = snapshot.limits, snapshot.history
    if (most := limits.max_total_seconds) is not None and snapshot.trained >= most:
        return f"the {most:g} s of training that it may take are used up"
    if (plateau := limits.plateau) is not None and snapshot.since_best >= plateau:
        best = history.best_of_search()
        if best is not None:
            found = f"no better than trial {best.first}"
            found = "not on the front" if snapshot.study.objectives else found
            return f"{plateau} configurations in a row were {found}"
    return None
