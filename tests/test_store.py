"""One contract for every share: the real directory and the simulated one."""

from __future__ import annotations

import errno
import math
import os
import random
import resource
import shutil
import signal
import stat
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distune.errors import BadRecord, ShareError, UserError
from distune.share import records
from distune.share.file_system import is_network
from distune.share.find_studies import find_studies, open_study
from distune.share.folder import Folder, FolderLike
from distune.share.protocol import Actor, AttemptName, State
from distune.share.store import Store
from distune.study.trial import Claim, Counted, Outcome, Purpose, Report, Result, Trial
from tests.histories import make_study
from tests.memory_folder import Faults, MemoryFolder, Share


def memory_folder(_: Path) -> MemoryFolder:
    return MemoryFolder(Share(), random.Random(0), lambda: 0.0, Faults())


def local_folder(path: Path) -> Folder:
    return Folder(path, network=False)


def network_folder(path: Path) -> Folder:
    return Folder(path, network=True)


def linking_folder(path: Path) -> Folder:
    """Where there is no rename that replaces nothing, as on NFS."""
    folder = network_folder(path)
    folder._renames_new = False
    return folder


@pytest.fixture(params=[memory_folder, local_folder, network_folder, linking_folder])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> FolderLike:
    made: FolderLike = request.param(tmp_path)
    return made


@pytest.fixture
def store(folder: FolderLike) -> Store:
    one = Store(folder)
    one.create(make_study()[0])
    return one


def trial(number: int = 0, attempt: int = 1) -> Trial:
    return Trial(study="s-1", number=number, attempt=attempt, params={"x": 0.5})


def result(value: float = 1.0) -> Result:
    return Result(outcome=Outcome.COMPLETE, value=value, metrics={"y": value})


def counted(number: int) -> Counted:
    return Counted(trial=trial(number), worker="w-1", result=result())


# -- folders -------------------------------------------------------------------------------


def test_publishing_never_replaces(folder: FolderLike) -> None:
    folder.publish("a", b"first")
    with pytest.raises(FileExistsError):
        folder.publish("a", b"second")
    assert folder.read("a") == b"first"
    assert folder.names("") == ["a"]


def test_appending_makes_no_file(folder: FolderLike) -> None:
    with pytest.raises(FileNotFoundError):
        folder.append("a", b"x")
    assert folder.names("") == []


def test_moving_what_is_gone_is_an_answer(folder: FolderLike) -> None:
    folder.publish("a", b"x")
    folder.move("a", "b")
    with pytest.raises(FileNotFoundError):
        folder.move("a", "c")
    assert folder.names("") == ["b"]


def test_rewriting_leaves_nothing_of_a_longer_past(folder: FolderLike) -> None:
    folder.rewrite("a", b"long content")
    folder.rewrite("a", b"short")
    assert folder.read("a") == b"short"


def test_reading_goes_on_at_an_offset(folder: FolderLike) -> None:
    folder.publish("a", b"0123456789")
    assert folder.read("a", 7) == b"789"
    assert folder.read("a", 10) == b""


def test_poking_leaves_nothing_behind(folder: FolderLike) -> None:
    folder.publish("a", b"x")
    folder.poke("")
    assert folder.names("") == ["a"]


