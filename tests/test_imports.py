"""What is loaded when: the command line stays quick, and torch stays under workloads/."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from distune.cli.app import COMMANDS
from distune.cli.group import python_name

PACKAGE = Path(__file__).parent.parent / "distune"
HEAVY = ("torch", "torchvision", "numpy", "optuna", "sklearn", "scipy", "pandas")


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after running `code` in a fresh interpreter."""
    program = f"{code}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module",
    [
        "distune",
        "distune.cli",
        *(f"distune.cli.commands.{python_name(command)}" for command in COMMANDS),
        "distune.master.run",
        "distune.worker.run",
        "distune.watch.display",
        "distune.training.executor",
    ],
)
def test_nothing_heavy_is_loaded_by(module: str) -> None:
    assert loaded_by(f"import {module}") & set(HEAVY) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["presets"], ["check", "quickstart"]])
def test_nothing_heavy_is_loaded_by_running(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['distune', *{arguments}]\n"
        "from distune.cli import main\n"
        "try: main()\nexcept SystemExit as e: assert not e.code"
    )
    assert loaded_by(code) & set(HEAVY) == set()


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2"])
def test_looking_at_a_study_that_learns_loads_no_optuna(tmp_path: Path, sampler: str) -> None:
    """Its import takes a second, and warns in notebooks without widgets."""
    x = {"type": "float", "low": 0, "high": 1}
    space = {"params": {"x": x, "y": x}, "objective": "a:b", "metric": "loss",
             "direction": "minimize", "trials": 9, "sampler": sampler}  # fmt: skip
    code = (
        "import distune\n"
        "from distune.share.folder import Folder\nfrom distune.share.store import Store\n"
        "from distune.space_file.freeze import freeze\n"
        "from distune.space_file.read import parse_space_file\n"
        f"file = parse_space_file({json.dumps(json.dumps(space))}, 'space.json')\n"
        "study = freeze(file, name='s', study_id='s', lease=5.0, created=0.0)\n"
        f"Store(Folder({str(tmp_path)!r})).create(study)\n"
        f"repr(distune.load({str(tmp_path)!r}))"
    )
    assert "optuna" not in loaded_by(code)


def test_the_list_of_commands_loads_none_of_them() -> None:
    code = (
        "import sys; sys.argv = ['distune', '--help']\n"
        "from distune.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"assert not [c for c in {list(COMMANDS)} if f'distune.cli.commands.{{c}}' in sys.modules]"
    )
    loaded_by(code)


def test_torch_is_named_under_workloads_alone() -> None:
    importers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if any(name.split(".")[0] in ("torch", "torchvision") for name in names):
                importers.add(path.relative_to(PACKAGE).parts[0])
    assert importers == {"workloads"}


def test_only_the_store_touches_trial_files_and_only_the_protocol_knows_a_suffix() -> None:
    renaming, suffixes = set(), set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if "os.rename" in text or "os.link" in text or ".rename(" in text:
            renaming.add(path.name)
        code = ast.parse(text)
        strings = {
            node.value
            for node in ast.walk(code)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        docstrings = {ast.get_docstring(n, clean=False) for n in ast.walk(code)
                      if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)}  # fmt: skip
        if any(".jsonl" in s or ".taken" in s for s in strings - docstrings):
            suffixes.add(path.name)
    # Data sets are downloaded beside the share; the doctor tries whether there are hard links,
    # on a file that no study has; the training process saves checkpoints, each under its own name.
    others = {"folders.py", "surroundings.py", "checkpoint_folder.py"}
    assert renaming <= {"drafts.py", "folder.py", "study_files.py"} | others
    assert suffixes <= {"protocol.py", "study_documents.py"}  # the README of a study's folder


@pytest.mark.parametrize(
    "optimizer", ["sgd", *(pytest.param(o, marks=pytest.mark.slow) for o in ("adam", "rmsprop"))]
)
def test_a_training_does_not_load_torchs_compiler(optimizer: str) -> None:
    params = {
        "dataset": "digits", "n_filters": 2, "n_train": 40, "n_validation": 20, "epochs": 1,
        "optimizer": optimizer,
    }  # fmt: skip
    code = (
        "from distune.workloads.mnist_cnn import MNIST_CNN\n"
        "from distune.workloads.trainer.trainer import train\nfrom tests.trials import QuietTrial\n"
        f"assert len(list(train(MNIST_CNN, {params}, QuietTrial()))) == 1"
    )
    assert loaded_by(code) & {"sympy", "torch"} == {"torch"}
