"""Where the files of data sets are found, and how they get there."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock
from rich.console import Console
from rich.progress import wrap_file

from distune.errors import UserError
from distune.workloads.data.data_set import DataSet, packed_or_not

_SILENCE_S = 30.0  # of a server, before it is given up


@dataclass(frozen=True)
class DataFolders:
    """The folders in which this host's data sets may lie; of a process, made once.

    Nothing is ever written to a folder that already holds the files.

    Attributes:
        searched: best first.
        target: of these the one that a download goes to.
    """

    searched: tuple[Path, ...]
    target: Path

    @classmethod
    def of(cls, data_dir: Path | str | None = None) -> DataFolders:
        """`data_dir` if the user gives one, then the folder that `DISTUNE_DATA` names, then the
        cache (`$XDG_CACHE_HOME/distune`, by default `~/.cache/distune`).

        A download goes to `data_dir` if given, else to the cache.
        """
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "distune"
        given = [Path(one) for one in (data_dir, os.environ.get("DISTUNE_DATA")) if one]
        searched = tuple(folder.expanduser() for folder in (*given, cache))
        return cls(searched, searched[0] if data_dir else searched[-1])

    def locate(self, data_set: DataSet) -> Path | None:
        """The first folder that holds all of the data set's files, or None; downloads nothing."""
        for folder in self.searched:
            paths = [folder / path for path in data_set.paths]
            if all(os.path.isfile(packed_or_not(p) if data_set.packed else p) for p in paths):
                return folder
        return None

    def announcement(self, data_set: DataSet) -> str:
        """What `fetch` is about to do where `locate` found nothing: a line for the user."""
        return f"downloading {data_set.title} ({data_set.megabytes:g} MB) to {self.target}"

    def fetch(self, data_set: DataSet) -> Path:
        """The folder that holds the data set, which is downloaded if no folder does.

        Of several processes on one host that want it, one downloads and the others wait. A
        download that fails leaves nothing there.

        Raises:
            UserError: not found, and the download failed.
        """
        found = self.locate(data_set)
        if found is not None:
            return found
        try:
            self.target.mkdir(parents=True, exist_ok=True)
            with FileLock(self.target / f".{data_set.name}.lock"):
                # The process that had the lock may have brought it.
                if self.locate(data_set) is None:
                    _download(data_set, self.target)
        except (OSError, HTTPException) as error:
            raise self._unobtainable(data_set, error) from error
        return self.locate(data_set) or self.target

    def _unobtainable(self, data_set: DataSet, error: Exception) -> UserError:
        if isinstance(error, HTTPError):
            error.close()  # it is an open connection, too
        looked = ", ".join(map(str, self.searched))
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        return UserError(
            f"{data_set.title} is not in {looked}, and downloading it failed ({reason}): give "
            f"a folder that has it with --data-dir or DISTUNE_DATA, or {data_set.remedy}"
        )


def _download(data_set: DataSet, target: Path) -> None:
    """Bring the files; each appears in `target` complete."""
    staging = target / f".{data_set.name}.part"
    shutil.rmtree(staging, ignore_errors=True)  # left by a process that was killed
    staging.mkdir(exist_ok=True)
    try:
        for name, (url, md5) in data_set.downloads.items():
            _bring(url, staging / name, md5)
        data_set.unpack(staging)
        for name in data_set.paths:
            path = packed_or_not(staging / name)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            path.replace(target / path.relative_to(staging))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _bring(url: str, path: Path, md5: str) -> None:
    """Write what is at `url` to `path`, and show on a terminal how far it is.

    Raises:
        OSError, HTTPException: it is not to be had, or has another sum.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    request = Request(url, headers={"User-Agent": "distune"})
    console = Console(stderr=True)
    with (
        urlopen(request, timeout=_SILENCE_S) as answer,
        path.open("w+b") as file,
        wrap_file(
            answer,
            answer.length or 0,
            description=path.name,
            console=console,
            disable=not console.is_terminal,
        ) as watched,
    ):
        shutil.copyfileobj(watched, file)
        file.seek(0)
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        raise OSError(f"what {url} gave has the MD5 sum {found}, not {md5}")