def test_a_lost_reply_to_making_a_file_is_not_taken_for_anothers_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS sends a request again when its reply is lost; the second time it is EEXIST."""
    real = os.open

    def open_twice(path: str, flags: int, *mode: int, **at: Any) -> int:
        if flags & os.O_EXCL:
            os.close(real(path, flags, *mode, **at))
        return real(path, flags, *mode, **at)

    monkeypatch.setattr(os, "open", open_twice)
    folder = Folder(tmp_path, network=True)
    folder.publish("a", b"x")
    folder.replace("b", b"y")
    folder.poke("")
    assert (folder.read("a"), folder.read("b")) == (b"x", b"y")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_lost_reply_to_replacing_a_file_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def rename_twice(source: str, target: str, **folders: int) -> None:
        real(source, target, **folders)
        real(source, target, **folders)

    monkeypatch.setattr(os, "rename", rename_twice)
    folder = local_folder(tmp_path)
    folder.replace("a", b"x")
    assert folder.read("a") == b"x"
    monkeypatch.setattr(os, "rename", lambda source, target, **at: real("/nowhere", target))
    with pytest.raises(FileNotFoundError):
        folder.replace("a", b"y")


def test_a_file_that_goes_while_it_is_read_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_folder(tmp_path)
    folder.publish("a", b"x")

    def stale(fd: int) -> os.stat_result:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", stale)
        with pytest.raises(FileNotFoundError):
            folder.read("a")


def test_a_short_write_of_a_heartbeat_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:2], at))
    folder = local_folder(tmp_path)
    folder.rewrite("a", b"12345")
    assert folder.read("a") == b"12345"


def test_a_missing_folder_is_not_an_empty_one(folder: FolderLike) -> None:
    with pytest.raises(FileNotFoundError):
        folder.names("nowhere")


def test_only_regular_files_are_read_and_none_hangs(tmp_path: Path) -> None:
    folder = local_folder(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "directory").mkdir()
    (tmp_path / "large").write_bytes(b"x" * 100)
    for name in ("fifo", "link", "directory"):
        with pytest.raises(BadRecord, match=name):
            folder.read(name)
    with pytest.raises(BadRecord, match="too large"):
        folder.read("large", limit=99)


def test_files_respect_the_umask_of_their_group(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        local_folder(tmp_path).publish("a", b"x")
        local_folder(tmp_path).rewrite("b", b"x")
    finally:
        os.umask(before)
    for name in ("a", "b"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o664


def test_publishing_works_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links on this file system")

    monkeypatch.setattr(os, "link", no_links)
    folder = local_folder(tmp_path)
    folder.publish("a", b"first")
    with pytest.raises(FileExistsError):
        folder.publish("a", b"second")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert folder.read("a") == b"first"


def test_a_full_disk_is_trouble_with_the_share_not_an_answer(tmp_path: Path) -> None:
    folder = local_folder(tmp_path)
    folder.publish("a", b"x" * 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(ShareError, match="File too large"):
            folder.append("a", b"x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("call", ["open", "fstat", "pread", "close"])
def test_a_server_that_goes_away_in_the_middle_of_reading_is_trouble_with_the_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    Folder(tmp_path).publish("a", b"x")

    def gone(*_: object) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, gone)
        with pytest.raises(ShareError, match="not connected"):
            Folder(tmp_path, network=True).read("a")
    assert Folder(tmp_path).read("a") == b"x"


def test_reading_takes_no_more_memory_than_there_is_to_read(tmp_path: Path) -> None:
    """A history may be gigabytes; most are not, and hosts may be small."""
    Folder(tmp_path).publish("a", b"x" * 3_000_000)
    tracemalloc.start()
    try:
        assert Folder(tmp_path).read("a", offset=1, limit=2**32) == b"x" * 2_999_999
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert Folder(tmp_path).read("a", offset=2_999_990, limit=20) == b"x" * 10


@pytest.mark.parametrize("there", [b"", b"x", b"x" * 3_000_000])
@pytest.mark.parametrize("more", [b"y", b"y" * 3_000_000])
@pytest.mark.parametrize("at_a_time", [1000, 2**30])
def test_what_is_added_to_a_file_after_it_was_opened_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bytes, more: bytes, at_a_time: int
) -> None:
    """The size is only a hint; nor need a read bring all that there is."""
    (tmp_path / "a").write_bytes(there)
    fstat, pread = os.fstat, os.pread

    def then_more(fd: int) -> os.stat_result:
        known = fstat(fd)
        (tmp_path / "a").write_bytes(there + more)
        return known

    monkeypatch.setattr(os, "fstat", then_more)
    monkeypatch.setattr(os, "pread", lambda fd, n, at: pread(fd, min(n, at_a_time), at))
    assert local_folder(tmp_path).read("a") == there + more


def test_a_file_that_is_shorter_than_it_was_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    fstat = os.fstat

    def then_less(fd: int) -> os.stat_result:
        known = fstat(fd)
        os.truncate(tmp_path / "a", 2)
        return known

    monkeypatch.setattr(os, "fstat", then_less)
    assert local_folder(tmp_path).read("a") == b"12"


def test_proc_is_no_local_file_system_and_the_root_is() -> None:
    assert is_network(Path("/proc"))
    assert not is_network(Path("/"))


def claim_with_others(
    path: Path, name: AttemptName, worker: str, together: threading.Barrier, won: list[str]
) -> None:
    together.wait()
    if Store(local_folder(path)).claim(name, worker):
        won.append(worker)


def test_a_name_claimed_by_many_threads_has_one_winner(tmp_path: Path) -> None:
    store = Store(local_folder(tmp_path))
    store.create(make_study()[0])
    for number in range(20):
        store.publish(trial(number))
        name = AttemptName.waiting(trial(number))
        together = threading.Barrier(6)
        won: list[str] = []
        threads = [
            threading.Thread(
                target=claim_with_others, args=(tmp_path, name, f"w-{i}", together, won)
            )
            for i in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        (listed,) = [n for n in store.listing().attempts if n.trial == number]
        assert listed.worker == won[0]


# -- a study -------------------------------------------------------------------------------


def test_an_attempt_walks_from_waiting_to_seen(store: Store) -> None:
    store.publish(trial())
    (waiting,) = store.listing().attempts
    taken = store.claim(waiting, "w-1")
    assert taken is not None
    claim = Claim(worker="w-1", host="h", device="cpu", time=0.0)
    store.append(taken, [claim, Report(step=1, metrics={"y": 1.0}, seconds=2.0), result()])
    assert store.finish(taken)
    (done,) = store.listing().attempts
    assert done.state is State.DONE
    assert store.read_attempt(done).result == result()
    assert store.count(done)
    assert store.listing().attempts == ()
    (seen,) = store.seen()
    assert seen.state is State.SEEN
    assert store.read_attempt(seen, seen=True).reports[0].seconds == 2.0


def test_the_second_claim_gets_nothing(store: Store) -> None:
    store.publish(trial())
    (waiting,) = store.listing().attempts
    assert store.claim(waiting, "w-1") is not None
    assert store.claim(waiting, "w-2") is None
    assert [n.worker for n in store.listing().attempts] == ["w-1"]


def test_an_evicted_worker_can_neither_append_nor_finish(store: Store) -> None:
    store.publish(trial())
    taken = store.claim(store.listing().attempts[0], "w-1")
    assert taken is not None
    assert store.lose(taken, Actor.MASTER)
    with pytest.raises(FileNotFoundError):
        store.append(taken, [result()])
    assert not store.finish(taken)
    assert [n.state for n in store.listing().attempts] == [State.LOST]


def test_finish_and_eviction_have_one_winner(store: Store) -> None:
    store.publish(trial())
    taken = store.claim(store.listing().attempts[0], "w-1")
    assert taken is not None
    assert store.finish(taken)
    assert not store.lose(taken, Actor.MASTER)
    assert store.prune(taken) is None
    assert [n.state for n in store.listing().attempts] == [State.DONE]


def test_publishing_twice_is_publishing_once(store: Store) -> None:
    store.publish(trial())
    store.publish(trial())
    assert len(store.listing().attempts) == 1


def test_a_file_that_holds_another_trial_is_refused(store: Store) -> None:
    path = AttemptName(3, 1).live_path
    store.folder.publish(path, records.encode(trial(4)))
    with pytest.raises(BadRecord, match="attempt 1 of trial 4"):
        store.read_attempt(AttemptName(3, 1))


def test_strangers_are_listed_apart_and_set_aside(store: Store) -> None:
    store.folder.publish("trials/notes.txt", b"mine")
    assert store.listing().strangers == ("notes.txt",)
    store.quarantine("notes.txt", "it is a note")
    assert store.listing().strangers == ()
    assert store.folder.read("quarantine/notes.txt") == b"mine"


def test_creating_a_study_again_finds_the_first(store: Store) -> None:
    other = make_study()[0].model_copy(update={"id": "other"})
    assert store.create(other).id == "s-1"


def done_by(store: Store, worker: str, attempt: int = 1, value: float = 0.5) -> AttemptName:
    """An attempt at trial 0 that this worker has finished."""
    waiting = AttemptName.waiting(trial(attempt=attempt))
    store.publish(trial(attempt=attempt))
    taken = store.claim(waiting, worker)
    assert taken is not None
    claim = Claim(worker=worker, host="h", device="cpu", time=0.0)
    store.append(taken, [claim, result().replace(value=value)])
    assert store.finish(taken)
    return taken.moved(State.DONE, Actor.OWNER)


def test_of_two_attempts_that_are_done_one_wins_the_name_of_their_trial(store: Store) -> None:
    first, second = done_by(store, "w-1", 1, 0.1), done_by(store, "w-2", 2, 0.2)
    assert store.count(first)
    assert not store.count(second)
    assert store.listing().attempts == (second,)
    (seen,) = store.seen()
    assert store.read_ended(seen, seen=True).result == result().replace(value=0.1)


@pytest.mark.parametrize("answer", [FileNotFoundError, FileExistsError, lambda: ShareError("EIO")])
def test_a_name_that_was_won_with_a_reply_that_was_lost_is_there_to_be_read(
    store: Store, answer: Callable[[], Exception]
) -> None:
    done = done_by(store, "w-1")
    lying_once(store, answer, does_it=True, operation="move_new")
    assert not store.count(done)
    store.drop(done)
    assert store.listing().attempts == ()
    assert [n.filename for n in store.seen()] == ["000000.jsonl"]


def test_a_name_that_may_not_be_won_yet_is_tried_for_again(store: Store) -> None:
    done = done_by(store, "w-1")
    lying_once(store, lambda: ShareError("EIO"), does_it=False, operation="move_new")
    with pytest.raises(ShareError):
        store.count(done)
    assert store.listing().attempts == (done,)
    assert store.count(done)


def test_a_file_that_a_crash_has_left_both_names_keeps_that_of_its_trial(store: Store) -> None:
    done = done_by(store, "w-1")
    data = store.folder.read(done.live_path)
    assert store.count(done)
    store.folder.publish(done.live_path, data)
    assert not store.count(done)
    store.drop(done)
    assert store.listing().attempts == ()
    assert [n.filename for n in store.seen()] == ["000000.jsonl"]


def test_another_result_of_the_same_attempt_by_the_same_worker_is_lost(store: Store) -> None:
    assert store.count(done_by(store, "w-1", 1, 0.1))
    again = done_by(store, "w-1", 1, 0.2)
    assert not store.count(again)
    store.drop(again)
    assert [n.state for n in store.listing().attempts] == [State.LOST]
    (seen,) = store.seen()
    assert store.read_ended(seen, seen=True).result == result().replace(value=0.1)


def test_a_file_of_the_master_s_own_takes_no_name_that_an_attempt_has_won(store: Store) -> None:
    claim = Claim(worker="w-9", host="h", device="cpu", time=0.0)
    lines = [trial(attempt=3), claim, result()]
    assert store.count_as((Purpose.TRAIN, 0), lines)
    assert not store.count_as((Purpose.TRAIN, 0), lines)
    assert not store.count(done_by(store, "w-1"))
    (seen,) = store.seen()
    assert store.read_ended(seen, seen=True).trial.attempt == 3


def test_seen_of_a_trial_reads_only_its_own_thousand(store: Store) -> None:
    for number in (7, 1007):
        store.publish(trial(number))
        waiting = AttemptName.waiting(trial(number))
        taken = store.claim(waiting, "w-1")
        assert taken is not None
        assert store.finish(taken)
        assert store.count(taken.moved(State.DONE, Actor.OWNER))
    assert [n.trial for n in store.seen_of(1007)] == [1007]
    assert store.folder.names("seen") == ["000", "001"]


# -- ambiguous answers (P8) ----------------------------------------------------------------


def lying_once(
    store: Store, error: Callable[[], Exception], *, does_it: bool, operation: str = "move"
) -> None:
    """The next such move fails with `error`, though it happened, or did not."""
    real = getattr(store.folder, operation)

    def lie(source: str, target: str) -> None:
        setattr(store.folder, operation, real)
        if does_it:
            real(source, target)
        raise error()

    setattr(store.folder, operation, lie)


def test_a_claim_whose_reply_was_lost_is_a_claim(store: Store) -> None:
    store.publish(trial())
    lying_once(store, lambda: ShareError("EIO"), does_it=True)
    taken = store.claim(store.listing().attempts[0], "w-1")
    assert taken is not None
    assert store.listing().attempts == (taken,)


def test_a_claim_that_seemed_to_come_too_late_and_did_not_is_in_the_next_listing(
    store: Store,
) -> None:
    store.publish(trial())
    lying_once(store, FileNotFoundError, does_it=True)
    (waiting,) = store.listing().attempts
    assert store.claim(waiting, "w-1") is None
    (found,) = store.listing().attempts
    assert (found.worker, found.state) == ("w-1", State.TAKEN)


def test_a_rename_in_a_folder_that_has_just_been_put_back_is_done_in_the_new_one(
    tmp_path: Path,
) -> None:
    store = Store(local_folder(tmp_path))
    store.mend_folders()
    store.publish(trial())
    taken = store.claim(store.listing().attempts[0], "w-1")
    assert taken is not None
    folder = tmp_path / "trials"  # which the store holds open
    folder.rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old", folder)
    for path in (tmp_path / "old").iterdir():
        path.unlink()
    assert store.finish(taken)
    assert [n.state for n in store.listing().attempts] == [State.DONE]


def test_several_trials_are_published_at_once_and_what_is_there_stays(tmp_path: Path) -> None:
    store = Store(local_folder(tmp_path))
    store.mend_folders()
    trials = [trial().replace(number=number) for number in range(30)]
    there = trial().replace(number=7, params={"lr": 7.0})
    store.publish(there)
    begun: list[Trial] = []
    store.publish_all(trials, begun.append)
    assert begun == trials
    listed = store.listing().attempts
    assert [name.trial for name in listed] == list(range(30))
    found = {name.trial: store.read_attempt(name).trial for name in listed}
    assert found == {one.number: one for one in trials} | {7: there}
    assert [n for n in os.listdir(tmp_path / "trials") if n.startswith(".")] == []


@pytest.mark.parametrize("no_time", [0.0, math.inf])
@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_all_of_them_are_on_the_disk_before_any_is_published_be_it_quick_or_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_time: float, count: int
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def sync(fd: int) -> None:
        fsync(fd)
        synced.add(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr("distune.share.drafts._NO_TIME", no_time)
    with local_folder(tmp_path).drafts({str(i): b"x" for i in range(count)}) as publish:
        assert synced == {path.stat().st_ino for path in tmp_path.iterdir()}
        assert len(synced) == count
        publish("0")


def test_what_cannot_be_written_keeps_all_of_its_company_from_being_published(
    tmp_path: Path,
) -> None:
    store = Store(local_folder(tmp_path))
    store.mend_folders()
    trials = [trial().replace(number=number) for number in range(6)]
    (tmp_path / "trials").chmod(0o500)
    begun: list[Trial] = []
    if os.getuid() == 0:  # whom no mode keeps out
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(ShareError):
            store.publish_all(trials, begun.append)
    finally:
        if os.getuid() == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        (tmp_path / "trials").chmod(0o700)
    assert begun == []
    assert os.listdir(tmp_path / "trials") == []


def test_several_are_published_in_their_order_up_to_the_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(local_folder(tmp_path))
    store.mend_folders()
    real = Folder._name_draft

    def name_draft(folder: Folder, draft: str, name: str, at: int) -> None:
        if name.startswith("000003"):
            raise OSError(errno.EIO, "no answer")
        real(folder, draft, name, at)

    monkeypatch.setattr(Folder, "_name_draft", name_draft)
    begun: list[int] = []
    with pytest.raises(ShareError, match="no answer"):
        store.publish_all(
            [trial().replace(number=number) for number in range(6)],
            lambda one: begun.append(one.number),
        )
    assert begun == [0, 1, 2, 3]
    assert [n.trial for n in store.listing().attempts] == [0, 1, 2]
    drafts = [name for name in os.listdir(tmp_path / "trials") if name.startswith(".")]
    assert len(drafts) <= 1  # of the one whose fate is unknown


def test_nothing_is_held_open_at_rest(tmp_path: Path) -> None:
    store = Store(local_folder(tmp_path))
    store.mend_folders()
    store.publish(trial())
    store.listing()
    assert held_open(tmp_path)
    store.folder.rest()
    assert held_open(tmp_path) == []


def test_a_failure_that_is_kept_holds_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a failure in a circle is, until the next collection, which may be hours away."""
    store = Store(local_folder(tmp_path))
    store.mend_folders()
    with pytest.raises(FileNotFoundError) as moving:
        store.folder.move("trials/there is none", "trials/x")

    def broken(_: int) -> list[str]:
        raise OSError(errno.EIO, "no answer")

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", broken)
        with pytest.raises(ShareError) as listing:
            store.folder.names("seen")
    store.folder.rest()
    assert held_open(tmp_path) == []
    assert moving.tb
    assert listing.tb


