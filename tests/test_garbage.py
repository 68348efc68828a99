"""Garbage in the share: it is set aside with one line, costs at most its own trial, and
hangs no process (P10).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import BadRecord, NotAFolder, ShareError, UserError
from distune.master.lock import Identity, only_master
from distune.share import protocol, records
from distune.share.find_studies import find_studies, open_study
from distune.share.folder import Folder
from distune.share.heartbeat import Beat, Finished
from distune.share.protocol import AttemptName, State
from distune.share.store import Store
from distune.study.trial import Purpose
from distune.training.context import TrialContext
from distune.watch.observer import Observer
from tests.conftest import Lab, wait_until
from tests.fuzz import CORPUS, TARGETS, Target, check, fuzz_study, mutate
from tests.garbage import (
    ALL,
    GHOST,
    NAMES,
    THINGS,
    Bench,
    flipped,
    place,
    resealed,
    spoil,
    wipe,
)
from tests.histories import read_history

NOBODY = 65534


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here waits for a disk."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


# -- files of trials -------------------------------------------------------------------------


def set_aside_once(bench: Bench, filename: str) -> None:
    """There is one line about it, and it lies in quarantine/."""
    lines = bench.lines_about(f"{filename} set aside as quarantine/")
    assert len(lines) == 1, (filename, lines, bench.lines)
    aside = lines[0].partition(" set aside as ")[2].partition(": ")[0]
    assert os.path.lexists(bench.path / aside), (aside, bench.quarantined())
    assert lines[0].partition(": ")[2], "no reason"


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("state", [State.WAITING, State.TAKEN, State.DONE, State.LOST])
def test_garbage_in_place_of_a_trials_file_costs_at_most_that_trial(
    tmp_path: Path, state: State, restart: bool
) -> None:
    bench = Bench(tmp_path, trials=len(ALL))
    bench.publish_all()
    for number, garbage in enumerate(ALL):
        spoil(bench.put(number, state), garbage)
    if restart:
        bench.restart()
    bench.run()
    bench.check()
    ends = {
        State.WAITING: ".jsonl.w-1-aaaaaa.lost",
        State.TAKEN: f".jsonl.{GHOST}.lost",
        State.DONE: f".jsonl.{GHOST}.done",
        State.LOST: f".jsonl.{GHOST}.lost",
    }
    for number, garbage in enumerate(ALL):
        first = f"{number:06d}.1"
        lines = bench.lines_about(f"trials/{first}")
        assert len(lines) == 1, (garbage, lines)
        assert "set aside as quarantine/" in lines[0], garbage
        if not restart:
            assert lines[0].startswith(f"trials/{first}{ends[state]} "), garbage
    assert len(bench.quarantined()) == len(ALL)
    assert bench.master.observer.history.outcomes.total() == len(ALL)


def test_what_is_set_aside_is_kept_as_it_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    path = bench.put(1, State.DONE)
    path.write_bytes(b"\x00\xffsomething of a user's")
    bench.run()
    (kept,) = bench.quarantined()
    assert (bench.path / "quarantine" / kept).read_bytes() == b"\x00\xffsomething of a user's"


def test_nothing_in_quarantine_is_overwritten(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    notes = [b"first", b"second", b"third"]
    for content in notes:
        (bench.path / "trials" / "notes").write_bytes(content)
        (bench.path / "workers" / "notes").write_bytes(content + b" of a worker")
        bench.now += 100  # on patrol
        bench.step()
    kept = [(bench.path / "quarantine" / name).read_bytes() for name in bench.quarantined()]
    assert sorted(kept) == sorted([*notes, *(note + b" of a worker" for note in notes)])
    bench.run()
    bench.check()


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_garbage_in_the_history_of_a_trial_is_set_aside(tmp_path: Path, restart: bool) -> None:
    """Counted trials stay counted: the history file knows them."""
    bench = Bench(tmp_path, trials=len(ALL) + 3)
    counted = bench.master.observer.history
    for _ in range(2000):
        if len(counted) >= len(ALL):
            break
        bench.step()
    files = sorted((bench.path / "seen" / "000").iterdir())[: len(ALL)]
    for path, garbage in zip(files, ALL, strict=True):
        spoil(path, garbage)
    if restart:
        bench.restart()
    for _ in range(10):
        bench.now += 100
        bench.step_master()
    bench.run()
    bench.check()
    for path in files:
        set_aside_once(bench, path.name)
    assert len(bench.quarantined()) == len(ALL)


def test_a_history_that_is_rebuilt_counts_no_garbage_and_makes_its_trials_again(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, trials=6)
    for _ in range(500):
        if len(bench.master.observer.history) >= 4:
            break
        bench.step()
    files = sorted((bench.path / "seen" / "000").iterdir())
    spoil(files[0], "flipped bit")
    spoil(files[1], "fifo")
    (bench.path / protocol.HISTORY).unlink()
    bench.restart()
    assert len(bench.master.observer.history) == len(files) - 2
    bench.run()
    bench.check()
    for path in files[:2]:
        set_aside_once(bench, path.name)


# -- results no master asked for ----------------------------------------------------------------


def ghost(number: int, attempt: int = 1, state: State = State.DONE) -> AttemptName:
    return AttemptName(number, attempt, worker=GHOST, state=state)


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize(
    "name", [ghost(777), ghost(10**12 - 1), ghost(50_000), ghost(6), ghost(3, 999_999)]
)
def test_a_result_for_a_trial_never_asked_is_set_aside_and_makes_no_work(
    tmp_path: Path, name: AttemptName, restart: bool
) -> None:
    bench = Bench(tmp_path, trials=6)
    bench.step(3)
    trial = bench.trial(name.trial, name.attempt)  # with the very params that would be asked for
    (bench.path / name.live_path).write_bytes(bench.ended(trial))
    if restart:
        bench.restart()
    bench.run()
    bench.check()
    set_aside_once(bench, name.filename)
    numbers = {AttemptName.parse(p.name).trial for p in (bench.path / "seen/000").iterdir()}
    assert numbers == set(range(6))


def test_files_that_say_what_cannot_be_are_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=9)
    for _ in range(4):
        bench.step_master()
    trial, claim, result = bench.ended(bench.trial(0)).splitlines(keepends=True)
    planted = {
        0: trial + result,  # a result without a claim
        1: bench.ended(bench.trial(2)),  # another trial's
        2: bench.ended(bench.trial(2), worker="another-1-else00"),
        3: bench.ended(bench.trial(3, attempt=2)),
    }
    planted[0] = planted[0].replace(trial, records.encode(bench.trial(0)))
    assert claim
    for number, content in planted.items():
        path = bench.put(number, State.DONE)
        path.write_bytes(content)
    test = AttemptName(3, 1, Purpose.TEST, GHOST, State.DONE)
    asked = bench.trial(3).replace(purpose=Purpose.TEST)
    (bench.path / test.live_path).write_bytes(bench.ended(asked))
    bench.run()
    bench.check()
    for number in planted:
        set_aside_once(bench, ghost(number).filename)
    set_aside_once(bench, test.filename)


def test_a_stray_file_beside_a_trial_that_is_being_trained_starts_no_second_attempt(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    (bench.path / ghost(1, attempt=7).live_path).write_bytes(b"garbage")
    (bench.path / ghost(2, attempt=1, state=State.LOST).live_path).write_bytes(b"garbage")
    bench.run()
    bench.check()
    assert {AttemptName.parse(p.name).attempt for p in (bench.path / "seen/000").iterdir()} == {0}
    assert {one.trial.attempt for one in bench.master.observer.history.trials} == {1}


def test_a_counted_file_of_the_earlier_layout_is_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(500):
        if bench.master.observer.history.get((Purpose.TRAIN, 1)):
            break
        bench.step()
    second = ghost(1, attempt=2, state=State.SEEN)
    (bench.path / second.seen_path).write_bytes(bench.ended(bench.trial(1, attempt=2)))
    for _ in range(3):
        bench.now += 100
        bench.step_master()
    bench.run()
    bench.check()
    set_aside_once(bench, second.filename)


def test_what_has_no_business_in_seen_is_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run()
    bench = reopened(bench)
    seen = bench.path / "seen"
    (seen / "001").mkdir()
    wrong = [
        seen / "000" / "000001.2.jsonl",
        seen / "000" / f"000001.2.jsonl.{GHOST}.pruned",
        seen / "001" / "000001.jsonl",
        seen / "000" / f"000001.2.jsonl.{GHOST}.taken",
        seen / "000" / f"000001.2.jsonl.{GHOST}.done",
        seen / "001" / f"000001.2.jsonl.{GHOST}.seen",
        seen / "notes",
        seen / "0000",
        seen / "-1",
    ]
    for path in wrong:
        path.write_bytes(bench.ended(bench.trial(1, attempt=2)))
    for _ in range(4):
        bench.now += 100
        bench.step_master()
    for path in wrong:
        set_aside_once(bench, path.name)
    bench.run()
    bench.check()


def reopened(bench: Bench) -> Bench:
    """The same study with two more trials, so that its master does not end."""
    bench.trials += 2
    bench.limits = bench.limits.replace(trials=bench.trials)
    bench.restart()
    return bench


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["trials", "workers", "seen", "seen/000"])
def test_a_strange_name_is_set_aside_in_one_line_whatever_is_in_it(
    tmp_path: Path, folder: str
) -> None:
    bench = Bench(tmp_path)
    bench.step(2)
    (bench.path / folder).mkdir(exist_ok=True)
    strange = list(NAMES)
    for name in strange:
        place(bench.path / folder, name)
    for _ in range(len(NAMES) // 10):
        bench.now += 100
        bench.step_master()
    before = len(bench.quarantined())
    bench.run()
    bench.check()
    assert len(bench.quarantined()) == before  # once
    hidden = [n for n in strange if n.startswith(b".")]  # no process reads those
    assert before == len(strange) - len(hidden)
    about = bench.lines_about(" set aside as ")
    assert len(about) == before
    assert all(line.isprintable() for line in about)
    left = os.listdir(os.fsencode(bench.path / folder))
    assert sorted(set(left) & set(strange)) == sorted(hidden)


def test_a_flood_of_strangers_does_not_hold_up_the_trials(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    for i in range(1000):
        (bench.path / "trials" / f"stranger-{i}").touch()
    bench.step_master()
    assert len(bench.quarantined()) == 200
    bench.run()
    bench.check()


# -- what belongs to one alone -----------------------------------------------------------------


VALID = records.encode_document(
    Finished(study="s-1", reason="all 4 trials are counted", trials=4, elapsed=1.25)
)


def mended(bench: Bench, patrols: int = 1) -> None:
    for _ in range(patrols):
        bench.now += 6  # a patrol's time, and no lease
        bench.step()
    bench.step(3)


@pytest.mark.parametrize("name", [protocol.HISTORY, protocol.MASTER, "workers/w-1-aaaaaa.beat"])
def test_garbage_in_place_of_ones_own_file_is_moved_and_the_file_made_anew(
    tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, trials=1000)  # which have no end here
    bench.step(4)
    path = bench.path / name

    def said() -> list[str]:
        return [n for n in bench.lines + bench.said if n.startswith(f"{name} set aside as ")]

    for garbage in ALL:
        spoil(path, garbage, VALID)
        before = len(said())
        mended(bench)
        assert path.is_file(), garbage
        assert not path.is_symlink(), garbage
        bench.look()
        if garbage in THINGS and garbage != "ten sparse gigabytes":  # else written over
            assert len(said()) == before + 1, garbage
    bench.check_outside()


@pytest.mark.parametrize("garbage", ALL)
def test_a_history_of_garbage_is_made_anew_at_a_start(tmp_path: Path, garbage: str) -> None:
    bench = Bench(tmp_path, trials=5)
    for _ in range(500):
        if len(bench.master.observer.history) >= 3:
            break
        bench.step()
    spoil(bench.path / protocol.HISTORY, garbage)
    viewer = Observer(Store(Folder(bench.path)))
    assert len(viewer.look().history) == 3  # seen/ knows
    bench.restart()
    assert len(bench.master.observer.history) == 3
    bench.run()
    bench.check()
    lines = read_history(Store(Folder(bench.path)))
    assert sorted(line.trial.number for line in lines) == list(range(5))
    assert len(viewer.look().history) == 5  # though it is another file now
    quiet = {"empty", "truncated", "only newlines", "flipped bit"}  # like a crash
    assert len(bench.lines_about("history.jsonl set aside")) == (garbage not in quiet)


@pytest.mark.parametrize("garbage", ALL)
def test_garbage_called_finished_ends_no_study(tmp_path: Path, garbage: str) -> None:
    bench = Bench(tmp_path)
    bench.step(3)
    spoil(bench.path / protocol.FINISHED, garbage, VALID)
    for _ in range(5):
        bench.now += 1
        bench.worker.step()
    assert not [line for line in bench.said if "is finished" in line]
    bench.run()
    bench.check()
    set_aside_once(bench, protocol.FINISHED)
    assert open_study(bench.logs, "s").is_finished()


@pytest.mark.parametrize("name", [protocol.FINISHED, protocol.BEST, protocol.LEADERBOARD])
@pytest.mark.parametrize("thing", THINGS)
def test_the_end_is_written_whatever_lies_in_its_place(
    tmp_path: Path, name: str, thing: str
) -> None:
    bench = Bench(tmp_path, trials=2)
    bench.step(2)
    spoil(bench.path / name, thing)
    bench.restart()
    bench.run()
    bench.check()
    assert (bench.path / name).is_file()
    assert not (bench.path / name).is_symlink()
    if "directory" in thing and not thing.startswith("link"):
        set_aside_once(bench, name)


@pytest.mark.parametrize("thing", THINGS)
def test_a_readme_that_is_garbage_is_left_alone(tmp_path: Path, thing: str) -> None:
    bench = Bench(tmp_path, trials=2)
    spoil(bench.path / protocol.README, thing)
    bench.restart()
    bench.run()
    bench.check()


def test_heartbeats_of_no_worker_are_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=60)
    bench.step(2)
    beat = Beat(worker="other", host="h", pid=1, device="cpu", jobs=1, counter=1, state="idle")
    strange = {
        "garbage": b"\x00" * 4096,
        "half": records.encode_document(beat)[:50],
        "other-name": records.encode_document(beat),
        "flipped": flipped(records.encode_document(beat)),
        "nan": resealed(records.encode_document(beat), lambda b: b.replace(b": 1,", b": NaN,")),
    }
    for name, content in strange.items():
        (bench.path / "workers" / f"{name}.beat").write_bytes(content)
    for thing in THINGS:
        spoil(bench.path / "workers" / f"{thing.replace(' ', '-')}.beat", thing)
    for _ in range(12):
        mended(bench)
    bench.run()
    bench.check()
    for name in [*strange, *(thing.replace(" ", "-") for thing in THINGS)]:
        set_aside_once(bench, f"workers/{name}.beat")


# -- folders -----------------------------------------------------------------------------------

FOLDERS = [*protocol.FOLDERS, "seen/000"]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("thing", ["file", "fifo", "socket", "nothing"])
@pytest.mark.long
def test_what_is_in_place_of_a_folder_is_set_aside_and_the_folder_made_anew(
    tmp_path: Path, folder: str, thing: str, restart: bool
) -> None:
    bench = Bench(tmp_path, trials=30)
    bench.step(6)
    path = bench.path / folder
    wipe(path)
    if thing == "file":
        path.write_text("garbage")
    elif thing != "nothing":
        THINGS[thing](path)
    if restart:
        bench.restart()
    for _ in range(8):
        mended(bench)
    bench.run()
    assert path.is_dir()
    bench.check()
    if thing != "nothing":
        assert len(bench.lines_about(f"{folder} ")) >= 1


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f != protocol.QUARANTINE])
@pytest.mark.parametrize("target", ["folder", "nothing", "itself", "the folder itself, moved"])
def test_a_folder_that_is_a_symbolic_link_is_refused_and_nothing_behind_it_is_touched(
    tmp_path: Path, folder: str, target: str
) -> None:
    bench = Bench(tmp_path)
    for _ in range(100):
        if bench.master.observer.history.trials:
            break
        bench.step()
    path = bench.path / folder
    moved = bench.path / "moved"
    path.mkdir(exist_ok=True)
    path.rename(moved)
    bench.rest()  # a directory is held open for a moment, whatever becomes of its name
    goals = {"folder": bench.outside / "folder", "nothing": bench.outside / "nothing"}
    goals |= {"itself": path, "the folder itself, moved": moved}
    path.symlink_to(goals[target])
    before = bench.tree()
    for _ in range(6):
        bench.now += 6
        bench.step()
    bench.check_outside()
    assert path.is_symlink()
    assert [n for n in bench.tree() if n.startswith("moved")] == [
        n for n in before if n.startswith("moved")
    ]
    said = f"{path} is a symbolic link, which distune does not follow: remove it"
    assert said in bench.lines
    with pytest.raises(NotAFolder, match="symbolic link"):
        bench.new_master()
    path.unlink()
    moved.rename(path)
    bench.now += 100
    bench.run()
    bench.check()


def test_a_quarantine_that_is_a_symbolic_link_is_put_aside_itself(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.step(2)
    wipe(bench.path / "quarantine")
    (bench.path / "quarantine").symlink_to(bench.outside / "folder")
    (bench.path / "trials" / "notes").touch()
    bench.run()
    bench.check()
    assert bench.quarantined() == ["notes"]
    assert len(bench.lines_about("quarantine renamed to quarantine.")) == 1


class Stubborn(Folder):
    """A folder in which some names cannot be moved, as on an immutable file."""

    def move(self, source: str, target: str) -> None:
        if "immovable" in source or source == f"trials/{ghost(1).filename}":
            error = PermissionError(1, "Operation not permitted")
            raise ShareError(f"cannot rename {source}: {error.strerror}") from error
        super().move(source, target)


def test_what_cannot_be_moved_is_named_once_and_then_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, folder=Stubborn)
    bench.step_master()
    (bench.path / "trials" / "immovable").touch()
    (bench.path / "workers" / "immovable").touch()
    bench.put(1, State.DONE).write_bytes(b"garbage")
    for _ in range(5):
        mended(bench)
    bench.run()
    for name in ("trials/immovable", "workers/immovable", f"trials/{ghost(1).filename}"):
        assert len(bench.lines_about(f"{name} is left alone: ")) == 1, bench.lines
    bench.check()


@pytest.mark.parametrize("link", ["artifacts", "artifacts/000001.1"])
def test_an_objective_gets_no_folder_outside_the_study(tmp_path: Path, link: str) -> None:
    bench = Bench(tmp_path)
    path = bench.path / link
    wipe(path)
    path.symlink_to(bench.outside / "nothing" if "/" in link else bench.outside / "folder")
    context = TrialContext(
        number=1, attempt=1, seed=0, device="cpu", folder=str(bench.path / "artifacts/000001.1")
    )
    with pytest.raises(OSError, match="is a symbolic link"):
        _ = context.dir
    bench.check_outside()


# -- a study that cannot be read ---------------------------------------------------------------


@pytest.mark.parametrize("garbage", ALL)
def test_a_study_that_cannot_be_read_is_left_alone_until_it_is_mended(
    tmp_path: Path, garbage: str
) -> None:
    bench = Bench(tmp_path)
    path = bench.path / protocol.STUDY
    valid = path.read_bytes()
    if garbage in ("another study", "large integer"):  # these are sound
        garbage = "flipped bit"
    spoil(path, garbage)
    with pytest.raises(BadRecord) as caught:
        bench.new_master()
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"study\.json cannot be used"):
        open_study(bench.logs, "s")
    for _ in range(5):
        bench.now += 3
        bench.worker.step()
    (line,) = bench.said
    assert line.startswith("study s is left alone until that is mended: study.json cannot be used:")
    wipe(path)
    path.write_bytes(valid)
    bench.restart()
    bench.run()
    bench.check()


@pytest.mark.parametrize("garbage", ["empty", "flipped bit", "directory", "dangling link"])
def test_a_study_json_that_is_spoiled_under_its_master_is_set_aside_and_written_anew(
    tmp_path: Path, garbage: str
) -> None:
    bench = Bench(tmp_path)
    bench.step(3)
    path = bench.path / protocol.STUDY
    before = path.read_bytes()
    spoil(path, garbage)
    bench.run()
    bench.check()
    assert path.read_bytes() == before
    set_aside_once(bench, protocol.STUDY)


def test_a_worker_goes_on_with_the_studies_that_are_sound(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    logs = bench.logs
    for number, garbage in enumerate(ALL):
        (logs / f"bad-{number}").mkdir()
        (logs / f"bad-{number}" / protocol.STUDY).write_bytes(
            (bench.path / protocol.STUDY).read_bytes()
        )
        spoil(
            logs / f"bad-{number}" / protocol.STUDY,
            "nul" if garbage in ("another study", "large integer") else garbage,
        )
    for thing in THINGS:
        spoil(logs / f"thing {thing}", thing)
    for name in NAMES:
        if not os.path.lexists(os.fsencode(logs) + b"/" + name):
            place(logs, name)
    os.mkdir(os.fsencode(logs) + b"/evil\n\xff\x1b[2J")
    (logs / "latest").symlink_to(bench.path)
    bench.run()
    bench.check()
    left_alone = sorted(n.split(" is left alone")[0] for n in bench.said if "is left alone" in n)
    links = [f"thing {thing}" for thing in THINGS if "link" in thing]
    bad_ones = [f"bad-{number}" for number in range(len(ALL))]
    assert left_alone == sorted(f"study {name}" for name in ["latest", *links, *bad_ones])
    assert bench.said.count(f"study latest is left alone until that is mended: {logs}/latest "
        "is a symbolic link, which distune does not follow: remove it") == 1  # fmt: skip
    assert set(find_studies(logs, "s")) == {"s"}


def test_a_study_folder_that_is_a_symbolic_link_is_refused_by_name(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (bench.logs / "latest").symlink_to(bench.path)
    with pytest.raises(UserError, match="latest is a symbolic link"):
        open_study(bench.logs, "latest")
    assert open_study(bench.logs, None).load().name == "s"  # the link is no second study


# -- parsers -----------------------------------------------------------------------------------

EXAMPLES = settings(deadline=None, derandomize=True, max_examples=150)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_any_bytes_are_read_or_refused_in_one_line_and_at_once(target: Target) -> None:
    @EXAMPLES
    @given(st.binary(max_size=300))
    def try_it(data: bytes) -> None:
        check(target, data)

    try_it()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_valid_bytes_that_were_altered_are_read_or_refused_in_one_line_and_at_once(
    target: Target,
) -> None:
    @EXAMPLES
    @given(st.sampled_from(target.seeds), st.integers(0, 2**64))
    def try_it(origin: bytes, seed: int) -> None:
        check(target, mutate(random.Random(seed), origin, target.seeds), origin)
        if target.sealed:
            others = target.seeds
            check(target, resealed(origin, lambda body: mutate(random.Random(seed), body, others)))

    try_it()


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_was_once_trouble_is_none(path: Path) -> None:
    for target in TARGETS.values():
        check(target, path.read_bytes())


@pytest.mark.parametrize("target", [t for t in TARGETS.values() if t.sealed], ids=lambda t: t.name)
def test_any_flipped_bit_is_seen(target: Target) -> None:
    for origin in target.seeds:
        valid = target.parse(origin)
        end = len(origin.rstrip())
        for bit in range(8 * end):
            altered = bytearray(origin)
            altered[bit // 8] ^= 1 << bit % 8
            with pytest.raises(BadRecord):
                target.parse(bytes(altered))
        assert valid == target.parse(origin)


@pytest.mark.parametrize("seed", range(40))
def test_a_live_study_survives_what_is_thrown_into_it(seed: int) -> None:
    fuzz_study(seed)


def test_the_fuzzer_says_how_many_inputs_it_tried() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "60", "--inputs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(
        r"\d{3,} inputs to \d+ parsers, \d+ pieces of garbage in 1 live studies, seeds 0:1: "
        r"nothing fell over, every trial counted once\n",
        done.stdout,
    )


# -- permissions -------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_a_file_that_may_not_be_opened_is_garbage_like_any_other() -> None:
    with tempfile.TemporaryDirectory() as root:  # pytest's own folders are closed to others
        os.chown(root, NOBODY, NOBODY)
        os.seteuid(NOBODY)  # permissions do not bite root
        try:
            bench = Bench(Path(root), trials=8)
            bench.publish_all()
            states = [State.WAITING, State.TAKEN, State.DONE, State.LOST]
            for number, state in enumerate(states):
                bench.put(number, state).chmod(0)
            (bench.path / protocol.FINISHED).touch(mode=0)
            (bench.path / protocol.MASTER).chmod(0)
            (bench.path / "workers" / "other.beat").touch(mode=0)
            (bench.path / protocol.HISTORY).chmod(0)
            bench.run()
            bench.check()
            for number in range(4):
                assert len(bench.lines_about(f"trials/{number:06d}.1")) == 1
            names = [protocol.FINISHED, protocol.MASTER, protocol.HISTORY, "workers/other.beat"]
            for name in names:
                set_aside_once(bench, name)
            (bench.path / protocol.STUDY).chmod(0)
            with pytest.raises(BadRecord, match="it may not be opened"):
                bench.new_master()
        finally:
            os.seteuid(0)


# -- real processes ----------------------------------------------------------------------------

MEMORY = 3 * 2**29  # bytes of address space; ten gigabytes do not fit
WITH_LITTLE_MEMORY = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
sys.argv[0] = "distune"
runpy.run_module("distune", run_name="__main__")
"""


