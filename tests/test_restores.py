"""What is left of a study after backups, copies and `git` have been at its folder. Each test is a
row of the table in PROTOCOL.md, "How to lose a trial", and its name is that row's sentence.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from distune.errors import BadRecord, UserError
from distune.master.opening import MasterOptions, open_or_create
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.protocol import State
from distune.share.store import Store
from distune.space_file.read import parse_space_file
from distune.study.trial import Checkpoint, Counted, Purpose, Report, Result
from distune.watch.observer import Observer
from tests.fake_executor import objective
from tests.garbage import Bench
from tests.histories import LEASE, asked_in, read_history
from tests.memory_folder import Faults
from tests.simulation import World, saving

TRIALS = 26
while_it_runs_and_at_rest = pytest.mark.parametrize(
    "runs", [True, False], ids=["while it runs", "at rest"]
)
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here waits for a disk."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@dataclass(frozen=True)
class Training:
    """Which training of a trial it was: the seconds in it are random."""

    attempt: int
    worker: str
    result: Result
    curve: tuple[Report, ...] = field(compare=False)

    @classmethod
    def of(cls, store: Store, counted: Counted) -> Training:
        try:
            curve = store.read_counted(counted).reports
        except (FileNotFoundError, BadRecord):
            curve = ()
        return cls(counted.trial.attempt, counted.worker, counted.result, curve)


Trainings = dict[int, Training]  # by the number of the trial


class Live(Bench):
    """A study under way, with a backup.

    Attributes:
        then: what was counted when the backup was made.
        since: what was counted after that.
        counted: both.
        done: what was trained at last, and not counted.
        new: what was asked for after the backup, of that.
        end: what is counted in the end.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, TRIALS)
        self.backup = root / "backup"
        self.go_on_to(4)
        self.step_master()  # it counts what is done
        self.then, asked = self.in_history(), self.asked()
        self.back_up()
        self.go_on_to(len(self.then) + 6)
        while max(self.in_trials(), default=0) < asked or not self.trained():
            self.now += 0.1
            self.worker.step()
        self.counted, self.done = self.in_history(), self.in_trials()
        self.since = {n: one for n, one in self.counted.items() if n not in self.then}
        self.new = {n: one for n, one in self.done.items() if n >= asked}
        self.end: Trainings = {}
        self.rest()

    def back_up(self) -> None:
        shutil.copytree(self.path, self.backup)

    def go_on_to(self, many: int) -> None:
        """Until so many trials are counted."""
        while len(self.master.observer.history) < many:
            self.step()

    def trained(self) -> list[str]:
        """The trials that are being trained, for people."""
        return [n.label for n in self.store.listing().attempts if n.state is State.TAKEN]

    def asked(self) -> int:
        """How many trials were asked for."""
        return asked_in(self.store, self.study).next_trial

    @property
    def store(self) -> Store:
        store = Store(Folder(self.path, network=False))
        store.load()
        return store

    def in_trials(self) -> Trainings:
        """What is done and not counted."""
        store, found = self.store, {}
        for name in store.listing().attempts:
            if name.state is State.DONE:
                file = store.read_ended(name)
                assert file.result is not None
                training = Training(name.attempt, name.worker, file.result, file.reports)
                found[name.trial] = training
        return found

    def in_history(self) -> Trainings:
        """What `history.jsonl` says of each trial: no trial has two lines."""
        store = self.store
        lines = read_history(store)
        found = {line.trial.number: Training.of(store, line) for line in lines}
        assert len(found) == len(lines)
        return found

    def restart_all(self) -> None:
        """Another master and another worker, as if those before had been killed."""
        self.restart()
        self.worker = self.new_worker("w-2-bbbbbb")

    def end_well(self, *, runs: bool) -> None:
        """Go on to the end, with other processes if they were at rest: then every trial is counted
        once, with the value that belongs to its params.
        """
        if not runs:
            self.restart_all()
        self.run()
        store = self.store
        lines = read_history(store)
        assert sorted(line.trial.number for line in lines) == list(range(TRIALS))
        assert [li.result.value for li in lines] == [objective(li.trial.params) for li in lines]
        files = [name.trial for name in store.seen() if name.state is State.SEEN]
        assert len(files) == len(set(files))
        assert store.listing().attempts == ()
        again = Observer(store)
        assert again.recovered == []
        assert len(again.history) == TRIALS
        self.end = self.in_history()

    def lost(self, before: Trainings) -> set[int]:
        """The trials of which another training counts now."""
        return {number for number, one in before.items() if self.end[number] != one}

    def lost_curves(self, before: Trainings) -> set[int]:
        """The trials whose counted file has not the curve that it had."""
        return {number for number, one in before.items() if self.end[number].curve != one.curve}

    def lost_nothing(self) -> bool:
        return not (
            self.lost(self.counted | self.done) or self.lost_curves(self.counted | self.done)
        )

    def put_back(self, *paths: str) -> None:
        """Copy these of the backup over what is there, as `cp -a` does."""
        for path in paths:
            if (self.backup / path).is_dir():
                shutil.copytree(self.backup / path, self.path / path, dirs_exist_ok=True)
            else:
                shutil.copy2(self.backup / path, self.path / path)

    def replace_by_backup(self) -> None:
        """As `rsync -a --delete` does."""
        shutil.rmtree(self.path)
        shutil.copytree(self.backup, self.path)


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return Live(tmp_path)


