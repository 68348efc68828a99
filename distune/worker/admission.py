"""What a host must have before a worker opens a study: the right to write, and the data."""

import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from distune.errors import UserError
from distune.share import access
from distune.share.folder import Folder
from distune.share.store import Store
from distune.study.study import Study
from distune.training.children import last_line, python_command, spawn
from distune.training.code import Code, CurrentCode
from distune.training.offer import Offer
from distune.worker import host
from distune.worker.context import WorkerOptions
from distune.workloads import WORKLOADS, check_installed
from distune.workloads.data import DATA_SETS
from distune.workloads.data.folders import DataFolders
from distune.workloads.kernels import compiled


@dataclass(eq=False)
class Admission:
    """What must be true of this host, and agreed to, before a worker opens a study."""

    _options: WorkerOptions
    _logs: Path
    _device: str
    _offers: Sequence[Offer]  # the user's objectives that the worker agrees to run
    _opened: Callable[[str], None]  # called with the folder of a study that is about to be opened
    _say: Callable[[str], None]  # takes a line for people
    _downloads: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._codes = {one.name: CurrentCode(partial(Code.of_offer, one)) for one in self._offers}
        self._folders = DataFolders.of(self._options.data_dir)

    def may_open(self, name: str, study: Study) -> bool:
        """False while something is still being downloaded.

        Raises:
            UserError: the study is not to be trusted or agreed to, its folder cannot be written
                to, or a library or a data set cannot be had.
        """
        # A program that can write to the share must not thereby run code here.
        lacking = lacking_option(study, self._codes, self._options.allow_commands)
        if lacking is not None:
            raise UserError(f"it needs a worker started with {lacking}")
        study.refuse_earlier()
        check_installed(study.objective, study.datasets)
        if (self._options.devices_per_trial or 1) > 1 and study.objective in WORKLOADS:
            raise UserError(
                f"{study.objective} trains on one device: start a worker for it without "
                "--devices-per-trial"
            )
        folder = self._logs / name
        if not self._options.any_owner:
            access.check_owner(folder)
        access.check_writable(folder)
        if not self._is_right_code(folder, study):
            return False
        self._opened(str(folder))
        # All of them are asked for, so that all downloads begin.
        there = [self._has(data_set) for data_set in study.datasets]
        if not all(there):
            return False
        for line in _what_is_slow(study) if self._device == "cpu" else ():
            self._say_once(line)
        return True

    def _is_right_code(self, folder: Path, study: Study) -> bool:
        """Whether the objective of that name is the one that the study's master has; False as long
        as that master does not run, and may come back with another.

        Raises:
            UserError: it is not.
        """
        mine = self._codes.get(study.objective or "")
        beat = Store(Folder(folder)).read_master() if mine is not None else None
        if mine is None or beat is None or beat.study != study.id:
            return True
        if not beat.code or mine.digest in ("", beat.code):
            return True
        why = (
            f"its master was started with another {study.objective} than this worker: give both "
            "the same file with --objective (start the master again if it was changed)"
        )
        if beat.state == "running":
            raise UserError(why)
        self._say_once(f"study {study.name} waits for its master: {why}")
        return False

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    def _has(self, name: str) -> bool:
        """Whether a data set is on this host; a download runs beside the work."""
        if name not in self._downloads:
            data_set = DATA_SETS.get(name)
            if data_set is None:
                raise UserError(f"it wants the data set {name!r}, which this distune has not")
            if self._folders.locate(data_set) is not None:
                return True
            if name in self._failed:  # once is enough; should the files come, they are found
                raise UserError(self._failed[name])
            self._say(f"{name} is not on this host; {self._folders.announcement(data_set)}")
            command = python_command("distune", "data", name)
            if self._options.data_dir:
                command += ["--data-dir", str(self._options.data_dir)]
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
        self._say(f"{name} is here")
        return True


def lacking_option(study: Study, offers: Collection[str], allow_commands: bool) -> str | None:
    """The option by which a user has yet to agree to run a study's code; None if none is needed.

    Args:
        offers: names of the user's objectives that may run.
    """
    if study.command is not None:
        return None if allow_commands else "--allow-commands"
    if study.objective in WORKLOADS or study.objective in offers:
        return None
    return f"--objective {study.objective}"


def _what_is_slow(study: Study) -> Iterator[str]:
    if may_be_bfloat16(study) and host.computes_bfloat16() is False:
        yield (
            "this CPU has no instructions for bfloat16: training in it is correct, but "
            "takes longer than in float32, up to eight times as long without AVX-512"
        )
    workload = WORKLOADS.get(study.objective or "")
    if workload and workload.convolutions and not compiled.widths():
        yield (
            "distune was installed without a C compiler: convolutional networks train to the "
            "same results, but take up to twice as long; install one (gcc or clang), then "
            "distune again"
        )


def may_be_bfloat16(study: Study) -> bool:
    """Whether some of its trials, by a workload, may be trained in bfloat16."""
    return study.objective in WORKLOADS and "bfloat16" in study.values_of("precision")
