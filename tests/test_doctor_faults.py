"""The doctor on file systems that misbehave: what it finds, and which promise it names.

They are made by faultfs, a FUSE file system that is found through `DISTUNE_RIGS`.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from distune.doctor.diagnosis import HostMeasurements
from distune.doctor.verdict.judge import judge
from distune.share import protocol, records
from tests.conftest import DISTUNE, Lab
from tests.rigs import FAULTFS, load_faultfs, why_no_faultfs

BROKEN = Path(__file__).parent / "broken_faultfs.py"

why_not = why_no_faultfs()
if why_not is not None:
    pytest.skip(why_not, allow_module_level=True)

Mount = Callable[..., Any]


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mount]:
    """`mount("A", listing=5)`: a host's view of the one directory that all of them share."""
    faultfs = load_faultfs()
    with ExitStack() as stack:

        def make(host: str, broken: str | None = None, **settings: Any) -> Any:
            if broken is not None:
                monkeypatch.setenv("FAULTFS", str(FAULTFS))
                monkeypatch.setenv("BROKEN", broken)
                monkeypatch.setattr(faultfs, "__file__", str(BROKEN))
            one = faultfs.FaultFS(str(tmp_path / "export"), str(tmp_path / host), **settings)
            try:
                return stack.enter_context(one)
            except (OSError, RuntimeError) as error:
                pytest.skip(f"faultfs cannot be mounted here: {error}")

        yield make


