"""`distune launch compose`: the file it writes, and one real run.

For the real run see `tests.test_docker`, whose rig it is.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from distune.launch.compose import Composition, compose_file
from tests.conftest import Lab
from tests.test_docker import CONTAINERS, Rig, rig, until

__all__ = ["rig"]


def composed(**fields: Any) -> Any:
    some = {
        "name": "distune-s1", "master": ["master"], "worker": ["worker"], "workers": 3,
        "image": "distune", "logs": "/home/me/$logs: new", "work": "/home/me/work", "data": None,
        "user": "1000:1000",
    }  # fmt: skip
    return yaml.safe_load(compose_file(Composition(**{**some, **fields})))


def sources(service: Any) -> dict[str, str]:
    return {one["target"]: one["source"] for one in service["volumes"]}


def test_both_see_the_same_folders_and_run_as_the_same_user() -> None:
    services = composed()["services"]
    assert list(services) == ["master", "worker"]
    for service in services.values():
        assert sources(service) == {
            "/logs": "/home/me/$$logs: new",  # compose fills nothing in for $$
            "/data": "data",
            "/work": "/home/me/work",
        }
        assert [one.get("read_only", False) for one in service["volumes"]] == [False, False, True]
        assert service["user"] == "1000:1000"
    assert composed()["volumes"] == {"data": {}}
    assert services["worker"]["scale"] == 3


def test_a_folder_with_data_takes_the_volume_s_place() -> None:
    with_data = composed(data="/data sets")
    assert sources(with_data["services"]["worker"])["/data"] == "/data sets"
    assert "volumes" not in with_data


def test_gpus_are_the_worker_s() -> None:
    services = composed(gpus=True)["services"]
    devices = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
    assert "deploy" not in services["master"]


def test_a_dry_run_writes_what_docker_would_run_as_this_user(lab: Lab) -> None:
    lab.write_space()
    lab.logs.mkdir()
    options = ["--objective", "train.py:train", "--workers", "2", "--dry-run"]
    done = lab.run("launch", "compose", "--space", "space.json", *options)
    assert done.returncode == 0, done.stderr
    assert "docker compose -f distune-space.compose.yaml up --detach" in done.stdout
    services = yaml.safe_load((lab.folder / "distune-space.compose.yaml").read_text())["services"]
    both = ["--logs", "/logs", "--study", "space"]
    own = ["--objective", "train.py:train"]
    assert services["master"]["command"] == [
        "master", "--space", "space.json", *both, "--plain", *own,
    ]  # fmt: skip
    assert services["worker"]["command"] == ["worker", *both, "--jobs", "1", *own]
    assert services["worker"]["user"] == f"{os.getuid()}:{os.getgid()}"
    assert sources(services["worker"])["/work"] == str(lab.folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--space nothing.json", "nothing.json: there is no such file"),
        ("--space space.json --logs nowhere", "nowhere: there is no such folder"),
        ("--space ../other.json", "lies outside the current directory"),
        ("--space space.json --gpus --workers 2", "--jobs auto"),
        ("--space space.json --workers 0", "--workers"),
        ("--space space.json", "there is no docker on this machine's path"),
    ],
)
def test_what_cannot_work_is_one_clear_line_and_exit_status_2(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    lab.write_space()
    (lab.folder.parent / "other.json").write_text((lab.folder / "space.json").read_text())
    lab.logs.mkdir()
    done = lab.run("launch", "compose", *options.split())
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not list(lab.folder.glob("*.yaml"))


def test_a_killed_worker_s_trials_are_trained_by_the_others(
    rig: Rig, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CONTAINERS
    rig.build()
    lab.write_space(
        params={"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": 10, "pause": 0.2},
        trials=30,
        objective="train:train",
    )
    lab.logs.mkdir()
    tools = lab.folder.parent / "tools"
    tools.mkdir()
    (tools / "podman-compose").symlink_to(Path(CONTAINERS) / "compose.sh")
    monkeypatch.setenv(
        "PATH", f"{tools}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    )
    project = f"distune-{rig.project}"
    options = ["--image", rig.project, "--workers", "3", "--objective", "train.py:train"]
    study = ["--study", rig.project]
    try:
        done = lab.run("launch", "compose", "--space", "space.json", *study, *options)
        assert done.returncode == 0, done.stderr
        assert "started: a master and 3 workers" in done.stdout
        found = rig.pod("ps", "--format", "{{.Names}}", "--filter", f"name={project}").split()
        workers = [name for name in found if "worker" in name]
        assert len(workers) == 3
        host = rig.pod("exec", workers[0], "hostname")

        def taken() -> bool:
            names = lab.names(study=rig.project)
            return any(re.search(rf"\.{host}-.*taken", name) for name in names)

        until(taken, "the worker takes a trial")
        rig.pod("kill", workers[0])
        until((lab.logs / rig.project / "finished.json").exists, "the study ends", 120.0)
        assert lab.counted(rig.project) == list(range(30))
        assert [name for name in lab.seen(rig.project) if f".{host}-" in name and "lost" in name]
    finally:
        for name in rig.pod("ps", "-aq", "--filter", f"name={project}").split():
            rig.pod("rm", "-f", "-t", "1", name)
