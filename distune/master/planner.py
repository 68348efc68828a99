"""The master's mind: a snapshot in, actions out. Pure: no file, no clock, no randomness."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET

from distune.master.resting import Resting
from distune.search.asked import AskedSoFar, asked_to_confirm, trial_of
from distune.search.confirming import Confirmation
from distune.search.judge import Judge
from distune.search.pruning import Stop
from distune.search.sampler import Nothing, Question, Sampler, Suggestion
from distune.share.heartbeat import WILLING
from distune.share.protocol import LIVE, AttemptName, Halt, State
from distune.study.trial import FAILURES, Asked, Counted, Outcome, Purpose, Trial
from distune.watch.snapshot import Snapshot

#: As long as nothing but failures was counted, this many are enough to stop (PEERS: one
#: bad objective must not fail 500 trials).
FAILURES_TO_STOP = 10
#: A trial that is in none of so many successive listings has lost its file.
LISTINGS_TO_VANISH = 3
_MOST_UNREADABLE = 10  # attempts at a trial, after which it has failed
_SHOW_LOST_FOR = 10  # leases
_SHOW_GIVEN_UP_FOR = 86400.0  # seconds
_MOST_SET_ASIDE = 200  # at a step: a flood of garbage must not hold up the trials
_FEWEST_WAITING = 4
_AHEAD = 12  # times as many waiting as ended since the last look
_MOST_WAITING = 1000


class Action:
    """Something that the master has to do."""


@dataclass(frozen=True)
class Ask(Action):
    """Remember a configuration, before any of its trials is published."""

    asked: Asked


@dataclass(frozen=True)
class Publish(Action):
    """Make an attempt's file."""

    trial: Trial


@dataclass(frozen=True)
class Replace(Action):
    """A trial's file has vanished: see what `seen/` knows of it, else publish it again."""

    trial: Trial


@dataclass(frozen=True)
class _OnAttempt(Action):
    name: AttemptName


@dataclass(frozen=True)
class Count(_OnAttempt):
    """Give an attempt that is over its trial's one name in `seen/`, unless another has it. `stop`:
    why one that has paused does not go on.
    """

    stop: Stop | None = None


@dataclass(frozen=True)
class Promote(_OnAttempt):
    """Have a trial that has paused go on, as this attempt."""

    trial: Trial


class Lose(_OnAttempt):
    """Make an attempt lost: its worker is, or it failed and is tried again."""


@dataclass(frozen=True)
class Prune(_OnAttempt):
    """Stop a running attempt; what it has reached is counted at the next look. `stop`: why, unless
    the study is over.
    """

    stop: Stop | None = None


class Withdraw(_OnAttempt):
    """Take a trial back that no worker has claimed; it is published again if the study goes on."""


class PutAway(_OnAttempt):
    """Put a lost file away about which there is nothing left to do."""


@dataclass(frozen=True)
class CountUnreadable(_OnAttempt):
    """End a trial as failed: what its last attempt has left cannot be read."""

    trial: Trial
    why: str


@dataclass(frozen=True)
class Quarantine(Action):
    """Set a file aside that makes no sense."""

    filename: str
    why: str


@dataclass(frozen=True)
class RemoveHeartbeat(Action):
    """Remove the heartbeat of a worker that has been silent for long and holds nothing."""

    worker: str


@dataclass(frozen=True)
class Finish(Action):
    """The study is over; `stopped`: by a person, and what waits stays for when it goes on."""

    reason: str
    failed: bool = False
    stopped: bool = False


_STOPPED = Finish("it was stopped (distune stop)", stopped=True)


def asks_to_confirm(actions: Sequence[Action]) -> bool:
    """Whether fresh trainings are asked for. Which numbers they get follows from all that was asked
    for before, by whichever master.
    """
    return any(isinstance(one, Ask) and one.asked.confirms is not None for one in actions)


def plan(
    snapshot: Snapshot, asked: AskedSoFar, sampler: Sampler, judge: Judge | None = None
) -> list[Action]:
    """What the master has to do about what it sees, in the order to do it in. The sampler is asked
    once for each configuration that was not asked for before; without a judge no training is
    stopped before its end.
    """
    found = _Plan(snapshot, asked, sampler, judge)
    actions = list(found.actions())
    return [*map(Ask, found.new), *actions]