def start(lab: Lab, *arguments: str) -> subprocess.Popen[bytes]:
    """A command of distune's that has little memory."""
    with (lab.folder / f"{len(lab.started)}.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", WITH_LITTLE_MEMORY, *arguments],
            cwd=lab.folder, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    lab.started.append(process)
    return process


@pytest.mark.long
def test_garbage_neither_hangs_real_processes_nor_fills_their_memory(lab: Lab) -> None:
    """FIFOs that no process writes, links to /dev/zero, and ten sparse gigabytes, everywhere."""
    (lab.folder / "outside" / "folder").mkdir(parents=True)
    kinds = ["fifo", "link to zeros", "ten sparse gigabytes", "socket", "link to itself"]
    x = {"type": "float", "low": 0.0, "high": 1.0}
    lab.write_space(trials=40, sampler="random", params={"x": x})
    for kind in kinds:
        lab.logs.mkdir(exist_ok=True)
        spoil(lab.logs / f"strange {kind}", kind)
    master = start(lab, "master", "--space", "space.json", "--plain")
    study = lab.logs / "space"
    wait_until(lambda: len(lab.names()) >= 3, what="trials are published")
    spoilt = lab.names()[:2]
    for name, kind in zip(spoilt, ["fifo", "link to zeros"], strict=True):
        spoil(study / "trials" / name, kind)
    worker = start(lab, "worker", "--objective", "train:train")
    wait_until(lambda: len(lab.seen()) >= 3, what="trials are counted")
    # One that was spoilt may be away until it is published again.
    counted = min({name[:6] for name in lab.seen()} - {name[:6] for name in spoilt})
    for kind in kinds:
        for folder in ("trials", "workers", "seen", "seen/000"):
            spoil(study / folder / f"strange {kind}", kind)
    spoil(study / f"workers/{GHOST}.beat", "ten sparse gigabytes")
    spoil(study / f"trials/000003.7.jsonl.{GHOST}.done", "ten sparse gigabytes")
    spoil(study / protocol.FINISHED, "fifo")
    spoil(study / protocol.HISTORY, "fifo")
    spoil(study / protocol.MASTER, "link to zeros")
    for command in (["status"], ["best"], ["show", str(int(counted))], ["status", "--json"]):
        viewer = start(lab, *command)
        assert viewer.wait(60) == 0, lab.log_of(viewer)
    top = start(lab, "top", "--plain")
    assert master.wait(180) == 0, lab.log_of(master)
    assert worker.wait(60) == 0, lab.log_of(worker)
    assert top.wait(60) == 0, lab.log_of(top)
    ranked = lab.status()["ranking"]
    assert sorted(t for row in ranked for t in row["trials"]) == list(range(40))
    log = lab.log_of(master)
    for name in spoilt:
        assert len(re.findall(rf"trials/{re.escape(name)}\S* set aside", log)) == 1, log
    for what in (protocol.FINISHED, protocol.HISTORY, protocol.MASTER):
        assert len(re.findall(rf" {re.escape(what)} set aside as quarantine/", log)) == 1, log
    for process in lab.started:
        assert "Traceback" not in lab.log_of(process)
        assert "MemoryError" not in lab.log_of(process)


