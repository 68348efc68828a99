"""A worker's doubts about itself, and a host on which everything fails."""

from __future__ import annotations

import random

from distune.share import records
from distune.share.heartbeat import Beat, BeatState
from distune.share.store import Store
from distune.study.trial import Failure, Outcome, Result
from distune.watch.observer import Observer
from distune.worker.health import FAILURES_TO_DOUBT, Health, Peers, Verdict
from distune.worker.worker import Worker
from tests.histories import LEASE
from tests.memory_folder import Faults
from tests.simulation import World

COMPLETE = Result(outcome=Outcome.COMPLETE, value=1.0, steps=3)
AT_ONCE = Result(outcome=Outcome.FAILED, failure=Failure(message="no kernel image"))
LATE = Result(outcome=Outcome.FAILED, steps=2, failure=Failure(message="nan in the loss"))


def beat(
    worker: str,
    completed: int = 0,
    failed: int = 0,
    state: BeatState = "working",
    counter: int = 1,
) -> bytes:
    return records.encode_document(
        Beat(
            worker=worker,
            host="h",
            pid=1,
            device="cpu",
            jobs=1,
            counter=counter,
            state=state,
            completed=completed,
            failed=failed,
        )
    )


def peers_of(*beats: bytes) -> Peers:
    peers = Peers("me", LEASE)
    peers.look({f"w{i}": data for i, data in enumerate(beats)}, now=0.0)
    return peers


def unlucky(failures: int) -> Health:
    health = Health()
    for _ in range(failures):
        health.ended(AT_ONCE)
    return health


def test_a_worker_tests_itself_after_so_many_failures_at_once_in_a_row() -> None:
    health = Health()
    doubts = [health.ended(AT_ONCE) for _ in range(2 * FAILURES_TO_DOUBT)]
    assert [i for i, due in enumerate(doubts, 1) if due] == [
        FAILURES_TO_DOUBT,
        2 * FAILURES_TO_DOUBT,
    ]


def test_a_success_or_a_failure_after_a_report_ends_the_row() -> None:
    for ended in (COMPLETE, LATE):
        health = unlucky(FAILURES_TO_DOUBT - 1)
        assert not health.ended(ended)
        assert not health.ended(AT_ONCE)
        assert not health.doubtful


def test_params_that_cannot_be_trained_say_nothing_about_the_worker() -> None:
    failure = Failure(message="a kernel of 9x9 does not fit", infeasible=True)
    health = unlucky(FAILURES_TO_DOUBT - 1)
    assert not health.ended(Result(outcome=Outcome.FAILED, failure=failure))
    assert health.ended(AT_ONCE)  # the row goes on
    assert health.failed == FAILURES_TO_DOUBT


def test_a_failed_self_test_is_a_reason_to_leave_whatever_fails_elsewhere() -> None:
    for peers in (peers_of(), peers_of(beat("w0", completed=9))):
        verdict = unlucky(3).judge("cuda:0 cannot compute", peers)
        assert verdict == Verdict("cuda:0 cannot compute", pause=None)


def test_a_worker_alone_in_failing_or_with_none_to_compare_goes_on() -> None:
    for peers in (peers_of(), peers_of(beat("w0", failed=9), beat("w1", failed=2))):
        assert unlucky(30).judge(None, peers) is None


def test_where_others_succeed_it_pauses_longer_each_time_and_leaves() -> None:
    peers = peers_of(beat("w0", completed=4), beat("w1", completed=3))
    health = unlucky(3)
    first = health.judge(None, peers)
    assert first is not None
    assert first.pause is not None
    assert first.reason == (
        "3 trials in a row failed here at once while others succeed; the last: no kernel image"
    )
    pauses = [first.pause]
    while True:
        assert health.ended(AT_ONCE)  # each one now: it is on probation
        verdict = health.judge(None, peers)
        assert verdict is not None
        if verdict.pause is None:
            assert "no kernel image" in verdict.reason
            break
        assert verdict.pause > pauses[-1]
        pauses.append(verdict.pause)
        assert len(pauses) < 5


def test_where_others_fail_as_often_a_row_of_failures_is_bad_luck() -> None:
    peers = peers_of(beat("w0", completed=40, failed=60))
    assert unlucky(6).judge(None, peers) is None
    verdict = unlucky(12).judge(None, peers)
    assert verdict is not None
    assert verdict.pause is not None


def test_a_success_after_a_pause_forgives_everything() -> None:
    peers = peers_of(beat("w0", completed=10))
    health = unlucky(3)
    verdict = health.judge(None, peers)
    assert verdict is not None
    assert verdict.pause is not None
    health.ended(COMPLETE)
    assert not health.doubtful
    assert not health.ended(AT_ONCE)


def test_only_another_living_willing_worker_that_has_not_failed_it_can_take_a_trial() -> None:
    def can(failed_on: list[str], *beats: bytes) -> bool:
        return peers_of(*beats).can_take(failed_on)

    assert can(["me"], beat("w0"))
    assert not can(["me"])
    assert not can(["me", "w0"], beat("w0"))
    assert can(["me", "w0"], beat("w0"), beat("w1"))
    assert not can(["me"], beat("w0", state="paused"), beat("w1", state="gave up"))

    peers = Peers("me", LEASE)
    for now in range(int(LEASE) + 2):  # dead, but for its last heartbeat
        peers.look({"w0": beat("w0"), "me": beat("me")}, float(now))
    assert not peers.can_take(["me"])


def test_a_broken_host_costs_no_trial_and_says_why_it_gave_up() -> None:
    for seed in range(20):
        world = World(seed, Faults(), trials=24, workers=3, broken=1, training=6.0)
        world.run()
        world.check()
        history = Observer(Store(world._folder("check", Faults()))).history
        assert history.outcomes[Outcome.COMPLETE] == 24
        (worker,) = [a.process for a in world.actors if a.name == "worker0"]
        assert isinstance(worker, Worker)
        assert worker.studies.left == {"s": "the device is broken"}
        # Two failures are the trials'; the one that made it doubt itself is not.
        assert history.retried == 2
        beats = Store(world._folder("check", Faults())).beats()
        (last,) = [b for w, b in beats.items() if w.startswith("worker0")]
        said = records.decode_document(Beat, last)
        assert (said.state, said.trouble) == ("gave up", "the device is broken")


def test_a_failed_trial_is_tried_by_another_worker() -> None:
    tried: dict[int, list[str]] = {}
    for seed in range(30):
        world = World(seed, Faults(), trials=8, workers=3, failing=0.3)
        world.run()
        world.check()
        for path, name in world.attempts():
            trial = records.parse_attempt(world.share.files[path]).trial
            if trial.failed_on and len(trial.failed_on) < 3:
                # Three workers: while one is left that has not failed it, that one takes it.
                assert name.worker not in trial.failed_on, path
                tried.setdefault(seed, []).append(path)
    assert sum(map(len, tried.values())) > 30, "too few failures to tell"


def test_a_worker_alone_tries_its_own_failures_again() -> None:
    world = World(5, Faults(), trials=6, workers=1, failing=0.5)
    world.rng = random.Random(5)
    world.run()
    world.check()
    names = [name for _, name in world.attempts()]
    assert max(name.attempt for name in names) > 1
