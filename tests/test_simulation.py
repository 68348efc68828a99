"""Whole histories of a study, under faults at every operation: P1 to P9 hold afterwards."""

from __future__ import annotations

import gc
from dataclasses import replace
from types import FrameType

import pytest

from distune.master.master import Master
from distune.share import protocol
from distune.share.protocol import State
from tests.histories import LEASE, make_study
from tests.memory_folder import Faults
from tests.simulated_training import steps_of
from tests.simulation import ROUGH, World, saving, simulate

# Other seeds run in the soak (python -m tests.simulation); these run on every change.
HISTORIES = 300
SHARDS = 6


@pytest.mark.parametrize("shard", range(SHARDS))
def test_after_any_history_every_trial_is_ranked_exactly_once(shard: int) -> None:
    for seed in range(shard, HISTORIES, SHARDS):
        simulate(seed)


def test_a_winner_that_the_other_master_has_counted_is_tested_before_the_end() -> None:
    """Locks lie, and the master whose time limit is over learns of it at its last comparison."""
    simulate(502125)


def test_a_good_day_needs_one_attempt_a_trial() -> None:
    world = World(1, Faults(), trials=12, workers=3).run()
    world.check()
    assert {name.attempt for _, name in world.attempts()} == {1}
    assert sum(len(executor.trials) for executor in world.executors) == 12


def test_a_worker_that_trains_for_many_leases_is_not_silent() -> None:
    world = World(2, Faults(), trials=4, workers=2, training=12 * LEASE)
    world.run(healthy_seconds=100 * LEASE)
    world.check()
    assert {name.attempt for _, name in world.attempts()} == {1}


def test_old_listings_alone_cost_no_attempt() -> None:
    """Nothing is concluded from one absence: neither an eviction nor a vanished trial."""
    for seed in range(40):
        world = World(seed, Faults(lag=0.5), trials=12, workers=3).run()
        world.check()
        assert {name.attempt for _, name in world.attempts()} == {1}, seed
        assert sum(len(executor.trials) for executor in world.executors) == 12, seed


def test_the_same_seed_is_the_same_history() -> None:
    lines: list[list[str]] = [[], []]
    for run in lines:
        world = World(7, ROUGH, trace=run.append)
        world.run()
    assert lines[0] == lines[1]
    assert len(lines[0]) > 50


