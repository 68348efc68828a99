"""What users may do: groups that share, strangers that plant, disks that cannot be written to.

Real users, so most of this needs root, to become them.
"""

from __future__ import annotations

import ast
import io
import os
import pickle
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import distune
from tests.conftest import DISTUNE, OBJECTIVE, wait_until

ALICE, BOB, CAROL, LAB = 51001, 51002, 51003, 52000
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become other users, with setpriv",
)


def as_user(uid: int, group: int) -> list[str]:
    """Before a command: run it as another user, with that user's right to write, but to read
    everything, because this Python may lie in root's home.
    """
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    ids = ["--reuid", str(uid), "--regid", str(group), "--clear-groups"]
    return ["setpriv", *ids, *reading, "--"]


class Users:
    """A folder that other users can reach, and distune as one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        for uid in (ALICE, BOB, CAROL):
            home = folder / f"home-{uid}"
            home.mkdir()
            os.chown(home, uid, uid)
        (folder / "train.py").write_text(OBJECTIVE)
        (folder / "space.json").write_text(
            '{"objective": "train:quick", "params": {"x": {"type": "float", "low": 0, "high": 1}},'
            ' "metric": "loss", "direction": "minimize", "trials": 6, "lease": "5s"}'
        )

    def make_logs(self, mode: int, owner: int = ALICE, group: int = LAB) -> Path:
        logs = self.folder / "logs"
        logs.mkdir()
        os.chown(logs, owner, group)
        logs.chmod(mode)
        return logs

    def start(
        self, uid: int, *arguments: str, umask: int = 0o002, in_group: bool = True
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*as_user(uid, LAB if in_group else uid), *DISTUNE, *arguments],
            cwd=self.folder,
            env={**os.environ, "HOME": f"{self.folder}/home-{uid}", "PYTHONDONTWRITEBYTECODE": "1"},
            umask=umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def master(self, uid: int, *arguments: str, umask: int = 0o002) -> subprocess.Popen[str]:
        return self.start(uid, "master", "--space", "space.json", *arguments, umask=umask)

    def worker(self, uid: int, *arguments: str, in_group: bool = True) -> subprocess.Popen[str]:
        return self.start(
            uid, "worker", "--objective", "train:quick", *arguments, in_group=in_group
        )


@pytest.fixture
def users() -> Iterator[Users]:
    # Not below pytest's own folder, which only its user may enter.
    folder = Path(tempfile.mkdtemp(prefix="distune-users-"))
    folder.chmod(0o755)
    one = Users(folder)
    yield one
    for process in one.started:
        process.kill()
        process.communicate()
    shutil.rmtree(folder)


def output_of(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    return out


def exists(path: Path) -> bool:
    return path.exists()


@needs_root
def test_a_group_shares_a_study_in_a_setgid_directory(users: Users) -> None:
    logs = users.make_logs(0o2770)
    master = users.master(ALICE)
    worker = users.worker(BOB)
    said = output_of(master)
    assert master.returncode == 0, said
    assert output_of(worker).count("complete") == 6
    study = logs / "space"
    for path in [study, *study.rglob("*")]:
        status = path.stat()
        assert status.st_gid == LAB, path
        assert status.st_mode & 0o060 == 0o060, f"{path}: the group cannot write"
        assert not status.st_mode & 0o002, f"{path}: everybody can write"
    owners = {path.stat().st_uid for path in (study / "seen").rglob("??????.jsonl")}
    assert owners == {ALICE}


@needs_root
def test_a_worker_that_may_not_write_says_so_at_its_start(users: Users) -> None:
    logs = users.make_logs(0o2775)
    users.master(ALICE)
    wait_until(lambda: exists(logs / "space" / "study.json"))
    worker = users.worker(CAROL, in_group=False)
    said = output_of(worker)
    assert worker.returncode == 2, said
    assert f"no write access to {logs}/space" in said
    assert f"this is uid {CAROL}" in said
    assert "chmod g+ws" in said
    assert "Traceback" not in said


@needs_root
def test_a_worker_that_could_not_write_into_the_masters_files_says_so_at_its_start(
    users: Users,
) -> None:
    logs = users.make_logs(0o2775)
    users.master(ALICE, umask=0o022)
    wait_until(lambda: exists(logs / "space" / "study.json"))
    for folder in (logs / "space", logs / "space" / "trials", logs / "space" / "workers"):
        folder.chmod(0o2775)  # but not the files
    said = output_of(worker := users.worker(BOB))
    assert worker.returncode == 2, said
    assert "start the master with umask 002" in said


@needs_root
@pytest.mark.long
def test_a_study_that_another_user_may_have_planted_is_refused_unless_asked_for(
    users: Users,
) -> None:
    logs = users.make_logs(0o1777, owner=0, group=0)
    master = users.master(ALICE, umask=0)
    wait_until(lambda: exists(logs / "space" / "study.json"))
    worker = users.worker(BOB)
    said = output_of(worker)
    assert worker.returncode == 2, said
    assert f"{logs}/space belongs to uid {ALICE}, and anyone may create files in {logs}" in said
    second = users.master(BOB)
    assert "--any-owner" in output_of(second)
    assert second.returncode == 2
    trusting = users.worker(BOB, "--any-owner")
    assert output_of(trusting).count("complete") == 6
    assert master.wait(60) == 0


@needs_root
def test_another_users_logs_directory_in_a_public_place_is_refused(users: Users) -> None:
    users.folder.chmod(0o1777)
    users.make_logs(0o2775, owner=ALICE)
    master = users.master(BOB)
    said = output_of(master)
    assert master.returncode == 2, said
    assert "logs belongs to uid" in said


@needs_root
def test_ones_own_study_in_a_public_place_is_fine(users: Users) -> None:
    users.make_logs(0o1777, owner=0, group=0)
    master = users.master(BOB, "--workers", "1", "--objective", "train:quick")
    said = output_of(master)
    assert master.returncode == 0, said


def test_nothing_in_the_package_could_run_what_it_reads() -> None:
    """No pickle, no eval, no shell; what torch loads, it loads as weights only."""
    allowed = {
        "cifar_10.py": {"pickle"},  # its data set is pickles: see the next test
        # What `distune.run` hands to its own children: by pipes, see `test_run.py`.
        "giving.py": {"cloudpickle"},
        "offer.py": {"pickle"},
    }
    for path in Path(distune.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or ""
                names = {module, *(alias.name for alias in node.names)}
                bad = names & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
                assert bad <= allowed.get(path.name, set()), path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"eval", "exec", "os.system", "os.popen"}, path
                given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert given.get("shell", "False") == "False", path
                if called in {"torch.load", "np.load", "numpy.load"}:
                    assert given.get("weights_only") == "True", path


def test_the_unpickler_of_the_one_data_set_that_needs_one_makes_nothing_but_data(
    tmp_path: Path,
) -> None:
    from distune.errors import UserError
    from distune.workloads.data import cifar_10

    source = Path(cifar_10.__file__).read_text()
    assert not re.search(r"pickle\.loads?\b", source)
    trap = tmp_path / "trap"
    for made in (os.system, eval, Path, subprocess.Popen):
        content = pickle.dumps(Trap(made, str(trap)))
        with pytest.raises(pickle.UnpicklingError, match="it wants"):
            cifar_10._Unpickler(io.BytesIO(content)).load()
        spoilt = tmp_path / "data_batch_1"
        spoilt.write_bytes(content)
        with pytest.raises(UserError, match="MD5"):
            cifar_10.read(*[spoilt] * 6)
    assert not trap.exists()


class Trap:
    """Unpickling it calls something."""

    def __init__(self, made: Any, path: str) -> None:
        self.made, self.path = made, path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return self.made, (f"touch {self.path}",)
