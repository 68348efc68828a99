"""One YAML for SkyPilot: workers on nodes that it finds in clouds and clusters."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distune.launch.yaml_text import to_yaml

#: Where the nodes have the volume.
LOGS = "/logs"


@dataclass(frozen=True)
class Nodes:
    """What to ask of SkyPilot: None leaves it to that.

    Args:
        worker: the command line of one.
        volume: SkyPilot's own, with the logs directory.
        image: of containers, which has distune.
        setup: a command that installs it.
        work: the folder that nodes get a copy of; None for none.
    """

    name: str
    worker: Sequence[str]
    workers: int
    volume: str
    image: str | None = None
    setup: str | None = None
    work: str | None = None
    gpus: str | None = None
    cpus: str | None = None
    memory: str | None = None
    infra: str | None = None
    spot: bool = False


def sky_file(nodes: Nodes) -> str:
    """The text of the file."""
    resources = {
        "infra": nodes.infra,
        "accelerators": nodes.gpus,
        "cpus": nodes.cpus,
        "memory": nodes.memory,
        "use_spot": nodes.spot or None,
        "image_id": None if nodes.image is None else f"docker:{nodes.image}",
    }
    task: dict[str, Any] = {
        "name": nodes.name,
        "num_nodes": nodes.workers,
        "resources": _given(resources),
        "workdir": nodes.work,
        "volumes": {LOGS: nodes.volume},
        "setup": nodes.setup,
        # The signal of a preemption goes to the worker, not to a shell around it.
        "run": f"exec {shlex.join(nodes.worker)}\n",
    }
    comment = (
        f"{nodes.workers} workers of distune, one a node.\n"
        "Edit it, and start it with: sky jobs launch FILE"
    )
    return to_yaml(_given(task), comment=comment)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and value != {}}
