"""The master's mind: a snapshot in, actions out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec import UNSET

from distune.master import planner
from distune.master.actions import (
    Action,
    Ask,
    Count,
    CountUnreadable,
    Finish,
    Lose,
    Promote,
    Prune,
    Publish,
    PutAway,
    Quarantine,
    RemoveHeartbeat,
    Replace,
    Withdraw,
)
from distune.master.attempts import LISTINGS_TO_VANISH
from distune.master.ending import FAILURES_TO_STOP
from distune.search.asked import AskedSoFar
from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Reached, Sampler, Suggestion
from distune.search.samplers.random import RandomSampler
from distune.search.staged import make_sampler
from distune.share.heartbeat import Beat, BeatState
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study.study import Limits
from distune.study.trial import (
    FAILURES,
    Checkpoint,
    Counted,
    Failure,
    Outcome,
    Purpose,
    Report,
    Result,
    Rungs,
    Trial,
)
from distune.watch.snapshot import Snapshot, WorkerView
from tests.histories import LEASE, asked_from, asked_trial, make_study

STUDY, _ = make_study(repeats=1)
SAMPLER = make_sampler(STUDY)
EMPTY = Snapshot(study=STUDY, limits=Limits(trials=6), elapsed=0.0, history=History(STUDY))


def trial(number: int, attempt: int = 1, failures: int = 0) -> Trial:
    made = asked_trial(STUDY, SAMPLER, number, attempt)
    return made.replace(failed_on=["w-0"] * failures)


def asked(many: int = 10) -> AskedSoFar:
    """What the master knows when so many trials were asked for."""
    known = AskedSoFar(STUDY)
    for one in asked_from(STUDY, SAMPLER, many):
        known.add(one)
    return known


def plan(snapshot: Snapshot, sampler: Sampler = SAMPLER) -> list[Action]:
    """A plan of the master that has asked for what is there, but for what it asks for now."""
    actions = planner.plan(snapshot, asked(snapshot.next_number), sampler)
    return [action for action in actions if not isinstance(action, Ask)]


def result(outcome: Outcome = Outcome.COMPLETE, value: float | None = 1.0) -> Result:
    failure = Failure(message="it broke") if outcome is Outcome.FAILED else None
    return Result(outcome=outcome, value=value, failure=failure)


def counted(number: int, outcome: Outcome = Outcome.COMPLETE, worker: str = "w-1") -> Counted:
    return Counted(trial=trial(number), worker=worker, result=result(outcome))


def name(number: int, state: State, attempt: int = 1, worker: str = "w-1") -> AttemptName:
    owner = "" if state is State.WAITING else worker
    return AttemptName(number, attempt, worker=owner, state=state)


def seen_by(*attempts: AttemptName, history: list[Counted] | None = None, **more: Any) -> Snapshot:
    """A snapshot with these attempts; done and lost ones hold a complete result."""
    past = History(STUDY)
    past.extend(history or [])
    files = {
        one: AttemptFile(trial(one.trial, one.attempt), None, (), result())
        for one in attempts
        if one.state in (State.DONE, State.LOST)
    }
    known = [one.trial for one in attempts] + [c.trial.number for c in past.trials]
    numbers = {"next_number": max(known, default=-1) + 1, "files": files}
    return replace(EMPTY, attempts=attempts, history=past, **{**numbers, **more})


def planned(snapshot: Snapshot, *kinds: type) -> list[Action]:
    return [action for action in plan(snapshot) if isinstance(action, kinds)]


def view(worker: str, silence: float, jobs: int = 1) -> WorkerView:
    beat = Beat(worker=worker, host="h", pid=1, device="cpu", jobs=jobs, counter=1, state="working")
    return WorkerView(worker, beat, silence)


def test_a_new_study_gets_a_few_trials_and_no_more_than_its_limit() -> None:
    published = planned(EMPTY, Publish)
    assert [a.trial.number for a in published if isinstance(a, Publish)] == [0, 1, 2, 3]
    small = replace(EMPTY, limits=Limits(trials=2))
    assert len(planned(small, Publish)) == 2


def test_more_executors_get_more_trials_waiting() -> None:
    snapshot = replace(EMPTY, limits=Limits(trials=100), workers=(view("w-1", 0.0, jobs=16),))
    assert len(planned(snapshot, Publish)) == 32


def test_one_that_learns_is_asked_late_but_before_a_worker_would_wait() -> None:
    learns = make_sampler(STUDY.model_copy(update={"sampler": "tpe"}))
    workers = tuple(view(f"w-{i}", 0.0) for i in range(10))
    running = [name(number, State.TAKEN, worker=f"w-{number}") for number in range(10)]

    def published(*attempts: AttemptName, workers: tuple[WorkerView, ...] = workers) -> int:
        snapshot = replace(seen_by(*attempts), limits=Limits(trials=100), workers=workers)
        return len([one for one in plan(snapshot, learns) if isinstance(one, Publish)])

    assert published(workers=()) == 1, "before any worker is there"
    assert published(*running) == 1, "all ten train: one for the first that ends"
    assert published(*running[:8]) == 3
    assert published(*running[:8], name(10, State.WAITING)) == 2
    assert published() == 8, "as many as there is time for at one look"


def ended(*outcomes: Outcome, history: list[Counted] | None = None) -> Snapshot:
    """Trials that have just been trained, by number."""
    names = [name(number, State.DONE) for number in range(len(outcomes))]
    files = {
        one: AttemptFile(trial(one.trial), None, (), result(outcome))
        for one, outcome in zip(names, outcomes, strict=True)
    }
    return seen_by(*names, history=history, files=files, limits=Limits(trials=1000))


def test_who_trains_quickly_gets_many_unless_all_of_them_fail() -> None:
    """Failures come quickly, too, and the study is about to end because of them."""
    failed, complete = Outcome.FAILED, Outcome.COMPLETE
    assert len(planned(ended(complete, complete, complete), Publish)) == 36
    assert len(planned(ended(failed, complete, failed), Publish)) == 36
    assert len(planned(ended(failed, failed, failed), Publish)) == 4
    known = [counted(100)]
    assert len(planned(ended(failed, failed, failed, history=known), Publish)) == 36
    only_failures = [counted(100, failed)]
    assert len(planned(ended(failed, failed, failed, history=only_failures), Publish)) == 4


def test_the_same_snapshot_gives_the_same_plan() -> None:
    snapshot = seen_by(name(0, State.DONE), name(1, State.LOST), name(2, State.TAKEN))
    assert plan(snapshot) == plan(snapshot, make_sampler(STUDY))


def test_the_successor_is_published_before_the_lost_file_is_put_away() -> None:
    lost = name(0, State.LOST)
    actions = plan(seen_by(lost))
    successor = next(a for a in actions if isinstance(a, Publish) and a.trial.number == 0)
    assert successor.trial == trial(0, attempt=2)
    assert actions.index(successor) < actions.index(PutAway(lost))


def test_a_lost_file_whose_successor_is_under_way_is_only_put_away() -> None:
    lost = name(0, State.LOST)
    for state in (State.WAITING, State.TAKEN):
        actions = planned(seen_by(lost, name(0, state, attempt=2, worker="w-2")), Publish, PutAway)
        assert PutAway(lost) in actions
        assert not [a for a in actions if isinstance(a, Publish) and a.trial.number == 0]


def test_a_lost_file_of_a_trial_that_is_counted_is_only_put_away() -> None:
    lost = name(0, State.LOST, attempt=2)
    actions = planned(seen_by(lost, history=[counted(0)]), Publish, PutAway)
    assert PutAway(lost) in actions
    assert not [a for a in actions if isinstance(a, Publish) and a.trial.number == 0]


def test_only_failures_count_against_a_trial_and_say_on_which_worker() -> None:
    lost = name(0, State.LOST)
    for outcome, failed_on in (
        (Outcome.FAILED, ["w-1"]),
        (Outcome.TIMEOUT, ["w-1"]),
        (Outcome.OUT_OF_MEMORY, ["w-1"]),
        (Outcome.RELEASED, []),
    ):
        file = AttemptFile(trial(0), None, (), result(outcome, None))
        (publish,) = [
            a
            for a in planned(seen_by(lost, files={lost: file}), Publish)
            if isinstance(a, Publish) and a.trial.number == 0
        ]
        assert publish.trial.failed_on == failed_on


def test_the_next_attempt_is_told_the_last_checkpoints_of_the_one_before() -> None:
    lost = name(0, State.LOST)
    saved = [Checkpoint(attempt=1, number=n, step=n, size=1, sha256="0" * 64) for n in (4, 5)]
    file = AttemptFile(trial(0), None, (), None, checkpoints=tuple(saved))
    actions = planned(seen_by(lost, files={lost: file}), Publish)
    (publish,) = [a for a in actions if isinstance(a, Publish) and a.trial.number == 0]
    assert publish.trial.checkpoints == saved[::-1]


def test_a_failed_attempt_is_tried_again_until_it_has_had_its_chances() -> None:
    done = name(0, State.DONE)
    for outcome in FAILURES:
        for failures, expected in ((0, Lose(done)), (1, Lose(done)), (2, Count(done))):
            file = AttemptFile(trial(0, failures=failures), None, (), result(outcome, None))
            assert expected in plan(seen_by(done, files={done: file}))


def test_a_trial_whose_results_can_never_be_read_fails_in_the_end() -> None:
    for attempt, kinds in (
        (1, [Publish, Quarantine]),
        (9, [Publish, Quarantine]),
        (10, [CountUnreadable]),
    ):
        done = name(0, State.DONE, attempt)
        actions = plan(seen_by(done, bad={done: "too large"}))
        about_it = [
            a
            for a in actions
            if isinstance(a, Quarantine | CountUnreadable)
            or (isinstance(a, Publish) and a.trial.number == 0)
        ]
        assert [type(a) for a in about_it] == kinds


def test_heartbeats_of_the_dead_are_removed_but_reasons_for_giving_up_stay() -> None:
    def view(worker: str, silence: float, state: BeatState = "idle") -> WorkerView:
        beat = Beat(worker=worker, host="h", pid=1, device="cpu", jobs=1, counter=1, state=state)
        return WorkerView(worker, beat, silence)

    views = (
        view("fresh-1", 9.9 * LEASE),
        view("dead-1", 10 * LEASE),
        view("holder-1", 99 * LEASE),
        view("bad-1", 99 * LEASE, "gave up"),
        view("bad-2", 86_400.0, "gave up"),
        WorkerView("mute-1", None, 99 * LEASE),
    )
    snapshot = seen_by(name(0, State.LOST, worker="holder-1"), workers=views)
    assert planned(snapshot, RemoveHeartbeat) == [
        RemoveHeartbeat("dead-1"),
        RemoveHeartbeat("bad-2"),
    ]


def test_a_done_file_that_the_history_has_gets_its_trial_s_name_again() -> None:
    done = name(0, State.DONE)
    assert planned(seen_by(done, history=[counted(0)]), Count, Lose) == [Count(done)]


def test_what_was_stopped_is_counted_even_if_its_worker_says_that_it_failed() -> None:
    pruned = name(0, State.PRUNED)
    file = AttemptFile(trial(0), None, (), result(Outcome.FAILED, None))
    assert planned(seen_by(pruned, files={pruned: file}), Count, Lose) == [Count(pruned)]


def test_a_pruned_attempt_whose_rename_a_power_cut_has_undone_is_pruned_again() -> None:
    taken = name(0, State.TAKEN)
    history = [counted(0, Outcome.PRUNED)]
    assert planned(seen_by(taken, history=history), Prune, Lose) == [Prune(taken)]
    other = name(0, State.TAKEN, attempt=2)
    assert planned(seen_by(other, history=history), Prune, Lose) == [Lose(other)]


def test_the_second_of_two_results_of_a_trial_is_given_up() -> None:
    first, second = name(0, State.DONE), name(0, State.DONE, worker="w-2")
    assert planned(seen_by(first, second), Count, Lose) == [Count(first), Lose(second)]
    assert planned(seen_by(second, history=[counted(0)]), Count, Lose) == [Lose(second)]


def test_a_worker_is_evicted_when_its_lease_is_over_and_not_before() -> None:
    taken = name(0, State.TAKEN)
    almost = seen_by(taken, workers=(view("w-1", LEASE - 0.1),))
    assert planned(almost, Lose) == []
    assert planned(replace(almost, workers=(view("w-1", LEASE),)), Lose) == [Lose(taken)]


def test_a_worker_that_trains_what_is_counted_already_is_evicted() -> None:
    taken = name(0, State.TAKEN, attempt=2)
    assert planned(seen_by(taken, history=[counted(0)]), Lose, Prune) == [Lose(taken)]


def test_a_trial_has_vanished_when_several_listings_lack_it() -> None:
    key = (Purpose.TRAIN, 0)
    once = seen_by(next_number=1, absent={key: LISTINGS_TO_VANISH - 1})
    assert planned(once, Replace) == []
    assert planned(replace(once, absent={key: LISTINGS_TO_VANISH}), Replace) == [Replace(trial(0))]


def test_what_makes_no_sense_is_set_aside_and_replaced() -> None:
    bad = name(0, State.DONE)
    actions = plan(seen_by(bad, bad={bad: "torn"}, strangers={"notes.txt": "a note"}))
    assert [a.filename for a in actions if isinstance(a, Quarantine)] == ["notes.txt", bad.filename]
    publish = next(a for a in actions if isinstance(a, Publish))
    assert publish.trial == trial(0, attempt=2)


def test_when_the_limit_is_counted_the_study_is_over() -> None:
    snapshot = seen_by(history=[counted(i) for i in range(6)])
    (finish,) = plan(snapshot)
    assert isinstance(finish, Finish)
    assert not finish.failed
    assert planned(seen_by(history=[counted(i) for i in range(5)]), Finish) == []


def test_at_the_time_limit_the_running_are_stopped_and_the_waiting_taken_back() -> None:
    waiting, taken, done = name(2, State.WAITING), name(1, State.TAKEN), name(0, State.DONE)
    snapshot = seen_by(waiting, taken, done, limits=Limits(time_limit=10.0), elapsed=10.0)
    assert plan(snapshot) == [Count(done), Withdraw(waiting), Prune(taken)]
    assert Withdraw(waiting) not in plan(replace(snapshot, elapsed=9.9))


def test_a_target_ends_the_study_once_it_is_counted() -> None:
    snapshot = seen_by(history=[counted(0)], limits=Limits(target=1.0))
    (finish,) = plan(snapshot)
    assert isinstance(finish, Finish)
    assert planned(replace(snapshot, limits=Limits(target=1.1)), Finish) == []


def test_nothing_but_failures_ends_the_study_as_failed() -> None:
    failed = [counted(i, Outcome.FAILED) for i in range(FAILURES_TO_STOP)]
    many = Limits(trials=500)
    (finish,) = planned(seen_by(history=failed, limits=many), Finish)
    assert isinstance(finish, Finish)
    assert finish.failed
    assert "it broke" in finish.reason
    assert planned(seen_by(history=[*failed, counted(99)], limits=many), Finish) == []


def test_the_test_of_a_winner_that_would_have_paused_next_runs_to_its_end() -> None:
    study = STUDY.model_copy(update={"objective": "mnist-cnn", "has_test": True})
    history = History(study)
    won = counted(0)
    history.extend([won.replace(trial=won.trial.replace(rungs=Rungs(step=3)))])
    limits = Limits(trials=1)
    (publish,) = plan(replace(EMPTY, study=study, limits=limits, history=history, next_number=1))
    assert isinstance(publish, Publish)
    assert (publish.trial.purpose, publish.trial.rungs) == (Purpose.TEST, UNSET)
    # Nor does one that an earlier master has published so.
    assert publish.trial.replace(rungs=Rungs(step=3)).pauses_at is None


def test_the_winner_is_tested_once_and_only_then_is_the_study_over() -> None:
    study = STUDY.model_copy(update={"objective": "mnist-cnn", "has_test": True})
    history = History(study)
    history.extend(counted(i) for i in range(6))
    snapshot = replace(EMPTY, study=study, history=history, next_number=6)
    (publish,) = plan(snapshot)
    assert isinstance(publish, Publish)
    assert (publish.trial.purpose, publish.trial.number) == (Purpose.TEST, 0)
    running = AttemptName(0, 1, Purpose.TEST, "w-1", State.TAKEN)
    assert plan(replace(snapshot, attempts=(running,))) == []
    unseen = {publish.trial.key: LISTINGS_TO_VANISH}
    assert plan(replace(snapshot, absent=unseen)) == [Replace(publish.trial)]
    history.add(Counted(trial=publish.trial, worker="w-1", result=result()))
    (finish,) = plan(snapshot)
    assert isinstance(finish, Finish)


# -- rungs ---------------------------------------------------------------------------------------

RACE = STUDY.model_copy(update={"pruner": "asha", "pruner_options": {"reduction_factor": 3}})


def at_rungs(**more: Any) -> Snapshot:
    """Three trials have paused, and a fourth has gone on from two rungs."""
    paused = [name(number, State.PAUSED) for number in range(3)]
    snapshot = seen_by(*paused, name(3, State.WAITING, attempt=2))
    files = {
        one: AttemptFile(
            trial(one.trial).replace(rungs=Rungs(step=1)),
            None,
            (Report(step=1, metrics={"y": one.trial / 10}, seconds=1.0),),
            result(Outcome.PAUSED),
        )
        for one in paused
    }
    going_on = {(3, 2): trial(3, 2).replace(rungs=Rungs(step=9, passed=[0.05, 0.15]))}
    room = {"limits": Limits(trials=60), "workers": (view("w-1", 0.0, jobs=8),)}
    changes = {"study": RACE, "files": files, "going_on": going_on, **room, **more}
    return replace(snapshot, history=History(RACE), **changes)


class Listens(RandomSampler):
    """A sampler that keeps what it hears of rungs."""

    heard: list[Reached]

    def ask(self, question: Question) -> Suggestion | Nothing:
        self.heard.append(question.reached())
        return super().ask(question)


def test_a_sampler_hears_of_what_has_paused_and_of_what_has_gone_on() -> None:
    sampler = Listens(RACE.space, RACE.seed)
    sampler.heard = []
    assert plan(at_rungs(), sampler)
    assert sampler.heard[0] == {0: (1, 0.0), 1: (1, 0.1), 2: (1, 0.2), 3: (3, 0.15)}


def test_nobody_is_promoted_while_an_attempt_that_may_have_been_cannot_be_found() -> None:
    def promoted(snapshot: Snapshot) -> list[int]:
        return [one.name.trial for one in plan(snapshot) if isinstance(one, Promote)]

    assert promoted(at_rungs()) == [2]
    assert promoted(at_rungs(unread=True)) == []
