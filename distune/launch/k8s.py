"""Manifests for Kubernetes: a study's master as a Job, its workers as an Indexed Job."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distune.errors import UserError
from distune.launch.names import object_name
from distune.launch.yaml_text import to_yaml

#: Where the image has the studies, the data, and what belongs to one study.
LOGS, DATA, WORK = "/logs", "/data", "/work"
#: Seconds from the signal to the kill. A worker needs five, and what saves what it has longer.
_GRACE = 60
#: How often one worker may fail, as when its node does, before it is not started again.
_FAILURES = 20
_MOST_BYTES = 2**20 - 2**14  # of what a ConfigMap may hold
_USER = 1000  # the image's


@dataclass(frozen=True)
class Cluster:
    """What to ask of Kubernetes.

    Args:
        study: its name.
        master, worker: what follows `distune` on their command lines.
        files: text by name, to lie in `WORK`.
        claim, data_claim: the volume claims of `LOGS`, and of `DATA` if there is one.
        cpus, memory, gpus: of each worker.
        queue: of Kueue's.
    """

    study: str
    master: Sequence[str]
    worker: Sequence[str]
    workers: int
    image: str
    claim: str
    data_claim: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    cpus: str = "1"
    memory: str = "2Gi"
    gpus: int = 0
    queue: str | None = None
    namespace: str | None = None


def manifests(cluster: Cluster) -> str:
    """The text of the file.

    Raises:
        UserError: the files are too large for a ConfigMap, or have names that it cannot have.
    """
    documents = [_job(cluster, "master"), _job(cluster, "worker")]
    if cluster.files:
        documents.insert(0, _config_map(cluster))
    comment = (
        f"The study {cluster.study}: its master, and {cluster.workers} workers.\n"
        "Edit it, and start it with: kubectl apply -f FILE"
    )
    return to_yaml(*documents, comment=comment)


def _metadata(cluster: Cluster, part: str) -> dict[str, Any]:
    labels = _labels(cluster, part)
    if cluster.queue is not None and part != "files":
        labels["kueue.x-k8s.io/queue-name"] = cluster.queue
    named = {"name": f"{object_name(cluster.study)}-{part}"}
    if cluster.namespace is not None:
        named["namespace"] = cluster.namespace
    return {**named, "labels": labels}


def _labels(cluster: Cluster, part: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "distune",
        "app.kubernetes.io/instance": object_name(cluster.study),
        "app.kubernetes.io/component": part,
    }


def _config_map(cluster: Cluster) -> dict[str, Any]:
    for name in cluster.files:
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", name):
            raise UserError(
                f"{name}: Kubernetes takes letters, digits, '-', '_' and '.': rename it"
            )
    size = sum(len(text.encode()) for text in cluster.files.values())
    if size > _MOST_BYTES:
        raise UserError(
            f"the space file and the objectives have {size} bytes, more than Kubernetes passes on: "
            "put what is large into an image of your own"
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(cluster, "files"),
        "data": dict(cluster.files),
    }


def _job(cluster: Cluster, part: str) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(cluster, part),
        "spec": {
            **(_one() if part == "master" else _indexed(cluster.workers)),
            "podReplacementPolicy": "Failed",  # and not while it is still leaving
            "podFailurePolicy": {"rules": _rules()},
            "template": {
                "metadata": {"labels": _labels(cluster, part)},
                "spec": _pod(cluster, part),
            },
        },
    }


def _one() -> dict[str, Any]:
    return {"backoffLimit": _FAILURES}


def _indexed(workers: int) -> dict[str, Any]:
    return {
        "completionMode": "Indexed",
        "completions": workers,
        "parallelism": workers,
        "backoffLimitPerIndex": _FAILURES,
        "maxFailedIndexes": workers,
    }


def _rules() -> list[dict[str, Any]]:
    """Evictions and drained nodes do not count; a mistake of the user's is not repeated."""
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}},
    ]


def _pod(cluster: Cluster, part: str) -> dict[str, Any]:
    volumes = {"logs": (LOGS, {"persistentVolumeClaim": {"claimName": cluster.claim}})}
    if cluster.data_claim is not None:
        volumes["data"] = (DATA, {"persistentVolumeClaim": {"claimName": cluster.data_claim}})
    if cluster.files:
        files = {"name": _metadata(cluster, "files")["name"]}
        volumes["files"] = (WORK, {"configMap": files})
    container = {
        "name": part,
        "image": cluster.image,
        "args": list(cluster.master if part == "master" else cluster.worker),
        "resources": _resources(cluster, part),
        "volumeMounts": [{"name": name, "mountPath": at} for name, (at, _) in volumes.items()],
    }
    return {
        "restartPolicy": "Never",  # the Job decides
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": {"fsGroup": _USER},  # who may write to a new volume
        "containers": [container],
        "volumes": [{"name": name, **source} for name, (_, source) in volumes.items()],
    }


def _resources(cluster: Cluster, part: str) -> dict[str, Any]:
    """Requests are limits: a worker trains as many trials at a time as its limits let it."""
    asked = {"cpu": cluster.cpus, "memory": cluster.memory}
    if part == "master":
        asked = {"cpu": "500m", "memory": "1Gi"}
    elif cluster.gpus:
        asked["nvidia.com/gpu"] = str(cluster.gpus)
    return {"requests": asked, "limits": asked}
