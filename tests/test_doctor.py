"""The doctor: what it measures, what it concludes, and what a master makes of its diagnosis."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from distune.doctor.diagnosis import (
    PROMISES,
    CheckResult,
    Claims,
    Delay,
    Diagnosis,
    FreeSpace,
    HostMeasurements,
    Lines,
    Names,
    OwnListing,
    PairMeasurements,
    Publishing,
    Renames,
    Rewrites,
)
from distune.doctor.peer.session import Here
from distune.doctor.prober import PROBES
from distune.doctor.probes.files import probe_own_listing, probe_publishing, probe_renames
from distune.doctor.probes.trials import probe_claims
from distune.doctor.verdict.judge import judge
from distune.doctor.watched_folder import Operations, WatchedFolder
from distune.share import protocol, records
from distune.share.find_studies import find_studies
from distune.share.folder import Folder
from distune.study.study import Study
from tests.conftest import Lab, wait_until

FAST = dict.fromkeys(("publish", "rename", "list", "read", "append", "rewrite"), 1e-3)
LOCAL = HostMeasurements(
    host="a", file_system="ext4", network=False, default_lease=20.0, speed=FAST
)
NFS = HostMeasurements(host="a", file_system="nfs4", network=True, default_lease=120.0, speed=FAST)
OTHER = NFS.model_copy(update={"host": "b"})


def pair(news: float = 0.1, **fields: Any) -> PairMeasurements:
    """What a saw of b, news taking so many seconds; `fields` say otherwise."""
    delay = Delay(seconds=[news], limit=90.0)
    usual = {"new_file": delay, "appended": delay, "evicted": delay, "new_file_poked": delay,
             "beat_every": 0.5, "beat_gap": 0.6, "flock": True, "lockf": True}  # fmt: skip
    return PairMeasurements.model_validate({"host": "a", "other": "b", **usual, **fields})


def both(*, news: float = 0.1, **fields: Any) -> Diagnosis:
    return judge([NFS, OTHER], [pair(news, **fields), pair(news, host="b", other="a")])


def failed(diagnosis: Diagnosis) -> list[CheckResult]:
    return [check for check in diagnosis.checks if check.grade == "fail"]


# -- the verdict ---------------------------------------------------------------------------


def test_one_host_of_a_local_file_system_gets_the_default_lease() -> None:
    diagnosis = judge([LOCAL])
    assert (diagnosis.grade, diagnosis.lease, diagnosis.heartbeat, diagnosis.poll) == (
        "ok",
        20.0,
        1.0,
        1.0,
    )


def test_a_network_file_system_seen_from_one_host_keeps_the_careful_lease() -> None:
    diagnosis = judge([NFS])
    assert diagnosis.lease == 120.0
    assert "--peer" in diagnosis.summary


def test_two_hosts_that_see_each_others_news_at_once_may_have_a_shorter_lease() -> None:
    assert both().lease == 30.0


def test_a_cache_that_was_seen_costs_the_minute_that_attributes_may_be_cached() -> None:
    assert both(news=2.5).lease >= 20 + 60
    assert both(news=40.0).lease >= 20 + 3 * 40
    assert both(news=40.0).poll > both().poll
    assert both(news=6.0).grade == "warn"


def test_slow_operations_make_heartbeats_and_looks_rarer_and_the_lease_longer() -> None:
    slow = {**FAST, "rewrite": 0.2, "list": 0.15}
    diagnosis = judge([LOCAL.model_copy(update={"speed": slow})])
    assert diagnosis.heartbeat == pytest.approx(4.0)
    assert diagnosis.poll == pytest.approx(3.0)
    assert diagnosis.lease >= 20 * diagnosis.heartbeat


def test_one_host_that_looks_twice_through_one_mount_proves_nothing_about_caches() -> None:
    diagnosis = judge(
        [NFS, OTHER], [pair(one_mount=True), pair(host="b", other="a", one_mount=True)]
    )
    assert diagnosis.lease == 120.0
    assert not diagnosis.peer
    assert diagnosis.grade == "warn"


@pytest.mark.parametrize(
    ("fields", "check", "promise"),
    [
        ({"renames": Renames(tries=20, source_left=1)}, "rename", "P2"),
        ({"renames": Renames(tries=20, target_missing=1)}, "rename", "P2"),
        ({"renames": Renames(tries=20, damaged=1)}, "rename", "P1"),
        ({"claims": Claims(files=9, claimers=4, two_owners=1)}, "claims on one host", "P2"),
        ({"claims": Claims(files=9, claimers=4, gone=1)}, "claims on one host", "P3"),
        ({"claims": Claims(files=9, claimers=4, damaged=1)}, "claims on one host", "P1"),
        ({"claims": Claims(files=9, claimers=4, misjudged=1)}, "claims on one host", "P8"),
        ({"publishing": Publishing(tries=9, replaced=1)}, "publishing", "P1"),
        ({"publishing": Publishing(tries=9, damaged=1)}, "publishing", "P1"),
        ({"publishing": Publishing(tries=9, two_winners=1), "links": True}, "publishing", "P1"),
        ({"appending": Lines(lines=9, wrong=1)}, "appending", "P3"),
        ({"own_listing": OwnListing(tries=9, stale=1, stubborn=1)}, "listing", "P8"),
        ({"rewriting": Rewrites(tries=9, stale=1)}, "heartbeat", "P6"),
        ({"names": Names(needed=132, longest=60, case_sensitive=True)}, "names", "P2"),
        (
            {"names": Names(needed=132, longest=132, case_sensitive=True, changed=True)},
            "names",
            "P2",
        ),
        ({"troubles": {"renames": "cannot rename a: Input/output error"}}, "rename", "P9"),
        ({"hang": ("listing trials", 60.0)}, "answers", "P9"),
    ],
)
def test_each_thing_that_one_host_sees_go_wrong_breaks_a_promise(
    fields: dict[str, Any], check: str, promise: str
) -> None:
    diagnosis = judge([NFS.model_copy(update=fields)])
    assert [(c.name, c.promise) for c in failed(diagnosis)] == [(check, promise)]
    assert failed(diagnosis)[0].advice
    assert diagnosis.grade == "fail"
    assert f"it breaks {promise}" in diagnosis.summary


@pytest.mark.parametrize(
    ("fields", "check", "promise"),
    [
        ({"new_file": Delay(never=1, limit=90.0)}, "a sees new file", "P3"),
        ({"new_file_poked": Delay(never=1, limit=90.0)}, "a sees it poked", "P8"),
        ({"appended": Delay(never=1, limit=90.0)}, "a sees appended line", "P3"),
        ({"evicted": Delay(never=1, limit=90.0)}, "a sees lost file", "P7"),
        ({"beat_gap": None}, "a sees heartbeat", "P6"),
        ({"claims": Claims(files=9, claimers=6, two_owners=3)}, "claims on two hosts", "P2"),
        ({"publishing": Publishing(tries=9, two_winners=1)}, "publishing", "P1"),
        ({"handed_over": Lines(lines=5, wrong=1)}, "handing over", "P3"),
    ],
)
def test_each_thing_that_goes_wrong_between_two_hosts_breaks_a_promise(
    fields: dict[str, Any], check: str, promise: str
) -> None:
    links = {"links": True}
    hosts = [NFS.model_copy(update=links), OTHER.model_copy(update=links)]
    diagnosis = judge(hosts, [pair(**fields), pair(host="b", other="a")])
    assert [(c.name, c.promise) for c in failed(diagnosis)] == [(check, promise)]


@pytest.mark.parametrize(
    "fields",
    [
        {"space": FreeSpace(bytes_free=2**20, inodes_free=None)},
        {"space": FreeSpace(bytes_free=2**40, inodes_free=100)},
        {"links": False, "publishing": Publishing(tries=9, two_winners=2)},
        {"names": Names(needed=132, longest=132, case_sensitive=False)},
        {"flock": False},
        {"own_listing": OwnListing(tries=9, stale=1)},
        {"repeated": 3, "last_error": "cannot rename a: Stale file handle"},
        {"speed": {**FAST, "publish": 2.0}},
    ],
)
def test_what_the_protocol_can_live_with_is_a_warning(fields: dict[str, Any]) -> None:
    usual = {"flock": True, "links": True, "claims": Claims(files=9, claimers=4)}
    assert judge([NFS.model_copy(update=usual)]).grade == "ok"
    assert judge([NFS.model_copy(update={**usual, **fields})]).grade == "warn"


def test_locks_that_both_hosts_get_are_a_warning_since_no_trial_needs_one() -> None:
    diagnosis = both(flock=False, lockf=False)
    assert diagnosis.grade == "warn"
    assert [c.value for c in diagnosis.checks if c.name == "locks"] == [
        "flock: both hosts got it; lockf: both hosts got it"
    ]


def test_the_promises_are_quoted_as_the_protocol_has_them() -> None:
    page = " ".join((Path(__file__).parent.parent / "PROTOCOL.md").read_text().split())
    for number, text in PROMISES.items():
        assert text in page.split(f"- **{number}** ")[1].split(" - **")[0]


# -- the probes ----------------------------------------------------------------------------


def sandbox_in(tmp_path: Path, make: Any = Folder) -> WatchedFolder:
    return WatchedFolder(tmp_path, Operations(), make).folder("sandbox")


def measured(sandbox: WatchedFolder) -> HostMeasurements:
    """What all probes find, as the doctor's own process would have it."""
    return NFS.model_copy(
        update={name: probe(sandbox.folder(name)) for name, probe in PROBES.items()}
    )


