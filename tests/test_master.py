"""The master: what its next life does with what the last one left."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distune.errors import ShareError, UserError
from distune.master.attempts import LISTINGS_TO_VANISH
from distune.master.lock import Identity, Rivals, only_master
from distune.master.master import Master
from distune.search.staged import make_sampler
from distune.share import protocol, records
from distune.share.doubts import PATIENCE
from distune.share.folder import Folder
from distune.share.heartbeat import Finished, MasterBeat
from distune.share.protocol import Actor, AttemptName, State
from distune.share.store import Store
from distune.study.study import Limits
from distune.study.trial import Checkpoint, Claim, Outcome, Purpose, Report, Result
from distune.watch.observer import Observer
from tests.histories import asked_trial, make_study, read_history
from tests.memory_folder import Faults, MemoryFolder, Share


class StudyInMemory:
    """A study in memory, with a clock to turn by hand."""

    def __init__(self, trials: int, **changes: object) -> None:
        self.now = 0.0
        self.folder = MemoryFolder(Share(), random.Random(0), lambda: self.now, Faults())
        self.store = Store(self.folder)
        study, self.limits = make_study(trials, **changes)  # type: ignore[arg-type]
        self.store.create(study)

    def master(self) -> Master:
        return Master(Store(self.folder), self.limits, Identity("h", 1), monotonic=lambda: self.now)

    def train(self, *numbers: int) -> None:
        """Be a worker: claim these trials and finish them."""
        for name in self.store.listing().attempts:
            if name.trial in numbers and name.state is State.WAITING:
                taken = self.store.claim(name, "w-1")
                assert taken is not None
                result = Result(outcome=Outcome.COMPLETE, value=1.0, metrics={"y": 1.0})
                claim = Claim(worker="w-1", host="h", device="cpu", time=0.0)
                self.store.append(taken, [claim, result])
                assert self.store.finish(taken)

    def counted(self) -> list[int]:
        """Trials in the history file, as often as they are there."""
        return [line.trial.number for line in read_history(self.store)]


def test_a_restarted_master_publishes_no_counted_trial_again() -> None:
    world = StudyInMemory(trials=8)
    first = world.master()
    first.step()
    world.train(1, 2, 3)
    first.step()
    assert world.counted() == [1, 2, 3]
    world.master().step()
    assert world.folder.share.published.most_common(1)[0][1] == 1


def test_a_master_knows_for_how_long_what_waits_will_last() -> None:
    world = StudyInMemory(trials=40)
    master = world.master()
    master.step()
    assert master.pace.lasts == math.inf  # no worker has claimed anything yet
    world.now = 1.0
    world.train(0)
    master.step()
    waiting = 12  # times as many as were finished meanwhile
    assert master.pace.lasts == waiting / 1.0
    world.now = 3.0
    world.train(1, 2, 3, 4)
    master.step()
    assert master.pace.lasts == (len(world.store.listing().attempts)) / 2.0


def test_a_master_looks_again_soon_when_all_was_claimed_and_less_soon_while_none_claims() -> None:
    world = StudyInMemory(trials=40)
    master = world.master()
    master.step()
    world.now = 1.0
    world.train(0, 1, 2, 3)
    master.step()
    assert master.pace.lasts == 0.0
    found = []
    for _ in range(4):
        world.now += 0.01
        master.step()
        found.append(master.pace.lasts)
    assert 0.0 < found[0] < found[1] < found[2] < found[3]


def test_a_master_whose_trials_are_all_claimed_is_in_no_hurry() -> None:
    world = StudyInMemory(trials=4)
    master = world.master()
    master.step()
    world.now = 1.0
    world.train(0, 1, 2)
    master.step()
    for name in world.store.listing().attempts:
        if name.state is State.WAITING:
            world.store.claim(name, "w-1")
    world.now = 2.0
    master.step()
    assert master.pace.lasts == math.inf


def test_a_trial_that_two_listings_in_a_row_miss_is_not_published_again() -> None:
    world = StudyInMemory(trials=1)
    world.master().step()
    world.train(0)
    real, listings = world.folder.names, iter(range(100))

    def misses(folder: str) -> list[str]:
        hidden = folder == protocol.TRIALS and next(listings) < 2
        return [] if hidden else real(folder)

    world.folder.names = misses  # type: ignore[method-assign]
    master = world.master()
    master.step()
    master.step()
    assert world.counted() == [0]
    assert world.folder.share.published.most_common(1)[0][1] == 1


def test_a_trial_that_was_only_hidden_is_never_published_under_the_same_name() -> None:
    """Its worker would make each name twice, and a rename would prove nothing any more."""
    world = StudyInMemory(trials=1)
    master = world.master()
    master.step()
    (waiting,) = world.store.listing().attempts
    taken = world.store.claim(waiting, "w-1")
    assert taken is not None
    real = world.folder.names
    world.folder.names = lambda folder: [] if folder == protocol.TRIALS else real(folder)  # type: ignore[method-assign]
    for _ in range(LISTINGS_TO_VANISH):
        master.step()
    world.folder.names = real  # type: ignore[method-assign]
    assert [(n.attempt, n.state) for n in sorted(world.store.listing().attempts)] == [
        (1, State.TAKEN),
        (2, State.WAITING),
    ]


@pytest.mark.parametrize("state", [State.TAKEN, State.DONE])
def test_what_was_counted_stays_when_its_attempt_turns_up_once_more(state: State) -> None:
    world = StudyInMemory(trials=2)
    master = world.master()
    master.step()
    first, _ = sorted(world.store.listing().attempts)
    world.train(0)
    master.step()
    (counted,) = world.store.seen()
    path = counted.seen_path
    before = world.folder.share.files[path]
    again = first._replace(worker="w-1", state=state)
    world.folder.share.files[again.live_path] = before + b"\n"
    for _ in range(4):
        master.step()
    assert world.folder.share.files[path] == before
    assert sorted(n.state for n in world.store.seen()) == [State.LOST, State.SEEN]
    assert world.counted() == [0]


def test_a_trial_of_a_known_number_with_a_setting_that_nobody_asked_for_is_set_aside() -> None:
    world = StudyInMemory(trials=2)
    world.master().step()
    name = max(world.store.listing().attempts)
    trial = world.store.read_attempt(name).trial
    other = records.encode(trial.replace(params={"x": 0.123456}))
    world.folder.share.files[name.live_path] = other
    master = world.master()
    for _ in range(LISTINGS_TO_VANISH + 2):
        master.step()
    assert world.folder.names("quarantine") == [name.filename]
    again = max(world.store.listing().attempts)
    assert (again.trial, again.attempt) == (name.trial, 2)
    assert world.store.read_attempt(again).trial.params == trial.params


def test_trials_that_the_end_took_back_go_on_as_first_attempts() -> None:
    world = StudyInMemory(trials=4)
    world.limits = Limits(trials=4, target=1.0)
    first = world.master()
    first.step()
    world.train(2)
    for _ in range(4):
        first.step()
    assert first.finished is not None
    assert world.store.listing().attempts == ()
    world.limits = Limits(trials=4)
    second = world.master()
    for _ in range(LISTINGS_TO_VANISH + 2):
        second.step()
    assert [(n.trial, n.attempt) for n in sorted(world.store.listing().attempts)] == [
        (0, 1),
        (1, 1),
        (3, 1),
    ]


def test_a_winner_and_its_test_are_found_again_when_the_history_is_lost() -> None:
    world = StudyInMemory(trials=1, objective="mnist-cnn")
    first = world.master()
    for _ in range(6):
        first.step()
        world.train(0)
    assert first.finished is not None
    world.store.folder.remove(protocol.HISTORY)
    second = world.master()
    for _ in range(2):
        second.step()
    assert second.finished is not None
    assert len(second.observer.history.tests) == 1
    assert sorted(line.trial.purpose for line in read_history(world.store)) == [
        Purpose.TEST,
        Purpose.TRAIN,
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_lines_that_an_older_state_lacks_are_written_again_whatever_came_after(fails: bool) -> None:
    world = StudyInMemory(trials=20)
    master = world.master()
    master.step()
    world.train(0)
    master.step()
    old = world.folder.share.files[protocol.HISTORY]
    world.train(1)
    master.step()  # counts it; the next look at the file comes with the next heartbeat
    world.folder.share.files[protocol.HISTORY] = old
    world.train(2)
    real = world.folder.append

    def refuses(path: str, data: bytes) -> None:
        world.folder.append = real  # type: ignore[method-assign]
        raise ShareError("no answer")

    if fails:  # then the master looks at the file before it tries again
        world.folder.append = refuses  # type: ignore[method-assign]
        with pytest.raises(ShareError):
            master.step()
    master.step()
    world.now += 10.0
    master.step()
    assert sorted(world.counted()) == [0, 1, 2]


def test_a_study_that_ends_leaves_no_second_attempt_at_a_test_behind() -> None:
    world = StudyInMemory(trials=1, objective="mnist-cnn")
    master = world.master()
    for _ in range(3):
        master.step()
        world.train(0)
    master.step()
    (test,) = master.observer.history.tests
    world.store.publish(test.trial.replace(attempt=2))
    master.step()
    assert master.finished is not None
    assert world.store.listing().attempts == ()


def test_a_winner_is_tested_that_is_another_than_when_a_second_master_ended_the_study() -> None:
    world = StudyInMemory(trials=1, objective="mnist-cnn")
    master = world.master()
    master.step()
    world.train(0)
    master.step()
    assert world.counted() == [0]
    assert world.store.listing().attempts == ()
    study = world.store.load().id
    other = Finished(study=study, reason="the time limit is over", trials=0, elapsed=1.0)
    world.store.write_document(protocol.FINISHED, records.encode_document(other))
    world.now += 10.0
    master.step()
    assert master.finished is None
    assert not world.store.is_finished()
    world.train(0)
    master.step()
    master.step()
    assert master.finished is not None
    assert len(master.observer.history.tests) == 1


@pytest.mark.parametrize("restarts", [True, False])
def test_a_trial_that_has_its_name_but_no_line_of_history_is_counted_once(restarts: bool) -> None:
    world = StudyInMemory(trials=1)
    master = world.master()
    master.step()
    world.train(0)
    real = world.folder.append

    def fails(path: str, data: bytes) -> None:
        raise ShareError(f"the power went off before {path} was written to")

    world.folder.append = fails  # type: ignore[method-assign]
    with pytest.raises(ShareError):
        master.step()
    world.folder.append = real  # type: ignore[method-assign]
    assert ([name.state for name in world.store.seen()], world.counted()) == ([State.SEEN], [])
    if restarts:
        master = world.master()
    else:
        events = master.step().events  # of a look that knows of it
        assert [event.text for event in events] == ["trial 0 complete, y 1"]
    assert world.counted() == [0]
    for _ in range(3):
        master.step()
    assert master.finished is not None
    assert world.counted() == [0]
    assert [name.state for name in world.store.seen()] == [State.SEEN]


def two_attempts_done(world: StudyInMemory, master: Master) -> None:
    """Two workers have each trained trial 0, as two masters had published it."""
    master.step()
    world.store.publish(asked_trial(master.study, make_sampler(master.study), 0).replace(attempt=2))
    for name in sorted(world.store.listing().attempts):
        if name.trial == 0:
            worker = f"w-{name.attempt}"
            taken = world.store.claim(name, worker)
            assert taken is not None
            claim = Claim(worker=worker, host="h", device="cpu", time=0.0)
            result = Result(outcome=Outcome.COMPLETE, value=1.0 * name.attempt)
            world.store.append(taken, [claim, result])
            assert world.store.finish(taken)


def test_two_masters_that_each_have_an_attempt_done_count_the_same_one() -> None:
    world = StudyInMemory(trials=1)
    one, other = world.master(), world.master()
    two_attempts_done(world, one)
    _, second = sorted(world.store.listing().attempts)
    seen_by_other = other.observer.look(elapsed=1.0, limits=world.limits)
    later = replace(
        seen_by_other,
        attempts=(second,),
        files={second: world.store.read_ended(second)},
    )
    one.step()  # counts the first attempt
    other._counting.count({second: None}, later)  # as the old listing of the other master says
    assert [c.result.value for c in other.observer.history.trials] == [1.0]
    assert [c.result.value for c in read_history(world.store)] == [1.0]
    for _ in range(3):
        other.step()
    assert sorted((n.state, n.attempt) for n in world.store.seen()) == [
        (State.LOST, 2),
        (State.SEEN, 0),
    ]


def test_one_attempt_that_its_worker_has_trained_twice_counts_as_the_file_says_that_has_won() -> (
    None
):
    world = StudyInMemory(trials=1)
    master = world.master()
    master.step()
    world.train(0)
    (done,) = (n for n in world.store.listing().attempts if n.state is State.DONE)
    counted = AttemptName.counted(done.key).seen_path
    world.folder.make_folder("seen/000")
    *lines, _ = world.folder.share.files[done.live_path].splitlines(keepends=True)
    again = Result(outcome=Outcome.COMPLETE, value=1.5, metrics={"y": 1.0})
    world.folder.share.files[counted] = b"".join([*lines, records.encode(again)])
    for _ in range(4):
        master.step()
    assert [line.result.value for line in read_history(world.store)] == [1.5]
    assert sorted(n.state for n in world.store.seen()) == [State.LOST, State.SEEN]


def test_what_was_stopped_is_counted_in_a_file_that_its_worker_cannot_add_to() -> None:
    world = StudyInMemory(trials=2)
    master = world.master()
    master.step()
    world.train(0)
    (taken,) = filter(
        None, (world.store.claim(n, "w-2") for n in world.store.listing().attempts if n.trial == 1)
    )
    claim = Claim(worker="w-2", host="h", device="cpu", time=0.0)
    world.store.append(taken, [claim, Report(step=1, metrics={"y": 0.5}, seconds=2.0)])
    master.limits = Limits(trials=2, target=1.0)  # which trial 0 has reached
    for _ in range(5):
        master.step()
    assert master.finished is not None
    counted = {line.trial.number: line.result for line in read_history(world.store)}
    assert (counted[1].outcome, counted[1].value) == (Outcome.PRUNED, 0.5)
    file = world.store.read_ended(AttemptName.counted((Purpose.TRAIN, 1)), seen=True)
    assert (file.result, file.claim, len(file.reports)) == (counted[1], claim, 1)
    (lost,) = (n for n in world.store.seen() if n.state is State.LOST)
    assert (lost.trial, lost.worker) == (1, "w-2")


def test_what_was_stopped_is_counted_although_garbage_has_its_trial_s_name() -> None:
    world = StudyInMemory(trials=2)
    master = world.master()
    master.step()
    world.train(0)
    waiting = next(n for n in world.store.listing().attempts if n.trial == 1)
    assert world.store.claim(waiting, "w-2")
    world.folder.make_folder("seen/000")
    world.folder.share.files[AttemptName.counted((Purpose.TRAIN, 1)).seen_path] = b"garbage"
    master.limits = Limits(trials=2, target=1.0)  # which trial 0 has reached
    for _ in range(6):
        master.step()
        world.now += PATIENCE / 2
    assert sorted(world.counted()) == [0, 1]


class _HidesWhatIsCounted(MemoryFolder):
    """A client whose second listing of `seen/000` misses what another renames just now."""

    def names(self, folder: str) -> list[str]:
        names = super().names(folder)
        if folder == "seen/000":
            self.operations["looks"] += 1
        return [] if folder == "seen/000" and self.operations["looks"] == 2 else names


def test_a_master_that_starts_leaves_alone_what_its_host_shows_as_it_was_a_moment_ago() -> None:
    world = StudyInMemory(trials=2)
    world.master().step()
    world.train(0)
    world.master().step()
    other = _HidesWhatIsCounted(
        world.folder.share, random.Random(0), lambda: world.now, Faults(old=1.0)
    )
    path = AttemptName.counted((Purpose.TRAIN, 0)).seen_path
    assert records.parse_attempt(other.read(path)).result is None, "it is read as it was"
    second = Master(Store(other), world.limits, Identity("other", 2), monotonic=lambda: world.now)
    second.step()
    assert world.folder.names("quarantine") == []
    assert world.store.read_ended(AttemptName.counted((Purpose.TRAIN, 0)), seen=True).claim


def test_a_counted_file_that_cannot_be_read_gives_way_to_the_attempt_that_comes_second() -> None:
    world = StudyInMemory(trials=1)
    master = world.master()
    master.step()
    world.folder.make_folder("seen/000")
    path = AttemptName.counted((Purpose.TRAIN, 0)).seen_path
    world.folder.share.files[path] = b"garbage"
    world.train(0)
    for _ in range(6):
        master.step()
        world.now += PATIENCE / 2
    assert world.counted() == [0]
    assert world.store.read_ended(AttemptName.counted((Purpose.TRAIN, 0)), seen=True)
    assert world.folder.names("quarantine") == [path.rpartition("/")[2]]


def test_lines_that_a_full_disk_took_before_it_was_full_are_not_written_again() -> None:
    world = StudyInMemory(trials=3)
    master = world.master()
    master.step()
    world.train(0, 1, 2)
    real = world.folder.append

    def full(path: str, data: bytes) -> None:
        if path != protocol.HISTORY:
            return real(path, data)
        lines = data.splitlines(keepends=True)
        real(path, b"".join([*lines[:-1], lines[-1][:40]]))
        raise ShareError("No space left on device")

    world.folder.append = full  # type: ignore[method-assign]
    with pytest.raises(ShareError):
        master.step()
    world.folder.append = real  # type: ignore[method-assign]
    while master.finished is None:
        master.step()
    assert world.counted() == [0, 1, 2]
    assert master.finished.trials == 3


def test_a_new_master_begins_a_line_of_its_own_behind_half_of_one() -> None:
    world = StudyInMemory(trials=2)
    first = world.master()
    first.step()
    world.train(0)
    first.step()
    world.folder.share.files[protocol.HISTORY] += b'{"kind":"counted","trial":{"nu'
    second = world.master()
    world.train(1)
    second.step()
    assert world.counted() == [0, 1]


def test_a_trial_whose_file_has_vanished_goes_on_from_what_the_attempt_before_has_left() -> None:
    world = StudyInMemory(trials=1)
    master = world.master()
    master.step()
    (waiting,) = world.store.listing().attempts
    taken = world.store.claim(waiting, "w-1")
    assert taken is not None
    saved = Checkpoint(attempt=1, number=1, step=3, size=9, sha256="0" * 64)
    world.store.append(taken, [saved, Result(outcome=Outcome.RELEASED)])
    assert world.store.lose(taken, Actor.OWNER)
    for attempt in (2, 3):
        for _ in range(5):
            master.step()
        (waiting,) = world.store.listing().attempts
        trial = world.store.read_attempt(waiting).trial
        assert (trial.attempt, trial.checkpoints) == (attempt, [saved])
        del world.folder.share.files[waiting.live_path]


def test_a_successor_that_a_listing_misses_is_not_published_again() -> None:
    """The master died between publishing it and putting its predecessor away."""
    world = StudyInMemory(trials=1)
    first = world.master()
    first.step()
    (waiting,) = world.store.listing().attempts
    taken = world.store.claim(waiting, "w-1")
    assert taken is not None
    world.store.append(taken, [Result(outcome=Outcome.RELEASED)])
    assert world.store.lose(taken, Actor.OWNER)
    real_move, real_names = world.folder.move, world.folder.names

    def dies(source: str, target: str) -> None:
        raise ShareError(f"the power went off before {source} -> {target}")

    world.folder.move = dies  # type: ignore[method-assign]
    with pytest.raises(ShareError):
        first.step()
    world.folder.move = real_move  # type: ignore[method-assign]
    (successor,) = (n for n in world.store.listing().attempts if n.state is State.WAITING)
    assert world.store.claim(successor, "w-2")
    second = world.master()

    def misses(folder: str) -> list[str]:
        if folder == protocol.TRIALS:
            world.folder.names = real_names  # type: ignore[method-assign]
        return [name for name in real_names(folder) if "w-2" not in name]

    world.folder.names = misses  # type: ignore[method-assign]
    second.step()
    assert world.folder.share.published[successor.live_path] == 1


def test_the_end_is_checked_with_a_fresh_listing() -> None:
    """A second attempt at what is counted is still there, and the directory's cache hides it."""
    world = StudyInMemory(trials=1)
    master = world.master()
    two_attempts_done(world, master)
    real_move, real_names, real_poke = world.folder.move, world.folder.names, world.folder.poke

    def refuses(source: str, target: str) -> None:
        raise ShareError(f"no answer to {source} -> {target}")

    def old_names(folder: str) -> list[str]:
        return [] if folder == protocol.TRIALS else real_names(folder)

    def poke(folder: str) -> None:
        world.folder.names = real_names  # type: ignore[method-assign]
        real_poke(folder)

    world.folder.move = refuses  # type: ignore[method-assign]
    with pytest.raises(ShareError):
        master.step()
    world.folder.move = real_move  # type: ignore[method-assign]
    world.folder.names, world.folder.poke = old_names, poke  # type: ignore[method-assign]
    master.step()
    assert master.finished is None
    while master.finished is None:
        master.step()
    assert world.store.listing().attempts == ()


