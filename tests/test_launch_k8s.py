"""`distune launch k8s`: its manifests, checked against the schemas of Kubernetes' own API.

What the schemas cannot say (a rule for one field that depends on another) is checked here.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from distune.errors import UserError
from distune.launch.k8s import Cluster, manifests
from distune.launch.names import object_name
from distune.launch.yaml_text import to_yaml
from tests.conftest import Lab

SPACE = '{"objective": "train:train"}\n'
SMALL = Cluster(
    study="s1", master=["master", "--space", "quickstart"], worker=["worker", "--logs", "/logs"],
    workers=3, image="distune", claim="shared-logs",
)  # fmt: skip
LARGE = Cluster(
    study="Scan_2.b", master=["master"], worker=["worker"], workers=8,
    image="registry.example/distune:cuda", claim="logs", data_claim="data",
    files={"space.json": SPACE, "train.py": "def train(params):\n\treturn 1.0 \n"},
    cpus="8", memory="32Gi", gpus=2, queue="team-a", namespace="lab",
)  # fmt: skip


def documents(cluster: Cluster) -> dict[str, Any]:
    """By what they are for: files, master, worker."""
    return {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one
        for one in yaml.safe_load_all(manifests(cluster))
    }


def pod(job: Any) -> Any:
    return job["spec"]["template"]["spec"]


def last_minors() -> list[str]:
    try:
        from kubernetes_validate.utils import all_versions
    except ImportError:
        return []
    return [str(version) for version in all_versions()[-3:]]


@pytest.mark.parametrize("cluster", [SMALL, LARGE], ids=["small", "large"])
def test_the_last_three_minor_versions_of_kubernetes_know_every_field(cluster: Cluster) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    assert len(last_minors()) == 3
    for version in last_minors():
        for document in documents(cluster).values():
            assert version.startswith(validator.validate(document, version, strict=True))


def test_a_field_that_kubernetes_does_not_have_is_noticed() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    job = documents(SMALL)["worker"]
    job["spec"]["backOffLimitPerIndex"] = 1
    with pytest.raises(validator.ValidationError):
        validator.validate(job, last_minors()[-1], strict=True)


def test_workers_are_an_indexed_job_of_which_each_may_be_evicted_for_nothing() -> None:
    job = documents(SMALL)["worker"]
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 3
    assert spec["backoffLimitPerIndex"] > 0
    assert "backoffLimit" not in spec, "or the failures of one would end all"
    ignore, mistake = spec["podFailurePolicy"]["rules"]
    assert ignore == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert mistake == {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}}
    assert pod(job)["restartPolicy"] == "Never", "a podFailurePolicy demands it"
    assert pod(job)["terminationGracePeriodSeconds"] == 60
    assert pod(job)["containers"][0]["args"] == ["worker", "--logs", "/logs"]


def test_the_master_is_one_and_its_successor_waits_until_it_is_gone() -> None:
    spec = documents(SMALL)["master"]["spec"]
    assert "completions" not in spec
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["containers"][0]["args"][0] == "master"


def test_both_have_the_claims_and_the_files_and_only_workers_the_gpus() -> None:
    found = documents(LARGE)
    assert found["files"]["data"] == dict(LARGE.files), "to the last space and tab"
    for part in ("master", "worker"):
        mounts = pod(found[part])["containers"][0]["volumeMounts"]
        at = {one["name"]: one["mountPath"] for one in mounts}
        assert at == {"logs": "/logs", "data": "/data", "files": "/work"}
        assert pod(found[part])["volumes"] == [
            {"name": "logs", "persistentVolumeClaim": {"claimName": "logs"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "files", "configMap": {"name": "distune-scan-2-b-files"}},
        ]
    limits = {
        part: pod(found[part])["containers"][0]["resources"]["limits"]
        for part in found
        if part != "files"
    }
    assert limits["worker"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2"}
    assert "nvidia.com/gpu" not in limits["master"]


def test_kueue_s_label_is_on_the_jobs_and_on_nothing_else() -> None:
    label = "kueue.x-k8s.io/queue-name"
    found = documents(LARGE)
    labels = {part: one["metadata"]["labels"].get(label) for part, one in found.items()}
    assert labels == {"files": None, "master": "team-a", "worker": "team-a"}
    assert label not in found["worker"]["spec"]["template"]["metadata"]["labels"]
    assert {one["metadata"]["namespace"] for one in found.values()} == {"lab"}
    assert label not in manifests(SMALL)


@pytest.mark.parametrize(
    ("study", "name"),
    [
        ("mnist", "distune-mnist"),
        ("Scan_2.b", "distune-scan-2-b"),
        ("a" * 90, "distune-" + "a" * 40),
    ],
)
def test_an_object_is_named_as_kubernetes_allows(study: str, name: str) -> None:
    assert object_name(study) == name


@pytest.mark.parametrize(
    ("files", "said"),
    [({"my train.py": ""}, "rename it"), ({"train.py": "#" * 2**20}, "an image of your own")],
)
def test_files_that_kubernetes_does_not_pass_on_are_refused(
    files: dict[str, str], said: str
) -> None:
    cluster = Cluster("s1", ["master"], ["worker"], 1, "distune", "logs", files=files)
    with pytest.raises(UserError, match=said):
        manifests(cluster)


@pytest.mark.parametrize(
    "text", ["1e3", "y", "0o17", ".5", "-1", "on", "null", "~", "1_000", "a: b"]
)
def test_text_is_text_to_readers_of_yaml_1_1_and_1_2(text: str) -> None:
    written = to_yaml({"study": text}, comment="x").splitlines()[-1]
    assert written[7:8] in ('"', "'")
    assert yaml.safe_load(written) == {"study": text}


def test_a_dry_run_takes_the_space_file_and_the_objectives_along(lab: Lab) -> None:
    lab.write_space()
    options = ["--image", "distune", "--claim", "logs", "--workers", "2", "--jobs", "1"]
    own = ["--objective", "train.py:train", "--objective", "installed.module:train"]
    done = lab.run("launch", "k8s", "--space", "space.json", *options, *own, "--dry-run")
    assert done.returncode == 0, done.stderr
    file = "distune-space.k8s.yaml"
    assert f"kubectl apply -f {file}" in done.stdout
    found = list(yaml.safe_load_all((lab.folder / file).read_text()))
    files = {name: (lab.folder / name).read_text() for name in ("space.json", "train.py")}
    assert found[0]["data"] == files
    assert [pod(job)["containers"][0]["args"] for job in found[1:]] == [
        ["master", "--space", "space.json", "--logs", "/logs", "--study", "space", "--plain", *own],
        ["worker", "--logs", "/logs", "--study", "space", "--jobs", "1", *own],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--space nothing.json --image i --claim c", "nothing.json: there is no such file"),
        ("--space space.json --image i", "--claim"),
        ("--space space.json --image i --claim c --workers 0", "--workers"),
        ("--space space.json --image i --claim c --objective no.py:train", "there is no file"),
        ("--space space.json --image i --claim c", "there is no kubectl on this machine's path"),
    ],
)
def test_what_cannot_work_is_one_clear_line_and_exit_status_2(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    lab.write_space()
    done = lab.run("launch", "k8s", *options.split())
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not list(lab.folder.glob("*.yaml"))


def test_what_kubectl_says_no_to_is_passed_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = lab.folder / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text('#!/bin/sh\necho "error: no cluster" >&2\nexit 1\n')
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{kubectl.parent}:/usr/bin:/bin")
    done = lab.run("launch", "k8s", "--space", "quickstart", "--image", "i", "--claim", "c")
    assert done.returncode == 2
    assert (
        "kubectl apply -f distune-quickstart.k8s.yaml failed (1): error: no cluster" in done.stderr
    )
