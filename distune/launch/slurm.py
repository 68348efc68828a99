"""A batch file for Slurm: an array of workers."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distune.errors import UserError
from distune.study.durations import parse_duration

#: Seconds before a time limit at which Slurm asks a worker to stop, and what it may be early.
_WARNING, _EARLY = 90, 60
_SLURM_TIME = re.compile(r"(\d+-)?\d+(:\d+){1,2}|\d+-\d+")


@dataclass(frozen=True)
class SlurmArray:
    """What to ask of Slurm: None leaves it to the cluster.

    Args:
        worker: the command line of one.
        folder: where it runs, and where its output goes.
        workers: how many there are in all, `at_once` of them at a time.
        time: of each, as `slurm_time` gives it.
        extra: options of `sbatch`; these are the last, and win.
    """

    name: str
    worker: Sequence[str]
    folder: str
    workers: int
    at_once: int | None = None
    cpus: int | None = None
    gpus: str | None = None
    memory: str | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    extra: Sequence[str] = ()


def sbatch_file(array: SlurmArray) -> str:
    """The text of the batch file."""
    directives = "\n".join(f"#SBATCH {line}" for line in _directives(array))
    srun = ["srun", "--ntasks=1"]
    if array.cpus is not None:
        srun.append(f"--cpus-per-task={array.cpus}")
    return f"""\
#!/bin/bash
# Workers of distune, each an array task of its own. Edit it, and submit it with `sbatch FILE`.
{directives}

# Not `B:`, so that the signal reaches the worker and not this shell: {_WARNING} seconds before its
# time is over it gives its trials back. Nothing is requeued: the next array task is a worker, too.
# srun has to be told the cores (since Slurm 22.05). 143: stopped by a signal, no failure.
{_ABOUT_TIME if "--time-limit" in array.worker else ""}\
{shlex.join(srun)} \\
    {shlex.join(array.worker)} || [ $? -eq 143 ]
"""


_ABOUT_TIME = """\
# The worker's --time-limit ends before that signal: it claims nothing that would not end in time.
# If you change --time, change that, too.
"""


def _directives(array: SlurmArray) -> Iterator[str]:
    at_once = "" if array.at_once is None else f"%{array.at_once}"
    asked = {
        "job-name": array.name,
        "chdir": array.folder,
        "output": "%x-%A_%a.out",
        "open-mode": "append",
        "array": f"0-{array.workers - 1}{at_once}",
        "ntasks": "1",
        "cpus-per-task": array.cpus,
        "gres": None if array.gpus is None else f"gpu:{array.gpus}",
        "mem": array.memory,
        "time": array.time,
        "partition": array.partition,
        "account": array.account,
        "signal": f"TERM@{_WARNING}",
    }
    for option, value in asked.items():
        if value is not None:
            yield f"--{option}={_quoted(option, str(value))}"
    yield "--no-requeue"
    for line in array.extra:
        yield _extra(line)


def _quoted(option: str, value: str) -> str:
    if not value.isprintable():
        raise UserError(f"--{option} {value!r}: Slurm takes no such characters")
    return shlex.quote(value)


def _extra(line: str) -> str:
    """A line of the user's, with or without the word that begins it."""
    option = line.strip().removeprefix("#SBATCH").strip()
    if not option.startswith("-") or not option.isprintable():
        raise UserError(f"--sbatch {line!r}: write an option of sbatch, such as --qos=low")
    return option


def time_for_work(time: str) -> int:
    """Seconds that a worker has, of a time limit as `slurm_time` gives it: until the signal may
    come.

    Raises:
        ValueError: none.
    """
    days, _, clock = time.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if days:  # D-HH, D-HH:MM, D-HH:MM:SS; else MM:SS, HH:MM:SS
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    else:
        hours, minutes, seconds = (0, 0, *parts)[-3:]
    left = int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds - _WARNING - _EARLY
    if left <= 0:
        raise ValueError(
            f"{time!r} leaves no time to train: Slurm asks a worker to stop {_WARNING} to "
            f"{_WARNING + _EARLY} seconds before its time is over"
        )
    return left


def slurm_time(text: str) -> str:
    """A time limit for Slurm, from a duration (`90m`) or as Slurm writes it (`1-12:00:00`).

    Raises:
        ValueError: it is neither; or a bare number, minutes to Slurm and seconds to distune; or
            it leaves a worker no time.
    """
    if _SLURM_TIME.fullmatch(text):
        time_for_work(text)
        return text
    if text.isdecimal():
        raise ValueError(f"{text!r} is minutes to Slurm and seconds to distune: write {text}m")
    seconds = int(parse_duration(text))
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"
    time = f"{days}-{clock}" if days else clock
    time_for_work(time)
    return time
