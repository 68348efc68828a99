"""The documents and the code say the same: commands, options, space files, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from distune.space_file.freeze import limits_of
from distune.space_file.model import SpaceFile
from distune.space_file.read import parse_space_file
from distune.study.space import CategoricalParameter, FloatParameter, IntParameter
from distune.study.stage import Stage
from distune.workloads import WORKLOADS
from tests.conftest import Lab, wait_until

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted(page for folder in (".", "docs", "docker") for page in ROOT.glob(f"{folder}/*.md"))
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands_in(text: str) -> list[str]:
    """The commands of all console blocks, without their comments."""
    lines = [
        line.split("  #")[0].strip() for one in blocks(text, "console") for line in one.splitlines()
    ]
    return [line for line in lines if re.match(r"(distune|scripts/|python) ?", line)]


def called(command: str) -> tuple[str, ...]:
    """What is called by a command of distune's: a command, or an engine of `launch`."""
    words = shlex.split(command)[1:]
    return tuple(words[: 2 if words[0] == "launch" else 1])


def anchors(text: str) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# -- the README ----------------------------------------------------------------------------


def test_the_readme_is_read_in_minutes() -> None:
    assert len(README.encode()) <= 9000


def test_the_readme_has_the_commands_of_the_first_minute() -> None:
    assert commands_in(README)[:2] == ["scripts/quickstart", "scripts/test"]
    assert README.index("scripts/quickstart") < 1500  # on the first screen


def test_every_command_is_in_the_table_of_the_readme(lab: Lab) -> None:
    listed = lab.run("--help").stdout.split("Commands:\n")[1]
    commands = re.findall(r"^  (\w+)  ", listed, re.M)
    assert len(commands) > 10
    table = README.split("## Commands\n")[1].split("\n## ")[0]
    assert [name for name in commands if f"| `distune {name}" not in table] == []


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


@pytest.mark.parametrize("command", [c for c in commands_in(README) if "examples/" in c])
@pytest.mark.long
def test_every_example_runs_to_its_end(lab: Lab, command: str) -> None:
    (lab.folder / "examples").symlink_to(ROOT / "examples")
    done = lab.run(*shlex.split(command)[1:], "--trials", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4/4 trials" in done.stdout
    assert "4 complete" in done.stdout


# -- all pages -----------------------------------------------------------------------------


def test_every_command_of_a_page_has_options_that_exist(lab: Lab) -> None:
    commands = {c for text in TEXTS.values() for c in commands_in(text) if c.startswith("distune")}
    split = [(called(command), shlex.split(command)) for command in commands]
    shown = {name: lab.run(*name, "--help").stdout for name in {name for name, _ in split}}
    missing = [
        (words, word)
        for name, words in split
        for word in words[1 + len(name) :]
        if word.startswith("--") and f"{word} " not in shown[name]
    ]
    assert missing == []


def test_every_script_that_a_page_names_is_there() -> None:
    known = {
        name: re.findall(
            r"(?<![\w/.])(?:scripts|tests|distune|docs|docker|examples)/[\w./-]*\w(?![\w*])", text
        )
        for name, text in TEXTS.items()
    }
    missing = {
        (page, path)
        for page, paths in known.items()
        for path in paths
        if not any((ROOT / f"{path}{ending}").exists() for ending in ("", ".py"))
    }
    assert missing == set()


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text()), target


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+)", README))
    assert [name for name in TEXTS if name != "README.md" and name not in linked] == []


def test_the_map_of_the_code_has_every_folder_of_the_package() -> None:
    folders = [path.parent.name for path in ROOT.glob("distune/*/__init__.py")]
    assert len(folders) > 10
    assert [name for name in folders if f"`{name}/`" not in TEXTS["docs/developing.md"]] == []


# -- space files ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if blocks(text, "json")])
def test_the_space_files_of_a_page_are_fine(name: str) -> None:
    for text in blocks(TEXTS[name], "json"):
        limits = limits_of(parse_space_file(text, name))
        assert limits.trials is not None or '"stages"' in text


def test_every_key_of_a_space_file_is_documented() -> None:
    page = TEXTS["docs/space-file.md"]
    keys = [*SpaceFile.model_fields, *Stage.model_fields]
    assert [key for key in keys if f"`{key}`" not in page] == []
    of_params = {
        key
        for model in (FloatParameter, IntParameter, CategoricalParameter)
        for key in model.model_fields
    }
    assert [key for key in of_params if f'"{key}"' not in page] == []


def test_every_workload_is_documented_with_its_parameters() -> None:
    page = TEXTS["docs/objectives.md"]
    names = [
        n for w in WORKLOADS.values() for n in (w.name, w.metric, *w.hyperparameters.model_fields)
    ]
    assert [name for name in names if f"`{name}`" not in page] == []
