"""`history.jsonl`: appended by the master, followed by viewers, made anew when it was damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.lines_file import LinesFile
from distune.share.store import Store
from distune.study.trial import Counted
from tests.histories import counted, lines_of, study

TRIALS = [counted(number, {"x": number}, 0.5) for number in range(4)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(Folder(tmp_path))
    store.create(study())
    return store


@pytest.fixture
def file(store: Store) -> LinesFile[Counted]:
    return LinesFile(store, protocol.HISTORY, Counted, study())


def read(file: LinesFile[Counted]) -> list[Counted]:
    return [one for one, _ in file.read()]


def add(file: LinesFile[Counted], *trials: Counted) -> None:
    file.append(lines_of(*trials), lines_of(*trials))


def test_it_is_read_from_where_the_reader_stopped(file: LinesFile[Counted]) -> None:
    add(file, TRIALS[0])
    assert list(file.read()) == [(TRIALS[0], records.encode(TRIALS[0]))]
    add(file, *TRIALS[1:])
    assert read(file) == TRIALS[1:]
    assert read(file) == []


def test_what_its_writer_reads_back_is_not_missed_later(file: LinesFile[Counted]) -> None:
    for one in range(0, 4, 2):
        add(file, *TRIALS[one : one + 2])
        assert read(file) == TRIALS[one : one + 2]
    assert not file.has_lost_lines()


def test_another_file_in_its_place_is_read_from_its_beginning(
    store: Store, file: LinesFile[Counted]
) -> None:
    add(file, *TRIALS[:2])
    reader = LinesFile(store, protocol.HISTORY, Counted, study())
    read(reader)
    file.write_anew(lines_of(*TRIALS[2:]))
    assert read(reader) == TRIALS[2:]


def test_a_torn_line_costs_only_itself_and_is_no_problem(
    store: Store, file: LinesFile[Counted]
) -> None:
    add(file, TRIALS[0])
    store.folder.append(protocol.HISTORY, records.encode(TRIALS[1])[:30])
    store.distrust_tail(protocol.HISTORY)
    add(file, TRIALS[2])
    assert read(file) == [TRIALS[0], TRIALS[2]]
    assert file.problem is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"hello\n", "no record"),
        (records.encode(TRIALS[0].trial), "of another kind"),
        (records.encode(TRIALS[0].replace(trial=TRIALS[0].trial.replace(study="t"))), "another"),
    ],
)
def test_what_its_master_has_not_written_is_a_problem(
    store: Store, file: LinesFile[Counted], line: bytes, problem: str
) -> None:
    store.folder.append(protocol.HISTORY, line)
    add(file, TRIALS[0])
    assert read(file) == TRIALS[:1]
    assert problem in (file.problem or "")
    file.write_anew(lines_of(TRIALS[0]))
    assert (read(LinesFile(store, protocol.HISTORY, Counted, study())), file.problem) == (
        TRIALS[:1],
        None,
    )


def test_a_deleted_one_is_begun_anew_with_all_lines(store: Store, file: LinesFile[Counted]) -> None:
    store.folder.remove(protocol.HISTORY)
    file.append(lines_of(TRIALS[1]), lines_of(*TRIALS[:2]))
    assert read(file) == TRIALS[:2]


def test_an_older_state_is_noticed_and_a_longer_one_is_not(
    tmp_path: Path, file: LinesFile[Counted]
) -> None:
    path = tmp_path / protocol.HISTORY
    add(file, *TRIALS[:2])
    assert file.is_whole()
    older = path.read_bytes()
    add(file, TRIALS[2])
    assert file.is_whole()
    path.write_bytes(older)
    assert not file.is_whole()
    add(file, TRIALS[3])
    assert not file.is_whole(), "nor when it has grown since"
    file.write_anew(lines_of(*TRIALS))
    assert read(file) == TRIALS
    assert file.is_whole()
    path.unlink()
    assert not file.is_whole()
