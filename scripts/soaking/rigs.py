"""File systems to run a study on: two clients each, and what can go wrong with them.

A rig gives two clients, `A` and `B`, on which shell commands run; a folder that both
share; a look at that folder from the server's side; and its outages. Everything is made
below one working folder, in namespaces that scripts/soak has made.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RIGS = Path(os.environ.get("DISTUNE_RIGS") or ROOT.parent / "shared" / "rigs")
_IMAGE_MB = 512


class CannotRun(Exception):
    """This rig does not run on this machine; says why."""


@dataclass(frozen=True)
class Outage:
    """Something that goes wrong with the file system for a while, and is healed.

    Args:
        kind: how the table calls it.
        begin, end: make it so, and undo it.
        hits: the clients that notice.
        witnesses: who must say so in its log: "all" processes on these clients, at least
            "some", or "none" because no process can notice.
    """

    kind: str
    begin: Callable[[], None]
    end: Callable[[], None]
    hits: tuple[str, ...] = ("A", "B")
    witnesses: str = "all"


class Client:
    """A host: `client.shell("kill -9 17")`. `folder` is where it sees the share."""

    def __init__(self, name: str, folder: Path, prefix: Sequence[str] = ()) -> None:
        self.name = name
        self.folder = folder
        self._prefix = list(prefix)

    def shell(self, command: str, timeout: float = 120.0) -> str:
        """The output of a command line on this host.

        Raises:
            subprocess.SubprocessError: it failed, or took too long.
        """
        argv = [*self._prefix, command] if self._prefix else ["bash", "-c", command]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode:
            raise subprocess.SubprocessError(
                f"{self.name}: {command[:200]}: {done.stdout[-500:]}{done.stderr[-500:]}"
            )
        return done.stdout


class Rig(ABC):
    """`with make_rig("ext4", work) as rig: ...`"""

    #: Whether other hosts share it: then the default lease is that of a network.
    network = True

    def __init__(self, name: str, work: Path) -> None:
        self.name = name
        self.work = work
        #: A folder of files which both clients see as this process does: logs, the space file.
        self.files = work / "files"
        self.clients: dict[str, Client] = {}

    def __enter__(self) -> Rig:
        self.files.mkdir(parents=True)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None: ...
    @abstractmethod
    def stop(self) -> None: ...
    @abstractmethod
    def outages(self) -> list[Outage]: ...

    @abstractmethod
    def names(self, folder: str) -> list[str] | None:
        """What lies in a folder of the share, as the server sees it; None if it cannot be
        asked now.
        """

    @abstractmethod
    def fetch(self, target: Path) -> None:
        """Copy everything in the share, as the server sees it, to a folder here."""

    def describe(self) -> str:
        """Type and options of the mount, as client A has it."""
        point = shlex.quote(str(self.clients["A"].folder))
        line = self.clients["A"].shell(f"findmnt -rno FSTYPE,OPTIONS --target {point}")
        return line.strip().replace(str(self.work), "...")


def _need(*commands: str) -> None:
    missing = [c for c in commands if shutil.which(c) is None]
    if missing:
        raise CannotRun(f"no {', '.join(missing)} here")


def _run(
    *argv: str | Path,
    check: bool = True,
    timeout: float = 300.0,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command; its output.

    Raises:
        CannotRun: it failed.
    """
    done = subprocess.run(
        [str(a) for a in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        env={**os.environ, **(environment or {})},
    )
    if check and done.returncode:
        raise CannotRun(f"{shlex.join(map(str, argv))}: {done.stdout[-800:].strip()}")
    return done.stdout


# -- local file systems --------------------------------------------------------------------


class _HereRig(Rig):
    """The share is a folder of this machine; `server` is where it can be looked at."""

    server: Path

    def names(self, folder: str) -> list[str] | None:
        try:
            return os.listdir(self.server / folder)
        except OSError:
            return None

    def fetch(self, target: Path) -> None:
        shutil.copytree(self.server, target, ignore=shutil.ignore_patterns(".*", "lost+found"))


class LocalRig(_HereRig):
    """ext4, xfs, btrfs, overlay (over ext4) in an image of their own, or tmpfs. Two bind
    mounts stand for two clients; they share a kernel, so no client can be cut off.
    """

    network = False

    def start(self) -> None:
        self.server = self.work / "mount"
        disk = self._disk = self.work / "disk"
        for folder in (self.server, disk, self.work / "A", self.work / "B"):
            folder.mkdir()
        kind = "ext4" if self.name == "overlay" else self.name
        if kind == "tmpfs":
            _run("mount", "-t", "tmpfs", "-o", f"size={_IMAGE_MB // 4}m", "tmpfs", disk)
        else:
            _need(f"mkfs.{kind}")
            image = self.work / "image"
            with image.open("wb") as file:
                file.truncate(_IMAGE_MB * 2**20)
            _run(f"mkfs.{kind}", "-q", "-F" if kind == "ext4" else "-f", image)
            _run("mount", "-o", "loop", image, disk)
        if self.name == "overlay":
            parts = {"lowerdir": "lower", "upperdir": "upper", "workdir": "work"}
            for part in parts.values():
                (disk / part).mkdir()
            options = ",".join(f"{key}={disk / part}" for key, part in parts.items())
            _run("mount", "-t", "overlay", "-o", options, "overlay", self.server)
        else:
            _run("mount", "--bind", disk, self.server)
        for name in ("A", "B"):
            _run("mount", "--bind", self.server, self.work / name)
            self.clients[name] = Client(name, self.work / name)

    def stop(self) -> None:
        if self.name != "tmpfs":
            _run("fsfreeze", "-u", self._disk, check=False)
        for point in (self.work / "A", self.work / "B", self.server, self._disk):
            _run("umount", "-l", point, check=False)

    def outages(self) -> list[Outage]:
        full = Outage("disk full", self._fill, self._free, witnesses="some")
        if self.name == "tmpfs":
            return [full]
        return [Outage("disk frozen", lambda: self._freeze("-f"), lambda: self._freeze("-u")), full]

    def _freeze(self, how: str) -> None:
        _run("fsfreeze", how, self._disk)

    def _fill(self) -> None:
        with (self._disk / "filler").open("wb", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def _free(self) -> None:
        (self._disk / "filler").unlink()


class FaultRig(_HereRig):
    """faultfs: two mounts of one folder that cache as two NFS clients do."""

    settings: dict[str, object] = {
        "entry": 30, "negative": 30, "attr": 3, "listing": 30, "writeback": 30,
        "append": "nfs", "silly": True,
    }  # fmt: skip

    def start(self) -> None:
        self._servers: list[subprocess.Popen[bytes]] = []
        program = RIGS / "faultfs" / "faultfs.py"
        if not program.exists():
            raise CannotRun(f"no {program} (DISTUNE_RIGS says where the rigs are)")
        if not Path("/dev/fuse").exists():
            raise CannotRun("no /dev/fuse here")
        self.server = self.work / "export"
        self.server.mkdir()
        for name in ("A", "B"):
            point = self.work / name
            point.mkdir()
            self.set(name)
            control, log = self._control(name), self.work / f"{name}.log"
            self._servers.append(
                subprocess.Popen(
                    [
                        *(sys.executable, program, self.server, point),
                        *("--control", control, "--log", log),
                    ],
                    stdin=subprocess.DEVNULL,
                )
            )
            self.clients[name] = Client(name, point)
            deadline = time.monotonic() + 20
            while not os.path.ismount(point):
                if time.monotonic() > deadline:
                    raise CannotRun(f"faultfs did not mount {point}")
                time.sleep(0.05)

    def stop(self) -> None:
        for name in self.clients:
            self.set(name)
            _run("umount", "-l", self.work / name, check=False)
        for server in self._servers:
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()

    def _control(self, name: str) -> Path:
        return self.work / f"{name}.control"

    def set(self, *names: str, **settings: object) -> None:
        """Put these settings, on top of those of NFS, into force on some clients."""
        for name in names:
            draft = self._control(name).with_suffix(".new")
            draft.write_text(json.dumps({**self.settings, **settings}))
            draft.rename(self._control(name))

    def outages(self) -> list[Outage]:
        both = ("A", "B")
        # The server is back and has forgotten which requests it has answered.
        resent = [
            {"op": op, "resend": True, "count": 3} for op in ("rename", "link", "unlink", "mkdir")
        ]
        lost = [
            *({"op": op, "resend": True, "prob": 0.3} for op in ("rename", "link", "unlink")),
            {"op": "*", "errno": "ESTALE", "prob": 0.01},
            {"op": "*", "errno": "EIO", "when": "after", "prob": 0.01},
        ]
        half = [
            {"op": "write", "keep": 0.5, "errno": "ENOSPC", "prob": 0.3},
            {"op": "write", "errno": "ENOSPC"},
        ]
        return [
            Outage(
                "client cut off",
                lambda: self.set("B", freeze=True),
                lambda: self.set("B"),
                hits=("B",),
            ),
            Outage(
                "server restarted",
                lambda: self.set(*both, freeze=True),
                lambda: self.set(*both, rules=resent),
            ),
            Outage("EIO", lambda: self.set(*both, down="EIO"), lambda: self.set(*both)),
            Outage("disk full", lambda: self.set(*both, rules=half), lambda: self.set(*both)),
            Outage(
                "replies lost",
                lambda: self.set(*both, rules=lost),
                lambda: self.set(*both),
                witnesses="none",
            ),
        ]


# -- network file systems ------------------------------------------------------------------


class NetRig(Rig):
    """A network of two guests with kernels of their own, and a server: see RIGS/netfs."""

    #: How it is mounted: rig mount GUEST KIND OPTIONS.
    options: str = ""
    #: Guests to start: the server is one, or lives beside them.
    guests: tuple[str, ...] = ("A", "B")
    #: Those that mount it.
    hosts: tuple[str, ...] = ("A", "B")
    needs: tuple[str, ...] = ()

    def start(self) -> None:
        install = RIGS / "netfs" / "install.sh"
        if not install.exists():
            raise CannotRun(f"no {install} (DISTUNE_RIGS says where the rigs are)")
        self.home = self.files / "rig"
        here = all(shutil.which(c) for c in ("linux.uml", *self.needs))
        _run(install, self.home, timeout=900, environment={"NO_PACKAGES": "1" if here else ""})
        _need("linux.uml", *self.needs)
        # Guests see one folder of this machine as it is: the one of the rig.
        self.files = self.home / "files"
        self.files.mkdir()
        self.start_server()
        memory = {"RIG_MEM": os.environ.get("RIG_MEM", "512M")}
        _run(self.home / "rig", "up", *self.guests, timeout=180, environment=memory)
        for name in self.hosts:
            guest = Client(name, Path("/mnt/share"), (str(self.home / "rig"), "exec", name))
            self.clients[name] = guest
            # What may lie under a guest's own /tmp or /root.
            for folder in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
                guest.shell(
                    f"[ -e {folder} ] || {{ mkdir -p {folder} && "
                    f"mount -t hostfs -o {folder} none {folder}; }}"
                )
            self._mount(name)

    def _mount(self, name: str) -> None:
        self._rig("mount", name, self.name, self.options, "/mnt/share", timeout=120)

    def start_server(self) -> None:
        """Start what guests will mount."""

    def _rig(self, *arguments: str, timeout: float = 60.0) -> str:
        return _run(self.home / "rig", *arguments, timeout=timeout)

    def stop(self) -> None:
        if hasattr(self, "home") and (self.home / "rig").exists():
            # The namespaces end all of it; killing the guests first saves them a shutdown.
            for guest in self.guests:
                _run(self.home / "rig", "kill", guest, check=False)

    def outages(self) -> list[Outage]:
        return [
            Outage(
                "client cut off",
                lambda: self._cable("cut"),
                lambda: self._cable("heal"),
                hits=("B",),
            ),
            Outage("server restarted", self.kill_server, self.restart_server),
        ]

    def _cable(self, how: str) -> None:
        self._rig(how, "B")

    @abstractmethod
    def kill_server(self) -> None:
        """As a crash of the server's host: no client hears of it."""

    @abstractmethod
    def restart_server(self) -> None: ...


class NfsRig(NetRig):
    """The kernel's NFS server in a third guest, on a disk that outlives its crash."""

    guests: tuple[str, ...] = ("S", "A", "B")
    _EXPORT = "/mnt/export/data"

    def _server(self, command: str, timeout: float) -> bytes:
        return subprocess.run(
            [self.home / "rig", "exec", "S", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=True,
        ).stdout

    def names(self, folder: str) -> list[str] | None:
        try:
            found = self._server(f"ls -1 {self._EXPORT}/{shlex.quote(folder)}", 20)
        except subprocess.SubprocessError:
            return None
        return found.decode().split("\n")[:-1]

    def fetch(self, target: Path) -> None:
        data = self._server(f"tar -C {self._EXPORT} -cf - .", 120)
        target.mkdir(parents=True)
        subprocess.run(["tar", "-C", target, "-xf", "-"], input=data, check=True)

    def kill_server(self) -> None:
        self._rig("kill", "S")

    def restart_server(self) -> None:
        self._rig("start", "S", timeout=120)


class _BesideRig(NetRig):
    """The server runs beside the guests, on this machine; so its folder is here, too."""

    @property
    def export(self) -> Path:
        return self.home / "exports" / self.server_kind

    server_kind = ""

    def names(self, folder: str) -> list[str] | None:
        try:
            return os.listdir(self.export / folder)
        except OSError:
            return None

    def fetch(self, target: Path) -> None:
        shutil.copytree(self.export, target, ignore=shutil.ignore_patterns(".*"))

    def start_server(self) -> None:
        _run(self.home / self.server_kind / "start.sh")

    restart_server = start_server


class CifsRig(_BesideRig):
    """Samba, SMB 3.1.1, the kernel's cifs client."""

    server_kind = "smb"
    needs = ("smbd", "smbpasswd")

    def kill_server(self) -> None:
        _kill_tree(int((self.home / "smb/pid/smbd.pid").read_text()))


class SshfsRig(_BesideRig):
    """sshd; sshfs mounted as PROTOCOL.md advises, reconnecting by itself."""

    server_kind = "ssh"
    needs = ("sshfs", "sshd")
    options = "dir_cache=no,reconnect,ServerAliveInterval=5,ServerAliveCountMax=3"

    def kill_server(self) -> None:
        _kill_tree(int((self.home / "ssh/sshd.pid").read_text()))


class GlusterRig(_BesideRig):
    """GlusterFS, replica 3; looked at through a third client here."""

    server_kind = "gluster"
    needs = ("glusterd", "glusterfs", "gluster")

    @property
    def export(self) -> Path:
        return self.home / "mnt" / "glA"

    def start_server(self) -> None:
        for folder in ("/var/run/gluster", "/var/log/glusterfs"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            if not os.path.ismount(folder):
                _run("mount", "-t", "tmpfs", "tmpfs", folder)
        _run(
            self.home / "gluster/start.sh",
            "local",
            "rep3",
            timeout=180,
            environment={"VOLS": "rep3"},
        )

    def kill_server(self) -> None:
        pids = [self.home / "gluster/glusterd.pid", *Path("/var/run/gluster").rglob("*.pid")]
        for file in pids:
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                continue

    def restart_server(self) -> None:
        _run(self.home / "gluster/start.sh", timeout=180, environment={"VOLS": "rep3"})

    def outages(self) -> list[Outage]:
        brick = Outage(
            "brick killed",
            lambda: self._brick("kill", "rep3", "1"),
            lambda: self._brick("heal", "rep3"),
            witnesses="none",
        )
        return [*super().outages(), brick]

    def _brick(self, *arguments: str) -> None:
        _run(self.home / "gluster/brick.sh", *arguments, timeout=180)


def _kill_tree(pid: int) -> None:
    """SIGKILL a process and all it has started, as a crash of its host would end them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    doomed = {pid}
    while more := {p for p, parent in parents.items() if parent in doomed} - doomed:
        doomed |= more
    for one in doomed:
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue


#: Every rig, with what the table calls it.
KINDS: dict[str, tuple[type[Rig], str]] = {
    "nfs3": (NfsRig, "NFS 3"),
    "nfs42": (NfsRig, "NFS 4.2"),
    "cifs": (CifsRig, "SMB 3.1.1"),
    "gluster": (GlusterRig, "GlusterFS replica 3"),
    "sshfs": (SshfsRig, "sshfs"),
    "ext4": (LocalRig, "ext4"),
    "xfs": (LocalRig, "xfs"),
    "btrfs": (LocalRig, "btrfs"),
    "overlay": (LocalRig, "overlay"),
    "tmpfs": (LocalRig, "tmpfs"),
    "faultfs": (FaultRig, "faultfs, as NFS"),
}


def make_rig(name: str, work: Path) -> Rig:
    """The rig of that name, not yet started."""
    return KINDS[name][0](name, work)
