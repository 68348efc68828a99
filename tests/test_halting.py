"""The marks that a study is paused or stopped: what the master and the workers do about them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from distune.master.actions import (
    Finish,
    Prune,
    Publish,
    Withdraw,
)
from distune.share import protocol, records
from distune.share.doubts import PATIENCE
from distune.share.folder import Folder
from distune.share.heartbeat import Mark
from distune.share.protocol import Halt, State
from distune.share.store import Store
from distune.study.study import Limits
from distune.study.trial import Outcome, Purpose, Result, Trial
from distune.training.messages import Saves
from distune.watch.observer import Observer
from tests.histories import make_study
from tests.memory_folder import Faults
from tests.simulation import World
from tests.test_master import StudyInMemory
from tests.test_planner import EMPTY, counted, name, plan, planned, seen_by
from tests.test_worker import Bench

TAKEN = name(1, State.TAKEN)
WAITING = name(2, State.WAITING)


# -- the mark --------------------------------------------------------------------------------


def a_study(folder: Path) -> Store:
    folder.mkdir(exist_ok=True)
    store = Store(Folder(folder))
    store.create(make_study()[0])
    return store


def wanted(store: Store) -> Halt | None:
    return store.read_halts(store.listing().halts)[0]


def test_of_several_marks_the_strongest_holds_and_all_are_taken_away_together(
    tmp_path: Path,
) -> None:
    store = a_study(tmp_path)
    assert wanted(store) is None
    for halt in (Halt.PAUSE, Halt.NOW, Halt.STOP):
        for _ in range(2):
            store.mark(halt, "desk")
    assert wanted(store) is Halt.NOW
    assert store.listing().strangers == ()
    for _ in range(2):
        store.resume()
        assert wanted(store) is None
    assert os.listdir(tmp_path / protocol.TRIALS) == []


def _of_another_study(path: Path) -> None:
    path.write_bytes(records.encode_document(Mark(study="another", host="desk")))


def _without_end(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(records.LINE_LIMIT + 1)


@pytest.mark.parametrize(
    "put",
    [
        _of_another_study,
        _without_end,
        Path.mkdir,
        os.mkfifo,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"{}\n"),
        lambda path: path.symlink_to("/etc/passwd"),
    ],
)
def test_what_is_only_called_like_a_mark_means_nothing_and_is_no_obstacle(
    tmp_path: Path, put: Callable[[Path], object]
) -> None:
    store = a_study(tmp_path)
    put(tmp_path / Halt.STOP.path)
    listing = store.listing()
    found, bad = store.read_halts(listing.halts)
    assert found is None
    assert list(bad) == ["halt.stop.json"]
    assert Observer(store).look().strangers == bad
    store.mark(Halt.STOP, "desk")
    assert wanted(store) is Halt.STOP
    store.resume()
    assert store.listing().halts == ()


def test_the_master_sets_aside_what_is_only_called_like_a_mark() -> None:
    world = StudyInMemory(trials=4)
    world.folder.share.files[Halt.PAUSE.path] = b"pause, please"
    master = world.master()
    assert master.step().halt is None
    world.now += PATIENCE + 1
    master.step()
    assert world.folder.share.names(protocol.QUARANTINE) == ["halt.pause.json"]
    assert any("halt.pause.json set aside" in event.text for event in master.observer.events)


# -- the master ------------------------------------------------------------------------------


def test_a_paused_study_counts_and_repairs_and_publishes_and_ends_nothing() -> None:
    done, lost = name(0, State.DONE), name(3, State.LOST)
    snapshot = seen_by(done, TAKEN, WAITING, lost, halt=Halt.PAUSE)
    published = [a.trial for a in plan(snapshot) if isinstance(a, Publish)]
    assert [(one.number, one.attempt) for one in published] == [(3, 2)]  # as it was under way
    assert [type(action).__name__ for action in plan(snapshot)] == ["Count", "Publish", "PutAway"]
    over = seen_by(history=[counted(0)], limits=Limits(trials=1))
    assert planned(over, Finish)
    assert plan(replace(over, halt=Halt.PAUSE)) == []
    assert plan(replace(EMPTY, halt=Halt.PAUSE)) == []


@pytest.mark.parametrize("halt", [Halt.STOP, Halt.NOW])
def test_a_stopped_study_ends_when_nothing_is_trained_any_more(halt: Halt) -> None:
    assert plan(seen_by(TAKEN, WAITING, history=[counted(0)], halt=halt)) == []
    (ending,) = plan(seen_by(WAITING, history=[counted(0)], halt=halt))
    assert ending == Finish("it was stopped (distune stop)", stopped=True)


def test_a_study_that_is_being_stopped_still_ends_by_its_own_limits() -> None:
    snapshot = seen_by(TAKEN, WAITING, halt=Halt.STOP, limits=Limits(time_limit=10.0), elapsed=11.0)
    assert [type(a) for a in plan(snapshot)] == [Withdraw, Prune]
    done = seen_by(history=[counted(0)], halt=Halt.STOP, limits=Limits(trials=1))
    assert plan(done) == [Finish("its trial is counted")]


def test_the_winner_is_tested_when_a_study_is_stopped_and_not_when_at_once() -> None:
    study, limits = make_study(4, objective="mnist-cnn")
    snapshot = seen_by(WAITING, history=[counted(0), counted(1)])
    snapshot = replace(snapshot, study=study, limits=limits)
    snapshot.history.study = study
    for halt, kind in ((Halt.STOP, Publish), (Halt.NOW, Finish)):
        actions = plan(replace(snapshot, halt=halt))
        assert {type(action) for action in actions} == {kind}
    silent = [a for a in plan(replace(snapshot, halt=Halt.STOP)) if isinstance(a, Publish)]
    assert {one.trial.purpose for one in silent} == {Purpose.TEST}


def test_the_time_of_a_pause_counts_towards_no_time_limit() -> None:
    world = StudyInMemory(trials=4)
    master = world.master()
    master.step()
    world.store.load()
    world.store.mark(Halt.PAUSE, "desk")
    world.now += 5.0
    master.step()
    assert master.elapsed == 5.0  # until it knew
    world.now += 3600.0
    assert master.step().trials_per_second is None
    assert master.elapsed == 5.0
    world.store.resume()
    world.now += 1.0
    master.step()
    world.now += 1.0
    master.step()
    assert master.elapsed == 6.0
    texts = [event.text for event in master.observer.events if event.kind == "halt"]
    assert texts == [f"the study {Halt.PAUSE.meaning}", "the study goes on"]


def test_a_study_stays_stopped_whatever_starts_its_master_again() -> None:
    world = StudyInMemory(trials=8)
    world.master().step()
    world.train(0)
    world.store.load()
    world.store.mark(Halt.STOP, "desk")
    for _ in range(3):
        master = world.master()
        for _ in range(3):
            master.step()
        assert master.finished is not None
        assert master.finished.reason == "it was stopped (distune stop)"
        assert world.counted() == [0]
    assert not Observer(world.store).look().events  # it is not being stopped any more
    waits = [n.trial for n in world.store.listing().attempts]
    assert waits == [1, 2, 3]  # under their names, for when it goes on
    world.store.resume()
    master = world.master()
    while master.finished is None:
        world.train(*range(8))
        master.step()
    assert sorted(world.counted()) == list(range(8))
    assert world.folder.share.published.most_common(1)[0][1] == 1


# -- a worker --------------------------------------------------------------------------------


def a_test(bench: Bench, number: int) -> Trial:
    return Trial(
        study=bench.study.id, number=number, attempt=1, params={"x": 0.5}, purpose=Purpose.TEST
    )


def test_a_worker_of_a_paused_study_ends_what_it_trains_and_claims_when_it_goes_on() -> None:
    bench = Bench()
    for number in range(4):
        bench.publish(number)
    bench.step()
    bench.store.load()
    bench.store.mark(Halt.PAUSE, "desk")
    bench.step(seconds=2.0)
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    bench.step(seconds=60.0)
    assert len(bench.names(State.DONE)) == 1
    assert len(bench.names(State.WAITING)) == 3
    assert bench.beat().state == "idle"
    assert "study s is paused: nothing new is published or claimed" in bench.said
    assert "is paused" in bench.worker.studies.why_nothing_waits
    assert not bench.worker.finished
    bench.store.resume()
    bench.step(seconds=2.0)
    assert len(bench.names(State.TAKEN)) == 1
    assert bench.said.count("study s goes on") == 1


def test_a_worker_of_a_study_that_is_stopped_claims_nothing_but_the_test_of_its_winner() -> None:
    bench = Bench()
    bench.publish(0)
    bench.store.load()
    bench.store.mark(Halt.STOP, "desk")
    bench.store.publish(a_test(bench, 1))
    bench.step(seconds=2.0)
    assert [n.purpose for n in bench.names(State.TAKEN)] == [Purpose.TEST]
    assert [n.trial for n in bench.names(State.WAITING)] == [0]


def test_a_worker_of_a_study_that_is_stopped_at_once_gives_back_what_it_trains() -> None:
    bench = Bench(jobs=2)
    for number in range(3):
        bench.publish(number)
    bench.step()
    bench.store.load()
    bench.store.mark(Halt.NOW, "desk")
    bench.step(seconds=2.0)
    assert [executor.ends for executor in bench.executors] == [1, 1]
    assert len(bench.names(State.LOST)) == 2
    for lost in bench.names(State.LOST):
        result = bench.result_of(lost.trial)
        assert result is not None
        assert result.outcome is Outcome.RELEASED
    bench.step(seconds=30.0)
    assert len(bench.names(State.WAITING)) == 1


def test_a_study_that_goes_on_while_a_training_saves_its_last_state_holds_on_to_no_trial() -> None:
    """Asked to save and to end, it does neither in time; and by then nobody wants it to."""
    bench = Bench()
    bench.publish(0)
    bench.step()
    (executor,) = bench.executors
    executor.says.append(Saves())
    bench.step()
    bench.store.load()
    bench.store.mark(Halt.NOW, "desk")
    bench.step(seconds=2.0)
    assert executor.stops == 1
    bench.store.resume()
    bench.step(seconds=1.0)
    assert len(bench.names(State.TAKEN)) == 1
    bench.step(seconds=2.0)
    bench.step(seconds=1.0)
    assert executor.ends == 1
    assert [name.trial for name in bench.names(State.LOST)] == [0]
    assert bench.names(State.TAKEN) == []


def test_a_paused_study_leaves_its_workers_to_others() -> None:
    bench = Bench()
    bench.publish(0)
    bench.store.load()
    bench.store.mark(Halt.PAUSE, "desk")
    other = Bench()
    other.publish(7)
    bench.studies["t"] = other.store
    bench.step(seconds=4.0)
    assert [n.trial for n in other.names(State.TAKEN)] == [7]
    assert bench.names(State.TAKEN) == []


# -- histories -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_begun_in_a_pause_and_all_of_it_afterwards(seed: int) -> None:
    world = World(seed, Faults(), trials=30, workers=3)
    while world.clock < 8.0:
        world._advance()
    world.halt(Halt.PAUSE)
    while world.clock < 15.0:
        world._advance()
    begun = sum(len(executor.trials) for executor in world.executors)
    states = {n.state for _, n in world.attempts()}
    assert states <= {State.WAITING, State.SEEN}
    while world.clock < 300.0:
        world._advance()
    assert sum(len(executor.trials) for executor in world.executors) == begun < 30
    assert not world._over()
    world.resume()
    world.run(faulty_seconds=300.0)
    world.check()
    assert sum(len(executor.trials) for executor in world.executors) == 30


@pytest.mark.parametrize("halt", [Halt.STOP, Halt.NOW])
@pytest.mark.parametrize("seed", range(5))
def test_a_study_that_is_stopped_ends_and_goes_on_without_loss(seed: int, halt: Halt) -> None:
    world = World(seed, Faults(), trials=30, workers=3)
    while world.clock < 8.0:
        world._advance()
    running = {n.trial for _, n in world.attempts() if n.state is State.TAKEN}
    world.halt(halt)
    while not world._over():
        assert world.clock < 30.0
        world._advance()
    seen = [n for _, n in world.attempts() if n.trial in running]
    given_back = {n.trial for n in seen if n.state is State.LOST}
    assert {n.state for n in seen} <= {State.SEEN, State.LOST, State.WAITING}
    assert not given_back if halt is Halt.STOP else given_back
    world.resume()
    world.run()
    world.check()
    attempts = {n.attempt for _, n in world.attempts()}
    assert attempts == ({1} if halt is Halt.STOP else {1, 2})
