"""The index of a history: what begins with it is what reads every line, or it is not believed."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import ShareError
from distune.master import master
from distune.master.master import Identity, Master
from distune.search.ranking import History
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.index import encode_index, restore
from distune.share.store import Store
from distune.study.study import Limits, Study
from distune.study.trial import Counted, Outcome, Record
from distune.watch.observer import Observer
from tests.histories import counted, evaluated, history_of, lines_of, study, write_study

ONE = study(params={"x": [1, 2]}, direction="maximize", metric="v", objective="m:f")
ENDS = [Outcome.COMPLETE, Outcome.DIVERGED, Outcome.PRUNED, Outcome.FAILED]


def of(repeats: int = 1) -> Study:
    return ONE.model_copy(update={"repeats": repeats})


def trials(count: int, repeats: int = 1, seed: int = 0, tests: int = 0) -> list[Counted]:
    """Counted trials of every kind, not in the order of their numbers, and tests among them."""
    rng = random.Random(seed)
    numbers = list(range(count))
    for i in range(0, count, 5):
        part = numbers[i : i + 5]
        rng.shuffle(part)
        numbers[i : i + 5] = part
    found = []
    for number in numbers:
        value = rng.choice([rng.random(), 0.5, math.nan, None])
        attempt = rng.choice([1, 1, 3])
        found.append(
            counted(
                number,
                {"x": number // repeats, "name": f"é{number // repeats % 7}"},
                value,
                rng.choice(ENDS),
                trial={"attempt": attempt, "failed_on": ["w"] * (attempt - 1)},
                elapsed=rng.random(),
                metrics={} if value is None else {"v": value},
            )
        )
    for one in rng.sample(found, tests):
        found.insert(rng.randrange(len(found)), evaluated(one, test_v=0.5))
    return found


def file_of(many: list[Counted]) -> bytes:
    return b"".join(map(records.encode, many))


def everything(history: History) -> Any:
    """All that anybody can ask a history, as text: NaN equals NaN there."""
    return repr(
        (
            [(one, one.first, one.mean, one.tests) for one in history.ranking()],
            list(history.trials),
            history.tests,
            sorted(history.outcomes.items()),
            (history.retried, history.taken_back, history.highest, history.elapsed),
            (len(history), history.rows, history.configurations, list(history.lines())),
            [history.get(one.key) for one in history.trials],
        )
    )


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    count=st.integers(0, 40),
    repeats=st.integers(1, 4),
    tests=st.integers(0, 3),
    seed=st.integers(0, 10**6),
    later=st.integers(0, 15),
)
def test_what_begins_with_an_index_and_reads_the_rest_is_what_reads_all(
    count: int, repeats: int, tests: int, seed: int, later: int
) -> None:
    many = trials(count + later, repeats, seed, min(tests, count))
    old, new = many[:count], many[count:]
    restored = History(of(repeats))
    index = encode_index(history_of(of(repeats), old))
    assert restore(restored, index, file_of(many)) == len(file_of(old))
    assert everything(restored) == everything(history_of(of(repeats), old))
    restored.extend(new)
    assert everything(restored) == everything(history_of(of(repeats), many))


def test_an_index_of_an_index_is_the_same() -> None:
    many = trials(30, repeats=2, tests=2)
    index = encode_index(history_of(of(2), many))
    restored = History(of(2))
    restore(restored, index, file_of(many))
    assert encode_index(restored) == index


def test_lines_that_a_starting_master_has_ended_do_not_matter() -> None:
    many = trials(6)
    lines = [records.encode(one) for one in many]
    data = b"\n" + b"".join(lines[:3]) + b"\n\n" + b"".join(lines[3:]) + b"\nhalf a li"
    restored = History(of())
    end = restore(restored, encode_index(history_of(of(), many)), data)
    assert data[:end].endswith(lines[-1])
    assert len(restored) == 6


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
        lambda lines: lines[1:],
        lambda lines: [b"half a line\n", *lines],
        lambda lines: [*lines[:3], lines[3].replace(b'"steps":0', b'"steps":1'), *lines[4:]],
        lambda lines: [*lines[:-1], lines[-1][:-1]],
        lambda lines: [],
    ],
)
def test_an_index_of_other_lines_is_not_believed(
    change: Callable[[list[bytes]], list[bytes]],
) -> None:
    many = trials(8)
    index = encode_index(history_of(of(), many))
    restored = History(of())
    data = b"".join(change([records.encode(one) for one in many]))
    assert restore(restored, index, data) == 0
    assert everything(restored) == everything(History(of()))


def test_the_index_of_another_study_is_not_believed() -> None:
    many = trials(3)
    other = History(ONE.model_copy(update={"id": "other"}))
    assert restore(other, encode_index(history_of(of(), many)), file_of(many)) == 0
    assert len(other) == 0


def test_any_flipped_bit_of_an_index_is_noticed() -> None:
    many = trials(3)
    index = encode_index(history_of(of(), many))
    for place in range(8 * len(index)):
        altered = bytearray(index)
        altered[place // 8] ^= 1 << place % 8
        assert restore(History(of()), bytes(altered), file_of(many)) == 0
    for length in range(len(index)):
        assert restore(History(of()), index[:length], file_of(many)) == 0


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.data())
def test_an_index_that_somebody_has_made_up_gives_a_history_or_none(data: st.DataObject) -> None:
    """Whoever can write to the share can make its checksum right."""
    many = trials(4, repeats=2, tests=1)
    index = bytearray(encode_index(history_of(of(2), many))[:-9])
    for _ in range(data.draw(st.integers(1, 3))):
        index[data.draw(st.integers(0, len(index) - 1))] = data.draw(st.integers(0, 255))
    sealed = bytes(index) + b"%08x\n" % zlib.crc32(index)
    restored = History(of(2))
    if restore(restored, sealed, file_of(many)):
        assert sorted(one.trial.number for one in restored.trials) == [0, 1, 2, 3]
        assert sum(len(one.runs) for one in restored.ranking()) == 4
        assert restored.rows == 5
    else:
        assert restored.rows == 0


# -- in a study's folder -------------------------------------------------------------------------


class Decoded:
    """How many lines were taken apart since."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for name in ("decode", "decode_again"):
            patch.setattr(records, name, self._counting(getattr(records, name)))

    def _counting(self, real: Callable[[bytes], Record]) -> Any:
        def decode(line: bytes) -> Record:
            self.count += 1
            return real(line)

        return decode

    def since(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    return Decoded(monkeypatch)


def a_long_study(folder: Path, count: int) -> Store:
    return write_study(folder, of(), trials(count), {})


def test_a_viewer_reads_the_lines_after_the_index_and_no_others(
    tmp_path: Path, decoded: Decoded
) -> None:
    store = a_long_study(tmp_path / "s", 50)
    whole = Observer(store).history
    store.write_index(history_of(of(), trials(50)[:40]))
    decoded.since()
    viewer = Observer(Store(Folder(tmp_path / "s")))
    assert decoded.since() == 10
    assert everything(viewer.history) == everything(whole)
    viewer.look()
    decoded.since()
    store.append_history(lines_of(counted(50, {"x": 50}, 0.9)))
    viewer.look()
    assert decoded.since() == 1
    assert len(viewer.history) == 51


@pytest.mark.parametrize("garbage", ["folder", "link", "text", "empty", "old", "gone"])
def test_a_viewer_shows_the_truth_whatever_is_called_like_the_index(
    tmp_path: Path, garbage: str
) -> None:
    store = a_long_study(tmp_path / "s", 20)
    path = tmp_path / "s" / protocol.INDEX
    match garbage:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(tmp_path / "s" / protocol.HISTORY)
        case "text":
            path.write_text("hello\n" * 1000)
        case "empty":
            path.write_bytes(b"")
        case "old":  # the history was made anew since
            store.write_index(history_of(of(), trials(20, seed=1)))
    viewer = Observer(Store(Folder(tmp_path / "s")))
    assert everything(viewer.history) == everything(history_of(of(), trials(20)))


def a_master(store: Store) -> Master:
    return Master(Store(store.folder), Limits(trials=10**6), Identity("h", 1))


def test_a_master_writes_an_index_whenever_the_history_has_grown_by_an_eighth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master, "_FEWEST_INDEXED", 8)
    written: list[int] = []
    real = Store.write_index

    def write(store: Store, history: History) -> None:
        written.append(history.rows)
        real(store, history)

    monkeypatch.setattr(Store, "write_index", write)
    store = a_long_study(tmp_path / "s", 160)
    one = a_master(store)
    for number in range(160, 260):
        one.step()
        one._add([counted(number, {"x": number}, 0.1)])
    assert written == [160, 180, 202, 227, 255]
    viewer = Observer(Store(Folder(tmp_path / "s")))
    assert everything(viewer.history) == everything(one.observer.history)


def test_a_study_goes_on_where_its_index_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master, "_FEWEST_INDEXED", 8)
    store = a_long_study(tmp_path / "s", 20)
    one = a_master(store)

    def full(store: Store, history: History) -> None:
        raise ShareError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_index", full)
        one.step()
    assert any(name.trial == 20 for name in store.listing().attempts)
    one.step()
    assert (tmp_path / "s" / protocol.INDEX).exists()


def test_a_master_believes_no_index(tmp_path: Path) -> None:
    """What it counts and how it ends the study follows from lines that it has checked."""
    store = a_long_study(tmp_path / "s", 20)
    wrong = history_of(of(), trials(20))
    wrong._places = [(0, -9.0 - number, first, number) for *_, first, number in wrong._places]
    store.write_index(wrong)  # of these very lines, but with another ranking
    assert everything(a_master(store).observer.history) == everything(history_of(of(), trials(20)))
