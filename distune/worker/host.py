"""What this process may use of its host: cores, memory, GPUs, instructions. Without torch."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from distune.errors import UserError
from distune.training.process import threads_set_by_user

#: Bytes that a training process of a workload may need for itself; mnist-cnn with 32 filters
#: needs 260 to 340 MB, larger networks and batches more.
MEMORY_PER_EXECUTOR = 2**30
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Parallelism:
    """How many trials a worker trains at a time, and on how many threads each."""

    jobs: int
    threads: int  # of each of a trial's processes, one for each of its devices
    limit: str  # what keeps it from more jobs, for people
    devices: int = 1  # of each trial

    def describe(self, workers: int = 1) -> str:
        """In words what so many workers do; also what is wrong with it."""
        cores = usable_cores()
        threads = threads_set_by_user() or self.threads
        said = f"{self.jobs} at a time ({self.limit}), {threads} of {cores} cores each"
        if (needed := workers * self.jobs * self.devices * threads) > cores:
            said += f"; {needed} threads are more than the cores, and slow each other down"
        return said


def choose_parallelism(
    jobs: int | None,
    threads: int | None,
    *,
    cores: int,
    memory: int,
    gpus: int = 0,
    workers: int = 1,
    devices_per_trial: int = 1,
) -> Parallelism:
    """For a worker on a host that so many equal workers share.

    Of processes and threads on a CPU, processes: two of one thread each train up to twice as
    many images a second as one of two threads. On GPUs one for each. Cores that are left over
    are divided into threads; never are there more in sum than cores, unless the user says so.

    Args:
        jobs, threads: what was asked for; None to choose.
        cores, memory, gpus: what may be used of the whole host; bytes; 0 GPUs for the CPU.
        devices_per_trial: how many GPUs a trial has, or processes on the CPU.
    """
    each = devices_per_trial
    own = max(1, cores // (workers * each))
    if jobs is not None:
        return Parallelism(jobs, threads or 1, "as asked for", each)
    if gpus:
        jobs, limit = max(1, gpus // (workers * each)), _one_for_each("GPU", each)
    else:
        jobs, limit = max(1, own // (threads or 1)), _one_for_each("core", each)
        if threads is not None and threads > 1:
            limit = f"{threads} threads each"
        enough_for = max(1, memory // (workers * each * MEMORY_PER_EXECUTOR))
        if enough_for < jobs:
            jobs, limit = enough_for, f"{memory / 2**30:.1f} GB of memory are free"
    return Parallelism(jobs, threads or max(1, own // jobs), limit, each)


def _one_for_each(thing: str, number: int) -> str:
    return f"one for each {thing if number == 1 else f'{number} {thing}s'}"


def usable_cores(groups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """Cores this process may use: affinity and cgroup quota, not what the machine has."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    for group in _own_groups("cpu", groups, own):
        for files in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):  # v2, v1
            try:
                quota, period = " ".join((group / name).read_text() for name in files).split()
            except (OSError, ValueError):
                continue
            if quota not in ("max", "-1"):
                cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def free_memory(groups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """Bytes this process and its children may still use: the machine's and its cgroups'."""
    free: int = psutil.virtual_memory().available
    for group in _own_groups("memory", groups, own):
        for limit, usage in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            try:
                most, used = (int((group / name).read_text()) for name in (limit, usage))
            except (OSError, ValueError):  # v2 says "max" for no limit
                continue
            free = min(free, max(0, most - used + _reclaimable(group)))
    return free


def _reclaimable(group: Path) -> int:
    """Bytes that count as used, but are a copy of files that no process has read of late."""
    try:
        lines = (group / "memory.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["inactive_file"])
    except (OSError, ValueError, KeyError):
        return 0


def _own_groups(controller: str, groups: Path, own: Path) -> Iterator[Path]:
    """The folders of the cgroups that this process is in, from the innermost to the root: a limit
    can be at any of them. In a container the path in `/proc/self/cgroup` may not be there.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    roots = {groups: "/", groups / controller: "/"}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            roots[groups] = path
        elif controller in controllers.split(","):
            roots[groups / controller] = path
    for root, path in roots.items():
        inner = root / path.lstrip("/")
        yield inner
        while inner != root and root in inner.parents:
            inner = inner.parent
            yield inner


def visible_gpus() -> list[str]:
    """NVIDIA GPUs that this process is given, as `CUDA_VISIBLE_DEVICES` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [part.strip() for part in visible.split(",") if part.strip() not in ("", "-1")]
    # A container sees the nodes of its own GPUs only.
    nodes = [path for path in Path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdigit()]
    return [str(i) for i in range(len(nodes))]


def computes_bfloat16(information: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Whether the CPU has instructions for bfloat16; None where that is not known."""
    try:
        words = set(information.read_text().split())
    except OSError:  # no Linux
        return None
    if not words & {"flags", "Features"}:
        return None
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def devices(spec: str) -> list[str]:
    """What can be trained on here, if torch agrees: `auto`, `cuda`, or one by name."""
    gpus = [f"cuda:{i}" for i in range(len(visible_gpus()))]
    if spec == "auto":
        return gpus or (["auto"] if sys.platform == "darwin" else ["cpu"])
    return (spec == "cuda" and gpus) or [spec]


@dataclass(frozen=True)
class DeviceSet:
    """What one trial at a time is trained on.

    Attributes:
        label: for people, and for whose memory it is: `cuda:2,3`, or the one device's name.
        devices: as the process that trains there names them.
        visible: the `CUDA_VISIBLE_DEVICES` of that process; None leaves it as it is.
    """

    label: str
    devices: tuple[str, ...]
    visible: str | None = None


def device_sets(spec: str, per_trial: int | None = None) -> list[DeviceSet]:
    """What a worker's trials are trained on: `devices(spec)`, or, with `per_trial`, so many of the
    visible GPUs each, which see no others. On the CPU it is so many processes of a trial's own.

    Raises:
        UserError: there are fewer devices than that.
    """
    found = devices(spec)
    if per_trial is None or (per_trial == 1 and spec not in ("auto", "cuda")):
        return [DeviceSet(one, (one,)) for one in found]
    if found == ["cpu"]:
        return [DeviceSet("cpu", ("cpu",) * per_trial)]
    gpus = visible_gpus() if spec in ("auto", "cuda") else []
    if len(gpus) < per_trial:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        given = "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible})"
        raise UserError(
            f"--devices-per-trial {per_trial}: "
            + (
                f"this worker sees {len(gpus)} GPU{'s' * (len(gpus) != 1)}{given}; give it more, "
                "or --device cpu"
                if spec in ("auto", "cuda") and found != ["auto"]
                else f"--device {spec} is one device; only cuda and cpu can be divided"
            )
        )
    names = tuple(f"cuda:{i}" for i in range(per_trial))
    firsts = range(0, len(gpus) - per_trial + 1, per_trial)
    return [
        DeviceSet(
            "cuda:" + ",".join(str(first + i) for i in range(per_trial)),
            names,
            ",".join(gpus[first : first + per_trial]),
        )
        for first in firsts
    ]
