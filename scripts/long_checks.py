"""What takes minutes each, in three turns: CI takes the turn of its commit's number, so that
each check comes at least every third time.

    python -m scripts.long_checks            # the turn of the commit that is checked out
    python -m scripts.long_checks --turn 2   # this one, from 0
    python -m scripts.long_checks --all      # every turn, and what is too long for any
    python -m scripts.long_checks --list

A check that cannot run on this machine says why and is skipped. One that fails prints all that
it said; the others go on.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What the checks of a turn may take together: the rest of CI needs twenty minutes.
MINUTES = 32.0
_CANNOT_RUN = 3  # the exit status that says so


@dataclass(frozen=True)
class Check:
    """Commands of a shell that run side by side, and are ended after so many minutes."""

    title: str
    minutes: float
    commands: tuple[str, ...]


def _soak(*rigs: str, minutes: float, lease: str = "5s") -> Check:
    """A study on each of these file systems, see `scripts/soak --list`."""
    commands = tuple(f"scripts/soak --rig {rig} --lease {lease}" for rig in rigs)
    return Check(f"soak, lease {lease}: {', '.join(rigs)}", minutes, commands)


_CRASHES = Check("a crash at every file operation", 9, ("python -m tests.crashes --minutes 7",))
_POWER = Check(
    "power failures",
    8,
    (
        "python -m tests.crashes --power --sample 50",
        "python -m tests.crashes --power --same-host --sample 35",
    ),
)
_SLOW = Check(
    "the slow tests", 12, ("pytest -n 4 --dist worksteal -m slow --ignore tests/test_page.py",)
)
#: One at a time: each has a browser, a server, a master and workers on the same two cores.
_PAGE = Check("studies that run, in a browser", 4, ("pytest -m slow tests/test_page.py",))
_HISTORIES = Check(
    "three thousand other histories, a thousand with wishes, and the model of the protocol",
    5,
    (
        "python -m tests.simulation --seeds 100000:103000",
        "python -m tests.protocol_model && python -m tests.simulated_wishes --seeds 100000:101000",
    ),
)
_GARBAGE = Check(
    "garbage for the parsers and for live studies, and what hostile shares cost",
    4,
    (
        "python -m tests.fuzz --seconds 90 --seed 500000",
        "python -m tests.fuzz --names 10000 --hostile TiB GiB far trillion deep digits jobs",
    ),
)
_TWO_MASTERS = Check(
    "a hundred thousand histories, each with two masters and no lock",
    90,
    (
        "python -m tests.simulation --masters 2 --seeds 2000000:2050000",
        "python -m tests.simulation --masters 2 --seeds 2050000:2100000",
    ),
)
_HOSTILE = Check("what hostile shares cost", 40, ("python -m tests.fuzz --hostile",))
_ENDURANCE = Check(
    "half an hour of random faults, and whether anything grows",
    45,
    ("scripts/soak --endurance --rig faultfs --minutes 30 --trials 10000",),
)
_LOCAL = _soak("ext4", "xfs", "btrfs", "overlay", "tmpfs", "faultfs", minutes=5)
_MUTATIONS = Check("breaking the protocol's code", 6, ("python -m tests.mutations",))
_CONTAINERS = Check("the image and the compose file, built and run", 9, ("scripts/containers",))

#: Each lasts `MINUTES` at most.
TURNS: tuple[tuple[Check, ...], ...] = (
    (_CRASHES, _GARBAGE, _soak("nfs42", minutes=7), _soak("gluster", minutes=8)),
    (_SLOW, _LOCAL, _soak("cifs", minutes=5), _soak("sshfs", minutes=5)),
    (_HISTORIES, _POWER, _MUTATIONS, _CONTAINERS, _PAGE),
)
#: Hours: for a release, or a change of the protocol.
RARE: tuple[Check, ...] = (
    _soak("nfs3", minutes=10),
    _soak("ext4", "xfs", "btrfs", "overlay", "tmpfs", minutes=8, lease="default"),
    _soak("nfs3", minutes=25, lease="default"),
    _soak("nfs42", minutes=25, lease="default"),
    _soak("cifs", minutes=25, lease="default"),
    _soak("gluster", minutes=25, lease="default"),
    _soak("sshfs", minutes=25, lease="default"),
    _soak("faultfs", minutes=30, lease="default"),
    _HOSTILE,
    _ENDURANCE,
    _TWO_MASTERS,
)


def turn_of(number: int) -> int:
    """Which of `TURNS` a commit has to pass, by its number."""
    return number % len(TURNS)


def number_of_commit() -> int:
    """How many commits lead to this one.

    A shallow clone does not know: then it is a number that the commit has by chance. Where there
    is no repository it is that of the day.
    """
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        print("no repository: the turn goes by the day", file=sys.stderr)
        return int(time.time() // 86400)
    if _git("rev-parse", "--is-shallow-repository") == "true":
        subprocess.run(["git", "fetch", "--quiet", "--unshallow", "--filter=tree:0"], cwd=ROOT)
    if _git("rev-parse", "--is-shallow-repository") == "true":
        print("a shallow clone: the turn is drawn, not counted", file=sys.stderr)
        return int(_git("rev-parse", "HEAD"), 16)
    return int(_git("rev-list", "--count", "HEAD"))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


# -- running them --------------------------------------------------------------------------


def run_all(checks: Sequence[Check]) -> bool:
    """Run one check after the other, whatever fails; whether none did."""
    rigs = os.environ.get("DISTUNE_RIGS", str(ROOT.parent / "shared" / "rigs"))
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "DISTUNE_RIGS": rigs, "PATH": path}
    _refresh_packages()
    failed = [check.title for check in checks if not _run(check, environment)]
    return not failed


def _refresh_packages() -> None:
    """Rigs install what they need, of which a fresh machine does not know the versions."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update"], capture_output=True)


