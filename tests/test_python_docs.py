"""What docs/python.md shows is run, and so are its examples."""

from __future__ import annotations

import doctest
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import distune.python.space
from tests.conftest import Lab

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "python"
AS_WRITTEN = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
CLAIMING = {
    "plain_pytorch.py": ("space", 4, ()),
    "xgboost_trees.py": ("trees", 6, ("xgboost",)),
    "lightning_trainer.py": ("space", 4, ("lightning",)),
    "hugging_face.py": ("space", 4, ("transformers", "accelerate")),
}


def test_the_page_shows_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(
        str(ROOT / "docs" / "python.md"),
        module_relative=False,
        globs={"__name__": "__main__"},
        optionflags=AS_WRITTEN,
    )
    assert found.attempted > 5
    assert found.failed == 0


def test_docstrings_show_what_happens() -> None:
    found = doctest.testmod(distune.python.space)
    assert found.attempted > 2
    assert found.failed == 0


def lacks(modules: tuple[str, ...]) -> bool:
    """Whether one of them cannot be imported here."""
    names = "; ".join(f"import {name}" for name in modules)
    return subprocess.run([sys.executable, "-c", names], capture_output=True).returncode != 0


@pytest.mark.long
@pytest.mark.parametrize("script", CLAIMING)
def test_a_loop_of_each_framework_trains_a_study(lab: Lab, script: str) -> None:
    study, trials, needs = CLAIMING[script]
    if lacks(needs):
        pytest.skip(f"{', '.join(needs)} cannot be imported here")
    shutil.copy(EXAMPLES / f"{study}.json", lab.folder)
    master = lab.master("--plain", space=f"{study}.json")
    loop = lab.start_program([sys.executable, str(EXAMPLES / script), "logs"])
    assert loop.wait(120) == 0, lab.log_of(loop)
    assert master.wait(30) == 0
    assert lab.counted(study) == list(range(trials))
    assert "failed" not in lab.log_of(loop)


@pytest.mark.long
def test_two_processes_of_torchrun_train_each_trial_together(lab: Lab) -> None:
    shutil.copy(EXAMPLES / "space.json", lab.folder)
    master = lab.master("--plain")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    loop = lab.start_program([*command, str(EXAMPLES / "torchrun.py"), "logs"])
    assert loop.wait(120) == 0, lab.log_of(loop)
    assert master.wait(30) == 0
    assert lab.counted() == [0, 1, 2, 3]


@pytest.mark.long
def test_a_search_of_scikit_learn_is_a_call(lab: Lab) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "scikit_learn.py")],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "maximize accuracy, 12 trials, best 0.9" in done.stdout


@pytest.mark.long
def test_the_notebook_runs_and_shows_what_it_shows(lab: Lab) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    path = EXAMPLES / "notebook.ipynb"
    notebook = nbformat.read(path, as_version=4)
    shown = [_kinds(cell) for cell in notebook.cells]
    kernel = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    place = lab.folder / "jupyter" / "kernels" / "python3"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps({**kernel, "display_name": "Python 3"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(lab.folder / "jupyter"))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        resources = {"metadata": {"path": str(lab.folder)}}
        options = {"timeout": 120, "resources": resources, "kernel_name": "python3"}
        nbclient.NotebookClient(notebook, **options).execute()
    assert [_kinds(cell) for cell in notebook.cells] == shown
    assert any("text/html" in kinds for kinds in shown)


def _kinds(cell: dict[str, object]) -> list[str]:
    """What a cell shows: kinds of its outputs."""
    outputs = cell.get("outputs", [])
    assert isinstance(outputs, list)
    return sorted(kind for one in outputs for kind in one.get("data", {}))
