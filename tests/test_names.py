"""Names of files, and what may move them where: the contract of PROTOCOL.md."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import BadRecord
from distune.share.protocol import (
    LIVE,
    Actor,
    AttemptName,
    State,
    beat_path,
    parse_beat,
    worker_id,
)
from distune.study.trial import Purpose, Trial

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORKERS = st.builds(
    str.__add__, st.sampled_from(LETTERS), st.text(alphabet=LETTERS + "-", max_size=79)
)
OWNED = st.builds(
    AttemptName,
    trial=st.integers(0, 10**12 - 1),
    attempt=st.integers(1, 999_999),
    purpose=st.sampled_from(Purpose),
    worker=WORKERS,
    state=st.sampled_from([state for state in State if state is not State.WAITING]),
)
COUNTED = st.builds(
    AttemptName.counted, st.tuples(st.sampled_from(Purpose), st.integers(0, 10**12 - 1))
)
WAITING = st.builds(
    AttemptName,
    trial=st.integers(0, 10**12 - 1),
    attempt=st.integers(1, 999_999),
    purpose=st.sampled_from(Purpose),
    worker=st.just(""),
    state=st.just(State.WAITING),
)
NAMES = OWNED | WAITING | COUNTED

#: What DESIGN section 2 and the module's own comments allow, written down a second time.
MOVES = {
    ("waiting", "taken", "any worker"),
    ("taken", "done", "the worker in the name"),
    ("taken", "lost", "the worker in the name"),
    ("taken", "lost", "master"),
    ("taken", "pruned", "master"),
    ("pruned", "lost", "master"),
    ("taken", "paused", "the worker in the name"),
    ("paused", "lost", "master"),
    ("done", "seen", "master"),
    ("done", "lost", "master"),
}
EVERY_MOVE = list(itertools.product(State, State, Actor))


def attempt_in(state: State) -> AttemptName:
    owner = "" if state is State.WAITING else "gpu7-812-4f2a9c"
    return AttemptName(17, 2, Purpose.TRAIN, owner, state)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(NAMES)
def test_every_name_is_read_back_as_it_was_written(name: AttemptName) -> None:
    assert AttemptName.parse(name.filename) == name


@settings(deadline=None, derandomize=True, max_examples=300)
@given(NAMES, NAMES)
def test_two_attempts_never_share_a_name(one: AttemptName, other: AttemptName) -> None:
    assert (one.filename == other.filename) == (one == other)


@settings(deadline=None, derandomize=True, max_examples=500)
@given(NAMES, st.data())
def test_a_name_with_a_character_changed_is_refused_or_means_just_itself(
    name: AttemptName, data: st.DataObject
) -> None:
    text = name.filename
    place = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 1))
    altered = text[:place] + data.draw(st.characters() | st.just("")) + text[place + cut :]
    try:
        parsed = AttemptName.parse(altered)
    except BadRecord:
        return
    assert parsed.filename == altered


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("000017.1.jsonl", AttemptName(17, 1)),
        (
            "000017.2.jsonl.gpu7-812-4f2a9c.taken",
            AttemptName(17, 2, Purpose.TRAIN, "gpu7-812-4f2a9c", State.TAKEN),
        ),
        ("1000000.1.test.jsonl", AttemptName(1_000_000, 1, Purpose.TEST)),
        (
            "000000.1.test.jsonl.a.pruned",
            AttemptName(0, 1, Purpose.TEST, "a", State.PRUNED),
        ),
        ("000017.jsonl", AttemptName.counted((Purpose.TRAIN, 17))),
        ("000017.test.jsonl", AttemptName.counted((Purpose.TEST, 17))),
    ],
)
def test_names_look_as_the_protocol_says(filename: str, name: AttemptName) -> None:
    assert name.filename == filename
    assert AttemptName.parse(filename) == name


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "000017",
        "17.1.jsonl",
        "0000017.1.jsonl",  # would be a second name of trial 17
        "01000000.1.jsonl",
        "1000000000000000000.1.jsonl",
        "-00017.1.jsonl",
        "+00017.1.jsonl",
        "000_17.1.jsonl",
        "٠٠٠٠١٧.1.jsonl",  # digits, but not ours
        "00001७.1.jsonl",
        "000017.0.jsonl",
        "000017.01.jsonl",
        "000017.1000000.jsonl",
        "0000017.jsonl",
        "000017.jsonl.gpu7.seen",
        "000017.1.json",
        "000017.1.jsonl\n",
        "\n000017.1.jsonl",
        "000017.1.jsonl.gpu7.taken\n",
        "000017.1.jsonl.gpu7.taken\x00",
        "000017.1.jsonl ",
        " 000017.1.jsonl",
        "000017.1.jsonl~",
        ".000017.1.jsonl",
        "000017.1.JSONL",
        "000017.1.jsonl.gpu7.Taken",
        "000017.1.jsonl.GPU7.taken",
        "000017.1.jsonl.gpü7.taken",
        "000017.1.jsonl.gpu7",
        "000017.1.jsonl.taken",
        "000017.1.jsonl..taken",
        "000017.1.jsonl.-gpu7.taken",
        "000017.1.jsonl.gpu7.waiting",
        "000017.1.jsonl.gpu7.stolen",
        "000017.1.jsonl.gpu.7.taken",
        "000017.1.jsonl.gpu7.taken.taken",
        f"000017.1.jsonl.{'a' * 81}.taken",
        "000017.1.train.jsonl",
        "000017.1.test.test.jsonl",
        "../000017.1.jsonl",
        "trials/000017.1.jsonl",
        "000017.1.jsonl.../../etc/passwd.taken",
        "000017.1.jsonl.a/b.taken",
        ".nfs000017.1.jsonl",
        "000017x1xjsonl",
    ],
)
def test_a_hostile_or_foreign_name_is_refused_and_named(filename: str) -> None:
    with pytest.raises(BadRecord) as caught:
        AttemptName.parse(filename)
    assert repr(filename) in str(caught.value)


def test_every_state_is_walked() -> None:
    allowed = {
        (start.value, end.value, actor.value)
        for start, end, actor in EVERY_MOVE
        if _may_move(start, end, actor)
    }
    assert allowed == MOVES


def _may_move(start: State, end: State, actor: Actor) -> bool:
    try:
        attempt_in(start).moved(end, actor, worker="new-1-ff")
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("start", "end", "actor"),
    [move for move in EVERY_MOVE if tuple(map(str, move)) in MOVES],
)
def test_an_allowed_move_changes_the_state_and_at_most_the_owner(
    start: State, end: State, actor: Actor
) -> None:
    name = attempt_in(start)
    moved = name.moved(end, actor, worker="new-1-ff")
    owner = "new-1-ff" if end is State.TAKEN else "gpu7-812-4f2a9c"
    if end is State.SEEN:
        assert moved == AttemptName.counted(name.key)
    else:
        assert moved == AttemptName(17, 2, Purpose.TRAIN, owner, end)
    assert AttemptName.parse(moved.filename) == moved


@pytest.mark.parametrize(
    ("start", "end", "actor"),
    [move for move in EVERY_MOVE if tuple(map(str, move)) not in MOVES],
)
def test_any_other_move_is_refused_and_changes_nothing(
    start: State, end: State, actor: Actor
) -> None:
    name = attempt_in(start)
    before = name.filename
    with pytest.raises(ValueError, match=f"{actor} may not move {before} to {end}"):
        name.moved(end, actor, worker="new-1-ff")
    assert name == attempt_in(start)
    assert name.filename == before


@pytest.mark.parametrize("worker", [None, "", "GPU7", "a.b", "../a", "-a", "a" * 81, "a\n", "é"])
def test_only_a_proper_worker_can_claim(worker: str | None) -> None:
    with pytest.raises(ValueError, match="is not a worker's id"):
        AttemptName(17, 1).moved(State.TAKEN, Actor.ANY_WORKER, worker)


def test_what_is_counted_never_moves_again() -> None:
    for end, actor in itertools.product(State, Actor):
        for state in (State.SEEN, State.LOST):
            assert not _may_move(state, end, actor)
    assert frozenset({State.SEEN, State.LOST}) == frozenset(State) - LIVE


@pytest.mark.parametrize(
    ("trial", "folder"),
    [
        (0, "seen/000"),
        (999, "seen/000"),
        (1000, "seen/001"),
        (999_999, "seen/999"),
        (1_000_000, "seen/1000"),
    ],
)
def test_history_lies_in_folders_of_a_thousand(trial: int, folder: str) -> None:
    name = AttemptName.counted((Purpose.TRAIN, trial))
    assert name.seen_path == f"{folder}/{name.filename}"
    assert name.live_path == f"trials/{name.filename}"


def test_no_folder_of_history_holds_more_than_a_thousand_trials() -> None:
    folders = [AttemptName(trial, 1).seen_path.rpartition("/")[0] for trial in range(5000)]
    assert {folders.count(folder) for folder in folders[::1000]} == {1000}


def test_a_trial_waits_under_its_own_number_attempt_and_purpose() -> None:
    trial = Trial(study="s", number=17, attempt=3, purpose=Purpose.TEST, params={})
    name = AttemptName.waiting(trial)
    assert name.filename == "000017.3.test.jsonl"
    assert name.key == (Purpose.TEST, 17)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (AttemptName(17, 1), "17"),
        (AttemptName(17, 2), "17.2"),
        (AttemptName(17, 1, Purpose.TEST), "17 test"),
        (AttemptName(17, 3, Purpose.TEST), "17.3 test"),
    ],
)
def test_labels_read_as_people_say_them(name: AttemptName, label: str) -> None:
    assert name.label == label


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.text(max_size=300), st.integers(1, 2**22), st.integers(0, 2**48 - 1))
def test_a_workers_id_fits_every_name_whatever_its_host_is_called(
    host: str, pid: int, token: int
) -> None:
    worker = worker_id(host, pid, f"{token:x}")
    taken = AttemptName(17, 1).moved(State.TAKEN, Actor.ANY_WORKER, worker)
    assert AttemptName.parse(taken.filename).worker == worker
    assert parse_beat(beat_path(worker).removeprefix("workers/")) == worker
    assert worker.endswith(f"-{pid}-{token:x}")


@pytest.mark.parametrize(
    ("host", "worker"),
    [
        ("gpu7", "gpu7-812-4f"),
        ("gpu7.lab.example.org", "gpu7-812-4f"),
        ("Anna's MacBook Pro.local", "anna-s-macbook-pro-812-4f"),
        ("node_03", "node-03-812-4f"),
        ("", "host-812-4f"),
        (".", "host-812-4f"),
        ("---", "host-812-4f"),
        ("日本", "host-812-4f"),
        ("../../etc", "host-812-4f"),
        ("n" * 100, "n" * 40 + "-812-4f"),
    ],
)
def test_a_workers_id_begins_with_its_host_as_far_as_it_can_be_written(
    host: str, worker: str
) -> None:
    assert worker_id(host, 812, "4f") == worker


@pytest.mark.parametrize(
    "filename",
    [
        "gpu7",
        ".beat",
        "gpu7.beat.beat",
        "gpu7.BEAT",
        "GPU7.beat",
        "gpu7.beat\n",
        "../gpu7.beat",
        "a/b.beat",
        "-gpu7.beat",
        f"{'a' * 81}.beat",
    ],
)
def test_a_file_that_is_no_workers_heartbeat_is_refused(filename: str) -> None:
    with pytest.raises(BadRecord, match="is not a heartbeat"):
        parse_beat(filename)
