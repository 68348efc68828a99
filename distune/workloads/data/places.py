"""Where the files of data sets are found, and how they get there.

They lie as torchvision lays them out, in one of three folders: the one the user gave, the
one `DISTUNE_DATA` names, the cache (`$XDG_CACHE_HOME/distune`, by default
`~/.cache/distune`). Nothing is ever written to a folder that already holds them.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal, TypeGuard
from urllib.error import HTTPError

from filelock import FileLock

from distune.errors import UserError

FileDataset = Literal["mnist", "fashion-mnist", "usps", "cifar-10", "house-prices"]

_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_SOCKET_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Files:
    """What a data set consists of.

    Attributes:
        title: of the data set, for people.
        paths: of its files, from the folder that holds it.
        megabytes: how much is downloaded.
        packed: whether each may lie there packed instead (`.gz`).
        remedy: what else to do where it cannot be downloaded.
    """

    title: str
    paths: tuple[str, ...]
    megabytes: float
    packed: bool = False
    remedy: str = 'use dataset "digits"'


FILES: dict[FileDataset, Files] = {
    "mnist": Files("MNIST", tuple(f"MNIST/raw/{name}" for name in _IDX), 12, packed=True),
    "fashion-mnist": Files(
        "Fashion-MNIST", tuple(f"FashionMNIST/raw/{name}" for name in _IDX), 31, packed=True
    ),
    "usps": Files("USPS", ("usps.bz2", "usps.t.bz2"), 8.4),
    "cifar-10": Files("CIFAR-10", tuple(f"cifar-10-batches-py/{name}" for name in _BATCHES), 170),
    "house-prices": Files(
        "house prices",
        ("house_prices.csv",),
        0.5,
        remedy="write house_prices.csv there yourself: Kaggle's train.csv has its columns",
    ),
}


def is_in_files(dataset: str) -> TypeGuard[FileDataset]:
    """Whether it is a data set that has to be found or downloaded."""
    return dataset in FILES


def locate(dataset: FileDataset, data_dir: str | None) -> Path | None:
    """The first folder that holds all of the data set's files, or None; downloads nothing."""
    files = FILES[dataset]
    for folder in _places(data_dir):
        paths = [folder / path for path in files.paths]
        if all(os.path.isfile(packed_or_not(p) if files.packed else p) for p in paths):
            return folder
    return None


def announcement(dataset: FileDataset, data_dir: str | None) -> str:
    """What `fetch` is about to do where `locate` found nothing: a line for people."""
    files = FILES[dataset]
    return f"downloading {files.title} ({files.megabytes:g} MB) to {_target(data_dir)}"


def fetch(dataset: FileDataset, data_dir: str | None) -> Path:
    """The folder that holds the data set, which is downloaded if no folder does.

    A download goes to `data_dir` if given, else to the cache. Of several processes on one
    host that want it, one downloads and the others wait. One that fails leaves nothing there.

    Raises:
        UserError: not found, and the download failed.
    """
    found = locate(dataset, data_dir)
    if found is not None:
        return found
    target = _target(data_dir)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(target / f".{dataset}.lock"):
            found = locate(dataset, data_dir)  # whom we waited for may have brought it
            if found is None:
                _download(dataset, target)
                found = target
    except (OSError, RuntimeError, HTTPException, ImportError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is an open connection, too
        looked = ", ".join(map(str, _places(data_dir)))
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        files = FILES[dataset]
        raise UserError(
            f"{files.title} is not in {looked}, and downloading it failed ({reason}): give "
            f"a folder that has it with --data-dir or DISTUNE_DATA, or {files.remedy}"
        ) from error
    return found


def packed_or_not(path: Path) -> Path:
    """The file itself, or the name that its packed copy (`.gz`) would have."""
    return path if os.path.isfile(path) else path.with_name(f"{path.name}.gz")


def damaged(path: Path, problem: str) -> UserError:
    """What to raise for a file that is not what it should be."""
    return UserError(f"{path} is damaged ({problem}): delete it, or get it again")


def _places(data_dir: str | None) -> list[Path]:
    """Where data is looked for, best first; the last is the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "distune"
    given = [Path(place) for place in (data_dir, os.environ.get("DISTUNE_DATA")) if place]
    return [place.expanduser() for place in (*given, cache)]


def _target(data_dir: str | None) -> Path:
    """Where a download goes."""
    places = _places(data_dir)
    return places[0] if data_dir else places[-1]


def _download(dataset: FileDataset, target: Path) -> None:
    """Bring the files; each appears in `target` complete."""
    staging = target / f".{dataset}.part"
    shutil.rmtree(staging, ignore_errors=True)  # left by one that was killed
    staging.mkdir(exist_ok=True)
    try:
        with _socket_timeout(_SOCKET_TIMEOUT_S):
            _let_torchvision_download(dataset, staging)
        for path in FILES[dataset].paths:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).replace(target / path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _let_torchvision_download(dataset: FileDataset, folder: Path) -> None:
    """It compares the MD5 sums of all that it downloads.

    Of its classes only those are used that stop there. USPS would go on and read its files,
    CIFAR-10 unpickle what is in the archive.
    """
    from distune.workloads.vision import import_datasets

    datasets = import_datasets()
    utils = datasets.utils
    if dataset == "usps":
        for url, name, md5 in datasets.USPS.split_list.values():
            utils.download_url(url, str(folder), name, md5=md5)
    elif dataset == "cifar-10":
        known = datasets.CIFAR10
        utils.download_and_extract_archive(
            known.url, str(folder), filename=known.filename, md5=known.tgz_md5
        )
    elif dataset == "house-prices":
        from distune.workloads.data import houses

        utils.download_url(houses.URL, str(folder), "house_prices.arff", md5=houses.MD5)
        houses.write_csv(folder / "house_prices.arff", folder / "house_prices.csv")
    elif dataset == "mnist":
        datasets.MNIST(folder, download=True)
    else:
        datasets.FashionMNIST(folder, download=True)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torchvision sets none: a network that swallows packets would hang it for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