def test_a_deleted_history_is_rebuilt_from_what_was_seen() -> None:
    world = StudyInMemory(trials=5)
    master = world.master()
    master.step()
    world.train(0, 1, 2)
    master.step()
    world.folder.remove(protocol.HISTORY)
    world.master()
    assert sorted(world.counted()) == [0, 1, 2]
    assert len(Observer(world.store).history) == 3


def test_the_time_of_a_study_goes_on_where_the_last_master_stopped() -> None:
    world = StudyInMemory(trials=5)
    world.limits = Limits(time_limit=100.0)
    master = world.master()
    for _ in range(9):
        world.now += 10
        master.step()
    world.now += 1000  # no master runs: this time counts for none
    again = world.master()
    again.step()
    assert again.elapsed == pytest.approx(90)
    world.now += 10
    for _ in range(3):
        again.step()
    assert again.finished is not None
    assert "time limit" in again.finished.reason


def test_trials_withdrawn_at_the_end_are_published_when_the_study_goes_on() -> None:
    world = StudyInMemory(trials=6)
    world.limits = Limits(trials=6, time_limit=10.0)
    master = world.master()
    master.step()
    world.train(1)
    world.now += 10
    for _ in range(4):
        master.step()
    assert master.finished is not None
    assert world.store.listing().attempts == ()
    world.limits = Limits(trials=6)
    again = world.master()
    for _ in range(8):
        again.step()
        world.train(*range(6))
    assert sorted(world.counted()) == list(range(6))


