"""Finding, reading and downloading the data, on files of the real shape and real servers."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from distune.errors import UserError
from distune.workloads.data import digits as digits_module
from distune.workloads.data.digits import DIGITS
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.loading import Splits, as_floats, load
from distune.workloads.data.mnist import FASHION_MNIST, MNIST, read_idx
from tests.file_server import FileServer, serving

NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


@pytest.fixture(autouse=True)
def _no_data_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("DISTUNE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    load.cache_clear()
    yield
    load.cache_clear()


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data laid out as MNIST, packed; the first two pixels of an image are its number."""
    folder = tmp_path_factory.mktemp("packed")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        number = np.arange(n)
        images = np.zeros((n, 28, 28), np.uint8)
        images[:, 0, 0], images[:, 0, 1] = number // 256, number % 256
        images[:, 27, 27] = 255
        labels = (number % 10).astype(np.uint8)
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            file = raw / f"{part}-{name}-ubyte.gz"
            file.write_bytes(gzip.compress(idx(values), compresslevel=1, mtime=0))
    return folder


def link(packed: Path, folder: Path) -> Path:
    """The same data in another folder, whose files a test may replace."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in NAMES:
        (raw / name).symlink_to(packed / "MNIST" / "raw" / name)
    return raw


def mnist(data_dir: Path | None, *sizes: int | None) -> Splits:
    return load(MNIST, DataFolders.of(data_dir), "cpu", *sizes)


def numbers(images: torch.Tensor) -> list[int]:
    """The images' numbers, which the fixture wrote into their first pixels."""
    pixels = (as_floats(images)[:, 0, 0, :2] * 256).to(torch.int64)
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


def test_a_packed_read_only_folder_is_read_and_left_as_it_is(packed: Path) -> None:
    folders = [packed, packed / "MNIST", packed / "MNIST" / "raw"]
    before = sorted(packed.rglob("*"))
    for folder in folders:
        folder.chmod(0o555)
    try:
        data = mnist(packed)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert sorted(packed.rglob("*")) == before
    assert numbers(data.train.inputs) == list(range(50_000))
    assert numbers(data.validation.inputs) == list(range(50_000, 60_000))
    assert numbers(data.test.inputs) == list(range(10_000))
    assert data.validation.targets[:3].tolist() == [0, 1, 2]


def test_images_are_floats_below_one_with_a_channel_and_labels_are_integers(packed: Path) -> None:
    pixels, labels = mnist(packed, 7, 7, 7).train
    images = as_floats(pixels)
    assert pixels.dtype == torch.uint8  # a quarter of the memory
    assert (images.shape, images.dtype) == ((7, 1, 28, 28), torch.float32)
    assert (labels.shape, labels.dtype) == ((7,), torch.int64)
    assert images[:, 0, 27, 27].tolist() == [255 / 256] * 7
    assert images.min() == 0


