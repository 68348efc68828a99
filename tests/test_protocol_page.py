"""PROTOCOL.md and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from distune.share import protocol
from distune.share.protocol import TRANSITIONS, Actor, AttemptName, Halt, State
from distune.share.store import LOCAL_LEASE, NETWORK_LEASE
from distune.study.study import Study
from distune.study.trial import Asked, Trial
from tests import test_restores

PAGE = (Path(__file__).parent.parent / "PROTOCOL.md").read_text()


def rows_below(heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head."""
    below = PAGE.split(f"## {heading}\n")[1]
    lines = [line for line in below.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_the_transition_table_of_the_code() -> None:
    table: dict[tuple[State, State], frozenset[Actor]] = {}
    for source, target, movers, _ in rows_below("The moves"):
        if "nothing" not in (source, target):
            actors = frozenset(Actor(name.strip()) for name in movers.split(","))
            table[State(source), State(target)] = actors
    assert table == TRANSITIONS


def test_every_file_of_the_page_is_a_name_of_the_protocol() -> None:
    names = re.findall(r"(?:trials|seen/\d+)/(\d{6}\S+)", PAGE)
    assert len(names) >= 7
    states = {AttemptName.parse(name).state for name in names}
    assert states == set(State)


def test_every_path_the_code_knows_is_on_the_page() -> None:
    paths = [
        value
        for name, value in vars(protocol).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    ]
    assert len(paths) > 10
    assert [path for path in paths if path not in PAGE] == []


def test_the_page_says_what_each_mark_means_the_strongest_last() -> None:
    marks = [mark for mark, *_ in rows_below("Pause and stop")]
    assert marks == [f"`{halt.path}`" for halt in Halt]


def test_the_page_says_how_each_trial_that_no_sampler_asked_for_is_marked() -> None:
    marks = {"replaces", "extends", "wish", "confirms", "adds_to"}
    for record in (Asked, Trial):
        assert marks <= {field.name for field in msgspec.structs.fields(record)}
    for mark in marks - {"wish"}:
        assert f"(`{mark}`)" in PAGE
    confirming = PAGE.split("## What confirms the best\n")[1].split("\n## ")[0]
    assert "`confirm` in `study.json`" in confirming
    assert "confirm" in Study.model_fields


def test_every_promise_that_the_code_cites_is_on_the_page() -> None:
    promised = set(re.findall(r"\*\*(P\d+)\*\*", PAGE))
    code = "".join(p.read_text() for p in (Path(__file__).parent.parent / "distune").rglob("*.py"))
    cited = set(re.findall(r"\bP\d{1,2}\b", code))
    assert cited <= promised
    assert promised == {f"P{i}" for i in range(1, 14)}


def test_every_test_that_the_page_names_is_there_and_some_hold_what_is_promised_last() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", PAGE)
    assert [name for name in named if f"def {name}(" not in tests] == []
    for promise in ("P12", "P13"):
        paragraph = PAGE.split(f"- **{promise}**")[1].split("\n- ")[0].split("\n\n")[0]
        assert "`test_" in paragraph, promise


def test_the_leases_of_the_page_are_those_of_the_code() -> None:
    assert f"{LOCAL_LEASE:.0f} seconds on a local file system" in PAGE.replace("\n", " ")
    assert f"{NETWORK_LEASE:.0f} on any other" in PAGE.replace("\n", " ")


def test_each_way_to_lose_a_trial_is_a_test_of_its_own() -> None:
    sentences = [f"test {did} {lost}" for did, lost, *_ in rows_below("How to lose a trial")]
    rows = [re.sub("[^a-z]+", "_", sentence.lower()) for sentence in sentences]
    tests = [name for name in vars(test_restores) if name.startswith("test_")]
    assert sorted(rows) == sorted(tests)