# -- backups -----------------------------------------------------------------------------------


def test_a_backup_copied_over_a_study_that_runs_loses_nothing(live: Live) -> None:
    live.put_back("")
    live.end_well(runs=True)
    assert live.lost_nothing()
    assert live.lines_about(f"{protocol.HISTORY} had lost lines")


def test_a_backup_copied_over_a_study_at_rest_loses_uncounted_results_since(
    live: Live,
) -> None:
    live.put_back("")
    live.end_well(runs=False)
    assert live.lost(live.counted) == set()
    assert live.lost_curves(live.counted) == set()
    assert live.lost(live.done) == set(live.new)
    assert live.lines_about("no master asked for such a trial")


def test_a_backup_in_the_place_of_a_study_that_runs_loses_curves_and_uncounted_results_since(
    live: Live,
) -> None:
    live.replace_by_backup()
    live.end_well(runs=True)
    assert live.lost(live.counted) == set()
    assert live.lost_curves(live.counted) == set(live.since)
    assert live.lost(live.done) == set(live.done)


def test_a_backup_in_the_place_of_a_study_at_rest_loses_all_since(live: Live) -> None:
    live.replace_by_backup()
    live.end_well(runs=False)
    assert live.lost(live.then) == set()
    assert live.lost(live.since) == set(live.since)


@while_it_runs_and_at_rest
def test_history_jsonl_of_yesterday_loses_nothing(live: Live, runs: bool) -> None:
    live.put_back(protocol.HISTORY)
    live.end_well(runs=runs)
    assert live.lost_nothing()


@pytest.mark.parametrize("paths", [[protocol.ASKED], [protocol.ASKED, protocol.HISTORY]])
def test_asked_jsonl_of_yesterday_while_the_study_runs_loses_nothing(
    live: Live, paths: list[str]
) -> None:
    live.put_back(*paths)
    live.end_well(runs=True)
    assert live.lost_nothing()
    assert live.lines_about(f"{protocol.ASKED} had lost lines")


@pytest.mark.parametrize("paths", [[protocol.ASKED], [protocol.ASKED, protocol.HISTORY]])
def test_asked_jsonl_of_yesterday_at_rest_loses_uncounted_results_since(
    live: Live, paths: list[str]
) -> None:
    live.put_back(*paths)
    live.end_well(runs=False)
    assert live.lost(live.counted) == set()
    assert live.lost(live.done) == set(live.new)
    assert live.lines_about("no master asked for such a trial")


@while_it_runs_and_at_rest
def test_a_folder_of_seen_of_yesterday_loses_curves_since(live: Live, runs: bool) -> None:
    folder = protocol.seen_folder(0)
    shutil.rmtree(live.path / folder)
    live.put_back(folder)
    live.end_well(runs=runs)
    assert live.lost(live.counted) == set()
    assert live.lost_curves(live.counted) == set(live.since)


def test_seen_and_history_jsonl_of_yesterday_at_rest_lose_what_was_counted_since(
    live: Live,
) -> None:
    shutil.rmtree(live.path / protocol.SEEN)
    live.put_back(protocol.SEEN, protocol.HISTORY)
    live.end_well(runs=False)
    assert live.lost(live.then) == set()
    assert live.lost(live.since) == set(live.since)


