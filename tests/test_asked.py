"""Settings are remembered: asked for once, and on the disk before a trial of them is published."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from distune.errors import ShareError
from distune.master.asked import Remembered
from distune.master.lock import Identity
from distune.master.master import Master
from distune.search.asked import AskedSoFar, asked_again, recovered_from, trial_of
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.samplers import SAMPLERS
from distune.search.staged import make_sampler
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.study.confirm import Confirm
from distune.study.study import Limits, Study
from distune.study.trial import Asked
from tests.histories import asked_from, asked_in, make_study, results_of, write_study
from tests.memory_folder import Crash, Faults, MemoryFolder, Share
from tests.simulation import World, random_faults

STUDY, LIMITS = make_study(12, repeats=3)


class Restless:
    """A sampler that never answers in the same way twice, as one that learns may not."""

    endless = True
    at_once = None
    slow = False
    exchangeable = True
    label = "restless search"
    size = None
    answers: Iterator[int] = itertools.count()
    questions: list[int]

    @classmethod
    def check(cls, params: Any, settings: Any, options: Any) -> None:
        pass

    def __init__(self, space: Any, seed: Any, settings: Any, options: Any) -> None:
        pass

    def ask(self, question: Question) -> Suggestion:
        self.questions.append(question.number)
        number = next(self.answers)
        return Suggestion({"x": number * 0.618 % 1.0}, state={"answer": number})


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setitem(SAMPLERS, "restless", Restless)
    monkeypatch.setattr(Restless, "questions", [], raising=False)
    return STUDY.model_copy(update={"sampler": "restless"})


def known(many: int = 4) -> AskedSoFar:
    found = AskedSoFar(STUDY)
    for asked in asked_from(STUDY, make_sampler(STUDY), many):
        found.add(asked)
    return found


def a_master(store: Store, limits: Limits = LIMITS) -> Master:
    return Master(store, limits, Identity("h", 1))


def a_store(folder: Path, of: Study = STUDY) -> Store:
    store = Store(Folder(folder / "s"))
    folder.mkdir(exist_ok=True)
    (folder / "s").mkdir()
    store.create(of)
    return store


def asked_for(store: Store) -> list[dict[str, Any]]:
    """What `asked.jsonl` says of params, by configuration."""
    lines = records.decode_lines(store.folder.read(protocol.ASKED))
    return [dict(line.params) for line in lines if isinstance(line, Asked)]


def rewrite(store: Store, lines: Sequence[bytes]) -> None:
    store.folder.replace(protocol.ASKED, b"".join(lines))


# -- what is known -----------------------------------------------------------------------------


def test_a_trial_says_which_configuration_and_which_repeat_it_is() -> None:
    asked = known()
    found = [asked.of(number) for number in range(12)]
    assert [one.configuration for one in found if one] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    trial = trial_of(STUDY, found[7], 7)  # type: ignore[arg-type]
    assert (trial.configuration, trial.repeat) == (2, 1)
    assert asked.of(12) is None
    assert (asked.next_configuration, asked.next_trial) == (4, 12)


def test_of_two_lines_that_ask_for_one_trial_the_first_counts() -> None:
    asked = known(2)
    other = Asked(study=STUDY.id, configuration=9, trial=5, repeats=3, params={"x": 0.5})
    assert not asked.add(other)
    assert asked.of(5) == known(2).of(5)
    assert asked.add(other.replace(trial=6))


def test_of_two_lines_that_ask_for_one_trial_again_the_first_counts() -> None:
    """Of two masters where locks lie; the other number is free for what comes next."""
    asked = known(2)
    first = trial_of(STUDY, asked.of(0), 0)  # type: ignore[arg-type]
    assert asked.add(asked_again(STUDY, first, 6))
    assert not asked.add(asked_again(STUDY, first, 7))
    assert (asked.again, asked.next_trial) == ({0: 6}, 7)
    assert asked.add(asked_again(STUDY, trial_of(STUDY, asked.of(6), 6), 7))  # type: ignore[arg-type]


def test_a_line_that_is_read_only_to_compare_the_file_is_known_from_then_on() -> None:
    """The master that reads it is not the one that wrote it, where locks lie."""
    store = Store(MemoryFolder(Share(), random.Random(0), lambda: 0.0, Faults()))
    store.create(STUDY)
    first, second = Remembered(store, STUDY), Remembered(store, STUDY)
    for one in (first, second):
        one.read(History(STUDY))
    lines = asked_from(STUDY, make_sampler(STUDY), 2)
    assert first.add(lines)
    assert [*second.read_again().lines()] == [*first.so_far.lines()]
    assert [*second.so_far.lines()] == [*first.so_far.lines()]
    assert not second.add([lines[1].replace(params={"x": 0.5})])


def test_of_two_lines_that_confirm_with_one_seed_the_first_counts() -> None:
    """Of two masters where locks lie, which have seen the same need."""
    study = make_study(confirm=Confirm())[0]
    asked = AskedSoFar(study)
    for one in asked_from(study, make_sampler(study), 2):
        asked.add(one)
    fresh = Asked(study=study.id, configuration=0, trial=2, repeats=1, params={}, confirms=0)
    assert asked.add(fresh)
    assert not asked.add(fresh.replace(trial=3))
    assert (asked.confirms, asked.next_trial) == ({(0, 0): 2}, 3)
    assert asked.add(fresh.replace(trial=3, repeat=1))


def test_more_repeats_of_a_configuration_can_be_asked_for_later() -> None:
    asked = known(2)
    first = asked.of(0)
    assert first is not None
    asked.add(first.replace(trial=6, repeat=3, repeats=2))
    again = trial_of(STUDY, asked.of(7), 7)  # type: ignore[arg-type]
    assert (again.configuration, again.repeat, again.params) == (0, 4, first.params)
    assert again.seed not in {trial_of(STUDY, first, number).seed for number in range(3)}


def test_a_line_can_be_made_again_from_any_of_its_trials() -> None:
    asked = known().of(7)
    assert asked is not None
    made = recovered_from(STUDY, trial_of(STUDY, asked, 7))
    assert made == asked.replace(origin="recovered", state={})


def test_a_trial_that_the_study_cannot_have_asked_for_makes_no_line() -> None:
    asked = known().of(7)
    assert asked is not None
    trial = trial_of(STUDY, asked, 7)
    for change in (
        {"seed": trial.seed + 1},
        {"study": "another"},
        {"repeat": 3},
        {"configuration": 5},
        {"number": 0},
    ):
        assert recovered_from(STUDY, trial.replace(**change)) is None, change


def test_gaps_get_the_numbers_of_configurations_that_nothing_else_has() -> None:
    found = AskedSoFar(STUDY)
    for asked in asked_from(STUDY, make_sampler(STUDY), 5):
        if asked.configuration not in (1, 2):
            found.add(asked)
    assert found.has_gaps()
    assert [(g.configuration, g.trial, g.repeats) for g in found.gaps()] == [(1, 3, 3), (2, 6, 3)]
    assert not known().has_gaps()
    assert list(known().gaps()) == []


# -- the master --------------------------------------------------------------------------------


def test_a_setting_is_on_the_disk_before_a_trial_of_it_is_published() -> None:
    """Whatever the master's next instruction, which it dies at."""
    share = Share()
    folder = MemoryFolder(share, random.Random(0), lambda: 0.0, Faults())
    Store(folder).create(STUDY)
    lives = 0
    for seed in itertools.count():
        dying = MemoryFolder(share, random.Random(seed), lambda: 0.0, Faults(crash=0.1))
        try:
            master = a_master(Store(dying))
            while len([p for p in share.files if p.startswith(protocol.TRIALS)]) < 4:
                master.step()
            break
        except Crash:
            lives += 1
        asked = asked_in(Store(folder), STUDY)
        for path in share.files:
            if path.startswith(protocol.TRIALS):
                assert asked.of(AttemptName.parse(path.rpartition("/")[2]).trial) is not None
    assert lives > 5
    found = asked_for(Store(folder))
    assert found[:2] == [one.params for one in asked_from(STUDY, make_sampler(STUDY), 2)]