def test_only_the_first_so_many_of_each_part_are_used_if_wanted(packed: Path) -> None:
    data = mnist(packed, 300, 20, None)
    assert numbers(data.train.inputs) == list(range(300))
    assert numbers(data.validation.inputs) == list(range(50_000, 50_020))
    assert len(data.test.targets) == 10_000


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ((50_001, None, None), r"^n_train = 50,001: MNIST has 50,000 train images; "),
        ((None, 10_001, None), r"^n_validation = 10,001: MNIST has 10,000 validation images; "),
        ((None, None, 10_001), r"^n_test = 10,001: MNIST has 10,000 test images; "),
    ],
)
def test_more_images_than_there_are_is_an_error_that_names_both_sizes(
    packed: Path, sizes: tuple[int | None, ...], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        mnist(packed, *sizes)


def test_a_warm_process_reads_once(packed: Path, tmp_path: Path) -> None:
    raw = link(packed, tmp_path / "data")
    first = mnist(tmp_path / "data", 5, 5, 5)
    (raw / NAMES[0]).unlink()
    assert mnist(tmp_path / "data", 5, 5, 5) is first


def test_data_is_looked_for_in_the_given_folder_then_the_variables_then_the_cache(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, named, cache = (tmp_path / name for name in ("given", "named", "home-cache/distune"))
    monkeypatch.setenv("DISTUNE_DATA", str(named))
    folders = DataFolders.of(given)
    assert folders.locate(MNIST) is None
    for folder in (cache, named, given):
        link(packed, folder)
        assert folders.locate(MNIST) == folder
        assert folders.fetch(MNIST) == folder
    assert DataFolders.of().locate(MNIST) == named
    assert folders.locate(FASHION_MNIST) is None
    (given / "MNIST" / "raw" / NAMES[2]).unlink()
    assert folders.locate(MNIST) == named


VALUES = np.arange(6, dtype=np.uint8).reshape(2, 3)


def test_an_idx_file_is_read_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(idx(VALUES))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(VALUES)))
    for name in ("plain", "packed.gz"):
        assert read_idx(tmp_path / name, (2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("short", idx(VALUES)[:-1], "17 bytes, not 18"),
        ("long", idx(VALUES) + b"\0", "19 bytes, not 18"),
        ("empty", b"", "its header"),
        ("other-shape", idx(VALUES.T), "its header"),
        ("floats", b"\0\0\x0d" + idx(VALUES)[3:], "its header"),
        ("page", b"<html>not found</html>", "its header"),
        ("page.gz", b"<html>not found</html>", "Not a gzipped file"),
        ("short.gz", gzip.compress(idx(VALUES))[:-9], "ended before"),
        ("flipped.gz", gzip.compress(idx(VALUES))[:-8] + bytes(8), "CRC"),
        ("absent", None, "No such file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_an_error_that_names_it(
    tmp_path: Path, name: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        read_idx(tmp_path / name, (2, 3))
    assert str(error.value).startswith(f"{tmp_path / name} is damaged (")
    assert problem in str(error.value)


def test_a_label_that_is_no_digit_is_an_error_that_names_the_file(
    packed: Path, tmp_path: Path
) -> None:
    raw = link(packed, tmp_path / "data")
    labels = np.zeros(10_000, np.uint8)
    labels[-1] = 10
    (raw / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte is damaged \(a label above 9\)"):
        mnist(tmp_path / "data")


@pytest.fixture
def server(packed: Path) -> Iterator[FileServer]:
    with serving(packed / "MNIST" / "raw") as running:
        yield running


def sources(packed: Path, url: str) -> dict[str, tuple[str, str]]:
    """MNIST's downloads, from `url`."""
    raw = packed / "MNIST" / "raw"
    return {
        f"MNIST/raw/{name}": (url + name, hashlib.md5((raw / name).read_bytes()).hexdigest())
        for name in NAMES
    }


def downloads_from(monkeypatch: pytest.MonkeyPatch, sources: dict[str, tuple[str, str]]) -> None:
    for name, source in sources.items():
        monkeypatch.setitem(MNIST.downloads, name, source)


def test_what_is_nowhere_is_downloaded_once_into_the_cache(
    packed: Path, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads_from(monkeypatch, sources(packed, server.url))
    server.opened.set()
    data = mnist(None, 3, 3, 3)
    assert numbers(data.validation.inputs) == [50_000, 50_001, 50_002]
    asked = dict(server.asked)
    assert sorted(asked) == sorted(NAMES)

    cache = tmp_path / "home-cache" / "distune"
    assert DataFolders.of().fetch(MNIST) == cache
    assert DataFolders.of(tmp_path).fetch(MNIST) == cache
    assert server.asked == asked
    assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == ["MNIST"]


def test_files_that_a_killed_download_did_not_finish_are_downloaded_again(
    packed: Path, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads_from(monkeypatch, sources(packed, server.url))
    server.opened.set()
    raw = tmp_path / ".mnist.part" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in NAMES:  # unpacked, as far as it got
        (raw / name).with_suffix("").write_bytes(idx(np.zeros((1, 28, 28), np.uint8)))
    assert numbers(mnist(tmp_path, 3, 3, 3).test.inputs) == [0, 1, 2]
    assert sorted(server.asked) == sorted(NAMES)


CHILD = """
import sys
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.mnist import MNIST
folder, downloads = sys.argv[1:]
MNIST.downloads.update(eval(downloads))
print("ready", flush=True)
print(DataFolders.of(folder).fetch(MNIST))
"""


@pytest.mark.slow
def test_two_processes_at_once_download_only_once(
    packed: Path, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads_from(monkeypatch, sources(packed, server.url))
    arguments = [str(tmp_path / "both"), repr(sources(packed, server.url))]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    server.opened.set()  # the first has not got a byte before the second began
    for child in children:
        said, _ = child.communicate(timeout=120)
        assert (said, child.returncode) == (f"{tmp_path / 'both'}\n", 0)
    asked_by_both = dict(server.asked)

    server.asked.clear()
    DataFolders.of(tmp_path / "alone").fetch(MNIST)
    assert asked_by_both == server.asked


@pytest.mark.parametrize("fault", ["no server", "wrong content"])
def test_a_failed_download_says_in_one_line_what_where_and_what_to_do(
    fault: str,
    packed: Path,
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "http://127.0.0.1:1/" if fault == "no server" else server.url
    files = sources(packed, url)
    if fault == "wrong content":
        files[f"MNIST/raw/{NAMES[3]}"] = (url + NAMES[3], "0" * 32)
    downloads_from(monkeypatch, files)
    server.opened.set()
    with pytest.raises(UserError) as error:
        mnist(tmp_path / "data")
    message = str(error.value)
    assert message.startswith(f"MNIST is not in {tmp_path / 'data'}, {tmp_path / 'home-cache'}")
    assert "--data-dir or DISTUNE_DATA" in message
    assert 'dataset "digits"' in message
    assert "\n" not in message
    assert DataFolders.of(tmp_path / "data").locate(MNIST) is None


def test_a_folder_that_cannot_be_made_is_an_error_in_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^MNIST is not in .*\(.*(File exists|Not a directory)"):
        mnist(tmp_path / "file" / "data")


def digits() -> Splits:
    return load(DIGITS, DataFolders.of(), "cpu")


def test_digits_need_no_files_and_are_mixed_the_same_everywhere() -> None:
    data = digits()
    assert [len(s.targets) for s in (data.train, data.validation, data.test)] == [1_200, 297, 300]
    for split in (data.train, data.validation, data.test):
        assert torch.bincount(split.targets).min() >= 0.06 * len(split.targets)
    assert data.train.targets[:10].tolist() == [6, 9, 8, 4, 1, 6, 4, 1, 2, 3]
    everything = torch.cat([s.inputs for s in (data.train, data.validation, data.test)])
    assert len({image.numpy().tobytes() for image in everything}) == 1_797


def test_where_scikit_learn_has_its_digits_in_another_file_they_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = digits_module.read()
    monkeypatch.setattr(digits_module, "_FILE", "sklearn/elsewhere")
    for (images, labels), (found, those) in zip(digits_module.read(), before, strict=True):
        assert np.array_equal(images, found)
        assert np.array_equal(labels, those)


def test_digits_are_scaled_bilinearly_to_28_pixels_below_one() -> None:
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    # Pixel i of 28 has its centre at (i + 1/2) 8/28 - 1/2 of 8; beyond the edge, the edge.
    centres = (np.arange(28) + 0.5) * 8 / 28 - 0.5
    weights = np.stack([np.interp(centres, np.arange(8), row) for row in np.eye(8)], axis=1)
    expected = weights @ small.reshape(-1, 8, 8) @ weights.T / 16 * (255 / 256)
    images, found = digits().test
    assert images.shape == (300, 1, 28, 28)
    assert 0.9 < images.max() <= 255 / 256
    assert images.min() == 0
    for image, label in zip(images[:20, 0].numpy(), found[:20].tolist(), strict=True):
        distance = np.abs(expected - image).max(axis=(1, 2))
        assert distance.min() < 1e-6
        assert labels[distance.argmin()] == label


REAL = os.environ.get("DISTUNE_DATA")  # before the fixture above hides it


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> None:
    if REAL is None:
        pytest.skip("DISTUNE_DATA does not name a folder with MNIST")
    monkeypatch.setenv("DISTUNE_DATA", REAL)


@pytest.mark.usefixtures("real_data")
def test_the_real_mnist_has_the_digits_and_the_mean_it_is_known_for() -> None:
    data = mnist(None)
    assert data.train.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    mean = (as_floats(data.train.inputs).mean() * 5 + as_floats(data.validation.inputs).mean()) / 6
    assert mean.item() == pytest.approx(0.1307 * 255 / 256, abs=5e-5)