def test_an_archive_unpacked_in_the_place_of_a_study_loses_nothing(live: Live) -> None:
    shutil.rmtree(live.backup)
    live.path.rename(live.backup)
    shutil.copytree(live.backup, live.path, copy_function=shutil.copyfile)
    for path in [live.path, *live.path.rglob("*")]:
        os.utime(path, (2**32, 2**32))
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)  # nobody's
    live.end_well(runs=False)
    assert live.lost_nothing()


# -- what was deleted ----------------------------------------------------------------------------


@while_it_runs_and_at_rest
def test_trials_deleted_loses_uncounted_results(live: Live, runs: bool) -> None:
    shutil.rmtree(live.path / protocol.TRIALS)
    live.end_well(runs=runs)
    assert live.lost(live.counted) == set()
    assert live.lost_curves(live.counted) == set()
    assert live.lost(live.done) == set(live.done)


@while_it_runs_and_at_rest
def test_seen_deleted_loses_the_curves(live: Live, runs: bool) -> None:
    shutil.rmtree(live.path / protocol.SEEN)
    live.end_well(runs=runs)
    assert live.lost(live.counted) == set()
    assert live.lost_curves(live.counted) == set(live.counted)


def test_seen_and_history_jsonl_deleted_while_the_study_runs_lose_the_curves(live: Live) -> None:
    shutil.rmtree(live.path / protocol.SEEN)
    (live.path / protocol.HISTORY).unlink()
    live.end_well(runs=True)
    assert live.lost(live.counted) == set()
    assert live.lost_curves(live.counted) == set(live.counted)


def test_seen_and_history_jsonl_deleted_at_rest_lose_every_result(live: Live) -> None:
    shutil.rmtree(live.path / protocol.SEEN)
    (live.path / protocol.HISTORY).unlink()
    live.end_well(runs=False)
    assert live.lost(live.counted) == set(live.counted)
    assert live.lost(live.done) == set()


@while_it_runs_and_at_rest
def test_workers_deleted_loses_nothing(live: Live, runs: bool) -> None:
    shutil.rmtree(live.path / protocol.WORKERS)
    live.end_well(runs=runs)
    assert live.lost_nothing()


def test_a_study_deleted_while_it_runs_loses_all_of_it(live: Live) -> None:
    shutil.rmtree(live.path)
    live.step(60)
    assert not live.path.exists()
    assert live.master.finished is None
    shutil.copytree(live.backup, live.path)
    live.end_well(runs=True)
    assert live.lost(live.counted) == set()


# -- study.json ----------------------------------------------------------------------------------


def start_on(live: Live) -> None:
    """What `distune master` does first, with the space file that the study was made from."""
    space = {
        "objective": "o:o",
        "params": {"x": {"type": "float", "low": 0, "high": 1}},
        "metric": "y",
        "direction": "maximize",
    }
    file = parse_space_file(json.dumps(space), "space.json")
    options = MasterOptions(space=file, source="space.json", name="s", logs=live.logs)
    open_or_create(live.path, options, live.lines.append)


def another_study(live: Live) -> bytes:
    """The `study.json` of another study with the same name, that searches the same."""
    return records.encode_document(live.study.model_copy(update={"id": "s-2"}))


def test_study_json_deleted_while_the_study_runs_loses_nothing(live: Live) -> None:
    before = (live.path / protocol.STUDY).read_bytes()
    (live.path / protocol.STUDY).unlink()
    live.end_well(runs=True)
    assert (live.path / protocol.STUDY).read_bytes() == before
    assert live.lost_nothing()
    assert live.lines_about(f"{protocol.STUDY}: it was gone; written anew")


def test_study_json_deleted_at_rest_loses_nothing(live: Live) -> None:
    before = (live.path / protocol.STUDY).read_bytes()
    (live.path / protocol.STUDY).unlink()
    tree = live.tree()
    with pytest.raises(UserError, match=r"has the trials of s-1, and not its study\.json"):
        start_on(live)
    assert live.tree() == tree
    (live.path / protocol.STUDY).write_bytes(before)
    start_on(live)
    live.end_well(runs=False)
    assert live.lost_nothing()


