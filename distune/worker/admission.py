"""What a host must have before a worker opens a study: the right to write, and the data."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from distune.errors import UserError
from distune.share import access
from distune.study.study import Study
from distune.training.children import last_line, spawn
from distune.worker import host
from distune.workloads import WORKLOADS, compiled
from distune.workloads.data import DATA_SETS
from distune.workloads.data.folders import DataFolders


class Admission:
    """What must be true of this host before a worker opens a study.

    Args:
        logs: the directory with the studies.
        device: on which the worker trains.
        datasets: on this host.
        any_owner: whether studies of other users are trusted.
        opened: called with the folder of a study that is about to be opened.
        say: takes a line for people.
    """

    def __init__(
        self,
        logs: Path,
        device: str,
        datasets: DataSets,
        *,
        any_owner: bool,
        opened: Callable[[Path], None],
        say: Callable[[str], None],
    ) -> None:
        self._logs = logs
        self._device = device
        self._datasets = datasets
        self._any_owner = any_owner
        self._opened = opened
        self._say = say
        self._already_said: set[str] = set()

    def ready(self, name: str, study: Study) -> bool:
        """False while something is still being downloaded.

        Raises:
            UserError: the study is not to be trusted, its folder cannot be written to, or a
                data set cannot be had.
        """
        study.refuse_earlier()
        if not self._any_owner:
            access.check_owner(self._logs / name)
        access.check_writable(self._logs / name)
        self._opened(self._logs / name)
        ready = self._datasets.ready(study)
        if ready and self._device == "cpu":
            self._say_what_is_slow(study)
        return ready

    def _say_what_is_slow(self, study: Study) -> None:
        if may_be_bfloat16(study) and host.computes_bfloat16() is False:
            self._say_once(
                "this CPU has no instructions for bfloat16: training in it is correct, but "
                "takes longer than in float32, up to eight times as long without AVX-512"
            )
        workload = WORKLOADS.get(study.objective or "")
        if workload and workload.convolutions and not compiled.widths():
            self._say_once(
                "distune was installed without a C compiler: convolutional networks train to the "
                "same results, but take up to twice as long; install one (gcc or clang), then "
                "distune again"
            )

    def _say_once(self, line: str) -> None:
        if line not in self._already_said:
            self._already_said.add(line)
            self._say(line)


def may_be_bfloat16(study: Study) -> bool:
    """Whether some of its trials, by a workload, may be trained in bfloat16."""
    return study.objective in WORKLOADS and "bfloat16" in study.values_of("precision")


class DataSets:
    """Sees that the data sets a workload's study names are on this host before a trial of
    it is claimed; a download runs beside the work, in a process of its own.
    """

    def __init__(self, data_dir: Path | None, say: Callable[[str], None]) -> None:
        self._data_dir = data_dir
        self._folders = DataFolders.of(data_dir)
        self._say = say
        self._here: set[str] = set()
        self._downloads: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
        self._failed: dict[str, str] = {}

    def ready(self, study: Study) -> bool:
        """False while something is still being downloaded.

        Raises:
            UserError: a data set cannot be had; says what to do.
        """
        # All of them are asked, so that all downloads begin.
        return sum(not self._has(name) for name in study.datasets) == 0

    def _has(self, name: str) -> bool:
        if name in self._here:
            return True
        if name not in self._downloads:
            data_set = DATA_SETS.get(name)
            if data_set is None:
                raise UserError(f"it wants the data set {name!r}, which this distune has not")
            if self._folders.locate(data_set) is not None:
                self._here.add(name)
                return True
            if name in self._failed:  # once is enough; should the files come, they are found
                raise UserError(self._failed[name])
            self._say(f"{name} is not on this host; {self._folders.announcement(data_set)}")
            command = [sys.executable, "-m", "distune", "data", name]
            command += ["--data-dir", str(self._data_dir)] if self._data_dir else []
            # Not a pipe: nothing reads one, and it would fill up.
            errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
            process = spawn(command, stdout=subprocess.DEVNULL, stderr=errors)
            self._downloads[name] = process, errors
        process, errors = self._downloads[name]
        if process.poll() is None:
            return False
        del self._downloads[name]
        with errors:
            errors.seek(0)
            said = last_line(errors.read())
        if process.returncode:
            self._failed[name] = said or f"{name} could not be downloaded"
            raise UserError(self._failed[name])
        self._here.add(name)
        self._say(f"{name} is here")
        return True
