"""What can be done where the extra `workloads` is not installed, and what is said of the rest."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Lab

#: Where this is imported first, those libraries are not there.
WITHOUT = """\
import sys
from importlib.machinery import PathFinder


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "sklearn"):
            return None
        return PathFinder.find_spec(name, path, target)


sys.meta_path = [Finder if one is PathFinder else one for one in sys.meta_path]
"""
OBJECTIVE = """\
def train(params, trial):
    state = trial.load() or {"step": 0}
    for step in range(state["step"], 3):
        trial.save({"step": step})
        yield {"loss": params["x"] ** 2 + step, "device": 0 if trial.device == "cuda:0" else 1}


def saves(params, trial):
    import numpy

    trial.save({"weights": numpy.zeros(3)})
    yield {"loss": 0.0}
"""
BUILT_IN: dict[str, Any] = {
    "objective": "mnist-cnn", "params": {"lr": [0.1], "dataset": "digits"},
    "metric": "val_accuracy", "direction": "maximize",
}  # fmt: skip
HINT = "needs torch, which is not installed here: pip install 'distune[workloads]'"


@pytest.fixture
def bare(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Where all programs are without PyTorch and scikit-learn."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(WITHOUT)
    path = os.pathsep.join(filter(None, [str(tmp_path / "without"), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    (lab.folder / "mine.py").write_text(OBJECTIVE)
    return lab


def own(lab: Lab, **fields: Any) -> list[str]:
    """The rest of the command that runs a study of the user's own."""
    space = {"objective": "mine:train", "params": {"x": {"type": "float", "low": -1, "high": 1}}}
    lab.write_space(**{**space, "metric": "loss", "direction": "minimize", "trials": 4, **fields})
    name = fields.get("objective", "mine:train").replace(":", ".py:")
    return ["--space", "space.json", "--objective", name]


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2", "sobol", "grid"])
def test_a_study_of_one_s_own_is_searched_without_torch(bare: Lab, sampler: str) -> None:
    options = {"n_startup_trials": 1} if sampler == "tpe" else {}
    between = {"type": "float", "low": -1, "high": 1}
    params = {"x": [1, 2, 3, 4]} if sampler == "grid" else {"x": between, "y": between}
    arguments = own(bare, params=params, sampler={"name": sampler, **options})
    done = bare.run("master", *arguments, "--workers", "1", "--plain")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(bare.counted()) == 4


def test_a_gpu_that_no_torch_can_ask_is_given_to_the_objective_by_its_name(bare: Lab) -> None:
    done = bare.run("try", *own(bare), "--device", "cuda:0")
    assert done.returncode == 0, done.stderr
    assert "device 0" in done.stdout


def test_what_only_torch_can_save_says_so(bare: Lab) -> None:
    arguments = own(bare, objective="mine:saves", trials=1, checkpoint_every=1e-6)
    assert bare.run("master", *arguments, "--workers", "1", "--plain").returncode == 1
    said = "trial.save was given what only PyTorch writes, which is not installed"
    assert said in bare.run("show", "0").stdout


def test_a_worker_refuses_a_built_in_objective_in_a_line(bare: Lab) -> None:
    bare.write_space(**BUILT_IN)
    master = bare.master("--plain")
    bare.wait_for_words(master, "workers can be started")
    done = bare.run("worker", "--logs", "logs", "--time-limit", "5s")
    assert f"(space: objective mnist-cnn {HINT})" in only_line(done)
    assert not bare.seen(), "it is still there for another host"


@pytest.mark.parametrize("command", ["try", "master"])
def test_what_would_train_here_refuses_before_it_begins(bare: Lab, command: str) -> None:
    bare.write_space(**BUILT_IN)
    workers = ["--workers", "1"] if command == "master" else []
    done = bare.run(command, "--space", "space.json", *workers)
    assert only_line(done) == f"distune: objective mnist-cnn {HINT}"
    assert not (bare.logs / "space").exists()


def test_a_sampler_that_needs_torch_says_so_before_anything_is_published(bare: Lab) -> None:
    done = bare.run("master", *own(bare, sampler="gp"))
    assert only_line(done) == f"distune: sampler gp {HINT}"
    assert not (bare.logs / "space").exists()


def test_scikit_learn_is_asked_for_where_its_data_set_is(bare: Lab, tmp_path: Path) -> None:
    there = tmp_path / "without" / "sitecustomize.py"
    there.write_text(WITHOUT.replace('"torch", "torchvision", "sklearn"', '"sklearn",'))
    bare.write_space(**BUILT_IN)
    said = only_line(bare.run("try", "--space", "space.json"))
    assert said == f"distune: objective mnist-cnn {HINT.replace('torch', 'sklearn', 1)}"


def test_all_else_works_without_them(bare: Lab) -> None:
    for command in (["presets"], ["check", "quickstart"], ["init", "made.json"]):
        assert bare.run(*command).returncode == 0, command
    arguments = own(bare, sampler="random")
    assert bare.run("master", *arguments, "--workers", "1", "--plain").returncode == 0
    assert json.loads(bare.run("status", "--json").stdout)["trials"]["counted"] == 4
    for what in (["top", "--plain"], ["best"], ["show", "0"], ["verify"], ["export", "--out", "-"]):
        done = bare.run(*what)
        assert done.returncode == 0, (what, done.stderr)
