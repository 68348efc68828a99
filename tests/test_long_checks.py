"""Which of the long checks CI runs for which commit."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import long_checks
from scripts.long_checks import MINUTES, RARE, ROOT, TURNS, Check, turn_of
from scripts.soaking.rigs import KINDS
from tests.mutations import MUTATIONS

CHECKS = [*itertools.chain(*TURNS), *RARE]


@pytest.mark.parametrize("number", [0, 1, 280, 281, 282, 10**9])
def test_any_three_successive_commits_run_every_check_that_takes_turns(number: int) -> None:
    run = [check for i in range(3) for check in TURNS[turn_of(number + i)]]
    assert sorted(run, key=str) == sorted(itertools.chain(*TURNS), key=str)


@pytest.mark.parametrize("turn", TURNS)
def test_no_turn_lasts_longer_than_ci_has_time_for(turn: tuple[Check, ...]) -> None:
    assert sum(check.minutes for check in turn) <= MINUTES


def test_every_file_system_is_soaked() -> None:
    for lease in ("5s", "default"):
        commands = [shlex.split(line) for check in CHECKS for line in check.commands]
        soaked = {line[2] for line in commands if line[1:2] == ["--rig"] and line[4] == lease}
        assert soaked == set(KINDS)


def test_every_mutation_of_the_code_can_be_made() -> None:
    for mutation in MUTATIONS:
        mutation.find(ROOT / "distune")


def test_what_is_to_be_run_is_there() -> None:
    for command, *arguments in (shlex.split(line) for c in CHECKS for line in c.commands):
        if command == "python":
            command = f"{arguments[1].replace('.', '/')}.py"
        assert command == "pytest" or (ROOT / command).is_file(), command


def test_what_fails_or_takes_too_long_is_named_and_does_not_keep_the_others_from_running(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_checks, "_refresh_packages", lambda: None)
    checks = [
        Check("two", 1, ("echo wrong; exit 1", "echo no root; exit 3")),
        Check("slow", 0.001, ("sleep 60",)),
        Check("well", 1, ("echo all is well",)),
    ]
    assert not long_checks.run_all(checks)
    said = capfd.readouterr().out
    assert "wrong\n   FAILED: echo wrong; exit 1: exit status 1" in said
    assert "SKIPPED: echo no root; exit 3: no root" in said
    assert "FAILED: sleep 60: exit status 124" in said
    assert "all is well" in said
    assert long_checks.run_all([checks[2]])


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_a_shallow_clone_has_a_number_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", *who, *arguments], check=True, env={**os.environ, **quiet})

    git("init", "--quiet", str(whole))
    for i in range(4):
        git("-C", str(whole), "commit", "--quiet", "--allow-empty", "-m", str(i))
    git("clone", "--quiet", "--depth", "1", f"file://{whole}", str(shallow))
    monkeypatch.setattr(long_checks, "ROOT", whole)
    assert long_checks.number_of_commit() == 4
    monkeypatch.setattr(long_checks, "ROOT", shallow)
    assert long_checks.number_of_commit() == 4, "it is completed"
    git("clone", "--quiet", "--depth", "1", f"file://{whole}", str(tmp_path / "cut off"))
    shutil.rmtree(whole)
    monkeypatch.setattr(long_checks, "ROOT", tmp_path / "cut off")
    assert turn_of(long_checks.number_of_commit()) in range(3)


def test_a_soak_of_everything_runs_all_of_them() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "soak", "--everything"],
        env={"PATH": "/usr/bin:/bin", "SOAK_PYTHON": "echo"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["-m", "scripts.long_checks", "--all"]


def test_without_a_repository_the_turn_goes_by_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_checks, "ROOT", tmp_path)
    days = [0.5 * 86400, 1.5 * 86400, 2.5 * 86400]
    turns = []
    for now in days:
        monkeypatch.setattr("time.time", lambda now=now: now)
        turns.append(turn_of(long_checks.number_of_commit()))
    assert sorted(turns) == [0, 1, 2]