def test_no_failure_goes_in_a_circle() -> None:
    """It would stay, and with it all that the calls had in hand, until the next collection."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for seed in (*range(6), 12, 31, 33):  # in the last, studies are sought in vain
            simulate(seed)
        gc.collect()
        left = [one.f_code.co_qualname for one in gc.garbage if isinstance(one, FrameType)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert left == []


def test_an_outage_shorter_than_the_lease_costs_no_attempt() -> None:
    """P9: workers keep training and keep their results."""
    world = World(3, Faults(), trials=8, workers=3)
    while not any(e.trials for e in world.executors):
        world._advance()
    for actor in world.actors:
        actor.folder._out_until = world.clock + 0.8 * LEASE
    world.run()
    world.check()
    assert {name.attempt for _, name in world.attempts()} == {1}


def test_a_watcher_that_cannot_see_takes_nothing_back() -> None:
    """P6: the master alone is cut off, three leases long; the workers beat all the time."""
    world = World(4, Faults(), trials=8, workers=2)
    while not any(e.trials for e in world.executors):
        world._advance()
    world.actors[0].folder._out_until = world.clock + 3 * LEASE
    world.run()
    world.check()
    assert {name.attempt for _, name in world.attempts()} == {1}


def test_a_frozen_worker_is_lost_after_the_lease_and_does_no_harm_when_it_thaws() -> None:
    """P6, P7: one worker stops for five leases in the middle of a trial."""
    world = World(5, Faults(), trials=4, workers=2)
    while not any(e.trials for e in world.executors):
        world._advance()
    frozen = next(
        a
        for a in world.actors
        for _, name in world.attempts()
        if name.state is State.TAKEN and name.worker.startswith(a.name)
    )
    stopped_at = world.clock
    frozen.wakes_at = world.clock + 5 * LEASE
    world.run()
    assert world.clock > stopped_at + LEASE
    world.check()
    second = [name for _, name in world.attempts() if name.attempt == 2]
    assert len(second) == 1
    while world.clock < stopped_at + 6 * LEASE:
        world._advance()
    world.check()
    held = [n for _, n in world.attempts() if n.state is State.TAKEN]
    assert held == []


def test_a_trial_that_always_fails_is_tried_max_attempts_times() -> None:
    study, limits = make_study(3, max_attempts=2)
    world = World(6, Faults(), study=study, limits=limits, failing=1.0).run()
    world.check()
    assert sorted((n.trial, n.attempt) for _, n in world.attempts()) == [
        (trial, attempt) for trial in range(3) for attempt in (1, 2)
    ]


def test_a_study_of_which_nothing_but_failures_comes_ends_early() -> None:
    world = World(8, Faults(), trials=500, failing=1.0).run()
    master = world.actors[0].process
    assert isinstance(master, Master)
    assert master.finished is not None
    assert master.finished.failed
    assert len({n.trial for _, n in world.attempts()}) < 30


def test_repeats_get_other_seeds_and_one_configuration() -> None:
    study, limits = make_study(6, repeats=3)
    world = World(9, ROUGH, study=study, limits=limits).run()
    world.check()


def test_a_deleted_trial_file_is_published_again() -> None:
    world = World(10, Faults(), trials=5, workers=1)
    while not any(n.state is State.WAITING for _, n in world.attempts()):
        world._advance()
    path = next(p for p, n in world.attempts() if n.state is State.WAITING)
    del world.share.files[path]
    world.meddled = True
    world.run()
    world.check()


# -- checkpoints -----------------------------------------------------------------------------


def resumed(world: World) -> int:
    return sum(begun.after > 0 for begun in world.ledger.begun)


def test_what_is_interrupted_again_and_again_is_what_nobody_had_interrupted() -> None:
    """P12, P13: hosts die, workers are asked to end, checkpoints are damaged or come late."""
    faults = Faults(damage=0.05, late=0.3, stale=0.5, freeze=0.01, lag=0.2, fails=0.03, torn=0.02)
    worlds = []
    for seed in range(32):
        worlds.append(saving(seed, replace(faults), dies=0.3, drains=0.3, training=9.0))
        worlds[-1].run().check()
    assert sum(map(resumed, worlds)) > 15


def test_who_is_asked_to_end_loses_no_step_of_any_training() -> None:
    for seed in range(6):
        world = saving(seed, Faults(), drains=0.2, training=4.0).run()
        world.check()
        trained = [(trial.number, step) for trial, step in world.ledger.made]
        assert len(set(trained)) == len(trained)
        assert resumed(world) > 0


def test_a_last_checkpoint_that_the_master_sees_late_is_not_missed() -> None:
    """A cache shows what was given back as it was before its last lines came."""
    for seed in range(6):
        world = saving(seed, Faults(old=0.7), drains=0.2, training=6.0).run()
        world.check()
        assert resumed(world) > 0


def test_a_share_that_fails_now_and_then_costs_no_checkpoint() -> None:
    worlds = []
    for seed in range(8):
        worlds.append(saving(seed, Faults(fails=0.2, late=1.0), drains=0.2, training=6.0))
        worlds[-1].run().check()
    assert sum(map(resumed, worlds)) > 5


def test_what_a_frozen_worker_saves_when_it_thaws_is_gone_on_from_by_nobody() -> None:
    """P7: its attempt was given up, and the next one has ended before it wakes up."""
    world = saving(5, Faults(), workers=2, training=9.0)
    while not world.ledger.made:
        world._advance()
    trial, _ = world.ledger.made[0]
    maker = next(name for _, name in world.attempts() if name.trial == trial.number)
    frozen = next(a for a in world.actors if maker.worker.startswith(a.name))
    frozen.wakes_at = world.clock + 20 * LEASE
    world.run()
    world.check()
    assert world.share.names(protocol.CHECKPOINTS) == []
    world.thaw().check()
    late = world.share.names(protocol.CHECKPOINTS)
    assert late
    assert all(one.startswith(f"{maker.trial:06d}.{maker.attempt}.") for one in late)


def test_a_frozen_worker_whose_training_goes_on_removes_nothing_that_is_gone_on_from() -> None:
    """Its training saves and saves, while the worker neither writes nor looks what it owns."""
    for seed in range(5):
        world = saving(seed, Faults(), workers=2, trials=1, training=12.0)
        while not (told := [one for one in world.told_of() if one.number == 2]):
            world._advance()
        frozen, other = world.actors[1:]
        if not any(name.worker.startswith(frozen.name) for _, name in world.attempts()):
            frozen, other = other, frozen
        frozen.wakes_at = world.clock + 2 * LEASE  # before the other one looks
        other.wakes_at = world.clock + 2 * LEASE + 1.0
        world.run().check()
        first, second = world.ledger.begun[:2]
        assert (first.after, second.after) == (0, told[0].step)
        assert len(world.ledger.made) > steps_of(first.trial.seed) + 1, "the frozen one went on"


def test_of_what_is_trained_the_last_checkpoints_stay() -> None:
    world = saving(1, Faults(), trials=3, workers=1, training=16.0)
    most = 0
    while not world._over():
        world._advance()
        most = max(most, len(world.share.names(protocol.CHECKPOINTS)))
    assert max(one.number for one in world.told_of()) > 4
    assert most < 4, "two that the next attempt is told of, and what came since the last look"