@pytest.mark.parametrize(
    ("name", "garbage", "line"),
    [
        ("study.json", "flipped bit", "study.json cannot be used: its checksum does not match"),
        ("study.json", "fifo", "study.json cannot be used: it is a fifo, not a file"),
        ("study.json", "another version", "study.json cannot be used: format: Input should be 1"),
        ("seen", "link to a directory", "seen is a symbolic link, which distune does not follow"),
    ],
)
def test_a_master_that_cannot_start_on_a_folder_says_so_in_one_line(
    tmp_path: Path, lab: Lab, name: str, garbage: str, line: str
) -> None:
    lab.write_space()
    bench = Bench(tmp_path)
    bench.path.rename(bench.logs / "space")
    spoil(bench.logs / "space" / name, garbage)
    done = lab.run("master", "--space", "space.json", "--plain")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert line in done.stderr
    bench.check_outside()


@pytest.mark.parametrize("thing", ["directory", "fifo", "link to a file", "dangling link"])
def test_a_lock_that_is_no_file_is_set_aside(tmp_path: Path, thing: str) -> None:
    bench = Bench(tmp_path)
    store = Store(Folder(bench.path))
    store.tell = bench.lines.append
    spoil(bench.path / protocol.LOCK, thing)
    with only_master(bench.path, store, Identity("h", 1)):
        assert (bench.path / protocol.LOCK).is_file()
        with (
            pytest.raises(UserError, match="has a master already"),
            only_master(bench.path, store, Identity("h", 2)),
        ):
            raise AssertionError("there are two")
    set_aside_once(bench, protocol.LOCK)
    bench.check_outside()


@pytest.mark.parametrize("thing", ["directory", "fifo", "link to a file"])
def test_the_output_of_local_workers_goes_into_no_garbage(lab: Lab, thing: str) -> None:
    lab.write_space(trials=2)
    (lab.folder / "outside").mkdir()
    (lab.folder / "outside" / "file").write_text("another program's business")
    logs = lab.logs / "space" / protocol.LOCAL_LOGS
    logs.mkdir(parents=True)
    spoil(logs / "worker-1.log", thing)
    done = lab.run("master", "--space", "space.json", "--plain", "--workers", "1", timeout=60)
    assert done.returncode == 1
    assert "worker-1.log: it is a" in done.stderr
    assert (lab.folder / "outside" / "file").read_text() == "another program's business"
