"""Code that another user left in a shared folder, and that must not run when a user types
commands there (SECURITY.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distune import __version__
from distune.cli.app import COMMANDS
from distune.training.children import python_command
from tests.conftest import Lab, wait_until

#: Modules that distune, its libraries or Python itself import sooner or later; and names that
#: Python or a test runner would run by itself.
PLANTED = (
    *("argparse", "ast", "base64", "collections", "contextlib", "copy", "ctypes", "dataclasses"),
    *("enum", "faulthandler", "functools", "hashlib", "html", "importlib", "io", "json", "logging"),
    *("math", "multiprocessing", "os", "pickle", "queue", "random", "re", "runpy", "secrets"),
    *("select", "shutil", "signal", "site", "socket", "statistics", "string", "subprocess"),
    *("tempfile", "threading", "traceback", "types", "typing", "uuid", "warnings", "zipfile"),
    *("distune", "filelock", "msgspec", "numpy", "optuna", "pandas", "psutil"),
    *("pyarrow", "pydantic", "rich", "starlette", "torch", "torchvision", "typer"),
    *("typing_extensions", "uvicorn"),
    *("conftest", "sitecustomize", "usercustomize", "__init__", "__main__", "train"),
)
#: Not `python -m distune`, for which Python itself looks in the current directory first.
DISTUNE = str(Path(sys.executable).with_name("distune"))
_CODE = """\
import os
with open(os.environ["PLANTED_RAN"], "a") as file:
    file.write(__file__ + "\\n")
