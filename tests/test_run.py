"""`distune.run`: a study from a script or a notebook, and the space said in Python."""

from __future__ import annotations

import functools
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy
import psutil
import pytest
import rich.console

import distune
from distune.errors import SpaceError, StudyFailed, UserError
from distune.python.giving import offer_of
from distune.python.progress import words
from distune.python.run import Settings
from distune.share.folder import Folder
from distune.share.records import load
from distune.share.store import Store
from distune.space_file.model import SpaceFile
from distune.space_file.read import parse_space_file
from distune.training.code import Code
from distune.training.offer import Offer
from tests.conftest import Lab, wait_until
from tests.test_imports import HEAVY, loaded_by

SCRIPT = """\
import distune
import beside

OFFSET = 0.3

class Square:
    def __call__(self, x):
        return (x - OFFSET) ** 2 + beside.NOTHING

def train(params):
    return Square()(params["x"]) + params["width"] * 1e-6

space = {"x": distune.Float(0, 1), "width": (32, 64)}
study = distune.run(train, space, trials=TRIALS, device="cpu")
print(len(study.trials), study.best.value < 0.3, study.best.params["width"] in (32, 64))
"""

SLOW = """\
import time
import distune

def train(params):
    for step in range(1000):
        time.sleep(0.05)
        yield {"loss": params["x"]}

try:
    distune.run(train, {"x": distune.Float(0, 1)}, trials=4, metric="loss", device="cpu")
except KeyboardInterrupt:
    print("interrupted")
"""


def of_module(params: dict[str, Any]) -> float:
    return float(params["x"])


def always_fails(params: dict[str, Any]) -> float:
    raise ValueError("never works")


