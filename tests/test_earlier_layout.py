"""Studies of the first layout, which had no `asked.jsonl`: they can be looked at for ever.

Both were made by the release before: `finished` has stages, repeats and tests; the master and the
worker of `running` were killed, with trials waiting, taken and done.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest

import distune
from tests.conftest import Lab

STUDIES = Path(__file__).parent / "studies" / "layout-1"
both = pytest.mark.parametrize("study", ["finished", "running"])


@pytest.fixture
def old(lab: Lab) -> Lab:
    """As they come from a clone: git keeps no empty folder."""
    shutil.copytree(STUDIES, lab.logs)
    for folder in ("trials", "workers", "artifacts", "quarantine"):
        for study in lab.logs.iterdir():
            if study.is_dir() and (study / folder).is_dir() and not any((study / folder).iterdir()):
                (study / folder).rmdir()
    return lab


def tree(folder: Path) -> dict[str, str]:
    """What lies in a folder, by path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@both
def test_every_command_that_looks_shows_it_and_changes_nothing(old: Lab, study: str) -> None:
    before = tree(old.logs)
    counted = {"finished": 10, "running": 9}[study]
    status = old.status(study)
    assert status["trials"]["counted"] == counted
    for command in (["best"], ["show", "3"], ["report", "--out", str(old.folder / "r.html")]):
        done = old.run(*command, "--study", study)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    assert tree(old.logs) == before


@both
def test_its_export_is_what_the_release_that_made_it_exported(old: Lab, study: str) -> None:
    done = old.run("export", "--study", study, "--out", "-")
    assert done.returncode == 0, done.stderr
    exported = list(csv.reader(done.stdout.splitlines()))
    expected = list(csv.reader((STUDIES / f"{study}.csv").read_text().splitlines()))
    header = expected[0]
    for row in expected[1:]:
        if row[header.index("outcome")] == "failed":
            row[header.index("rank")] = ""  # which that release gave to failures, too
    assert exported == expected


def test_its_trials_belong_to_the_stages_that_they_did(old: Lab) -> None:
    first, second = old.status("finished")["stages"]
    assert (first["name"], first["counted"], first["winner"]["params"]["lr"]) == ("rate", 6, 0.01)
    assert (second["name"], second["first_configuration"], second["counted"]) == ("size", 3, 4)


def test_it_loads_in_python(old: Lab) -> None:
    study = distune.load(old.logs / "finished")
    assert study.best is not None
    assert study.best.params == {"lr": 0.01, "width": 16, "epochs": 3}
    assert len(study.trials) == 10
    assert len(study.best.curve) == 3


@both
def test_a_master_is_told_what_to_do_and_changes_nothing(old: Lab, study: str) -> None:
    settings = json.loads((old.logs / study / "study.json").read_text())
    params = {"lr": 0.1, "width": 4, "epochs": 3} if study == "finished" else {"x": 1}
    (old.folder / "space.json").write_text(
        json.dumps({"params": params, "objective": settings["objective"], "direction": "maximize"})
    )
    before = tree(old.logs)
    done = old.run("master", "--space", "space.json", "--study", study, "--plain")
    assert done.returncode == 2
    assert "was begun by an earlier distune" in done.stderr
    assert "--study" in done.stderr
    assert done.stderr.count("\n") == 1
    assert tree(old.logs) == before


def test_a_worker_leaves_it_alone_and_says_why(old: Lab) -> None:
    before = tree(old.logs / "running" / "trials")
    worker = old.worker("--time-limit", "3s")
    assert worker.wait(60) in (0, 2)
    assert "study running is left alone: the study 'running' was begun by an earlier distune" in (
        old.log_of(worker)
    )
    assert tree(old.logs / "running" / "trials") == before