"""


class Planted:
    """A logs directory full of such modules, in which commands are typed."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.logs = lab.logs
        self.ran = lab.folder / "ran"
        self.environment = {**os.environ, "PLANTED_RAN": str(self.ran)}
        self.logs.mkdir()
        for name in PLANTED:
            (self.logs / f"{name}.py").write_text(_CODE)
        for folder in ("distune", "numpy", "torch", "encodings"):
            (self.logs / folder).mkdir()
            for name in ("__init__", "__main__"):
                (self.logs / folder / f"{name}.py").write_text(_CODE)

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run `distune ARGUMENTS` in the shared folder, and see that nothing of it was run."""
        done = subprocess.run(
            [DISTUNE, *arguments],
            cwd=self.logs,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert not self.ran.exists(), self.ran.read_text()
        return done.stdout + done.stderr


@pytest.fixture
def planted(lab: Lab) -> Planted:
    return Planted(lab)


def test_what_is_planted_would_run_where_python_looks(planted: Planted) -> None:
    """The trap works: this is what a command that trusts its folder would do."""
    command = [sys.executable, "-c", "import queue"]
    subprocess.run(command, cwd=planted.logs, env=planted.environment, check=False)
    assert planted.ran.exists()


@pytest.mark.long
def test_no_command_runs_what_is_planted_in_the_folder_where_it_is_typed(planted: Planted) -> None:
    space = planted.lab.write_space(objective="train:quick", trials=3)
    objective = ["--objective", f"{planted.lab.folder / 'train.py'}:quick"]
    on_space = ["--space", str(space), "--logs", "."]
    typed = {
        "master": [*on_space, "--workers", "1", *objective],
        "worker": ["--logs", ".", "--device", "cpu", *objective],
        "doctor": ["--logs", "."],
        "report": ["--logs", "."],
        "dashboard": ["--logs", ".", "--host", "192.0.2.1"],  # a mistake: of no host
        "export": ["--logs", "."],
        "show": ["1", "--logs", "."],
        "try": ["--space", str(space), *objective],
        "init": ["mine.json"],
        "check": [str(space)],
        "presets": [],
        "data": ["imagenet"],  # a mistake: it downloads nothing
        **{name: ["--logs", "."] for name in ("top", "status", "best", "verify")},
        "pause": ["space", "--logs", "."],  # a mistake: it is over
        **{name: ["space", "--logs", "."] for name in ("stop", "resume", "clean")},
        "enqueue": ["space", "{}", "--logs", "."],
        "drop": ["space", "0", "--logs", "."],
        "retry": ["space", "1", "--logs", "."],
        "importance": ["space", "--logs", "."],  # a mistake: there are three trials
        "extend": ["space", "2", "--set", "x=2", "--logs", "."],
        "launch": ["slurm", "--logs", ".", "--dry-run"],
    }
    mistakes = ("dashboard", "data", "importance", "pause")
    assert set(typed) == set(COMMANDS)
    for command, arguments in typed.items():
        planted.run(command, *arguments, status=2 * (command in mistakes))
    planted.run("launch", "ssh", "--logs", ".", "--dry-run", "nowhere")
    planted.run(
        *("launch", "k8s", "--dry-run", "--space", str(space), "--claim", "c", "--image", "i"),
        *objective,
    )
    for kind in ("parquet", "jsonl", "optuna", "tensorboard"):
        planted.run("export", "--logs", ".", "--format", kind)


@pytest.mark.parametrize("command", [[DISTUNE], [sys.executable, "-m", "distune"]])
@pytest.mark.long
def test_what_lies_where_a_user_works_hides_no_library_however_distune_is_started(
    lab: Lab, command: list[str]
) -> None:
    """A `PYTHONPATH` with an empty entry has Python look there first, in every process."""
    for name in ("queue", "filelock", "psutil", "torch"):
        (lab.folder / f"{name}.py").write_text("raise RuntimeError('not the library')")
    (lab.folder / "helper.py").write_text("HALF = 0.5\n")
    (lab.folder / "train.py").write_text(
        "import queue, helper\ndef train(params):\n    return helper.HALF\n"
    )
    lab.write_space(trials=3, metric=None)
    options = ["--space", "space.json", "--workers", "1", "--objective", "train:train", "--plain"]
    done = subprocess.run(
        [*command, "master", *options],
        cwd=lab.folder,
        env={**os.environ, "PYTHONPATH": f":{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.counted() == [0, 1, 2]


def test_a_package_called_distune_where_a_user_works_is_not_run_by_what_distune_starts(
    tmp_path: Path,
) -> None:
    (tmp_path / "distune").mkdir()
    for name in ("__init__", "__main__"):
        (tmp_path / "distune" / f"{name}.py").write_text("raise RuntimeError('not the program')")
    for path in (":", str(tmp_path), ""):
        done = subprocess.run(
            python_command("distune", "--version"),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == f"distune {__version__}\n", done.stderr


def test_a_workload_is_trained_where_code_is_planted(planted: Planted) -> None:
    """With torch, and the threads and processes that it starts."""
    params = {"epochs": 1}
    space = planted.lab.write_space(
        objective="spirals", params=params, metric=None, direction=None, trials=1
    )
    planted.run("master", "--space", str(space), "--logs", ".", "--workers", "1")
    assert planted.lab.seen()


@pytest.mark.parametrize("objective", ["train.py:train", "train:train"])
def test_an_objective_in_the_shared_folder_is_refused(planted: Planted, objective: str) -> None:
    said = planted.run("worker", "--logs", ".", "--objective", objective, status=2)
    assert f"--objective {objective}: it lies in {planted.logs}" in said
    assert "choose another --logs" in said


@pytest.mark.parametrize("objective", ["mine:train", "mine.py:train"])
@pytest.mark.long
def test_what_lies_beside_an_objective_does_not_hide_a_library(lab: Lab, objective: str) -> None:
    """A file of the user's own folder is found, after all that Python has."""
    code = lab.folder / "code"
    code.mkdir()
    (code / "colorsys.py").write_text("raise RuntimeError('not the library')")
    (code / "helper.py").write_text("def half(x):\n    return x / 2\n")
    (code / "mine.py").write_text(
        "import colorsys\nfrom helper import half\n"
        "def train(params):\n    return half(params['x']) + colorsys.rgb_to_yiq(0, 0, 0)[0]\n"
    )
    lab.write_space(objective="mine:train", trials=2)
    lab.master("--plain")
    wait_until(lambda: lab.names(), what="it is published")
    worker = subprocess.run(
        [DISTUNE, "worker", "--logs", str(lab.logs), "--objective", objective, "--jobs", "1"],
        cwd=code,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert worker.returncode == 0, worker.stderr
    best = json.loads(lab.run("best", "--json").stdout)
    assert best["result"]["value"] == best["params"]["x"] / 2