@pytest.mark.long
def test_every_configuration_is_asked_for_once_whatever_happens(restless: Study) -> None:
    """P3, P5: no attempt, repeat or test of a trial has another setting than its first one."""
    for seed in range(60):
        Restless.questions.clear()
        rng = random.Random(f"restless {seed}")
        study = restless.model_copy(update={"repeats": rng.choice([1, 2])})
        world = World(seed, random_faults(rng), study=study, limits=Limits(trials=6), failing=0.2)
        world.learns = True
        world.run()
        world.check()
        # Only a line that a crash kept from the disk is asked for once more.
        lost = sum(a.lives for a in world.actors if a.name.startswith("master")) - 1
        again = len(Restless.questions) - len(set(Restless.questions))
        assert again <= 6 * lost, f"seed {seed}"


def test_an_append_that_failed_is_made_again_before_anything_is_published(
    restless: Study,
) -> None:
    share = Share()
    folder = MemoryFolder(share, random.Random(0), lambda: 0.0, Faults())
    Store(folder).create(restless)
    master = a_master(Store(folder))
    failing = folder.append
    folder.append = lambda path, data: failing(path, data[:10]) or _no_answer()  # type: ignore
    with pytest.raises(ShareError):
        master.step()
    assert not [path for path in share.files if path.startswith(protocol.TRIALS)]
    folder.append = failing  # type: ignore[method-assign]
    master.step()
    assert Restless.questions == sorted(set(Restless.questions)), "asked once, for all that"
    asked = asked_in(Store(folder), restless)
    names = [path.rpartition("/")[2] for path in share.files if path.startswith(protocol.TRIALS)]
    assert names
    assert all(asked.of(AttemptName.parse(name).trial) for name in names)