def test_a_beating_master_on_another_host_is_found_even_without_locks(tmp_path: Path) -> None:
    store = Store(Folder(tmp_path, network=True))
    store.create(make_study()[0])

    def beat(counter: int) -> None:
        store.beat_as_master(
            MasterBeat(
                study="s-1",
                host="other",
                pid=7,
                counter=counter,
                state="running",
                elapsed=0,
                limits=Limits(),
            )
        )

    beat(1)
    with (
        pytest.raises(UserError, match="on other, pid 7"),
        only_master(tmp_path, store, Identity("here", 1), wait=lambda seconds: beat(2)),
    ):
        raise AssertionError("there are two")
    with only_master(tmp_path, store, Identity("here", 1), wait=lambda seconds: None):
        pass  # the other one is silent: it is dead


def beat_of(token: str, counter: int, **fields: Any) -> MasterBeat:
    said = {"host": "h", "pid": 7, "term": 1, "state": "running", "elapsed": 1.0, **fields}
    return MasterBeat(token=token, counter=counter, limits=Limits(), **said)


def test_of_two_masters_that_started_together_exactly_one_goes() -> None:
    one, other = Rivals(1, "a"), Rivals(1, "b")
    for counter in range(2):
        assert not one.is_outranked_by(beat_of("b", counter))
    assert [other.is_outranked_by(beat_of("a", counter)) for counter in range(2)] == [False, True]


