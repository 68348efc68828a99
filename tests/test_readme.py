"""Every command of the README is one that works, and what it claims is there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from distune.space_file.freeze import limits_of
from distune.space_file.read import parse_space_file
from tests.conftest import Lab, wait_until

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / name for name in ("README.md", "PROTOCOL.md", "DECISIONS.md", "docker/README.md")]


def commands_in(text: str) -> list[str]:
    """The commands of all console blocks, without their comments and continuations."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.S)
    lines = [
        line.split("  #")[0].split("    #")[0].strip() for b in blocks for line in b.splitlines()
    ]
    return [line for line in lines if re.match(r"(distune|scripts/|python) ?", line)]


def test_the_readme_has_the_commands_of_the_first_minute() -> None:
    commands = commands_in(README)
    assert commands[:2] == ["scripts/quickstart", "scripts/test"]
    assert README.index("scripts/quickstart") < 1500  # on the first screen
    assert len(commands) >= 7


@pytest.mark.parametrize("command", [c for c in commands_in(README) if c.startswith("distune")])
def test_every_command_of_the_readme_has_options_that_exist(lab: Lab, command: str) -> None:
    _, name, *arguments = shlex.split(command)
    shown = lab.run(name, "--help").stdout
    for option in (a for a in arguments if a.startswith("-")):
        assert option in shown, f"{command}: no {option}"


EXAMPLES = [c for c in commands_in(README) if "examples/" in c]


@pytest.mark.parametrize(
    "command", [EXAMPLES[0], *(pytest.param(c, marks=pytest.mark.slow) for c in EXAMPLES[1:])]
)
def test_every_example_runs_to_its_end(lab: Lab, command: str) -> None:
    (lab.folder / "examples").symlink_to(ROOT / "examples")
    done = lab.run(*shlex.split(command)[1:], "--trials", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4/4 trials" in done.stdout
    assert "4 complete" in done.stdout


def test_the_two_commands_for_many_machines_do_what_the_readme_says(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=4)
    master, worker = (
        c for c in commands_in(README) if re.match("distune (master|worker) .*/shared/logs", c)
    )
    shared = str(lab.folder / "shared")
    started = [
        lab.start(*shlex.split(command.replace("/shared/logs", shared))[1:], *more)
        for command, more in ((master, []), (worker, ["--objective", "train:quick"]))
    ]
    assert [process.wait(60) for process in started] == [0, 0]
    wait_until(lambda: (lab.folder / "shared/space/best.json").exists(), 1)


def test_the_space_files_of_the_readme_are_fine() -> None:
    texts = re.findall(r"```json\n(.*?)```", README, re.S)
    assert len(texts) == 2
    for text in texts:
        file = parse_space_file(text, "README.md")
        assert limits_of(file).trials == json.loads(text).get("trials")


def test_every_key_of_a_space_file_is_in_the_readme() -> None:
    from distune.space_file.model import SpaceFile

    hidden = {"description", "result", "settings"}
    missing = [key for key in SpaceFile.model_fields if f"`{key}`" not in README]
    assert set(missing) <= hidden


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
