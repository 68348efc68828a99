"""`distune.run`: a master and its workers in one call, from a script or a notebook."""

import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Literal, TypedDict

from distune.errors import DistuneError, StudyFailed, UserError
from distune.python.giving import offer_of
from distune.python.progress import Progress
from distune.python.space import Space, plain
from distune.share import records
from distune.space_file.read import parse_space_file
from distune.study.study import STUDY_NAME
from distune.training.children import python_command
from distune.training.offer import Offer
from distune.watch.load import LoadedStudy, load

_STOPPED_WITHIN = 15.0  # seconds: a master gives its workers four
_SOURCE = "distune.run"  # of what is wrong with its arguments
#: Of a metric's name: then to minimize it, because nothing was said, would cost a week.
_MORE_IS_BETTER = re.compile(r"acc|auc|f1|r2|score|precision|recall|iou|bleu|reward", re.IGNORECASE)


class Settings(TypedDict, total=False):
    """Further keys of a space file, see docs/space-file.md."""

    metric: str
    direction: Literal["minimize", "maximize"]
    objectives: Mapping[str, Literal["minimize", "maximize"]]
    constraints: Mapping[str, Any]
    summary: Literal["best", "last"]
    sampler: str | Mapping[str, Any]
    pruner: str | Mapping[str, Any]
    settings: list[Mapping[str, Any]]
    enqueue: list[Mapping[str, Any]]
    stages: list[Mapping[str, Any]]
    repeats: int
    seed: int
    seeds: list[int]
    duplicates: Literal["repeat", "again"]
    confirm: bool | Mapping[str, Any]
    trials: int
    time_limit: str | float
    target: float
    max_total_seconds: str | float
    plateau: int
    max_seconds: str | float
    trial_timeout: str | float
    fresh_process: bool
    checkpoint_every: str | float
    checkpoint_limit: str | int
    checkpoint_keep: int
    max_attempts: int
    lease: str | float
    description: str


def run(
    objective: Callable[..., Any] | str,
    space: Space | Mapping[str, Any],
    *,
    workers: int,
    logs: str | os.PathLike[str],
    name: str | None,
    device: str,
    data_dir: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
) -> LoadedStudy:
    """See `distune.run`."""
    offer = None if isinstance(objective, str) else offer_of(objective)
    fields = _space_file(offer.name if offer else str(objective), space, settings)
    text = json.dumps(fields, default=str)
    parse_space_file(text, _SOURCE)
    study = name or (offer.name.rpartition(":")[2] if offer else str(objective).rpartition(":")[2])
    if not re.fullmatch(STUDY_NAME, study):
        raise UserError(f"name={study!r}: use letters, digits, '-', '_' and '.'")
    with tempfile.TemporaryDirectory(prefix="distune-") as folder:
        path = Path(folder) / "space.json"
        path.write_text(text)
        options = ["--space", str(path), "--study", study, "--logs", os.fspath(logs), "--json"]
        options += ["--workers", str(workers), "--device", device, "--given"]
        if data_dir is not None:
            options += ["--data-dir", os.fspath(data_dir)]
        if offer is None and ":" in str(objective):
            options += ["--objective", str(objective)]
        _MasterProcess(options, offer).run()
    return load(logs, study)


def _space_file(
    objective: str, space: Space | Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    whole = space if isinstance(space, Space) else Space(space)
    fields: dict[str, Any] = {"objective": objective, **whole.to_dict(), **plain(settings)}
    if ":" in objective and not fields.keys() & {"direction", "objectives"}:
        metric = fields.get("metric", "")
        if _MORE_IS_BETTER.search(metric):
            raise UserError(
                f"distune.run: metric={metric!r} may be one of which more is better: say "
                'direction="maximize" or direction="minimize"'
            )
        fields["direction"] = "minimize"
    return fields


class _MasterProcess:
    """A master in a process of its own: a kernel that is killed, or a cell that is interrupted,
    leaves it no half-done work, and its signals are its own.
    """

    def __init__(self, options: list[str], offer: Offer | None) -> None:
        self._process = subprocess.Popen(
            python_command("distune", "master", *options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is this process's business
        )
        self._offer = offer
        self._said: list[str] = []  # to people, so far
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def run(self) -> None:
        """Until its study is over.

        Raises:
            UserError, StudyFailed: as a master does.
            KeyboardInterrupt: the user wants it to end; it has.
        """
        self._listener.start()
        assert self._process.stdout is not None
        try:
            with Progress() as progress:
                self._give()
                for line in self._process.stdout:
                    progress.show(json.loads(line))
                status = self._process.wait()
        except BaseException:
            self._stop()
            raise
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            _close(pipe)
        self._judge(status)

    def _give(self) -> None:
        assert self._process.stdin is not None
        try:
            # It is left open: the end of it asks the master to end.
            self._process.stdin.write((records.dump(self._offer) if self._offer else b"") + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it says why

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.decode(errors="replace").rstrip("\n"))

    def _stop(self) -> None:
        """Have it give back what its workers train, as any master that is stopped."""
        _close(self._process.stdin)
        assert self._process.stdout is not None
        # It would wait for somebody to read what it prints.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()
        try:
            self._process.wait(_STOPPED_WITHIN)
        except subprocess.TimeoutExpired:  # the share hangs
            pass
        finally:  # also where its user is impatient
            self._process.kill()
            self._process.wait()

    def _judge(self, status: int) -> None:
        said = "\n".join(line.removeprefix("distune: ") for line in self._said)
        said = said.replace("--study NAME", "name=").replace("--study", "name=")
        said = said.replace("--logs", "logs=")
        if status == 2:
            raise UserError(said)
        if status == 1:
            raise StudyFailed(said)
        if status:
            raise DistuneError(f"the master was stopped ({status}); the same call goes on. {said}")


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        try:
            pipe.close()
        except BrokenPipeError:
            pass
