"""Downloading from a real server, also from one that does it badly."""

from __future__ import annotations

import bz2
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from distune.errors import UserError
from distune.workloads.data import cifar_10, house_prices
from distune.workloads.data.cifar_10 import ARCHIVE, CIFAR_10
from distune.workloads.data.data_set import DataSet
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.house_prices import ARFF, COLUMNS, HOUSE_PRICES
from distune.workloads.data.loading import load
from distune.workloads.data.usps import USPS
from tests.file_server import FAULTS, Fault, FileServer, serving
from tests.test_data_sets import REAL, batch, libsvm, md5

each_data_set = pytest.mark.parametrize(
    "data_set", [USPS, CIFAR_10, HOUSE_PRICES], ids=lambda one: one.name
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No data of this machine, and no proxy between here and here."""
    monkeypatch.delenv("DISTUNE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    load.cache_clear()
    yield
    load.cache_clear()


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder that is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[FileServer]:
    with serving(served) as running:
        running.opened.set()
        yield running


@pytest.fixture
def here(server: FileServer, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is downloaded from the server; the sums are those of the files that lie there now."""
    for data_set in (USPS, CIFAR_10, HOUSE_PRICES):
        for name in data_set.downloads:
            known = server.url + name, _md5(served / name)
            monkeypatch.setitem(data_set.downloads, name, known)


def _md5(path: Path) -> str:
    return md5(path.read_bytes()) if path.exists() else "not served"


@pytest.fixture
def usps(served: Path) -> None:
    """7,291 and 2,007 images; all are black but for one pixel, whose place is in the label."""
    rows = np.full((10, 256), -1.0)
    rows[np.arange(10), np.arange(10)] = 1
    for name, n in (("usps.bz2", 7_291), ("usps.t.bz2", 2_007)):
        ten = libsvm(list(range(1, 11)), rows)
        few = libsvm(list(range(1, n % 10 + 1)), rows[: n % 10])
        (served / name).write_bytes(bz2.compress(ten) * (n // 10) + bz2.compress(few))


@pytest.fixture
def cifar_10_archive(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six times ten images, not 10,000; all are black, and all labels of a batch its number."""
    monkeypatch.setattr(cifar_10, "_N", 10)
    _write_archive(
        served,
        {
            name: batch(bytes(10 * 3_072), bytes([number]) * 10)
            for number, name in enumerate(cifar_10.MD5)
        },
        monkeypatch,
    )


def _write_archive(
    served: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch | None = None
) -> None:
    with tarfile.open(served / ARCHIVE, "w:gz", compresslevel=1) as archive:
        for name, content in batches.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            if monkeypatch is not None:
                monkeypatch.setitem(cifar_10.MD5, name, md5(content))


HEADER = """\
% Ask a home buyer: @ATTRIBUTE Price
%
@RELATION house_prices

@ATTRIBUTE Id INTEGER
@ATTRIBUTE MSZoning STRING
@ATTRIBUTE OverallQual INTEGER
@ATTRIBUTE YearBuilt INTEGER
@ATTRIBUTE TotalBsmtSF INTEGER
@ATTRIBUTE Alley STRING
@ATTRIBUTE GrLivArea INTEGER
@ATTRIBUTE SalePrice INTEGER

@DATA
"""


def _write_houses(served: Path, rows: list[list[str]]) -> None:
    """As OpenML writes them: strings, and missing ones, between the numbers."""
    lines = [
        f"{i},'C, (all)',{quality},{year},{basement},?,{area},{price}\n"
        for i, (quality, year, basement, area, price) in enumerate(rows, 1)
    ]
    (served / ARFF).write_text(HEADER + "".join(lines))


@pytest.fixture
def house_prices_file(served: Path) -> None:
    """1,460 houses; the numbers of a house are its own number, and that and 1, 2, 3, 4."""
    _write_houses(served, [[str(i + j) for j in range(5)] for i in range(1_460)])


@pytest.fixture
def anything(served: Path) -> None:
    """Files that can be downloaded, but not read."""
    for name in ("usps.bz2", "usps.t.bz2"):
        (served / name).write_bytes(bz2.compress(name.encode()))
    _write_archive(served, {name: name.encode() for name in cifar_10.MD5})
    _write_houses(served, [["1", "2", "3", "4", "5"]])


def _files(folder: Path) -> list[str]:
    """What a folder holds, but for the lock."""
    found = (path for path in folder.rglob("*") if path.suffix != ".lock")
    return sorted(str(path.relative_to(folder)) for path in found if not path.is_dir())


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_dir())


@pytest.mark.usefixtures("usps", "here")
def test_usps_is_downloaded_and_read(tmp_path: Path) -> None:
    data = load(USPS, DataFolders.of(tmp_path / "data"), "cpu")
    assert [len(part.targets) for part in (data.train, data.validation, data.test)] == [
        *(6_000, 1_291, 2_007)
    ]
    for images, labels in (data.train, data.validation, data.test):
        assert images.shape[1:] == (1, 16, 16)
        assert torch.equal(images.flatten(1).argmax(1), labels)
    assert _files(tmp_path / "data") == ["usps.bz2", "usps.t.bz2"]


@pytest.mark.usefixtures("cifar_10_archive", "here")
def test_cifar_10_is_downloaded_and_unpacked_and_read(tmp_path: Path) -> None:
    data = load(CIFAR_10, DataFolders.of(tmp_path / "data"), "cpu")
    assert data.train.inputs.shape == (40, 3, 32, 32)
    found = [part.targets.tolist() for part in (data.train, data.validation, data.test)]
    assert found == [[0] * 10 + [1] * 10 + [2] * 10 + [3] * 10, [4] * 10, [5] * 10]
    assert _files(tmp_path / "data") == sorted(CIFAR_10.paths)
    assert _folders(tmp_path / "data") == ["cifar-10-batches-py"]


@pytest.mark.usefixtures("house_prices_file", "here")
def test_house_prices_are_downloaded_and_read_in_the_order_of_openml(tmp_path: Path) -> None:
    data = load(HOUSE_PRICES, DataFolders.of(tmp_path / "data"), "cpu")
    assert data.train.inputs[7].tolist() == [7, 8, 9, 10]
    assert data.train.targets.tolist() == list(range(4, 1_004))
    assert data.validation.targets.tolist() == list(range(1_004, 1_204))
    assert data.test.targets.tolist() == list(range(1_204, 1_464))
    assert _files(tmp_path / "data") == ["house_prices.csv"]


def test_real_house_prices_come_out_as_the_file_that_is_documented(served: Path) -> None:
    path = Path(REAL) / "house_prices.csv"
    if not REAL or not path.is_file():
        pytest.skip("DISTUNE_DATA does not name a folder with house_prices.csv")
    names, *rows = (line.split(",") for line in path.read_text().splitlines())
    assert tuple(names) == COLUMNS
    _write_houses(served, rows)
    house_prices.write_csv(served)
    assert (served / "house_prices.csv").read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("anything", "here")
@pytest.mark.parametrize("fault", FAULTS)
@each_data_set
def test_a_failed_download_leaves_nothing_and_the_next_one_works(
    data_set: DataSet, fault: Fault, server: FileServer, tmp_path: Path
) -> None:
    folder, cache = tmp_path / "data", tmp_path / "home-cache" / "distune"
    folders = DataFolders.of(folder)
    server.fault = fault
    with pytest.raises(UserError) as error:
        folders.fetch(data_set)
    message = str(error.value)
    assert message.startswith(f"{data_set.title} is not in {folder}, {cache}, and down")
    reason = {"404": "404: Not Found", "500": "500: Internal Server Error"}.get(fault)
    expected = f"HTTP Error {reason}" if reason else f"what {server.url}"
    assert f"downloading it failed ({expected}" in message
    assert ("has the MD5 sum " in message) == (reason is None)
    assert "give a folder that has it with --data-dir or DISTUNE_DATA, or " in message
    assert message.endswith(data_set.remedy)
    assert (_files(folder), _folders(folder)) == ([], [])
    assert folders.locate(data_set) is None
    assert not cache.exists()

    server.fault = None
    assert folders.fetch(data_set) == folder
    assert _files(folder) == sorted(data_set.paths)


@pytest.mark.usefixtures("anything", "here")
@each_data_set
def test_what_was_downloaded_is_not_asked_for_again(
    data_set: DataSet, server: FileServer, tmp_path: Path
) -> None:
    folders = DataFolders.of(tmp_path / "data")
    first = folders.fetch(data_set)
    asked = dict(server.asked)
    assert len(asked) == (2 if data_set is USPS else 1)
    assert folders.fetch(data_set) == first
    assert server.asked == asked


@pytest.mark.usefixtures("anything", "here")
def test_what_a_killed_download_left_is_not_taken_for_the_data(
    served: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    left = folder / ".usps.part"
    left.mkdir(parents=True)
    for name in ("usps.bz2", "usps.t.bz2"):
        (left / name).write_bytes((served / name).read_bytes()[:-5])
    (folder / "usps.bz2").write_bytes((served / "usps.bz2").read_bytes())  # moved, then killed
    assert DataFolders.of(folder).locate(USPS) is None
    assert DataFolders.of(folder).fetch(USPS) == folder
    assert _files(folder) == ["usps.bz2", "usps.t.bz2"]
    assert not left.exists()
    for name in ("usps.bz2", "usps.t.bz2"):
        assert (folder / name).read_bytes() == (served / name).read_bytes()


def test_the_announcement_names_the_data_its_size_and_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "home-cache" / "distune"
    monkeypatch.setenv("DISTUNE_DATA", str(tmp_path / "named"))  # only looked into
    said = DataFolders.of().announcement(CIFAR_10)
    assert said == f"downloading CIFAR-10 (170 MB) to {cache}"
    given = DataFolders.of("/data").announcement(HOUSE_PRICES)
    assert given == "downloading house prices (0.5 MB) to /data"


def test_the_real_usps_passes_the_check_that_it_is_downloaded_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not REAL or not (Path(REAL) / "usps.bz2").is_file():
        pytest.skip("DISTUNE_DATA does not name a folder with usps.bz2")
    with serving(Path(REAL)) as server:
        server.opened.set()
        for name, (_, known) in list(USPS.downloads.items()):
            monkeypatch.setitem(USPS.downloads, name, (server.url + name, known))
        DataFolders.of(tmp_path / "data").fetch(USPS)
    for name in USPS.paths:
        assert (tmp_path / "data" / name).read_bytes() == (Path(REAL) / name).read_bytes()