def test_the_later_of_two_masters_goes_whatever_their_tokens_are() -> None:
    earlier, later = Rivals(1, "b"), Rivals(2, "a")
    for counter in range(2):
        assert not earlier.is_outranked_by(beat_of("a", counter, term=2))
    assert [later.is_outranked_by(beat_of("b", counter)) for counter in range(2)] == [False, True]


@pytest.mark.parametrize(
    "beats",
    [
        [None, None, None],
        [beat_of("a", 5), beat_of("a", 5), beat_of("a", 4)],  # a dead one's, and an old copy of it
        [beat_of("b", 5), beat_of("b", 6), beat_of("b", 7)],  # its own
        [beat_of("a", 5), beat_of("a", 6, state="stopped"), beat_of("a", 7, state="finished")],
    ],
)
def test_no_master_goes_because_of_one_that_does_not_run(beats: list[MasterBeat | None]) -> None:
    rivals = Rivals(2, "b")
    assert not any(map(rivals.is_outranked_by, beats))


def test_a_second_master_leaves_the_study_to_the_first_within_two_beats() -> None:
    world = StudyInMemory(trials=4)
    masters = [
        Master(Store(world.folder), world.limits, Identity(h, 1, h), monotonic=lambda: world.now)
        for h in ("first", "second")
    ]
    interval = masters[0].study.beat_interval
    masters[0].step()
    masters[1].step()
    world.now += interval
    masters[0].step()
    with pytest.raises(UserError, match=r"'s' has a master already \(on first, pid 1\)"):
        masters[1].step()
    before = world.folder.share.files[protocol.MASTER]
    masters[1].leave()
    assert world.folder.share.files[protocol.MASTER] == before, "it is the first one's now"
    world.now += interval
    masters[0].step()