def test_a_sound_directory_passes_every_probe(tmp_path: Path) -> None:
    diagnosis = judge([measured(sandbox_in(tmp_path))])
    assert [c for c in diagnosis.checks if c.grade == "fail"] == []
    found = diagnosis.hosts[0]
    assert found.claims == Claims(files=40, claimers=4)
    assert found.renames == Renames(tries=20)
    assert found.publishing == Publishing(tries=15)


class Copying(Folder):
    """A share whose rename copies: what a synchronised folder does."""

    def move(self, source: str, target: str) -> None:
        if not os.path.exists(self.root / source):
            raise FileNotFoundError(source)
        shutil.copy(self.root / source, self.root / target)


def test_a_rename_that_copies_gives_a_trial_two_owners_and_breaks_p2(tmp_path: Path) -> None:
    sandbox = sandbox_in(tmp_path, Copying)
    diagnosis = judge([NFS.model_copy(update={
        "claims": probe_claims(sandbox.folder("claims")),
        "renames": probe_renames(sandbox.folder("renames")),
    })])  # fmt: skip
    assert {(c.name, c.promise) for c in failed(diagnosis)} == {
        ("rename", "P2"),
        ("claims on one host", "P2"),
    }


class Overwriting(Folder):
    """A share where publishing goes over a name that is taken."""

    def publish(self, path: str, data: bytes) -> None:
        self.replace(path, data)


