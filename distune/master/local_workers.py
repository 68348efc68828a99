"""The workers that a master starts on its own machine."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from distune.errors import ShareError, StudyFailed, UserError
from distune.master.opening import MasterOptions
from distune.share import protocol
from distune.share.folder import Folder
from distune.training.children import last_line, python_command, spawn
from distune.watch.observer import Observer
from distune.worker import host

_DRAIN_SECONDS = 4.0  # a second more than a worker takes
#: A worker that ends so soon, and so often, does so because of something that does not pass.
_SOON = 10.0  # seconds
_TOO_OFTEN = 5


@dataclass
class _LocalWorker:
    number: int
    process: subprocess.Popen[bytes] | None = None
    log: str = ""
    failures: int = 0  # one after the other
    started: float = 0.0
    next_start: float = 0.0


class LocalWorkers:
    """`--workers N`: workers of this master's own, which live no longer than it."""

    def __init__(self, options: MasterOptions, folder: Path) -> None:
        self._options = options
        self._folder = Folder(folder)
        gpus = [] if options.device == "cpu" else host.visible_gpus()
        self._gpus = gpus if options.device in ("auto", "cuda") else []
        self.parallelism = host.choose_parallelism(
            None,
            None,
            cores=host.usable_cores(),
            memory=host.free_memory(),
            gpus=len(self._gpus) or (options.device not in ("auto", "cpu")),
            workers=max(1, options.workers),
            devices_per_trial=options.devices_per_trial or 1,
        )
        self._workers = [_LocalWorker(i + 1) for i in range(options.workers)]
        if self._workers:
            self._folder.make_folder(protocol.LOCAL_LOGS)
        for one in self._workers:
            self._start(one)

    def _start(self, one: _LocalWorker) -> None:
        one.started = time.monotonic()
        one.log = f"{protocol.LOCAL_LOGS}/worker-{one.number}.log"
        jobs, threads = self.parallelism.jobs, self.parallelism.threads
        command = python_command("distune", "worker", "--logs", str(self._options.logs))
        command += [
            "--study",
            self._folder.root.name,
            "--jobs",
            str(jobs),
            "--threads",
            str(threads),
        ]
        environment = dict(os.environ)
        if self._gpus:  # each its own, or else all of them would begin with the first
            mine = self._gpus[one.number - 1 :: len(self._workers)]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(
                mine or [self._gpus[(one.number - 1) % len(self._gpus)]]
            )
        with self._open_log(one) as log:
            one.process = spawn(
                [*command, *self._options.worker_arguments],
                sig=signal.SIGTERM,  # it gives back what it has when the master is killed
                env=environment,
                stdin=subprocess.PIPE if self._options.given else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if one.process.stdin is not None:
            with suppress(BrokenPipeError), one.process.stdin as pipe:  # it may have died
                pipe.write(self._options.given)

    def _open_log(self, one: _LocalWorker) -> IO[bytes]:
        """Where a worker's output goes; later on nowhere, if that cannot be written.

        Raises:
            ShareError: it could not even be begun.
        """
        try:
            return self._folder.open_log(one.log)
        except (ShareError, FileNotFoundError):
            if not one.failures:
                raise
            return open(os.devnull, "ab")

    def _last_line_of(self, one: _LocalWorker) -> str:
        with suppress(ShareError, FileNotFoundError):
            return last_line(self._folder.read(one.log))
        return "its log cannot be read"

    def look_after(self, observer: Observer, alone: bool) -> None:
        """Start those anew that died.

        Args:
            alone: no other worker trains the study's trials.

        Raises:
            UserError: one of them says that the user has to do something.
            StudyFailed: all of them end as soon as they are started, and there are no others.
        """
        for one in self._workers:
            if one.process is None:
                if time.monotonic() >= one.next_start:
                    self._start(one)
                continue
            status = one.process.poll()
            if status is None:
                continue
            one.process = None
            if status == 2:
                raise UserError(self._last_line_of(one))
            one.failures = one.failures + 1 if time.monotonic() - one.started < _SOON else 1
            if alone and status > 0 and all(each.failures >= _TOO_OFTEN for each in self._workers):
                log = self._folder.root / one.log
                raise StudyFailed(
                    f"study {self._folder.root.name}: its workers here end as soon as they are "
                    f"started: {self._last_line_of(one)}; see {log}, then start the "
                    "same command again: nothing is lost"
                )
            one.next_start = time.monotonic() + min(60.0, 0.5 * 2**one.failures)
            if status != 0:
                observer.add_event(
                    "trouble",
                    f"local worker {one.number} ended ({status}), "
                    f"see {self._folder.root / one.log}; starting another",
                )

    def end(self, patience: float) -> None:
        """Have them give back what they hold, if they do not leave in `patience` seconds."""
        running = [one.process for one in self._workers if one.process is not None]
        until = time.monotonic() + patience
        while time.monotonic() < until and any(process.poll() is None for process in running):
            time.sleep(0.02)
        for process in running:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _DRAIN_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