class _Plan:
    def __init__(
        self, snapshot: Snapshot, asked: AskedSoFar, sampler: Sampler, judge: Judge | None
    ) -> None:
        self.snapshot = snapshot
        self.study = snapshot.study
        self.asked = asked
        self.winner = snapshot.history.target_reached(snapshot.limits.target)
        # Of what the search asks for; what persons ask for is wanted in any case.
        self.limit = snapshot.limits.trials if self.winner is None else 0
        self.sampler = sampler
        self.judge = judge or Judge(self.study)
        self.resting = Resting(snapshot, self.judge)
        self.new: list[Asked] = []  # asked for now
        self.nothing: Nothing | None = None  # that the sampler had, when it was asked last
        #: The highest attempt that may still succeed, for each trial that has one.
        self.live = {
            name.key: name.attempt
            for name in sorted(snapshot.attempts)
            if name.state in LIVE and name not in snapshot.bad
        }
        self.settled_now: set[tuple[Purpose, int]] = set()

    def actions(self) -> Iterator[Action]:
        strangers = self.snapshot.strangers.items()
        for stranger, why in itertools.islice(strangers, _MOST_SET_ASIDE):
            yield Quarantine(stranger, why)
        for name in self.snapshot.in_state(State.DONE, State.PRUNED):
            yield from self._over(name)
        paused = self.snapshot.in_state(State.PAUSED)
        in_vain = [action for name in paused for action in self._paused(name)]
        self.resting.look()
        for name in self.snapshot.in_state(State.LOST):
            yield from self._lost(name)
        yield from in_vain
        yield from self._taken_in_vain()
        yield from _not_worth_it(self.snapshot, self.judge)
        yield from self._long_silent()
        if self.snapshot.halt is Halt.PAUSE:
            return  # the end has to wait, too: it may want the winner to be tested
        ending = self._ending()
        if ending is None:
            going_on = [*self._vanished(), *self._new_trials()]
            yield from going_on
            looks_on = self.nothing is Nothing.STILL_LOOKING
            if not (going_on or looks_on) and self.resting.are_all(self.asked, self.limit):
                # A search ends with trainings that went all the way, if anything did.
                yield from [*self._promotions(_MOST_WAITING, last=True)] or self._give_up()
        else:
            yield from self._end(ending)

    # -- attempts that ended ---------------------------------------------------------------

    def _over(self, name: AttemptName) -> Iterator[Action]:
        counted = self.snapshot.history.get(name.key)
        if name in self.snapshot.bad:
            yield from self._unreadable(name)
        elif name not in self.snapshot.files:
            return  # it moved on while we looked
        elif name.key in self.settled_now or (
            counted is not None and not _same_attempt(counted, name)
        ):
            yield Lose(name)  # two masters raced: its trial has been counted already
        elif counted is None and name.state is State.DONE and self._is_tried_again(name):
            yield Lose(name)
        else:
            self.settled_now.add(name.key)
            yield Count(name)

    def _is_tried_again(self, name: AttemptName) -> bool:
        trial, result = self.snapshot.files[name].trial, self.snapshot.files[name].result
        if result is None or result.outcome not in FAILURES or result.infeasible:
            return False
        return trial.failures + 1 < self.study.max_attempts

    def _unreadable(self, name: AttemptName) -> Iterator[Action]:
        # It says no more how often it has failed. An objective whose results cannot be read
        # must not be trained for ever.
        its_own = name.key not in self.live  # not a stray file beside the trial's own
        if its_own and name.attempt >= _MOST_UNREADABLE and name.purpose is Purpose.TRAIN:
            trial = self._known_trial(name.trial)
            known = self.snapshot.history.get(name.key) is not None
            if trial is not None and not known and name.key not in self.settled_now:
                self.settled_now.add(name.key)
                again = trial.replace(attempt=name.attempt)
                yield CountUnreadable(name, again, self.snapshot.bad[name])
                return
        yield from self._set_aside(name)

    def _set_aside(self, name: AttemptName) -> Iterator[Action]:
        successor = self._successor(name)
        if successor is not None:
            yield Publish(successor)
        yield Quarantine(name.filename, self.snapshot.bad[name])

    def _lost(self, name: AttemptName) -> Iterator[Action]:
        # The successor comes first: a crash in between leaves this file to do it again.
        if name in self.snapshot.bad:
            yield from self._set_aside(name)
            return
        if name not in self.snapshot.files:
            return
        successor = self._successor(name)
        if successor is not None:
            yield Publish(successor)
        yield PutAway(name)

    def _paused(self, name: AttemptName) -> Iterator[Action]:
        if name in self.snapshot.bad:
            yield from self._unreadable(name)
        elif name in self.snapshot.files:
            over = self.snapshot.history.has(name.key) or name.key in self.settled_now
            # Two masters: another attempt has won, or is under way.
            if over or self.live[name.key] > name.attempt or name.purpose is Purpose.TEST:
                yield Lose(name)
            else:
                self.resting.names.append(name)

    def _successor(self, name: AttemptName, *, promoted: bool = False) -> Trial | None:
        """The next attempt at the same trial, unless it is counted or already under way."""
        if self.snapshot.history.get(name.key) is not None or name.key in self.settled_now:
            return None
        if self.live.get(name.key, 0) > name.attempt:
            return None
        if name in self.snapshot.bad and name.key in self.live:
            return None  # a stranger's file beside the trial's own
        file = self.snapshot.files.get(name)
        if file is None:
            if name.purpose is Purpose.TEST:
                return None  # published anew when the study ends
            trial = self._known_trial(name.trial)
            return None if trial is None else trial.replace(attempt=name.attempt + 1)
        failed, paused = file.failed, file.result and file.result.outcome is Outcome.PAUSED
        trial = self.judge.goes_on(file, promoted=promoted) if paused else file.trial
        return trial.replace(
            attempt=name.attempt + 1,
            failed_on=[*file.trial.failed_on, *([name.worker] if failed else [])],
            checkpoints=file.checkpoints_for_the_next(failed=failed),
        )

    # -- attempts that will not end by themselves --------------------------------------------

    def _taken_in_vain(self) -> Iterator[Action]:
        silence = {view.worker: view.silence for view in self.snapshot.workers}
        for name in self.snapshot.in_state(State.TAKEN):
            counted = self.snapshot.history.get(name.key)
            if counted is not None and _same_attempt(counted, name):
                yield Prune(name)  # a power cut has undone the rename, but not the count
            elif counted is not None or silence.get(name.worker, 0.0) >= self.study.lease:
                yield Lose(name)

    def _long_silent(self) -> Iterator[Action]:
        """Heartbeats of the dead: each poll reads every one, so they must not pile up (P11)."""
        held = [name for name in self.snapshot.attempts if name.state is not State.PAUSED]
        holders = {name.worker for name in held}
        for view in self.snapshot.workers:
            patience = _SHOW_LOST_FOR * self.study.lease
            if view.beat is not None and view.beat.state == "gave up":
                patience = max(patience, _SHOW_GIVEN_UP_FOR)  # its reason wants to be read
            if view.silence >= patience and view.beat is not None and view.worker not in holders:
                yield RemoveHeartbeat(view.worker)

    def _vanished(self) -> Iterator[Action]:
        for (purpose, number), listings in sorted(self.snapshot.absent.items()):
            if not self.asked.wants(number, self.limit):
                continue  # or not any more
            if purpose is Purpose.TRAIN and listings >= LISTINGS_TO_VANISH:
                trial = self._known_trial(number)
                if trial is not None:
                    yield Replace(trial)

    # -- going on, and the end ---------------------------------------------------------------

    def _new_trials(self) -> Iterator[Action]:
        busy = [view for view in self.snapshot.workers if view.silence < self.study.lease]
        slots = sum(
            view.beat.jobs for view in busy if view.beat is not None and view.beat.state in WILLING
        )
        done = len(self.snapshot.in_state(State.DONE)) if self._some_succeed() else 0
        if self.sampler.at_once is None:
            wanted = max(_FEWEST_WAITING, 2 * slots, _AHEAD * done)
        else:
            # What waits was asked for with less known, and an idle worker waits for nothing.
            idle = max(0, slots - len(self.snapshot.in_state(State.TAKEN)))
            wanted = idle + max(1, slots // 8, 2 * done)
        more = min(wanted, _MOST_WAITING) - len(self.snapshot.in_state(State.WAITING))
        for action in self._promotions(more):
            yield action
            more -= isinstance(action, Promote)
        number = self.snapshot.next_number
        for _ in range(more):
            while not self.asked.wants(number, self.limit):
                number += 1
                if number >= self.asked.next_trial:
                    return
            asked = self._asked(number)
            if asked is None:
                return
            yield Publish(self.judge.begun(trial_of(self.study, asked, number)))
            number += 1

    def _promotions(self, most: int, *, last: bool = False) -> Iterator[Action]:
        """As late as that does not keep a worker waiting: the more is known."""
        verdicts = self.resting.verdicts(last=last)
        for name, stop in verdicts.hopeless.items():
            yield Count(name, stop)
        for name in verdicts.promoted[: max(0, most)]:
            trial = self._successor(name, promoted=True)
            if trial is not None:
                yield Promote(name, trial)

    def _give_up(self) -> Iterator[Action]:
        """Count what has paused with what it has reached."""
        yield from (Count(name, stop) for name, stop in self.resting.why_not().items())

    def _known_trial(self, number: int) -> Trial | None:
        """A trial of a configuration that was asked for before."""
        asked = self.asked.of(number)
        return None if asked is None else self.judge.begun(trial_of(self.study, asked, number))

    def _asked(self, number: int) -> Asked | None:
        """What asks for a trial, now if it is the next one; None if there is nothing to try."""
        known = self.asked.of(number)
        if known is not None or self.nothing is not None:
            return known
        last = self.new[-1] if self.new else None
        trial = last.trial + last.repeats if last else self.asked.next_trial
        if number != trial:
            return last if last is not None and last.trial <= number < trial else None
        if self.sampler.at_once is not None and len(self.new) >= self.sampler.at_once:
            return None  # the others at the next look, which comes soon
        configuration = last.configuration + 1 if last else self.asked.next_configuration
        its_own = configuration - self.asked.wishes_before(configuration)
        reached = self.resting.reached
        question = Question(its_own, self.snapshot.history, self._in_flight, reached)
        found = self.sampler.ask(question)
        if not isinstance(found, Suggestion):
            self.nothing = found
            return None
        asked = Asked(
            study=self.study.id,
            configuration=configuration,
            trial=trial,
            repeats=self.study.repeats,
            params=found.params,
            stage=found.stage,
            state=found.state,
        )
        self.new.append(asked)
        return asked

    def _in_flight(self) -> list[Asked]:
        """Configurations that were asked for and are not over, oldest first."""
        open_ones = {n for purpose, n in self.snapshot.absent if purpose is Purpose.TRAIN}
        open_ones.update(range(self.snapshot.next_number, self.asked.next_trial))
        found = (self.asked.of(number) for number in sorted(open_ones))
        known = {one.trial: one for one in found if one is not None}
        return [*known.values(), *self.new]

    def _some_succeed(self) -> bool:
        """Whether there is anything but failures: these come quickly, and in vain."""
        ended = self.snapshot.in_state(State.DONE)
        results = (file.result for name in ended if (file := self.snapshot.files.get(name)))
        return self._counted_results > 0 or any(
            result is not None and result.outcome not in FAILURES for result in results
        )

    @property
    def _counted_results(self) -> int:
        """What was pruned says nothing without a pruner: then the end itself has done it."""
        outcomes = self.snapshot.history.outcomes
        pruned = outcomes[Outcome.PRUNED] if self.study.pruner is not None else 0
        return outcomes[Outcome.COMPLETE] + outcomes[Outcome.DIVERGED] + pruned

    def _ending(self) -> Finish | None:
        """Why no more trials are wanted, if so. Only what is counted counts."""
        snapshot, history, halt = self.snapshot, self.snapshot.history, self.snapshot.halt
        if halt is Halt.NOW:
            return _STOPPED
        total, pending = history.over - history.confirming, self.asked.pending()
        by_name = self.asked.extending() or self.asked.wished()
        failures = 0 if self._counted_results else sum(history.outcomes[one] for one in FAILURES)
        failures -= min(len(pending), failures)  # these get another chance
        if self.winner is not None and not by_name:
            first = self.winner.first
            return Finish(f"the target {snapshot.limits.target} is reached by trial {first}")
        time_limit = snapshot.limits.time_limit
        if time_limit is not None and snapshot.elapsed >= time_limit:
            return Finish(f"the time limit of {time_limit:g} s is over")
        wanted = pending or by_name  # by persons
        spent = _used_up(self.snapshot) if not wanted else None
        if spent is not None:
            return Finish(spent)
        asked_for = history.over - history.on_top
        enough = self.limit is not None and asked_for >= self.limit and not wanted
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
        if len(self.snapshot.history.trials) < self.snapshot.next_number:
            return False
        nothing_left = self._asked(self.snapshot.next_number) is None
        return nothing_left and self.nothing is Nothing.NO_MORE

    def _all_failed(self) -> str:
        failures = [c.result.failure for c in self.snapshot.history.standing if c.result.failure]
        if len(failures) == 1:
            return f"its trial failed: {failures[-1].message}"
        why = f"; the last one: {failures[-1].message}" if failures else ""
        return f"all of the first {len(failures)} trials failed{why}"

    def _end(self, ending: Finish) -> Iterator[Action]:
        ended = [*self.snapshot.in_state(State.DONE, State.PRUNED, State.LOST)]
        running = self.snapshot.in_state(State.TAKEN)
        # Whichever master wanted them: another may have seen more.
        confirming = {(Purpose.TRAIN, number) for number in self.asked.confirms.values()}

        def of_the_search(name: AttemptName) -> bool:
            return name.purpose is Purpose.TRAIN and name.key not in confirming

        if not ending.stopped:
            ended += self.snapshot.in_state(State.PAUSED)
            yield from self._give_up()
            yield from map(Withdraw, filter(of_the_search, self.snapshot.in_state(State.WAITING)))
            for name in filter(of_the_search, running):
                if self.snapshot.history.get(name.key) is None:
                    yield Prune(name)
        if any(map(of_the_search, (*ended, *running))):
            return
        on = not ending.failed and self.snapshot.halt is not Halt.NOW
        confirmation = self.snapshot.history.confirmation() if on else None
        fresh = self._fresh_trials(confirmation) if confirmation is not None else []
        tests = self._wanted_tests() if on else []
        open_tests = [test for test in tests if self.snapshot.history.get(test.key) is None]
        for trial in fresh or open_tests:
            yield from self._see_to(trial)
        if not fresh and not open_tests and not ended and not running:
            said = [confirmation.words()[0]] if confirmation is not None else []
            yield replace(ending, reason="; ".join([ending.reason, *said]))

    def _see_to(self, trial: Trial) -> Iterator[Action]:
        """Have a trial of the end under way."""
        if trial.key in self.live:
            return
        listings = self.snapshot.absent.get(trial.key)
        if listings is None:
            yield Publish(trial)
        elif listings >= LISTINGS_TO_VANISH:
            yield Replace(trial)

    def _fresh_trials(self, confirmation: Confirmation) -> list[Trial]:
        """Those that are wanted now, to confirm the best. What was not asked for before is."""
        found = []
        for configuration, index in confirmation.wanted:
            number = self.asked.confirms.get((configuration.first, index))
            if number is None:
                free = max(self.asked.next_trial, self.snapshot.history.highest + 1)
                number = free + len(self.new)
                self.new.append(asked_to_confirm(self.study, configuration, index, number))
                found.append(trial_of(self.study, self.new[-1], number))
            elif (known := self._known_trial(number)) is not None:
                found.append(known)
        return found

    def _wanted_tests(self) -> list[Trial]:
        """The winner's trials, to be evaluated on the test set: once each; of one that is
        confirmed, those that have done so.
        """
        winner = self.snapshot.history.winner() if self.study.has_test else None
        trained = winner.to_test if winner is not None else []
        return [
            counted.trial.replace(
                attempt=1,
                purpose=Purpose.TEST,
                failed_on=[],
                best=counted.result.metrics,
                checkpoints=[],  # those are of its training, and go on for longer
                rungs=UNSET,  # it trains as far as the best step, at once
            )
            for counted in trained
        ]


def _not_worth_it(snapshot: Snapshot, judge: Judge) -> Iterator[Action]:
    """Trainings that a pruner gives up; not what is taken in vain anyway."""
    silent = {one.worker for one in snapshot.workers if one.silence >= snapshot.study.lease}
    for name, stop in judge.verdicts(snapshot.history, snapshot.curves).items():
        if name.worker not in silent and snapshot.history.get(name.key) is None:
            yield Prune(name, stop)


def _used_up(snapshot: Snapshot) -> str | None:
    """Which limit of what a search is worth is reached, if one is."""
    limits, history = snapshot.limits, snapshot.history
    if (most := limits.max_total_seconds) is not None:
        paused = (snapshot.files.get(name) for name in snapshot.in_state(State.PAUSED))
        resting = sum(file.result.seconds for file in paused if file and file.result)
        if history.trained + resting >= most:
            return f"the {most:g} s of training that it may take are used up"
    if (plateau := limits.plateau) is not None and snapshot.since_best >= plateau:
        best = history.best_of_search()
        if best is not None:
            return f"{plateau} configurations in a row were no better than trial {best.first}"
    return None


def _same_attempt(counted: Counted, name: AttemptName) -> bool:
    return (counted.trial.attempt, counted.worker) == (name.attempt, name.worker)
