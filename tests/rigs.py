"""Rigs: real parts to test against that are no part of this repository.

They are looked for in `$DISTUNE_RIGS`, else beside the repository, in `../shared/rigs`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

RIGS = Path(
    os.environ.get("DISTUNE_RIGS", Path(__file__).resolve().parents[2] / "shared" / "rigs")
).resolve()
FAULTFS = RIGS / "faultfs" / "faultfs.py"
SLURM = RIGS / "slurm"
HOSTS = RIGS / "hosts"


def why_no_faultfs() -> str | None:
    """Why file systems that misbehave on request cannot be mounted here; None if they can."""
    if not FAULTFS.is_file():
        return f"no {FAULTFS} (DISTUNE_RIGS says where rigs are)"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no access to /dev/fuse"
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        return "mounting needs root or fusermount3"
    return None


def load_faultfs() -> ModuleType:
    """The rig's module."""
    spec = importlib.util.spec_from_file_location("faultfs", FAULTFS)
    assert spec is not None
    assert spec.loader is not None
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the rig may be read-only
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def faultfs(backing: Path, mountpoint: Path, work: Path | None = None, **settings: Any) -> Any:
    """A mount of `backing` that misbehaves on request, a context manager: the rig's `FaultFS`.

    Args:
        backing: two mounts of one are two hosts.
        mountpoint: a folder.
        work: where its control file and log go; beside the mount point by default.
        settings: the rig's, for example `skew=3600`.
    """
    return load_faultfs().FaultFS(
        str(backing), str(mountpoint), str(work) if work else None, **settings
    )


def why_no_slurm() -> str | None:
    """Why a cluster of Slurm's cannot be started here; None if it can."""
    if not (SLURM / "start.sh").is_file():
        return f"no {SLURM} (DISTUNE_RIGS says where rigs are)"
    if os.geteuid() != 0:
        return "a Slurm cluster of one's own needs root"
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))):
        return f"Slurm is not installed; {SLURM}/install.sh does it"
    return None


class SlurmCluster:
    """A Slurm of its own, with nodes n0, n1, ... on this machine.

    Attributes:
        environment: with which its commands, and what submits to it, are run.
    """

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._dead: set[str] = set()
        # Not pytest's folder: the name of a socket has at most 107 bytes.
        self._folder = tempfile.mkdtemp(prefix="distune-slurm-")
        port = 20_000 + os.getpid() % 500 * 20
        own = {"SLURM_DIR": self._folder, "SLURM_PORT": str(port)}
        self.environment = {
            **os.environ, **own, "SLURM_CONF": f"{self._folder}/slurm.conf"
        }  # fmt: skip

    def __enter__(self) -> SlurmCluster:
        try:
            self.run(f"{SLURM}/start.sh", str(self._nodes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def run(self, *command: str) -> str:
        """Run a command of Slurm's, or of the rig's; what it prints."""
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def kill_node(self, node: str) -> None:
        """Power it off, with all that runs there."""
        self.run(f"{SLURM}/node.sh", "kill", node)
        self._dead.add(node)

    def heal(self) -> None:
        """Have every node power on and idle, whatever was done to the cluster before."""
        self.run("scancel", "--user", "root")
        for node in self._dead:
            self.run(f"{SLURM}/node.sh", "start", node)
        self._dead.clear()
        states: list[str] = []
        deadline = time.monotonic() + 120.0
        while states != ["idle"] * self._nodes:
            assert time.monotonic() < deadline, f"the nodes are {states}"
            time.sleep(0.2)
            states = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split()

    def stop_controller(self) -> None:
        """End `slurmctld`, as for an upgrade: what runs goes on, and nothing new is started."""
        pid = int(Path(self._folder, "pid", "slurmctld").read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30.0
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, "slurmctld does not end"
            time.sleep(0.05)

    def start_controller(self) -> None:
        """Start it again, from the state that it has saved."""
        # By a shell, as `start.sh` does: what `stop.sh` waits for is no child of this process.
        command = 'setsid slurmctld -D -f "$SLURM_CONF" >>"$0/log/again" 2>&1 </dev/null &'
        self.run("sh", "-c", f'{command} echo $! >"$0/pid/slurmctld"', self._folder)

    def queue(self, job: str) -> dict[str, tuple[str, str]]:
        """State and node of a job's array tasks that are not over, by their number."""
        lines = self.run("squeue", "--noheader", "--array", "--job", job, "--format=%K|%T|%N")
        rows = (line.strip().split("|") for line in lines.splitlines())
        return {number: (state, node) for number, state, node in rows}

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """What fails inside says how the cluster stood then."""
        try:
            yield
        except AssertionError as error:
            for command in (["squeue", "--array", "--format=%K %T %N %r %S"], ["sinfo", "-N"]):
                done = subprocess.run(
                    command, env=self.environment, capture_output=True, text=True, timeout=60
                )
                error.add_note(f"{done.stdout}{done.stderr}")
            log = Path(self._folder, "log", "slurmctld.log").read_text()
            error.add_note("\n".join(log.splitlines()[-60:]))
            raise

    def __exit__(self, *_: object) -> None:
        _stop([f"{SLURM}/stop.sh"], self.environment)
        shutil.rmtree(self._folder, ignore_errors=True)


def why_no_hosts() -> str | None:
    """Why there can be no hosts that answer to ssh here; None if there can."""
    if not (HOSTS / "up.sh").is_file():
        return f"no {HOSTS} (DISTUNE_RIGS says where rigs are)"
    if os.geteuid() != 0:
        return "hosts of one's own need root"
    if not all(map(shutil.which, ("/usr/sbin/sshd", "ssh", "ip", "nsenter", "tini"))):
        return f"no sshd, ip or tini; {HOSTS}/install.sh installs them"
    spaces = ["unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "true"]
    if subprocess.run(spaces, capture_output=True).returncode:
        return "no namespaces of one's own"
    return None


class SshHosts:
    """Hosts h1, h2, ... and `ctl`, from which they answer to ssh; all see this machine's files.

    Attributes:
        config: what ssh is configured with there.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._folder = tempfile.mkdtemp(prefix="distune-hosts-")
        own = {"HOSTS_DIR": self._folder, "HOSTS_PREFIX": f"dt{os.getpid()}"}
        self._environment = {**os.environ, **own}
        self.config = f"{self._folder}/ssh_config"

    def __enter__(self) -> SshHosts:
        try:
            self._run("up.sh", str(self._count))
        except BaseException:
            self.__exit__()
            raise
        return self

    def _run(self, script: str, *arguments: str) -> None:
        with tempfile.TemporaryFile("w+") as log:  # a host that is started would hold a pipe
            done = subprocess.run(
                [f"{HOSTS}/{script}", *arguments], env=self._environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60,
            )  # fmt: skip
            log.seek(0)
            assert done.returncode == 0, (script, arguments, log.read())

    def on_ctl(self, *command: str) -> list[str]:
        """What runs a command there, in a session of its own: its group can be signalled."""
        own = [f"{name}={self._environment[name]}" for name in ("HOSTS_DIR", "HOSTS_PREFIX")]
        return ["setsid", "env", *own, f"{HOSTS}/ctl.sh", *command]

    def do(self, action: str, host: str) -> None:
        """`kill`, `freeze` and `thaw` a host, `cut` it off and `join` it again."""
        self._run("host.sh", action, host)

    def __exit__(self, *_: object) -> None:
        _stop([f"{HOSTS}/down.sh"], self._environment)
        shutil.rmtree(self._folder, ignore_errors=True)


def _stop(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
