"""Reading each data set: real files where there are some, and damaged ones, made here."""

from __future__ import annotations

import bz2
import csv
import hashlib
import os
import pickle
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from distune.errors import UserError
from distune.workloads.data import DATA_SETS, cifar_10, house_prices, usps
from distune.workloads.data.cifar_10 import CIFAR_10
from distune.workloads.data.coloured import COLOURS, coloured
from distune.workloads.data.data_set import DataSet
from distune.workloads.data.digits import DIGITS
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.house_prices import COLUMNS, HOUSE_PRICES
from distune.workloads.data.loading import Splits, as_floats, check, load
from distune.workloads.data.spirals import SPIRALS
from distune.workloads.data.usps import USPS
from tests.conftest import Lab

REAL = os.environ.get("DISTUNE_DATA", "")


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this host's copies lie: what is read from the same files is read once."""
    return tmp_path_factory.mktemp("copies")


@pytest.fixture(autouse=True)
def _forget(copies: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    load.cache_clear()
    yield
    load.cache_clear()


def real(data_set: DataSet, *sizes: int) -> Splits:
    """A data set from the real files; skips where the first of them is not there."""
    folders = DataFolders.of(REAL)
    if not REAL or folders.locate(data_set.origin) is None:
        pytest.skip(f"DISTUNE_DATA does not name a folder with {data_set.origin.title}")
    return load(data_set, folders, "cpu", *sizes)


# USPS, and the same in colours


def libsvm(labels: list[int], rows: np.ndarray) -> bytes:
    lines = (
        f"{label} " + " ".join(f"{i}:{value:.6f}" for i, value in enumerate(row, 1))
        for label, row in zip(labels, rows, strict=True)
    )
    return "".join(f"{line}\n" for line in lines).encode()


ROWS = np.linspace(-1, 1, 2 * 256).reshape(2, 256)


def test_a_libsvm_file_gives_the_pixels_and_labels_that_torchvision_makes_of_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "usps.bz2").write_bytes(bz2.compress(libsvm([1, 10], ROWS)))
    pixels, labels = usps.read_libsvm(tmp_path / "usps.bz2", 2)
    assert labels.tolist() == [0, 9]
    assert pixels.shape == (2, 1, 16, 16)
    assert pixels.dtype == np.uint8
    expected = ((ROWS.astype(np.float32) + 1) / 2 * 255).astype(np.uint8)
    assert np.abs(pixels.reshape(2, 256).astype(int) - expected).max() <= 1  # six digits
    assert (pixels.flatten()[0], pixels.flatten()[-1]) == (0, 255)


