"""`distune launch ssh`: the script it writes, and real hosts on which it starts workers.

The hosts are those of the rig beside the repository, see `tests.rigs`.
"""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distune.errors import UserError
from distune.launch.ssh import Host, parse_hosts, ssh_script
from tests.conftest import DISTUNE, Lab, wait_until
from tests.rigs import SshHosts, why_no_hosts

ROOT = Path(__file__).parent.parent

# -- hosts, and the script -----------------------------------------------------------------


def test_hosts_come_from_the_command_line_and_a_file_with_as_many_trials_as_they_say() -> None:
    file = "# the lab\n\ngpu7=4   # the large one\n  gpu8\n"
    assert parse_hosts(["me@gpu9=2", "fe80::1"], file) == [
        Host("me@gpu9", 2), Host("fe80::1"), Host("gpu7", 4), Host("gpu8"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["gpu7=0"], "from 1 to 1024"),
        (["gpu7=many"], "from 1 to 1024"),
        (["-oProxyCommand=evil"], "a name that ssh knows"),
        (["=4"], "a name that ssh knows"),
        (["two hosts"], "a name that ssh knows"),
        (["gpu7", "gpu7=2"], "'gpu7' is there twice"),
        ([], "there are no hosts"),
    ],
)
def test_what_is_no_host_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_hosts(texts)


def stand_in(folder: Path, script: str) -> dict[str, str]:
    """An environment in which `ssh` is a shell script."""
    ssh = folder / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/bash\n{script}\n")
    ssh.chmod(stat.S_IRWXU)
    return {**os.environ, "PATH": f"{ssh.parent}:{os.environ['PATH']}"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads how a sh of Linux quotes")
def test_a_host_runs_the_worker_as_it_was_given_whatever_needs_quotes(tmp_path: Path) -> None:
    odd = ["a b", "it's", '"$HOME"', "`id`", "\\", "*", "ü", "a!b"]
    show = [sys.executable, "-c", "import sys; print(sys.argv[1:])", *odd]
    environment = stand_in(tmp_path, 'exec sh -c "${@: -1}"')
    script = ssh_script([Host("h1"), Host("h2", 3)], show, str(tmp_path))
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"h1: {odd}", f"h2: {[*odd, '--jobs', '3']}"]