def test_publishing_over_a_taken_name_breaks_p1(tmp_path: Path) -> None:
    found = probe_publishing(sandbox_in(tmp_path, Overwriting))
    assert found.replaced == 5
    (check,) = failed(judge([NFS.model_copy(update={"publishing": found})]))
    assert (check.name, check.promise) == ("publishing", "P1")


class Slow(Folder):
    """A share whose rename writes its target bit by bit."""

    def move(self, source: str, target: str) -> None:
        data = (self.root / source).read_bytes()
        with open(self.root / target, "wb") as file:
            file.write(data[:100])
            file.flush()
            time.sleep(0.05)
            file.write(data[100:])
        os.unlink(self.root / source)


def test_a_rename_that_can_be_seen_half_done_breaks_p1(tmp_path: Path) -> None:
    found = probe_renames(sandbox_in(tmp_path, Slow))
    assert (found.source_left, found.target_missing) == (0, 0)
    assert found.damaged > 0


class Remembering(Folder):
    """A share whose listings are those of the first look, whatever one changes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, network=True)
        self._known: list[str] | None = None

    def names(self, folder: str) -> list[str]:
        if self._known is None:
            self._known = super().names(folder)
        return self._known


def test_a_listing_that_never_shows_ones_own_change_breaks_p8(tmp_path: Path) -> None:
    found = probe_own_listing(sandbox_in(tmp_path, Remembering))
    assert found.stubborn > 0
    (check,) = failed(judge([NFS.model_copy(update={"own_listing": found})]))
    assert (check.name, check.promise) == ("listing", "P8")


def test_the_operation_that_is_waited_for_is_known(tmp_path: Path) -> None:
    operations = Operations()
    begun, go_on = threading.Event(), threading.Event()

    class Stuck(Folder):
        def names(self, folder: str) -> list[str]:
            begun.set()
            go_on.wait(30)
            return []

    folder = WatchedFolder(tmp_path, operations, Stuck).folder("here")
    thread = threading.Thread(target=folder.names, args=("",))
    assert operations.longest() is None
    thread.start()
    assert begun.wait(30)
    waiting = operations.longest()
    go_on.set()
    thread.join()
    assert waiting is not None
    assert waiting[0] == "listing here"
    assert operations.longest() is None


# -- the command ---------------------------------------------------------------------------


def test_the_doctor_trusts_a_sound_directory_and_leaves_only_its_diagnosis(lab: Lab) -> None:
    done = lab.run("doctor", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trust it: lease 20 s, heartbeat every 1 s" in done.stdout
    assert "\x1b" not in done.stdout
    assert os.listdir(lab.logs) == [protocol.DOCTOR]
    diagnosis = records.decode_document(Diagnosis, (lab.logs / protocol.DOCTOR).read_bytes())
    assert diagnosis.grade != "fail"
    assert diagnosis.hosts[0].claims == Claims(files=40, claimers=4)
    assert find_studies(lab.logs) == {}


def test_the_doctor_prints_the_diagnosis_as_json(lab: Lab) -> None:
    done = lab.run("doctor", "--json", timeout=60)
    diagnosis = json.loads((lab.logs / protocol.DOCTOR).read_text())
    assert json.loads(done.stdout) == {key: diagnosis[key] for key in diagnosis if key != "crc"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("doctor --logs nowhere/logs", "does not exist, nor does the folder it is in"),
        ("doctor --logs train.py", "is not a directory"),
        ("doctor --peer --wait soon", "90s, 2h or 1h30m"),
    ],
)
def test_a_mistake_with_the_doctor_is_one_line(lab: Lab, arguments: str, said: str) -> None:
    done = lab.run(*arguments.split(), timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_two_doctors_find_each_other_in_the_directory_and_agree(lab: Lab) -> None:
    """On one host through one mount, which they notice; another mount is another test."""
    dead = Here(doctor="dead-1-abc", host="dead", counter=3)
    hidden = lab.logs / protocol.DOCTOR_FOLDER
    hidden.mkdir(parents=True)
    (hidden / "dead-1-abc.here").write_bytes(records.encode_document(dead))
    doctors = [lab.start("doctor", "--peer", "--json") for _ in range(2)]
    assert [doctor.wait(180) for doctor in doctors] == [0, 0], lab.log_of(doctors[0])
    first, second = (json.loads(lab.log_of(d)[lab.log_of(d).index("{") :]) for d in doctors)
    for one in (first, second):
        del one["created"]
    assert first == second
    claims = first["pairs"][0]["claims"]
    assert (claims["files"], claims["claimers"], claims["two_owners"]) == (60, 6, 0)
    assert [c["value"] for c in first["checks"] if c["name"] == "second host"] == [
        "both are this host, through one mount"
    ]
    assert first["lease"] == 20.0
    assert os.listdir(hidden) == ["dead-1-abc.here"]
    assert (lab.logs / protocol.DOCTOR).exists()


def test_a_doctor_that_no_other_joins_says_so_and_leaves_an_older_diagnosis_alone(lab: Lab) -> None:
    lab.logs.mkdir()
    (lab.logs / protocol.DOCTOR).write_text("older")
    done = lab.run("doctor", "--peer", "--wait", "1s", timeout=60)
    assert done.returncode == 1
    assert "no other host came" in done.stdout
    assert "distune doctor --logs" in done.stderr
    assert os.listdir(lab.logs) == [protocol.DOCTOR]
    assert (lab.logs / protocol.DOCTOR).read_text() == "older"


def test_a_doctor_that_is_interrupted_clears_up(lab: Lab) -> None:
    doctor = lab.start("doctor", "--peer")
    hidden = lab.logs / protocol.DOCTOR_FOLDER
    wait_until(lambda: list(hidden.glob("*.here")), what="it waits for the other")
    doctor.send_signal(2)
    assert doctor.wait(30) == 130
    wait_until(lambda: not hidden.exists(), 30, "its folder is gone")


# -- the master ----------------------------------------------------------------------------


def leave_diagnosis(lab: Lab, **fields: Any) -> None:
    diagnosis = judge([LOCAL]).model_copy(update=fields)
    lab.logs.mkdir(exist_ok=True)
    (lab.logs / protocol.DOCTOR).write_bytes(records.encode_document(diagnosis))


def run_study(lab: Lab, *arguments: str) -> Any:
    return lab.run("master", "--space", "space.json", "--workers", "1", "--objective",
                   "train:quick", *arguments)  # fmt: skip


def frozen(lab: Lab) -> Study:
    path = lab.logs / "space" / protocol.STUDY
    return records.decode_document(Study, path.read_bytes())


def test_a_master_takes_the_doctors_settings_and_says_so(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=2, lease=None)
    leave_diagnosis(lab, lease=45.0, heartbeat=1.5, poll=1.2)
    done = run_study(lab)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if "advises" in line]
    assert len(said) == 1
    assert "lease 45 s, heartbeat every 1.5 s, a look every 1.2 s" in said[0]
    study = frozen(lab)
    assert (study.lease, study.beat_interval, study.longest_pause) == (45.0, 1.5, 1.2)


def test_a_lease_in_the_space_file_wins_over_the_doctors(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=1, lease="10s")
    leave_diagnosis(lab, lease=45.0, heartbeat=4.0, poll=4.0)
    done = run_study(lab)
    assert "lease 10 s (space.json says so)" in done.stdout
    study = frozen(lab)
    assert study.lease == 10.0
    assert study.beat_interval == 0.5
    assert study.longest_pause == 1.0


@pytest.mark.parametrize(
    "garbage",
    [
        b"{}",
        *(pytest.param(data, marks=pytest.mark.slow) for data in (b"", b"\x00" * 100, b"[" * 5000)),
    ],
    ids=["another", "empty", "zeros", "deep"],
)
def test_a_diagnosis_that_makes_no_sense_is_ignored_in_one_line(lab: Lab, garbage: bytes) -> None:
    lab.write_space(objective="train:quick", trials=1, lease=None)
    lab.logs.mkdir()
    (lab.logs / protocol.DOCTOR).write_bytes(garbage)
    done = run_study(lab)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if "doctor.json is ignored" in line]) == 1
    assert frozen(lab).lease == 20.0


@pytest.mark.long
def test_a_diagnosis_says_nothing_about_a_study_that_is_frozen_already(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=1, lease="10s")
    assert run_study(lab).returncode == 0
    lab.write_space(objective="train:quick", trials=2, lease=None)
    leave_diagnosis(lab, lease=45.0)
    done = run_study(lab, "--trials", "2")
    assert done.returncode == 0, done.stderr
    assert "advises" not in done.stdout
    assert frozen(lab).lease == 10.0


def test_a_master_refuses_a_directory_that_must_not_be_trusted_unless_told_to(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=1, lease=None)
    bad = judge([LOCAL.model_copy(update={"renames": Renames(tries=20, source_left=20)})])
    leave_diagnosis(lab, grade=bad.grade, summary=bad.summary)
    done = run_study(lab)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "do not trust this directory: it breaks P2" in done.stderr
    assert "--ignore-doctor" in done.stderr
    assert not (lab.logs / "space" / protocol.STUDY).exists()
    assert run_study(lab, "--ignore-doctor").returncode == 0


def test_a_study_from_before_there_was_a_doctor_beats_and_looks_as_ever() -> None:
    old = {"id": "s", "name": "n", "objective": "train:train", "params": {}, "metric": "loss",
           "direction": "minimize", "lease": 120.0}  # fmt: skip
    study = Study.model_validate(old)
    assert (study.beat_interval, study.longest_pause) == (5.0, 1.0)
