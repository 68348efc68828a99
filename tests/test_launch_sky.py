"""`distune launch sky`: the YAML it writes has the fields that SkyPilot's reference names."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from distune.launch.sky import Nodes, sky_file
from tests.conftest import Lab

#: Of what SkyPilot reads: what a value may be, a type or a pattern.
TASK = {
    "name": r"[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*",
    "num_nodes": int,
    "resources": dict,
    "workdir": r"/.*",
    "volumes": dict,
    "setup": str,
    "run": str,
}
RESOURCES = {
    "infra": r"[a-z0-9]+(/.+)?",
    "accelerators": r"[\w-]+(:[\d.]+)?",
    "cpus": r"[\d.]+\+?",
    "memory": r"[\d.]+\+?",
    "use_spot": bool,
    "image_id": r"docker:.+",
}


def check(fields: dict[str, Any], known: dict[str, Any]) -> None:
    assert set(fields) <= set(known)
    for key, value in fields.items():
        wanted = known[key]
        if isinstance(wanted, str):
            assert isinstance(value, str), key
            assert re.fullmatch(wanted, value), (key, value)
        else:
            assert type(value) is wanted, key


def task(nodes: Nodes) -> Any:
    found = yaml.safe_load(sky_file(nodes))
    check(found, TASK)
    check(found.get("resources", {}), RESOURCES)
    return found


def test_a_worker_runs_on_each_node_and_gets_the_signals_itself() -> None:
    found = task(Nodes("distune", ["distune", "worker", "--logs", "/a b"], 4, "shared", "img"))
    assert found["num_nodes"] == 4
    assert found["run"] == "exec distune worker --logs '/a b'\n"
    assert found["volumes"] == {"/logs": "shared"}
    assert found["resources"] == {"image_id": "docker:img"}


def test_what_is_asked_for_is_in_the_file_and_nothing_else_is() -> None:
    found = task(
        Nodes(
            "distune-s1", ["distune"], 1, "v", setup="pip install x", work="/home/me",
            gpus="A100:1", cpus="8+", memory="32", infra="k8s/my-context", spot=True,
        )
    )  # fmt: skip
    assert found["resources"] == {
        "infra": "k8s/my-context", "accelerators": "A100:1", "cpus": "8+", "memory": "32",
        "use_spot": True,
    }  # fmt: skip
    assert (found["workdir"], found["setup"]) == ("/home/me", "pip install x")
    assert "resources" not in task(Nodes("distune", ["distune"], 1, "v", setup="true"))


def test_a_dry_run_copies_the_folder_with_the_objective_to_the_nodes(lab: Lab) -> None:
    options = "--volume v --image i --study Scan_2 --workers 2 --objective train.py:train --dry-run"
    done = lab.run("launch", "sky", *options.split())
    assert done.returncode == 0, done.stderr
    assert "sky jobs launch --name distune-scan-2 distune-Scan_2.sky.yaml" in done.stdout
    found = yaml.safe_load((lab.folder / "distune-Scan_2.sky.yaml").read_text())
    check(found, TASK)
    assert found["workdir"] == str(lab.folder)
    assert found["run"].split()[1:] == [
        "distune", "worker", "--logs", "/logs", "--study", "Scan_2",
        "--objective", "train.py:train",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--image i", "--volume"),
        ("--volume v", "give an --image that has it, or --setup"),
        ("--volume v --image i --workers 0", "--workers"),
        ("--volume v --image i --objective /etc/no.py:train", "there is no file"),
        ("--volume v --image i --objective ../out.py:train", "lies outside the current directory"),
        ("--volume v --image i", "there is no sky on this machine's path"),
    ],
)
def test_what_cannot_work_is_one_clear_line_and_exit_status_2(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (lab.folder.parent / "out.py").write_text("")
    done = lab.run("launch", "sky", *options.split())
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not list(lab.folder.glob("*.yaml"))