@pytest.mark.parametrize(
    ("status", "said"),
    [(255, "h1: no connection"), (127, "h1: no such Python there"), (2, "h1: ended with exit")],
)
def test_a_host_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, status: int, said: str
) -> None:
    fails = f'case "$*" in *" h1 "*) exit {status};; esac; echo "training"'
    script = ssh_script([Host("h1"), Host("h2")], ["worker"])
    done = subprocess.run(
        ["bash", "-c", script], env=stand_in(tmp_path, fails), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert said in done.stdout
    assert "h2: training\n" in done.stdout


# -- the command ---------------------------------------------------------------------------


def test_a_dry_run_writes_a_script_and_says_how_to_start_it(lab: Lab) -> None:
    (lab.folder / "hosts").write_text("h2=2\n")
    options = ["--hosts", "hosts", "--study", "s1", "--objective", "train.py:train", "--dry-run"]
    done = lab.run("launch", "ssh", "h1", *options)
    assert done.returncode == 0, done.stderr
    assert "bash distune-s1-ssh.sh" in done.stdout
    script = (lab.folder / "distune-s1-ssh.sh").read_text()
    assert "  h1\n  h2=2\n" in script
    command = f"-P -m distune worker --logs {lab.logs} --study s1 --objective {lab.folder}/train.py"
    assert shlex.join([*DISTUNE[:1]]) + f" {command}:train " in script
    assert "cd " not in script, "nothing depends on the folder"
    subprocess.run(["bash", "-n", "distune-s1-ssh.sh"], cwd=lab.folder, check=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "there are no hosts"),
        ("h1 h1", "is there twice"),
        ("--hosts nothing", "--hosts nothing: cannot be read"),
        ("h1 --study a/b", "cannot name a study"),
        ("h1", "there is no bash on this machine's path"),
    ],
)
def test_what_cannot_work_is_one_clear_line_and_exit_status_2(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = lab.run("launch", "ssh", *options.split())
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


# -- for real ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hosts() -> Iterator[SshHosts]:
    if why := why_no_hosts():
        pytest.skip(why)
    with SshHosts(3) as some:
        yield some


def launch(hosts: SshHosts, lab: Lab, *names: str) -> subprocess.Popen[bytes]:
    """From `ctl`, with an ssh that reads a configuration in which `far` is behind h1."""
    python = lab.folder / "python"  # what a host's own shell would set up
    python.write_text(
        f'#!/bin/sh\necho "$SSH_CONNECTION" >>{shlex.quote(str(lab.folder))}/connections\n'
        f'PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} "$@"\n'
    )
    python.chmod(stat.S_IRWXU)
    config = lab.folder / "config"
    theirs = Path(hosts.config).read_text().partition("\n")[2]
    config.write_text(f"Host far\nHostName h3\nProxyJump h1\n{theirs}\nHost h*\n{theirs}")
    path = stand_in(lab.folder, f'exec /usr/bin/ssh -F {shlex.quote(str(config))} "$@"')["PATH"]
    options = ["--python", str(python), "--objective", "train.py:train", "--jobs", "1"]
    command = ["env", f"PATH={path}", *DISTUNE, "launch", "ssh", *names, *options]
    return lab.start_program(hosts.on_ctl(*command))


def study(lab: Lab, trials: int) -> subprocess.Popen[bytes]:
    lab.write_space(
        params={"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": 10, "pause": 0.1},
        trials=trials,
    )
    master = lab.master("--plain")
    wait_until(lab.names, what="it is published")
    return master


def held(lab: Lab) -> dict[str, int]:
    """How many trials are trained on each host."""
    names = [name.split(".")[3].split("-")[0] for name in lab.names() if name.endswith(".taken")]
    return {host: names.count(host) for host in names}


@pytest.mark.slow
def test_ctrl_c_drains_all_hosts_also_one_behind_another_and_a_host_that_is_off_is_named(
    hosts: SshHosts, lab: Lab
) -> None:
    study(lab, trials=1000)
    launched = launch(hosts, lab, "h1", "h2=2", "far", "nowhere")
    wait_until(lambda: held(lab) == {"h1": 1, "h2": 2, "h3": 1}, what="all train")
    lab.wait_for_words(launched, "nowhere: no connection")
    began = time.monotonic()
    os.killpg(launched.pid, signal.SIGINT)
    assert launched.wait(30) == 130
    assert time.monotonic() - began < 5.0
    assert held(lab) == {}
    said = lab.log_of(launched)
    assert all(f"{name}: " in said for name in ("h1", "h2", "far"))
    assert said.count("everything given back") == 3
    clients = (lab.folder / "connections").read_text().split("\n")
    assert sum(line.startswith("10.77.0.1 ") for line in clients) == 1, "far is reached through h1"


@pytest.mark.slow
def test_workers_drain_when_the_launcher_is_killed(hosts: SshHosts, lab: Lab) -> None:
    study(lab, trials=1000)
    launched = launch(hosts, lab, "h1", "h2")
    wait_until(lambda: held(lab) == {"h1": 1, "h2": 1}, what="all train")
    launched.kill()
    wait_until(lambda: held(lab) == {}, 10, "they give back what they hold")


def froze_training(hosts: SshHosts, lab: Lab, host: str) -> bool:
    """Freeze a host; False, and it goes on, if it was between two trials."""
    hosts.do("freeze", host)
    if host in held(lab):
        return True
    hosts.do("thaw", host)
    return False


@pytest.mark.slow
def test_a_host_that_is_frozen_past_the_lease_and_one_that_is_cut_off_lose_no_trial(
    hosts: SshHosts, lab: Lab
) -> None:
    master = study(lab, trials=60)
    launched = launch(hosts, lab, "h1", "h2", "h3")
    wait_until(lambda: len(held(lab)) == 3, what="all train")
    wait_until(lambda: froze_training(hosts, lab, "h1"), what="it is frozen while it trains")
    hosts.do("cut", "h2")
    try:
        wait_until(
            lambda: any(".h1-" in name and name.endswith(".lost") for name in lab.seen()),
            what="the frozen one's trial is lost",
        )
        before = lab.log_of(launched).count("h2: ")
        wait_until(lambda: "h2" in held(lab), what="the one that is cut off trains on")
    finally:
        hosts.do("thaw", "h1")
        hosts.do("join", "h2")
    wait_until(lambda: lab.log_of(launched).count("h2: ") > before, what="it is heard again")
    assert master.wait(120) == 0
    assert launched.wait(60) == 0
    assert lab.counted() == list(range(60))