def run_script(lab: Lab, text: str, name: str = "search.py") -> subprocess.CompletedProcess[str]:
    (lab.folder / name).write_text(text)
    return subprocess.run(
        [sys.executable, name],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# -- the space ---------------------------------------------------------------------------------


def test_a_space_in_python_says_what_the_space_file_says() -> None:
    space = distune.Space(
        {
            "lr": distune.Float(1e-4, 1, log=True),
            "dropout": distune.Float(0, 0.5, step=0.1, when={"optimizer": "sgd"}),
            "depth": distune.Int(0, 8, step=2),
            "optimizer": distune.Choice(["sgd", "adam"]),
            "width": (32, 64),
            "batch": numpy.array([16, 32]),
            "layers": range(1, 4),
            "shape": [[1, 2], {"a": 3}],
            "epochs": numpy.int64(3),
        },
        exclude=[{"optimizer": "adam", "depth": (6, 8)}],
    )
    file = """{
      "params": {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": true},
        "dropout": {"low": 0.0, "high": 0.5, "step": 0.1, "when": {"optimizer": "sgd"}},
        "depth": {"type": "int", "low": 0, "high": 8, "step": 2},
        "optimizer": ["sgd", "adam"],
        "width": [32, 64],
        "batch": [16, 32],
        "layers": [1, 2, 3],
        "shape": [[1, 2], {"a": 3}],
        "epochs": 3
      },
      "exclude": [{"optimizer": "adam", "depth": [6, 8]}]
    }"""
    rest = '"objective": "train:train", "direction": "minimize"'

    def parsed(text: str) -> SpaceFile:
        return parse_space_file(text.replace("{", f"{{{rest},", 1), "space.json")

    assert parsed(space.to_json()) == parsed(file)


def test_all_that_a_space_file_may_say_can_be_said_in_python() -> None:
    otherwise = {"params", "exclude", "name", "objective", "command", "result"}
    otherwise |= {"sampler_options", "pruner_options"}
    assert Settings.__annotations__.keys() == SpaceFile.model_fields.keys() - otherwise


def test_distune_stays_light() -> None:
    assert loaded_by("import distune") & {*HEAVY, "pydantic", "msgspec", "rich"} == set()


# -- running -----------------------------------------------------------------------------------


def test_a_function_of_a_script_is_searched_and_the_same_call_goes_on(lab: Lab) -> None:
    (lab.folder / "beside.py").write_text("NOTHING = 0.0\n")
    done = run_script(lab, SCRIPT.replace("TRIALS", "6"))
    assert done.stdout == "6 True True\n", done.stderr
    assert "6/6 trials" in done.stderr
    more = run_script(lab, SCRIPT.replace("TRIALS", "8"))
    assert more.stdout == "8 True True\n", more.stderr
    assert Store(Folder(lab.logs / "train")).load().objective == "search:train"


def test_what_it_hands_to_its_workers_never_lies_on_the_share(lab: Lab) -> None:
    (lab.folder / "beside.py").write_text("NOTHING = 0.0\n")
    assert run_script(lab, SCRIPT.replace("TRIALS", "2")).returncode == 0
    files = [one for one in lab.logs.rglob("*") if one.is_file()]
    assert files
    assert not any(b"cloudpickle" in one.read_bytes() for one in files)


def test_ctrl_c_loses_nothing(lab: Lab) -> None:
    (lab.folder / "slow.py").write_text(SLOW)
    process = lab.start_program([sys.executable, "slow.py"])
    wait_until(lambda: any("taken" in name for name in lab.names(study="train")))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "interrupted" in lab.log_of(process)
    assert not any("taken" in name for name in lab.names(study="train"))
    assert lab.names("workers", "train") == []


def test_a_kernel_that_is_killed_leaves_no_master_and_no_worker(lab: Lab) -> None:
    (lab.folder / "slow.py").write_text(SLOW)
    process = lab.start_program([sys.executable, "slow.py"])
    wait_until(lambda: any("taken" in name for name in lab.names(study="train")))
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 3  # a master, a worker, what trains
    process.kill()
    process.wait()
    wait_until(lambda: not any(one.is_running() for one in family), 30)
    assert not any("taken" in name for name in lab.names(study="train"))


def test_a_function_of_a_module_is_imported(tmp_path: Path) -> None:
    study = distune.run(
        of_module, {"x": [0.5, 0.25]}, logs=tmp_path, sampler="grid", device="cpu", name="two"
    )
    assert study.best is not None
    assert study.best.params == {"x": 0.25}
    assert Store(Folder(tmp_path / "two")).load().objective == f"{__name__}:of_module"
    said = study._repr_html_()
    assert "<td>★ 1</td>" in said.replace("★  ", "★ ")
    assert "value 0.25" in said
    console = rich.console.Console(width=80, record=True, file=io.StringIO())
    console.print(study)
    assert "Best: value 0.25" in console.export_text()


def test_a_built_in_objective_is_run_by_its_name(tmp_path: Path) -> None:
    study = distune.run(
        "spirals", {"epochs": 1, "lr": [0.01]}, logs=tmp_path, sampler="grid", device="cpu"
    )
    assert [trial.outcome for trial in study.trials] == ["complete"]


def test_a_study_whose_trials_all_fail_says_why(tmp_path: Path) -> None:
    with pytest.raises(StudyFailed, match="never works") as raised:
        distune.run(
            always_fails, {"x": [1, 2]}, logs=tmp_path, device="cpu", max_attempts=1, name="bad"
        )
    assert "logs=" in str(raised.value)
    assert "--logs" not in str(raised.value)


def test_another_space_is_not_searched_under_the_same_name(tmp_path: Path) -> None:
    def run(values: list[float]) -> Any:
        return distune.run(of_module, {"x": values}, logs=tmp_path, sampler="grid", device="cpu")

    run([0.5])
    with pytest.raises(UserError, match=r"holds another study.*name="):
        run([0.5, 0.25])


# -- mistakes ------------------------------------------------------------------------------------


def test_a_key_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"distune\.run: trails: unknown key.*'trials'"):
        distune.run(of_module, {"x": [1]}, logs=tmp_path, trails=3)  # type: ignore[call-arg]
    with pytest.raises(SpaceError, match=r"distune\.run: params\.x"):
        distune.run(of_module, {"x": distune.Float(1, 0)}, logs=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metric", ["val_accuracy", "AUC", "f1", "r2"])
def test_a_metric_of_which_more_is_better_is_not_minimized_unasked(
    tmp_path: Path, metric: str
) -> None:
    with pytest.raises(UserError, match='say direction="maximize"'):
        distune.run(of_module, {"x": [1]}, logs=tmp_path, metric=metric)


def test_what_cannot_be_handed_over_is_refused() -> None:
    lock = threading.Lock()
    with pytest.raises(UserError, match="cannot be handed to another process"):
        offer_of(lambda params: lock)
    data = numpy.random.default_rng(0).bytes(2**25)
    with pytest.raises(UserError, match="brings 32 MB of data"):
        offer_of(lambda params: len(data))
    with pytest.raises(UserError, match="give it a function"):
        offer_of(3)  # type: ignore[arg-type]


def test_what_has_no_name_is_handed_over_all_the_same() -> None:
    for objective in (lambda params: 3.0, functools.partial(max, 3.0)):
        offer = offer_of(objective)
        assert offer.name.endswith(":objective")
        assert load(Offer, json.dumps(offer.as_dict()).encode()).load()(2.0) == 3.0


def test_a_scripts_function_has_the_digest_that_a_worker_elsewhere_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "my-search.py"
    script.write_text("def train(params): return 1.0\n")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    monkeypatch.setattr(of_module, "__module__", "__main__")
    offer = offer_of(of_module)
    assert offer.name == "my-search:of_module"
    elsewhere = Offer.parse(f"{script}:of_module", tmp_path / "logs")
    assert elsewhere.name == offer.name
    assert Code.of_offer(elsewhere).digest == Code.of_offer(offer).digest != ""


# -- progress ------------------------------------------------------------------------------------


def snapshot(**fields: Any) -> dict[str, Any]:
    trials = {"counted": 3, "planned": 5, "running": 2, "outcomes": {"complete": 3, "failed": 1}}
    best = {"value": 0.98213, "trials": [7, 8], "params": {"lr": 0.05}}
    ranking = {"metric": "val_accuracy", "ranking": [best]}
    return {"trials": trials, **ranking, "state": "running", "eta_seconds": 190.0, **fields}


def test_progress_is_said_in_a_line() -> None:
    assert words(snapshot()) == (
        "3/5 trials  ·  best val_accuracy 0.9821 (trial 7: lr 0.05)  ·  1 failed  ·  2 running  ·  "
        "about 3m left"
    )
    assert words(snapshot(ranking=[], state="waiting for workers", eta_seconds=None)) == (
        "3/5 trials  ·  1 failed  ·  waiting for workers"
    )


def test_progress_can_be_seen_on_a_terminal(lab: Lab) -> None:
    import os
    import pty

    import pyte

    (lab.folder / "slow.py").write_text(SLOW.replace("range(1000)", "range(20)"))
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "slow.py"],
        cwd=lab.folder,
        stderr=child,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    lab.started.append(process)
    os.close(child)
    terminal = pyte.Screen(100, 20)
    stream = pyte.ByteStream(terminal)
    seen = set()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            stream.feed(os.read(parent, 65536))
        except OSError:  # its other end is closed
            break
        seen |= {line.strip() for line in terminal.display if "trials" in line}
    assert process.wait(30) == 0
    assert any(re.search(r"━.* [1-3]/4 trials", line) for line in seen), seen
    assert "4/4 trials" in terminal.display[0]
