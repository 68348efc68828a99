"""A compose file: one study on this host, its master and its workers in containers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distune.launch.yaml_text import to_yaml


@dataclass(frozen=True)
class Composition:
    """What runs, and what of the host it sees: absolute paths.

    Args:
        master, worker: what follows `distune` on their command lines.
        work: the folder with the space file and the objectives.
        data: the folder with data sets; None for a volume.
        user: `uid:gid`, to whom `logs` belongs.
    """

    name: str
    master: Sequence[str]
    worker: Sequence[str]
    workers: int
    image: str
    logs: str
    work: str
    data: str | None
    user: str
    gpus: bool = False


def compose_file(composition: Composition) -> str:
    """The text of the file; see docker/compose.yaml for one that is filled in from outside."""
    master = _service(composition, composition.master)
    worker = _service(composition, composition.worker)
    worker["scale"] = composition.workers  # podman-compose reads no `replicas` without a `mode`
    if composition.gpus:
        gpus = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        worker["deploy"] = {"resources": {"reservations": {"devices": [gpus]}}}
    document: dict[str, Any] = {
        "name": composition.name,
        "services": {"master": master, "worker": worker},
    }
    if composition.data is None:
        document["volumes"] = {"data": {}}
    comment = (
        f"A study on this host: its master, and {composition.workers} workers.\n"
        "Edit it, and start it with: docker compose -f FILE up --detach"
    )
    return to_yaml(document, comment=comment)


def _service(composition: Composition, command: Sequence[str]) -> dict[str, Any]:
    data = {"type": "volume", "source": "data", "target": "/data"}
    if composition.data is not None:
        data = {"type": "bind", "source": _plain(composition.data), "target": "/data"}
    return {
        "image": _plain(composition.image),
        "user": composition.user,
        "command": [_plain(word) for word in command],
        "volumes": [
            {"type": "bind", "source": _plain(composition.logs), "target": "/logs"},
            data,
            {
                "type": "bind",
                "source": _plain(composition.work),
                "target": "/work",
                "read_only": True,
            },
        ],
        # Who ends with 0 has nothing left to do, and a mistake is not repeated for ever.
        "restart": "on-failure:3",
        "stop_grace_period": "10s",
    }


def _plain(text: str) -> str:
    """Text in which compose fills in nothing."""
    return text.replace("$", "$$")
