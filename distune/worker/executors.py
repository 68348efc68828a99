"""The training processes that a worker starts with, and the device they train on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from distune.errors import UserError
from distune.training.messages import Died, Ready
from distune.training.process import ExecutorProcess, end_all
from distune.worker import host
from distune.worker.host import Parallelism

_READY_WITHIN = 120.0  # seconds for importing torch and the user's objective


@dataclass(frozen=True)
class Executors:
    """What a worker trains with: one process for each trial at a time."""

    processes: list[ExecutorProcess]
    device: str  # of the first
    parallelism: Parallelism


def make_executors(
    make: Callable[[str, int], ExecutorProcess],
    device: str,
    jobs: int | None,
    threads: int | None,
    *,
    has_offers: bool,
) -> Executors:
    """Processes that can train: several GPUs are dealt out among them in turn.

    Find out now, not with the first trial, whether device and objectives can be used.

    Args:
        make: makes a process, given its device and threads.
        device, jobs, threads: as the user asked for them; None to choose.
        has_offers: whether the processes have objectives of the user's to import.

    Raises:
        UserError: the device or an objective cannot be used.
    """
    devices = _devices(device)
    while True:
        gpus = 0 if devices == ["cpu"] else len(devices)
        parallelism = host.choose_parallelism(
            jobs, threads, cores=host.usable_cores(), memory=host.free_memory(), gpus=gpus
        )
        processes = [
            make(devices[i % len(devices)], parallelism.threads) for i in range(parallelism.jobs)
        ]
        try:
            found = _device_of(processes[0], has_offers, falls_back=device == "auto")
        except BaseException:
            end_all(processes)
            raise
        if found != "cpu" or not gpus:
            return Executors(processes, found, parallelism)
        # A GPU without a torch that can use it: the CPU is what `auto` finds then.
        end_all(processes)
        devices = ["cpu"]


def _devices(spec: str) -> list[str]:
    """What can be trained on here, if torch agrees."""
    if spec == "auto":
        return host.gpus_here() or (["auto"] if sys.platform == "darwin" else ["cpu"])
    if spec == "cuda":
        return host.gpus_here() or ["cuda"]
    return [spec]


def _device_of(process: ExecutorProcess, has_offers: bool, *, falls_back: bool) -> str:
    if process.device == "cpu" and not has_offers:
        return "cpu"
    answer = process.prepare(_READY_WITHIN)
    match answer:
        case Ready(problem=None):
            return answer.device
        case Ready() if falls_back and process.device != "cpu" and not answer.blames_offer:
            return "cpu"
        case Ready():
            raise UserError(answer.problem)
        case Died():
            raise UserError(f"the training process {answer.reason}:\n{answer.output}")