def examine(host: Any, *arguments: str, timeout: float = 120.0) -> tuple[int, str, Any]:
    """Run the doctor on a mount: its status, what it said, and the diagnosis as plain data."""
    done = subprocess.run(
        [*DISTUNE, "doctor", "--logs", f"{host.mnt}/logs", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stderr, json.loads(done.stdout) if done.stdout else None


def examine_together(*hosts: Any) -> list[Any]:
    """Run a doctor on each mount at the same time, with --peer; their diagnoses."""
    os.makedirs(f"{hosts[0].backing}/logs", exist_ok=True)
    command = [*DISTUNE, "doctor", "--peer", "--json", "--wait", "2m"]
    doctors = [
        subprocess.Popen(
            [*command, "--logs", f"{host.mnt}/logs"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for host in hosts
    ]
    try:
        return [json.loads(doctor.communicate(timeout=400)[0]) for doctor in doctors]
    finally:
        for doctor in doctors:
            doctor.kill()
            doctor.wait()


def failures(diagnosis: Any) -> set[tuple[str, str]]:
    return {(c["name"], c["promise"]) for c in diagnosis["checks"] if c["grade"] == "fail"}


def value_of(diagnosis: Any, name: str) -> str:
    (value,) = [c["value"] for c in diagnosis["checks"] if c["name"] == name]
    return str(value)


# -- file systems that no protocol could run on --------------------------------------------


def _slow(*values: object) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("copies", {("rename", "P2"), ("claims on one host", "P2")}),
        _slow("late-copies", {("rename", "P2"), ("claims on one host", "P2")}),
        _slow("truncates", {("rename", "P1"), ("claims on one host", "P1"), ("appending", "P3")}),
        ("forgets", {("rename", "P2"), ("claims on one host", "P3")}),
        _slow("shouts", {("names", "P2")}),
    ],
)
def test_a_file_system_that_breaks_a_promise_is_found_and_the_promise_named(
    mount: Mount, broken: str, expected: set[tuple[str, str]]
) -> None:
    status, _, diagnosis = examine(mount("A", broken))
    assert status == 1
    assert expected <= failures(diagnosis)
    assert diagnosis["grade"] == "fail"


def test_lines_that_arrive_in_part_though_the_share_says_they_are_written_break_p3(
    mount: Mount,
) -> None:
    host = mount("A")
    host.rule(op="write", path="*/appending/*.taken", keep=0.5, lie=True, skip=5, count=1)
    status, _, diagnosis = examine(host)
    assert status == 1
    assert failures(diagnosis) == {("appending", "P3")}


@pytest.mark.slow
def test_names_that_are_too_short_for_an_owner_break_p2(mount: Mount) -> None:
    host = mount("A")
    long = "?" * 90
    host.rule(op=["lookup", "create"], path=f"*/names/{long}*", errno="ENAMETOOLONG")
    status, _, diagnosis = examine(host)
    assert status == 1
    assert failures(diagnosis) == {("names", "P2")}
    assert "80 bytes fit" in value_of(diagnosis, "names")


# -- what the protocol lives with ----------------------------------------------------------


def test_lost_rename_replies_are_noticed_and_harm_nothing(mount: Mount) -> None:
    host = mount("A")
    host.rule(op="rename", path="*/claims/trials/*", resend=True, prob=0.4)
    status, _, diagnosis = examine(host)
    assert host.log()
    assert status == 0, failures(diagnosis)
    claims = diagnosis["hosts"][0]["claims"]
    assert claims["lost_replies"] > 0
    assert claims["misjudged"] == claims["two_owners"] == 0
    assert "each noticed" in value_of(diagnosis, "rename replies")


def test_errors_that_go_away_are_a_warning(mount: Mount) -> None:
    host = mount("A")
    host.rule(op="rename", path="*/claims/trials/*", errno="EIO", when="after", count=3)
    host.rule(op="fsync", path="*/publishing/*", errno="EIO", count=2)
    status, _, diagnosis = examine(host)
    assert status == 0, failures(diagnosis)
    assert diagnosis["grade"] == "warn"
    assert "failed and worked later" in value_of(diagnosis, "answers")


@pytest.mark.slow
def test_a_file_system_without_hard_links_is_a_warning(mount: Mount) -> None:
    host = mount("A")
    host.rule(op="link", errno="EPERM")
    status, _, diagnosis = examine(host)
    assert status == 0, failures(diagnosis)
    assert "none" in value_of(diagnosis, "hard links")


def test_a_clock_that_is_off_is_shown_and_coarse_times_change_nothing(mount: Mount) -> None:
    host = mount("A", granularity=1, skew=7200)
    status, _, diagnosis = examine(host)
    assert status == 0, failures(diagnosis)
    assert diagnosis["hosts"][0]["clock"] == pytest.approx(7200, abs=10)
    assert "ahead of" in value_of(diagnosis, "clocks")
    assert diagnosis["lease"] == 120.0  # as without any of that


# -- a share that says no, or nothing ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"), [("EROFS", "mount it read-write"), ("ENOSPC", "make room")]
)
def test_a_share_that_cannot_be_written_to_is_said_to_be_so(
    mount: Mount, name: str, said: str
) -> None:
    host = mount("A")
    os.makedirs(f"{host.backing}/logs")
    operations = ["create", "mkdir", "write"] if name == "EROFS" else ["write"]
    host.rule(op=operations, errno=name)
    status, _, diagnosis = examine(host)
    assert status == 1
    (check,) = [c for c in diagnosis["checks"] if c["grade"] == "fail"]
    assert check["name"] == "writing"
    assert check["promise"] == "P9"
    assert said in check["advice"]
    host.clear()
    assert os.listdir(f"{host.backing}/logs") == [], "and leaves nothing behind"


def test_a_share_that_fills_up_half_way_is_found(mount: Mount) -> None:
    host = mount("A")
    host.rule(op="write", path="*/appending/*", errno="ENOSPC", keep=0.5, skip=10)
    status, _, diagnosis = examine(host)
    assert status == 1
    assert failures(diagnosis) == {("appending", "P9")}
    assert "No space left" in value_of(diagnosis, "appending")


def test_a_share_that_hangs_does_not_hang_the_doctor(mount: Mount) -> None:
    host = mount("A")
    os.makedirs(f"{host.backing}/logs")
    host.set(freeze=True)
    begin = time.monotonic()
    status, _, diagnosis = examine(host, "--timeout", "3s")
    assert time.monotonic() - begin < 60
    assert status == 1
    assert failures(diagnosis) == {("answers", "P9")}
    assert "looking for" in value_of(diagnosis, "answers")
    assert "no answer for" in value_of(diagnosis, "answers")


@pytest.mark.long
def test_the_operation_that_hangs_is_named(mount: Mount) -> None:
    host = mount("A")
    host.rule(op="rename", path="*/appending/trials/000000*", delay=12, count=1)
    status, _, diagnosis = examine(host, "--timeout", "3s")
    assert status == 1
    assert failures(diagnosis) == {("answers", "P9")}
    assert "renaming appending/trials/000000" in value_of(diagnosis, "answers")
    assert diagnosis["hosts"][0]["renames"] is not None, "what was found before is shown"


# -- two hosts -----------------------------------------------------------------------------


@pytest.mark.long
def test_two_hosts_with_caches_agree_on_what_they_see_and_get_a_longer_lease(
    mount: Mount,
) -> None:
    """Caches as NFS has them, and listings as with `nocto` or sshfs, shortened to 4 s."""
    caches = {"entry": 4, "negative": 4, "attr": 3, "listing": 4, "listing_cto": False,
              "append": "nfs", "silly": True, "writeback": 4}  # fmt: skip
    hosts = [mount("A", **caches), mount("B", **caches, utime_skew=3600)]
    first, second = examine_together(*hosts)
    for diagnosis in (first, second):
        del diagnosis["created"]
    assert first == second
    assert failures(first) == set()
    assert first["peer"]
    assert first["lease"] >= 80.0
    seen = first["pairs"]
    assert len(seen) == 2
    assert all(max(one["new_file"]["seconds"]) >= 3.0 for one in seen)
    assert all(max(one["new_file_poked"]["seconds"]) < 3.0 for one in seen)
    assert all(one["claims"]["two_owners"] == 0 for one in seen)
    assert all(one["handed_over"]["wrong"] == 0 for one in seen)
    assert [one["flock"] for one in seen] == [False, False]
    export = f"{hosts[0].backing}/logs"
    assert os.listdir(export) == [protocol.DOCTOR]


@pytest.mark.slow
def test_two_hosts_whose_renames_of_one_name_both_win_are_found_out(mount: Mount) -> None:
    hosts = [mount("A", "late-copies"), mount("B", "late-copies")]
    first, second = examine_together(*hosts)
    for diagnosis in (first, second):
        assert ("claims on two hosts", "P2") in failures(diagnosis)


# -- the master ----------------------------------------------------------------------------


def test_a_master_ignores_a_diagnosis_that_is_about_another_file_system(
    mount: Mount, lab: Lab
) -> None:
    host = mount("A")
    lab.write_space(objective="train:quick", trials=1, lease=None)
    os.makedirs(f"{host.mnt}/logs")
    local = HostMeasurements(host="server", file_system="ext4", network=False, default_lease=20.0)
    Path(host.mnt, "logs", protocol.DOCTOR).write_bytes(records.encode_document(judge([local])))
    done = lab.run("master", "--space", "space.json", "--logs", f"{host.mnt}/logs", "--workers",
                   "1", "--objective", "train:quick")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "is about ext4, and this is fuse.faultfs" in done.stdout
    study = json.loads(Path(host.mnt, "logs", "space", protocol.STUDY).read_text())
    assert study["lease"] == 120.0
