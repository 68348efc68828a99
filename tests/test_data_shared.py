"""One copy of a data set for all processes of a host: real files, real processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from distune.workloads.data.folders import DataFolders
from distune.workloads.data.host_copy import read_host_copy
from distune.workloads.data.loading import Split, Splits, load
from distune.workloads.data.mnist import MNIST
from tests.test_data import NAMES, idx, link, packed

if TYPE_CHECKING:
    from distune.workloads.data.data_set import Arrays

__all__ = ["packed"]  # a fixture


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that shared copies lie in, empty."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    load.cache_clear()
    yield tmp_path / "tmp" / f"distune-{os.getuid()}"
    load.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file that a small data set is read from."""
    path = tmp_path / "source"
    path.write_bytes(np.random.default_rng(0).bytes(3 * 1_001))
    return path


def read(path: Path) -> list[Arrays]:
    content = np.frombuffer(bytearray(path.read_bytes()), np.uint8).reshape(3, 1_001)
    return [(row, row.astype(np.int64) % 10) for row in content]


def shared(source: Path) -> Splits:
    arrays = read_host_copy("letters", [source], partial(read, source))
    return Splits(*(Split(torch.from_numpy(x), torch.from_numpy(y)) for x, y in arrays))


def mnist(folder: Path, *sizes: int | None) -> Splits:
    return load(MNIST, DataFolders.of(folder), "cpu", *sizes)


def copies(place: Path) -> list[Path]:
    return sorted(place.glob("*.data"))


def replace(copy: Path, content: bytes | bytearray) -> None:
    """By another file: a process that has the old one mapped keeps it."""
    other = copy.with_suffix(".other")
    other.write_bytes(content)
    other.replace(copy)


def same(one: Splits, other: Splits) -> bool:
    return all(
        torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)
        for a, b in zip(one, other, strict=True)
    )