def _run(check: Check, environment: dict[str, str]) -> bool:
    _say(f"== {check.title} (at most {check.minutes:g} minutes)")
    began = time.monotonic()
    with ThreadPoolExecutor(len(check.commands)) as threads:
        ended = list(
            threads.map(lambda line: _end_of(line, check.minutes, environment), check.commands)
        )
    for command, (status, said) in zip(check.commands, ended, strict=True):
        _report(command, status, said)
    _say(f"   {time.monotonic() - began:.0f} s")
    return all(status in (0, _CANNOT_RUN) for status, _ in ended)


def _end_of(command: str, minutes: float, environment: dict[str, str]) -> tuple[int, str]:
    """The exit status of a command, and what it said."""
    limit = ["timeout", "--kill-after=30", f"{60 * minutes:g}"]
    with tempfile.TemporaryFile() as log:  # a pipe would wait for all that it leaves behind
        done = subprocess.run(
            [*limit, "bash", "-c", command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.seek(0)
        return done.returncode, log.read().decode(errors="replace").strip()


def _report(command: str, status: int, said: str) -> None:
    last = said.rpartition("\n")[2]
    if status == 0:
        _say(f"   {command}: {last}")
    elif status == _CANNOT_RUN:
        _say(f"   SKIPPED: {command}: {last}")
    else:
        _say(f"{said}\n   FAILED: {command}: exit status {status}")


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.long_checks", description=__doc__)
    parser.add_argument("--turn", type=int, choices=range(len(TURNS)), help="not the commit's")
    parser.add_argument("--all", action="store_true", help="every turn, and the rare ones: hours")
    parser.add_argument("--list", action="store_true", help="print them")
    options = parser.parse_args()
    if options.list:
        for turn in range(len(TURNS)):
            _tell(f"turn {turn}", TURNS[turn])
        _tell("rarely", RARE)
        return 0
    if options.all:
        return 0 if run_all([*itertools.chain(*TURNS), *RARE]) else 1
    turn = turn_of(number_of_commit()) if options.turn is None else options.turn
    passed = run_all(TURNS[turn])
    _tell(f"this was turn {turn}", TURNS[turn])
    for later in (turn_of(turn + i) for i in range(1, len(TURNS))):
        _tell(f"then comes turn {later}", TURNS[later])
    return 0 if passed else 1


def _tell(name: str, checks: Sequence[Check]) -> None:
    _say(f"{name}: " + "; ".join(check.title for check in checks))


if __name__ == "__main__":
    sys.exit(main())