def _no_answer() -> None:
    raise ShareError("no space left")


@pytest.mark.parametrize("harm", ["removed", "emptied", "cut", "flipped", "replaced by a folder"])
def test_a_file_that_was_harmed_is_made_again_from_the_trials(
    restless: Study, tmp_path: Path, harm: str
) -> None:
    store = a_store(tmp_path, restless)
    a_master(store).step()
    path = tmp_path / "s" / protocol.ASKED
    before, data = asked_for(store), path.read_bytes()
    path.unlink()
    match harm:
        case "emptied":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[: len(data) // 2 - 1])  # within a line
        case "flipped":
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        case "replaced by a folder":
            path.mkdir()
    again = Master(Store(store.folder), LIMITS, Identity("h", 1))
    assert asked_for(store) == before
    lines = [event.text for event in again.observer.events if protocol.ASKED in event.text]
    assert lines, "a line says so"
    assert Restless.questions == list(range(len(before)))


def test_a_running_master_writes_anew_what_it_remembers(restless: Study, tmp_path: Path) -> None:
    store = a_store(tmp_path, restless)
    clock = itertools.count(step=10)
    master = Master(store, LIMITS, Identity("h", 1), monotonic=lambda: float(next(clock)))
    master.step()
    before = asked_for(store)
    assert before
    path = tmp_path / "s" / protocol.ASKED
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    master.step()
    assert asked_for(store)[: len(before)] == before


def test_what_no_trial_tells_of_is_asked_for_anew_under_its_own_number(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    master = a_master(store, Limits(trials=30))
    master.step()
    lines = store.folder.read(protocol.ASKED).lstrip().splitlines(keepends=True)
    assert len(lines) >= 2
    gone = records.decode(lines[0])
    assert isinstance(gone, Asked)
    for number in range(gone.trial, gone.trial + gone.repeats):
        (tmp_path / "s" / AttemptName(number, 1).live_path).unlink()
    rewrite(store, lines[1:])
    a_master(Store(store.folder), Limits(trials=30))
    asked = asked_in(store, STUDY)
    again = asked.of(0)
    assert again is not None
    assert (again.configuration, again.params) == (0, gone.params)


def test_repeats_beyond_a_limit_are_published_when_it_is_raised(
    restless: Study, tmp_path: Path
) -> None:
    """The limit left two of the first configuration's three."""
    store = a_store(tmp_path, restless)
    a_master(store, Limits(trials=2)).step()
    assert len(store.folder.names(protocol.TRIALS)) == 2
    a_master(Store(store.folder), Limits(trials=4)).step()
    trials = [
        store.read_attempt(AttemptName.parse(name)).trial
        for name in sorted(store.folder.names(protocol.TRIALS))
    ]
    assert [(one.configuration, one.repeat) for one in trials] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert len({str(one.params) for one in trials[:3]}) == 1
    assert Restless.questions == [0, 1]


def test_a_sampler_is_told_what_is_in_flight(
    restless: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_flight: list[list[int]] = []
    real = Restless.ask

    def ask(self: Restless, question: Question) -> Suggestion:
        in_flight.append([asked.configuration for asked in question.in_flight()])
        return real(self, question)

    monkeypatch.setattr(Restless, "ask", ask)
    store = a_store(tmp_path, restless.model_copy(update={"repeats": 1}))
    a_master(store, Limits(trials=30)).step()
    assert in_flight == [[], [0], [0, 1], [0, 1, 2]]


def test_a_line_of_another_study_is_set_aside_with_the_file(
    restless: Study, tmp_path: Path
) -> None:
    store = a_store(tmp_path, restless)
    a_master(store).step()
    before = asked_for(store)
    stranger = Asked(study="another", configuration=50, trial=150, repeats=3, params={"x": 0.5})
    with (tmp_path / "s" / protocol.ASKED).open("ab") as file:
        file.write(records.encode(stranger))
    a_master(Store(store.folder))
    assert asked_for(store) == before
    assert (tmp_path / "s" / "quarantine" / protocol.ASKED).exists()


def test_a_trial_that_is_planted_while_the_master_runs_is_set_aside(
    restless: Study, tmp_path: Path
) -> None:
    """However well it is made: the running master knows what it has asked for."""
    store = a_store(tmp_path, restless)
    master = a_master(store, Limits(trials=30))
    master.step()
    asked = asked_in(store, restless)
    first, number = asked.of(0), asked.next_trial
    assert first is not None
    like_the_next = first.replace(configuration=asked.next_configuration, trial=number)
    planted = trial_of(restless, like_the_next, number)
    assert recovered_from(restless, planted) is not None
    store.folder.publish(AttemptName.waiting(planted).live_path, records.encode(planted))
    master.step()
    assert store.folder.names(protocol.QUARANTINE) == [AttemptName.waiting(planted).filename]
    assert asked_in(store, restless).of(number) is None


def test_lines_that_the_history_has_and_the_file_has_not_are_made_again(tmp_path: Path) -> None:
    """The file came back in an older state: whole lines, but fewer of them."""
    asked = [one.replace(params={"x": 0.25}) for one in asked_from(STUDY, make_sampler(STUDY), 3)]
    counted = [one for line in asked for one in results_of(STUDY, line)]
    store = write_study(tmp_path / "s", STUDY, counted, {})
    lines = store.folder.read(protocol.ASKED).splitlines(keepends=True)
    assert len(lines) == 3
    rewrite(store, lines[:1])
    a_master(Store(store.folder))
    assert asked_for(store) == [{"x": 0.25}] * 3


# -- two masters, where locks lie --------------------------------------------------------------


class TwoMasters:
    """`second` takes a whole turn in the midst of the first one's, when that appends a line."""

    def __init__(self, **changes: Any) -> None:
        self.study, limits = make_study(8, **changes)
        self.folder = MemoryFolder(Share(), random.Random(0), lambda: 0.0, Faults())
        self.store = Store(self.folder)
        self.store.create(self.study)
        self.first, self.second = (
            Master(Store(self.folder), limits, Identity(host, 1), monotonic=lambda: 0.0)
            for host in "ab"
        )
        self.first._next_beat = self.second._next_beat = 1e9  # neither looks for the other

    def step(self, *, fails: bool = False) -> None:
        """`fails`: the first is told that its line is not written, though it is."""

        def meanwhile(path: str) -> None:
            if path == protocol.ASKED:
                self.folder.meanwhile = lambda path: None
                self.second.step()
                self.folder.faults.lies = float(fails)

        self.folder.meanwhile = meanwhile
        try:
            self.first.step()
        finally:
            self.folder.faults.lies = 0.0

    @property
    def settings(self) -> dict[int, Any]:
        """What is published, by trial."""
        names = self.store.listing().attempts
        return {one.trial: self.store.read_attempt(one).trial.params["x"] for one in names}


@pytest.fixture
def learning(restless: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Restless, "at_once", 2)


@pytest.mark.usefixtures("learning")
@pytest.mark.parametrize("fails", [False, True])
def test_of_two_masters_that_ask_at_once_the_one_whose_line_is_first_has_asked_for_both(
    fails: bool,
) -> None:
    two = TwoMasters(sampler="restless", repeats=2)
    with pytest.raises(ShareError) if fails else nullcontext():
        two.step(fails=fails)
    by_second = two.settings
    assert [*by_second] == [0]
    (name,) = two.store.listing().attempts
    assert two.store.claim(name, "w-1")
    two.first.step()
    assert two.settings == {0: by_second[0], 1: by_second[0]}, "its other repeat"
    assert [*two.first.asked.lines()] == [*two.second.asked.lines()]
    again = Master(Store(two.folder), LIMITS, Identity("h", 1))
    assert not again.step().strangers


def test_what_a_person_wants_gives_way_to_what_another_master_has_asked_for_meanwhile() -> None:
    two = TwoMasters()
    two.store.load()
    two.store.enqueue("0123456789abcdef", {"x": 0.5}, "desk")
    two.second._wishes.take_in = lambda *args: None  # type: ignore[method-assign]
    two.step()
    assert two.settings[0] != 0.5, "the second master was faster"
    assert two.store.listing().wishes
    two.first.step()
    asked = asked_in(two.store, two.study)
    (configuration,) = asked.wishes.values()
    assert asked.of(configuration).params["x"] == 0.5  # type: ignore[union-attr]
    assert {n: asked.of(n).params["x"] for n in two.settings} == two.settings  # type: ignore[union-attr]
    assert two.store.listing().wishes == ()
