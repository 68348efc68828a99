"""The judge of scripts/soak, and the page that quotes what it has found.

The soak itself needs root and file systems of its own: `.ci/run` runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.soaking import results
from scripts.soaking.endurance import measure, trend
from scripts.soaking.rigs import KINDS, ROOT
from scripts.soaking.verdict import Evidence, judge

RUNS = results.load()


def line(number: int, value: float = 1.0) -> str:
    return json.dumps({"trial": {"number": number}, "result": {"value": value}}) + "\n"


SOUND = Evidence(
    names=[
        "study.json",
        "seen/000/000000.jsonl",
        "seen/000/000001.1.jsonl.a-1-x.lost",
        "seen/000/000001.jsonl",
        "seen/000/000002.jsonl",
        "workers/a-1-x.beat",
    ],
    history=line(0) + line(1) + line(2),
    finished={"failed": False, "reason": "all trials are counted"},
    status={"ranking": [{"trials": [2]}, {"trials": [0]}, {"trials": [1]}]},
    logs={"master-1": "fine\n", "worker-1": "12:00:00 worker a-1-x on cpu, 1 at a time\n"},
    exits={"master-1": (0, 0), "worker-1": (137, 137)},
)


def test_a_sound_study_has_nothing_wrong_with_it() -> None:
    assert not any(judge(SOUND, 3).values())
    assert SOUND.attempts() == {"total": 4, "lost": 1, "repeated": 1}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"finished": None}, "the study is finished"),
        ({"finished": {"failed": True, "reason": "no"}}, "the study is finished"),
        ({"history": line(0) + line(2)}, "each trial is in the history once"),
        ({"history": SOUND.history + line(1, 2.0)}, "each trial is in the history once"),
        ({"history": SOUND.history + line(3)}, "each trial is in the history once"),
        (
            {"names": [n for n in SOUND.names if not n.endswith("1.jsonl")]},
            "each trial has one file that counts",
        ),
        (
            {"names": [*SOUND.names, "seen/001/000000.jsonl"]},
            "each trial has one file that counts",
        ),
        ({"status": {"ranking": [{"trials": [0, 1]}]}}, "each trial is ranked once"),
        (
            {"status": {"ranking": [{"trials": [0, 1]}, {"trials": [1, 2]}]}},
            "each trial is ranked once",
        ),
        ({"status": {}}, "each trial is ranked once"),
        ({"names": [*SOUND.names, "trials/000002.2.jsonl"]}, "nothing is left over"),
        ({"names": [*SOUND.names, "quarantine/x"]}, "nothing is left over"),
        ({"names": [*SOUND.names, "workers/b-1-y.beat"]}, "nothing is left over"),
        (
            {"logs": {**SOUND.logs, "master-1": "Traceback (most recent call last):\nOSError"}},
            "no traceback in a log",
        ),
        ({"exits": {**SOUND.exits, "master-1": (1, 0)}}, "every process ended as it should"),
        ({"exits": {**SOUND.exits, "master-1": (None, 0)}}, "every process ended as it should"),
    ],
)
def test_what_is_wrong_is_found_and_named(changes: dict[str, object], check: str) -> None:
    found = judge(replace(SOUND, **changes), 3)  # type: ignore[arg-type]
    assert [name for name, problems in found.items() if problems] == [check]


def test_a_line_of_the_history_that_was_written_again_or_cut_off_is_no_second_result() -> None:
    twice = replace(SOUND, history=SOUND.history + line(1) + '{"trial": {"numb')
    assert not any(judge(twice, 3).values())


def test_growth_is_told_from_noise() -> None:
    noise = [40 + i % 3 for i in range(90)]
    assert trend("memory", noise, 2.0).flat
    assert not trend("memory", [40 + i / 10 for i in range(90)], 2.0).flat
    assert not trend("descriptors", [8] * 30 + [9] * 30 + [12] * 30, 2.0).flat


def test_a_master_may_grow_with_the_history_that_it_keeps_and_no_faster() -> None:
    counted = list(range(0, 9000, 100))
    kept = [40 + n * 5 / 1024 for n in counted]
    assert trend("memory", kept, 2.0, counted, per_trial=6 / 1024).flat
    assert not trend("memory", kept, 2.0, counted).flat
    assert not trend("memory", [2 * k for k in kept], 2.0, counted, per_trial=6 / 1024).flat


def test_memory_and_descriptors_of_a_process_are_those_that_proc_tells() -> None:
    pipe = subprocess.PIPE
    program = "print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it has started
        sample = measure(child.pid, "child", 1.0)
        assert sample is not None
        assert 1 < sample.memory < 100
        assert sample.descriptors >= 3
        child.communicate(b"\n")
    assert measure(child.pid, "child", 2.0) is None


def test_the_page_says_what_the_kept_results_say() -> None:
    text = results.PAGE.read_text()
    assert results.summary(RUNS) in text
    assert results.renewed(text, RUNS) == text


def test_every_file_system_was_soaked_with_the_default_lease_and_was_sound() -> None:
    sound = {r["rig"] for r in RUNS if r["default_lease"] and r["sound"] and r["trials"] >= 200}
    assert sound == set(KINDS)
    assert all(run["sound"] for run in RUNS)


def test_a_long_run_with_random_faults_is_kept_in_which_nothing_grew() -> None:
    runs = [r for r in RUNS if r.get("endurance")]
    if not runs:
        pytest.skip("no long run of this code is kept yet: scripts/soak --endurance")
    (run,) = runs
    assert run["seconds"] >= 30 * 60
    assert run["trials"] >= 10_000
    assert all(one["flat"] for one in run["trends"])


def test_the_script_lists_its_file_systems(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "soak", "--list"],
        env={"PATH": "/usr/bin:/bin", "SOAK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert [row.split()[0] for row in done.stdout.splitlines()] == list(KINDS), done.stderr