@while_it_runs_and_at_rest
def test_study_json_of_another_study_loses_nothing(live: Live, runs: bool) -> None:
    before = (live.path / protocol.STUDY).read_bytes()
    (live.path / protocol.STUDY).write_bytes(another_study(live))
    if runs:
        with pytest.raises(UserError, match="another study lies in its folder now"):
            live.master.step()
        live.master.leave()
    else:
        with pytest.raises(UserError, match="has the trials of s-1"):
            start_on(live)
    assert live.quarantined() == []
    (live.path / protocol.STUDY).write_bytes(before)
    live.end_well(runs=False)
    assert live.lost_nothing()


# -- folders that were moved ---------------------------------------------------------------------


def test_a_study_renamed_and_renamed_back_loses_what_was_being_trained(live: Live) -> None:
    (trained,) = live.trained()
    live.path.rename(live.logs / "other")
    live.step(4)
    (live.logs / "other").rename(live.path)
    live.end_well(runs=True)
    assert live.lost(live.counted | live.done) == set()
    assert any(f"trial {trained}: taken back" in line for line in live.said)


def test_a_study_moved_behind_a_symbolic_link_loses_nothing(live: Live) -> None:
    elsewhere = live.outside.parent / "elsewhere"
    live.path.rename(elsewhere)
    live.path.symlink_to(elsewhere)
    live.step(4)
    assert live.lines_about("is a symbolic link, which distune does not follow: remove it")
    live.path.unlink()
    elsewhere.rename(live.path)
    live.end_well(runs=True)
    assert live.lost_nothing()


def test_a_study_moved_away_with_another_in_its_place_loses_what_was_being_trained(
    live: Live,
) -> None:
    away = live.outside.parent / "away"
    live.path.rename(away)
    live.path.mkdir()
    other = live.study.model_copy(update={"id": "s-2"})
    Store(Folder(live.path)).create(other)
    first, second = live.master, live.new_master()
    with pytest.raises(UserError, match="another study lies in its folder now"):
        first.step()
    first.leave()
    live.master, live.study = second, other
    live.step(4)
    assert "study s is gone" in live.said
    live.end_well(runs=True)
    assert live.quarantined() == []
    retried = [n for n in live.store.seen() if n.state is State.LOST]
    assert len(retried) <= 1, "the worker sees with the first trial that it is another study"
    shutil.rmtree(live.path)
    away.rename(live.path)
    live.end_well(runs=False)
    assert live.lost(live.counted | live.done) == set()


# -- copies that went on -------------------------------------------------------------------------


def continued_elsewhere(live: Live, many: int) -> Live:
    """A copy of the backup, with a master and a worker of its own, until they have counted so many
    trials.
    """
    root = live.outside.parent / "elsewhere"
    other = Live(root)
    shutil.rmtree(other.path)
    shutil.copytree(live.backup, other.path)
    other.restart()
    other.worker = other.new_worker("w-3-cccccc")
    while len(other.master.observer.history) < many:
        other.step()
    other.rest()
    other.counted = other.in_history()
    return other


def check_one_of_two_counts(live: Live, other: Live) -> None:
    both = live.since.keys() & other.counted.keys()
    assert both
    for number in both:
        assert live.end[number] in (live.counted[number], other.counted[number])
    for number in live.counted.keys() ^ other.counted.keys():
        assert live.end[number] == (live.counted | other.counted)[number]


@while_it_runs_and_at_rest
def test_a_copy_continued_elsewhere_and_copied_back_loses_one_of_two_results_of_a_trial(
    live: Live, runs: bool
) -> None:
    other = continued_elsewhere(live, 12)
    shutil.copytree(other.path, live.path, dirs_exist_ok=True)
    live.end_well(runs=runs)
    check_one_of_two_counts(live, other)


@while_it_runs_and_at_rest
def test_a_finished_copy_copied_back_loses_one_of_two_results_of_a_trial(
    live: Live, runs: bool
) -> None:
    other = continued_elsewhere(live, TRIALS)
    other.run()
    shutil.copytree(other.path, live.path, dirs_exist_ok=True)
    live.now += 5  # so that a running master looks at its files before anything else
    live.end_well(runs=runs)
    assert runs == bool(live.lines_about(f"{protocol.FINISHED} removed"))
    check_one_of_two_counts(live, other)


# -- git -----------------------------------------------------------------------------------------


class InGit(Live):
    """The backup is a commit of the logs directory."""

    def back_up(self) -> None:
        self.git("init", "--quiet")
        self.commit()

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "the logs")

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(
            ["git", *who, *arguments],
            cwd=self.logs,
            env={**os.environ, **quiet},
            check=True,
            capture_output=True,
        )