GOOD = libsvm([1, 10], ROWS)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (bz2.compress(GOOD)[:-5], "ended before"),
        (b"<html>not found</html>", "Invalid data stream"),
        (bz2.compress(GOOD[: len(GOOD) // 2]), "it is not 2 lines of a label and 256 pixels"),
        (bz2.compress(GOOD + GOOD), "it is not 2 lines"),
        (bz2.compress(GOOD.replace(b"3:", b"x:")), "it is not 2 lines"),
        (bz2.compress(GOOD.replace(b" 3:", b" 4:")), "not numbered 1 to 256"),
        (bz2.compress(b"11" + GOOD[1:]), "a label that is not 1 to 10"),
        (bz2.compress(GOOD.replace(b"1:-1.000000", b"1:-1.500000")), "not in -1 to 1"),
        (bz2.compress(GOOD.replace(b"1:-1.000000", b"1:nan")), "not in -1 to 1"),
        (None, "No such file"),
    ],
)
def test_a_damaged_libsvm_file_is_an_error_that_names_it(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "usps.t.bz2"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        usps.read_libsvm(path, 2)
    assert str(error.value).startswith(f"{path} is damaged (")
    assert str(error.value).endswith("delete it, or get it again")
    assert problem in str(error.value)


def test_the_real_usps_is_divided_at_random_and_always_alike() -> None:
    data = real(USPS)
    assert [tuple(split.inputs.shape) for split in data] == [
        (6_000, 1, 16, 16),
        (1_291, 1, 16, 16),
        (2_007, 1, 16, 16),
    ]
    both = torch.cat([data.train.targets, data.validation.targets])
    # The numbers of images of each digit that the data set's authors give.
    assert torch.bincount(both).tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert torch.bincount(data.test.targets).tolist() == [
        *(359, 264, 198, 166, 200, 160, 170, 147, 166, 177)
    ]
    assert data.train.targets[:10].tolist() == [3, 5, 6, 0, 0, 2, 7, 5, 0, 1]
    assert torch.bincount(data.validation.targets).min() > 60
    assert all(0 == x.min() < x.max() < 1 for x in (as_floats(s.inputs) for s in data))


@pytest.mark.parametrize("n", [1, 5, 7])
def test_coloured_digits_are_the_gray_ones_in_one_of_so_many_colours_each(n: int) -> None:
    gray, data = real(USPS), real(coloured("usps", n))
    rgb = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]]
    assert COLOURS == ("red", "green", "blue", "yellow", "magenta", "cyan", "white")
    for split, source in ((data.train, gray.train), (data.test, gray.test)):
        colours = split.targets[:, 1]
        assert torch.equal(split.targets[:, 0], source.targets)
        assert torch.equal(split.inputs, source.inputs * torch.tensor(rgb)[colours, :, None, None])
    counts = torch.bincount(data.train.targets[:, 0] * n + data.train.targets[:, 1])
    shares = counts.reshape(10, n) / counts.reshape(10, n).sum(1, keepdim=True)
    assert (shares - 1 / n).abs().max() < 0.08  # whatever the digit


def test_mnist_is_coloured_too_and_the_same_colours_are_the_same_object() -> None:
    data = real(coloured("mnist", 6), 100, 10, 10)
    assert data.train.inputs.shape == (100, 3, 28, 28)
    assert set(data.train.targets[:, 1].tolist()) == set(range(6))
    assert coloured("mnist", 6) is coloured("mnist", 6)
    assert coloured("mnist", 6) != coloured("mnist", 5)


# CIFAR-10