def held_open(folder: Path) -> list[str]:
    descriptors = Path("/proc/self/fd").iterdir()
    paths = [os.readlink(one) for one in descriptors if one.is_symlink()]
    return [path for path in paths if path.startswith(str(folder))]


def test_a_claim_whose_answer_is_unknown_is_neither_won_nor_lost(store: Store) -> None:
    store.publish(trial())
    lying_once(store, lambda: ShareError("EIO"), does_it=False)
    with pytest.raises(ShareError):
        store.claim(store.listing().attempts[0], "w-1")


def test_a_finish_whose_reply_was_lost_is_a_finish(store: Store) -> None:
    store.publish(trial())
    taken = store.claim(store.listing().attempts[0], "w-1")
    assert taken is not None
    lying_once(store, FileNotFoundError, does_it=True)
    assert store.finish(taken)


def test_an_append_that_may_have_arrived_is_written_again_on_a_new_line(store: Store) -> None:
    store.publish(trial())
    taken = store.claim(store.listing().attempts[0], "w-1")
    assert taken is not None
    real = store.folder.append

    def half(path: str, data: bytes) -> None:
        store.folder.append = real  # type: ignore[method-assign]
        real(path, data[:20])
        raise ShareError("ENOSPC")

    store.folder.append = half  # type: ignore[method-assign]
    with pytest.raises(ShareError):
        store.append(taken, [result(2.0)])
    store.append(taken, [result(2.0)])
    assert store.read_attempt(taken).result == result(2.0)


# -- finding studies -----------------------------------------------------------------------


def test_the_only_study_needs_no_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="distune master"):
        open_study(tmp_path, None)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Store(Folder(tmp_path / name)).create(make_study()[0])
    (tmp_path / "a file").touch()
    with pytest.raises(UserError, match="one, two"):
        open_study(tmp_path, None)
    with pytest.raises(UserError, match="no study 'three'"):
        open_study(tmp_path, "three")
    assert open_study(tmp_path, "two").load().id == "s-1"


@pytest.mark.parametrize(
    ("number", "lists_others"), [(errno.EIO, False), (errno.EACCES, True), (errno.ENOTDIR, True)]
)
def test_a_study_that_cannot_be_listed_is_not_taken_for_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, lists_others: bool
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Store(local_folder(tmp_path / name)).create(make_study()[0])
    real = os.open

    def fails(path: str, *arguments: Any, **named: Any) -> int:
        if str(path) == str(tmp_path / "one"):
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", fails)
    if lists_others:
        assert set(find_studies(tmp_path)) == {"two"}
    else:
        with pytest.raises(ShareError, match="one"):
            find_studies(tmp_path)