@pytest.fixture
def in_git(tmp_path: Path) -> InGit:
    return InGit(tmp_path)


@needs_git
def test_git_stash_while_the_study_runs_loses_nothing(in_git: InGit) -> None:
    in_git.git("stash")
    in_git.end_well(runs=True)
    assert in_git.lost_nothing()


@needs_git
def test_git_stash_at_rest_loses_uncounted_results_since(in_git: InGit) -> None:
    in_git.git("stash")
    in_git.end_well(runs=False)
    assert in_git.lost(in_git.counted) == set()
    assert in_git.lost(in_git.done) == set(in_git.new)


@needs_git
def test_git_stash_u_while_the_study_runs_loses_curves_and_uncounted_results_since(
    in_git: InGit,
) -> None:
    in_git.git("stash", "--include-untracked")
    in_git.end_well(runs=True)
    assert in_git.lost(in_git.counted) == set()
    assert in_git.lost_curves(in_git.counted) == set(in_git.since)
    assert in_git.lost(in_git.done) == set(in_git.done)


@needs_git
def test_git_stash_u_and_git_stash_pop_at_rest_lose_nothing(in_git: InGit) -> None:
    in_git.git("stash", "--include-untracked")
    in_git.git("stash", "pop")
    in_git.end_well(runs=False)
    assert in_git.lost_nothing()


@needs_git
@while_it_runs_and_at_rest
def test_git_clean_fd_loses_curves_and_uncounted_results_since(in_git: InGit, runs: bool) -> None:
    in_git.git("clean", "-fd")
    in_git.end_well(runs=runs)
    assert in_git.lost(in_git.counted) == set()
    assert in_git.lost_curves(in_git.counted) == set(in_git.since)
    assert in_git.lost(in_git.done) == set(in_git.done)


@needs_git
def test_git_checkout_of_an_older_commit_at_rest_loses_all_since(in_git: InGit) -> None:
    in_git.commit()
    in_git.git("checkout", "--quiet", "HEAD~1")
    in_git.end_well(runs=False)
    assert in_git.lost(in_git.then) == set()
    assert in_git.lost(in_git.since) == set(in_git.since)


# -- checkpoints -----------------------------------------------------------------------------


def with_checkpoints(many: int, **more: Any) -> tuple[World, list[Checkpoint]]:
    """The only trial of a study, when its file tells of so many checkpoints, and none but the last
    two are there.
    """
    world = saving(0, Faults(), trials=1, workers=1, training=16.0, **more)
    while len(world.told_of()) < many or len(checkpoint_files(world)) > 2:
        world._advance()
    looked = world.clock + LEASE / 15  # its worker has looked once more what it owns
    while world.clock < looked:
        world._advance()
    return world, world.told_of()


def checkpoint_files(world: World) -> list[str]:
    return [path for path in world.share.files if path.startswith(protocol.CHECKPOINTS)]


@pytest.mark.parametrize("damage", ["cut", "altered", "deleted"])
def test_a_checkpoint_cut_altered_or_deleted_loses_what_was_trained_since_the_one_before(
    damage: str,
) -> None:
    world, (*_, before, last) = with_checkpoints(3)
    path = f"{protocol.CHECKPOINTS}/{protocol.checkpoint_name(Purpose.TRAIN, 0, last)}"
    data = world.share.files.pop(path)
    if damage != "deleted":
        world.share.files[path] = data[:-1] if damage == "cut" else b"x" + data[1:]
    world.ledger.damaged.add(path)
    world.actors[1].process = None  # its worker is killed
    world.run().check()
    assert [begun.after for begun in world.ledger.begun] == [0, before.step]


def test_checkpoints_deleted_loses_what_was_trained_of_what_is_interrupted() -> None:
    world, _ = with_checkpoints(3)
    for path in checkpoint_files(world):
        del world.share.files[path]
        world.ledger.damaged.add(path)
    world.actors[1].process = None
    world.run().check()
    assert [begun.after for begun in world.ledger.begun] == [0, 0]


def test_a_worker_frozen_past_its_lease_loses_what_it_has_trained_since_a_checkpoint() -> None:
    world, told = with_checkpoints(2)
    frozen = world.actors[1]
    frozen.wakes_at += 3 * LEASE
    world.run().check()
    first, second = world.ledger.begun[:2]
    assert (first.after, second.after) == (0, told[-1].step)