def batch(pixels: bytes, labels: bytes, dtype: bytes = b"u1", columns: bool = False) -> bytes:
    """A pickle as Python 2 wrote it, of an array and a list of numbers, one byte each."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    kind = b"cnumpy\ndtype\n(U\x02%bK\x00K\x01tR(K\x03U\x01|NNNJ%bJ%bK\x00tb"
    kind %= (dtype, b"\xff" * 4, b"\xff" * 4)
    order = b"\x88" if columns else b"\x89"
    state = b"(K\x01(M%bM\x00\x0ct%b%bT%btb"  # so many by 3,072
    rows = struct.pack("<H", -(-len(pixels) // 3_072))
    state %= (rows, kind, order, struct.pack("<i", len(pixels)) + pixels)
    numbers = b"".join(b"K%c" % label for label in labels)
    return b"\x80\x02}(U\x04data" + array + state + b"U\x06labels](" + numbers + b"eu."


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def test_the_real_cifar_10_is_read_without_unpickling_anything_but_bytes() -> None:
    data = real(CIFAR_10, 40_000, 100, 10_000)
    assert data.train.inputs.shape == (40_000, 3, 32, 32)
    assert torch.bincount(data.test.targets).tolist() == [1_000] * 10
    # The first training image is a frog, the first test image a cat.
    assert [CIFAR_10.classes[int(s.targets[0])] for s in (data.train, data.test)] == [
        "frog",
        "cat",
    ]
    means = as_floats(data.train.inputs).mean((0, 2, 3)) * 256 / 255
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
    first = as_floats(data.train.inputs)[0, :, 0, 0] * 256  # red, green, blue of the first pixel
    assert first.tolist() == [59, 62, 63]


def test_a_file_with_another_sum_is_not_unpickled_at_all(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"data_batch_1 is damaged \(its MD5 sum is "):
        cifar_10.read_batch(path, cifar_10.MD5["data_batch_1"])
    with pytest.raises(UserError, match=r"not a batch of CIFAR-10: it wants posix\.mkdir"):
        cifar_10.read_batch(path, md5(path.read_bytes()))
    assert not (tmp_path / "sprung").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "sprung").exists()  # it would have


PIXELS = bytes(10_000 * 3_072)
LABELS = bytes(10_000)


def test_a_batch_is_read_as_python_2_wrote_it(tmp_path: Path) -> None:
    content = batch(PIXELS[:-1] + b"\7", b"\3" + LABELS[:-1])
    (tmp_path / "data_batch_2").write_bytes(content)
    images, labels = cifar_10.read_batch(tmp_path / "data_batch_2", md5(content))
    assert (images[0, 0, 0, 0], images[-1, -1, -1, -1]) == (0, 7)
    assert labels[:2].tolist() == [3, 0]
    known = pickle.loads(content.replace(b"numpy.core", b"numpy._core"), encoding="bytes")
    assert np.array_equal(known[b"data"], images.reshape(10_000, 3_072))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (batch(PIXELS[:-1], LABELS), "buffer size does not match"),
        (batch(PIXELS, LABELS, dtype=b"i1"), "unsigned bytes"),
        (batch(PIXELS, LABELS, columns=True), "unsigned bytes"),
        (batch(PIXELS, LABELS[:-1]), "cannot reshape"),
        (batch(PIXELS, b"\x0a" * 10_000), "a label that is not 0 to 9"),
        (pickle.dumps([1, 2]), "it is not a batch"),
        (b"", "it is not a batch"),
    ],
    ids=["short", "signed", "columns", "labels", "label", "list", "empty"],
)
def test_a_damaged_batch_is_an_error_that_names_it(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "data_batch_2"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        cifar_10.read_batch(path, md5(content))
    assert str(error.value).startswith(f"{path} is damaged (")
    assert problem in str(error.value)


# House prices


def write_houses(path: Path, rows: int = 1_460, **changed: str) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Id", *COLUMNS])
        for i in range(rows):
            row = [str(i), *(changed.get(name, str(i)) for name in COLUMNS)]
            writer.writerow(row)


def test_houses_are_divided_in_the_order_of_the_file_and_other_columns_ignored(
    tmp_path: Path,
) -> None:
    write_houses(tmp_path / "house_prices.csv")
    data = load(HOUSE_PRICES, DataFolders.of(tmp_path), "cpu", None, 50, None)
    assert data.train.inputs[:, 3].tolist() == list(range(1_000))
    assert data.train.inputs.shape == (1_000, 4)
    assert data.validation.targets.tolist() == list(range(1_000, 1_050))
    assert data.test.targets.tolist() == list(range(1_200, 1_460))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has no column OverallQual, YearBuilt, TotalBsmtSF, GrLivArea, SalePrice"),
        ("OverallQual,YearBuilt,TotalBsmtSF,GrLivArea\n1,2,3,4\n", "it has no column SalePrice"),
        ("\0", "it has no column"),
    ],
)
def test_a_file_without_the_columns_is_an_error_that_names_them(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "house_prices.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        house_prices.read(path)
    assert str(error.value).startswith(f"{path} is damaged ({problem}")


@pytest.mark.parametrize(
    ("rows", "changed", "problem"),
    [
        (1_459, {}, "1,459 houses, not 1,460"),
        (1_460, {"YearBuilt": "NA"}, "line 2: YearBuilt is 'NA'"),
        (1_460, {"GrLivArea": "inf"}, "a number that is not finite"),
    ],
)
def test_houses_that_are_not_numbers_are_an_error_that_says_where(
    tmp_path: Path, rows: int, changed: dict[str, str], problem: str
) -> None:
    path = tmp_path / "house_prices.csv"
    write_houses(path, rows, **changed)
    with pytest.raises(UserError) as error:
        house_prices.read(path)
    assert str(error.value) == f"{path} is damaged ({problem}): delete it, or get it again"


def test_the_real_house_prices_are_those_of_ames() -> None:
    data = real(HOUSE_PRICES)
    assert data.train.inputs[0].tolist() == [7, 2003, 856, 1710]
    assert data.train.targets[:2].tolist() == [208_500, 181_500]
    everything = torch.cat([s.targets for s in (data.train, data.validation, data.test)])
    assert (everything.min().item(), everything.max().item()) == (34_900, 755_000)


# Spirals


@pytest.mark.parametrize(
    ("variant", "noise", "nearest", "farthest"), [("2020", 0.3, 0, 10), ("2021", 0.4, 2, 16)]
)
def test_two_spirals_lie_where_the_formula_says(
    variant: str, noise: float, nearest: float, farthest: float
) -> None:
    data = load(SPIRALS[variant], DataFolders.of(), "cpu")
    assert [tuple(split.inputs.shape) for split in data] == [(4_000, 2), (1_000, 2), (500, 2)]
    # Where there is no noise, and close by.
    phi = np.linspace(*{"2020": (0, 10), "2021": (1, 15)}[variant], 20_000)
    beside = {"2020": phi, "2021": phi + 1}[variant]
    arm = torch.from_numpy(np.stack([(phi + 1) * np.cos(phi), beside * np.sin(phi)], 1)).float()
    for points, labels in data:
        assert labels.sum() * 2 == len(labels)
        turned = points * (1 - 2.0 * labels)[:, None]  # class 1 turned back
        off = torch.cdist(turned, arm).min(1).values
        # Across the arm is one of the two directions that noise has.
        assert off.square().mean().sqrt() == pytest.approx(noise, rel=0.1)
        radius = turned.norm(dim=1)
        assert nearest - 1 < radius.min() < nearest + 1.5
        assert farthest - 1 < radius.max() < farthest + 2
    assert (data.train.targets[:100].float().mean() - 0.5).abs() < 0.2  # mixed


# All of them


@pytest.mark.parametrize("data_set", [DIGITS, SPIRALS["2020"]])
def test_what_needs_no_files_is_checked_anywhere(data_set: DataSet, tmp_path: Path) -> None:
    check(data_set, DataFolders.of(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data_set", [USPS, CIFAR_10, HOUSE_PRICES])
def test_what_cannot_be_downloaded_is_an_error_in_one_line_that_says_what_to_do(
    data_set: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTUNE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nothing listens
    monkeypatch.setattr("urllib.request._opener", None)  # which remembers the proxies
    with pytest.raises(UserError) as error:
        DataFolders.of(tmp_path / "data").fetch(data_set)
    message = str(error.value)
    assert f" is not in {tmp_path / 'data'}, {tmp_path / 'cache'}" in message
    assert "--data-dir or DISTUNE_DATA, or " in message
    assert ("house_prices.csv" in message) == (data_set is HOUSE_PRICES)
    assert "\n" not in message


def test_the_command_line_knows_every_data_set(lab: Lab) -> None:
    known = [name for name, data_set in DATA_SETS.items() if data_set.can_be_fetched]
    assert known == ["mnist", "fashion-mnist", "usps", "cifar-10", "house-prices", "digits"]
    done = lab.run("data", "imagenet")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"there are {', '.join(known)}" in done.stderr


@pytest.mark.parametrize(
    "data_set", [*DATA_SETS.values(), *SPIRALS.values(), coloured("mnist", 6), coloured("usps", 5)]
)
@pytest.mark.long
def test_each_data_set_has_what_it_says_of_itself(data_set: DataSet) -> None:
    known = real(data_set) if data_set.origin.paths else load(data_set, DataFolders.of(), "cpu")
    splits = known.train, known.validation, known.test
    assert tuple(len(split.targets) for split in splits) == data_set.sizes
    if data_set.shape:
        assert known.train.inputs.shape[1:] == data_set.shape
    if data_set.classes:
        assert len(torch.bincount(known.train.targets)) == len(data_set.classes)
