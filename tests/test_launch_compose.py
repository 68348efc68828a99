"""`distune launch compose`: the file it writes. `tests.test_launch_containers` runs it."""

from __future__ import annotations

import os
from typing import Any

import pytest
import yaml

from distune.launch.compose import Composition, compose_file
from tests.conftest import Lab


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
