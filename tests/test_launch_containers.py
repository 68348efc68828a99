"""What `distune launch compose` and `distune launch k8s` write, run by Podman.

It is asked for, and provided, as `tests.test_docker` says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Lab
from tests.test_docker import Rig, rig_in, until


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """With its image."""
    with rig_in(tmp_path_factory.mktemp("rig")) as one:
        one.build()
        yield one


@pytest.fixture
def study(lab: Lab, rig: Rig) -> Iterator[str]:
    """A study of thirty trials, named as no container of another test's; removed with its own."""
    lab.write_space(
        params={"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": 10, "pause": 0.1},
        trials=30,
    )
    lab.logs.mkdir()
    lab.logs.chmod(0o777)
    yield rig.project
    for one in containers(rig, rig.project, "--all"):
        rig.pod("rm", "-f", "-t", "1", one)


def containers(rig: Rig, project: str, *options: str) -> list[str]:
    return rig.pod(
        "ps", *options, "--format", "{{.Names}}", "--filter", f"name={project}"
    ).split()  # fmt: skip


def wait_for_a_trial(lab: Lab, study: str, host: str) -> None:
    def taken() -> bool:
        return any(f".{host}-" in name and "taken" in name for name in lab.names(study=study))

    until(taken, f"{host} takes a trial")


def wait_for_the_end(lab: Lab, study: str, host: str) -> None:
    """Each trial is counted once, also that which a host has lost."""
    until((lab.logs / study / "finished.json").exists, "the study ends", 120.0)
    assert lab.counted(study) == list(range(30))
    assert [name for name in lab.seen(study) if f".{host}-" in name and name.endswith(".lost")]


def test_compose_starts_a_master_and_workers_of_which_one_may_be_killed(
    lab: Lab, rig: Rig, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = lab.folder / "tools"
    tools.mkdir()
    (tools / "podman-compose").symlink_to(rig.folder / "compose.sh")
    path = f"{tools}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    monkeypatch.setenv("PATH", path)  # without any docker
    options = ["--image", rig.project, "--workers", "3", "--objective", "train.py:train"]
    done = lab.run("launch", "compose", "--space", "space.json", "--study", study, *options)
    assert done.returncode == 0, done.stderr
    assert "started: a master and 3 workers" in done.stdout
    workers = [name for name in containers(rig, study) if "worker" in name]
    assert len(workers) == 3
    host = rig.pod("exec", workers[0], "hostname")
    wait_for_a_trial(lab, study, host)
    rig.pod("kill", workers[0])
    wait_for_the_end(lab, study, host)


def pods(manifests: list[Any], logs: Path) -> list[Any]:
    """What the controllers of Jobs would make of them, with a folder of this machine's."""
    files, *jobs = manifests
    found = [files]
    for job in jobs:
        for index in range(job["spec"].get("completions", 1)):
            template = json.loads(json.dumps(job["spec"]["template"]))
            name = f"{job['metadata']['name']}-{index}"
            template["spec"]["containers"][0]["imagePullPolicy"] = "Never"
            for volume in template["spec"]["volumes"]:
                if volume.pop("persistentVolumeClaim", None):
                    volume["hostPath"] = {"path": str(logs), "type": "Directory"}
            metadata = {**template["metadata"], "name": name}
            found.append({"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata})
    return found


def test_pods_of_kubernetes_find_the_study_in_their_config_map_and_drain_when_they_are_stopped(
    lab: Lab, rig: Rig, study: str
) -> None:
    options = ["--image", f"localhost/{rig.project}", "--claim", "logs", "--workers", "2"]
    own = ["--jobs", "1", "--memory", "512Mi", "--objective", "train.py:train", "--out", "jobs"]
    done = lab.run(
        "launch", "k8s", "--space", "space.json", "--study", study, *options, *own, "--dry-run"
    )
    assert done.returncode == 0, done.stderr
    manifests = list(yaml.safe_load_all((lab.folder / "jobs").read_text()))
    (lab.folder / "pods").write_text(yaml.safe_dump_all(pods(manifests, lab.logs)))
    rig.pod("kube", "play", str(lab.folder / "pods"))
    stopped = f"distune-{study}-worker-1"
    wait_for_a_trial(lab, study, stopped)
    rig.pod("stop", f"{stopped}-worker")
    assert rig.pod("inspect", f"{stopped}-worker", "--format", "{{.State.ExitCode}}") == "143"
    said = rig.pod("logs", f"{stopped}-worker")
    assert "SIGTERM: everything given back" in said
    wait_for_the_end(lab, study, stopped)
    rig.pod("kube", "down", str(lab.folder / "pods"))