TOUCH_EVERYTHING = """
import gc, sys
import psutil, torch
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.loading import load
from distune.workloads.data.mnist import MNIST
from distune.workloads.data.spirals import SPIRALS
me = psutil.Process()
load(SPIRALS["2020"], DataFolders.of(), "cpu", 1, 1, 1)  # what importing and loading need once
before = me.memory_full_info().uss
known = load(MNIST, DataFolders.of(sys.argv[1]), "cpu")
total = sum(int(x.inputs[:, 0, 0, 1].sum()) + int(x.inputs.amax()) for x in known)
gc.collect()
print("found", total, me.memory_full_info().uss - before, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="USS as Linux counts it")
def test_processes_that_start_at_once_make_one_copy_and_share_its_memory(
    packed: Path, place: Path
) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", TOUCH_EVERYTHING, str(packed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = []
    for child in children:  # all have it mapped before any of them ends
        assert child.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("found"):
            lines.append(child.stdout.readline())
            assert lines[-1], "it ended"
        said.append(lines)
    for child in children:
        child.communicate(timeout=60)
    assert sum("writing" in line for lines in said for line in lines) == 1
    assert len(copies(place)) == 1
    totals = {lines[-1].split()[1] for lines in said}
    assert len(totals) == 1
    own = sorted(int(lines[-1].split()[2]) for lines in said)
    size = copies(place)[0].stat().st_size
    assert size > 54_000_000
    # The one that read the packed files had them in memory; the other never did.
    assert own[0] < size / 10, own


def test_the_shared_copy_holds_what_the_files_hold(source: Path, place: Path) -> None:
    made = shared(source)
    found = shared(source)
    place.chmod(0o755)  # not private, so not used
    assert same(found, shared(source))
    assert same(found, made)


def test_a_process_that_writes_into_its_data_changes_those_of_no_other(source: Path) -> None:
    mine, before = shared(source), shared(source).train.inputs.clone()
    mine.train.inputs.fill_(7)
    assert torch.equal(shared(source).train.inputs, before)


def test_only_the_user_can_read_the_copy_and_no_process_can_write_to_it(
    source: Path, place: Path
) -> None:
    shared(source)
    (copy,) = copies(place)
    assert place.stat().st_mode & 0o777 == 0o700
    assert copy.stat().st_mode & 0o777 == 0o400


def test_other_files_get_a_copy_of_their_own(source: Path, place: Path) -> None:
    first = shared(source)
    source.write_bytes(bytes([3]) * 3 * 1_001)
    second = shared(source)
    assert set(second.test.targets.tolist()) == {3}
    assert len(set(first.test.targets.tolist())) == 10
    assert len(copies(place)) == 2


def test_a_damaged_copy_is_deleted_and_the_files_are_read(
    source: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shared(source)
    (copy,) = copies(place)
    content = bytearray(copy.read_bytes())
    content[-100] ^= 1
    replace(copy, content)
    assert same(shared(source), before)
    assert f"{copy} is deleted: it is damaged" in capsys.readouterr().out
    assert same(shared(source), before)
    assert copies(place) == [copy]
    replace(copy, b"")
    assert same(shared(source), before)


@pytest.mark.parametrize("what", ["others can enter it", "a link", "a file"])
def test_a_folder_that_is_not_the_users_own_is_not_used(
    what: str, source: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if what == "others can enter it":
        place.mkdir(mode=0o777)
        place.chmod(0o777)
    elif what == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.touch()
    assert len(shared(source).train.targets) == 1_001
    assert "is not shared with other processes" in capsys.readouterr().out
    assert copies(place if what != "a link" else tmp_path / "elsewhere") == []


def test_where_the_copy_does_not_fit_each_process_keeps_the_data_to_itself(
    source: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # no file can become longer
    try:
        known = shared(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "not shared with other processes: [Errno 27]" in capsys.readouterr().out
    assert len(known.train.targets) == 1_001
    assert [path.suffix for path in place.iterdir()] == [".lock"]


def test_what_was_left_half_written_is_written_anew(source: Path, place: Path) -> None:
    before = shared(source)
    (copy,) = copies(place)
    copy.rename(copy.with_suffix(".part"))
    assert same(shared(source), before)
    assert copies(place) == [copy]
    assert not copy.with_suffix(".part").exists()


def test_copies_that_no_process_opened_for_a_month_are_deleted_when_another_is_made(
    source: Path, place: Path
) -> None:
    shared(source)
    (old,) = copies(place)
    source.write_bytes(bytes([3]) * 3 * 1_001)
    month_ago = time.time() - 31 * 86_400
    os.utime(old, (month_ago, month_ago))
    shared(source)
    assert old not in copies(place)
    (new,) = copies(place)
    os.utime(new, (month_ago, month_ago))
    shared(source)  # opening counts
    source.write_bytes(bytes([4]) * 3 * 1_001)
    shared(source)
    assert new in copies(place)


def test_a_slice_of_the_copy_is_all_that_a_small_study_touches(packed: Path, place: Path) -> None:
    mnist(packed)
    load.cache_clear()
    few = mnist(packed, 10, 10, 10)
    assert [len(part.targets) for part in few] == [10, 10, 10]
    assert few.train.inputs.untyped_storage().nbytes() < 10 * 784 + 4_096


def test_what_is_read_without_a_copy_can_be_trained_on_as_well(packed: Path, place: Path) -> None:
    place.touch()  # no place for one
    known = mnist(packed, 10)
    known.train.inputs.fill_(1)  # of torch's warnings, one about this would be an error
    assert copies(place) == []


def test_files_that_are_damaged_make_no_copy(packed: Path, place: Path, tmp_path: Path) -> None:
    raw = link(packed, tmp_path / "bad")
    (raw / NAMES[0]).unlink()
    (raw / NAMES[0]).with_suffix("").write_bytes(idx(np.zeros((3, 3), np.uint8)))
    with pytest.raises(Exception, match="is damaged"):
        mnist(tmp_path / "bad")
    assert copies(place) == []
