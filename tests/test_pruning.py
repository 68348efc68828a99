"""The master stops trainings: what lies on the share, what a crash leaves, what it costs."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from distune.master.master import Master
from distune.share import records
from distune.share.protocol import Actor, AttemptName, State
from distune.study.study import Limits
from distune.study.trial import Checkpoint, Claim, Outcome, Result
from tests.conftest import Lab
from tests.histories import read_history, reports
from tests.test_master import StudyInMemory
from tests.test_space_file import parse, refusal

MEDIAN = {"pruner": "median", "pruner_options": {"n_startup_trials": 2}}
CLAIM = Claim(worker="w-1", host="h", device="cpu", time=0.0)


class Judged(StudyInMemory):
    """A study in memory whose trials report what a test says."""

    def __init__(self, trials: int = 9, **changes: object) -> None:
        super().__init__(trials, **{**MEDIAN, **changes})
        self.taken: dict[int, AttemptName] = {}

    def begin(self, number: int) -> None:
        listed = self.store.listing().attempts
        waiting = next(n for n in listed if n.trial == number and n.state is State.WAITING)
        taken = self.store.claim(waiting, "w-1")
        assert taken is not None
        self.taken[number] = taken
        self.store.append(taken, [CLAIM])

    def report(self, number: int, *values: float) -> None:
        """All that it has reported so far, of which the last one is new; a second a step."""
        line = reports(*({"y": value} for value in values))[-1]
        self.store.append(self.taken[number], [line.replace(seconds=float(len(values)))])

    def end(self, number: int, value: float, seconds: float = 3.0) -> None:
        result = Result(
            outcome=Outcome.COMPLETE, value=value, metrics={"y": value}, seconds=seconds
        )
        self.store.append(self.taken[number], [result])
        assert self.store.finish(self.taken[number])

    def train_well(self, *numbers: int, value: float = 0.9) -> None:
        for number in numbers:
            self.begin(number)
            self.report(number, value)
            self.report(number, value, value)
            self.end(number, value)

    def looks(self, master: Master, many: int = 3) -> None:
        for _ in range(many):
            self.now += 2.5
            master.step()

    def state_of(self, number: int) -> list[State]:
        return [name.state for name in self.store.listing().attempts if name.trial == number]


def test_what_is_worse_than_the_median_is_stopped_and_counted_with_its_reason() -> None:
    study = Judged()
    master = study.master()
    master.step()
    study.train_well(0, 1)
    study.begin(2)
    study.begin(3)
    study.looks(master)
    study.report(2, 0.1)
    study.report(3, 0.95)
    study.looks(master)
    with pytest.raises(FileNotFoundError):
        study.report(2, 0.1, 0.2)  # the worker's next report tells it
    assert study.state_of(3) == [State.TAKEN]
    found = {one.trial.number: one.result for one in read_history(study.store)}
    assert found[2].outcome is Outcome.PRUNED
    assert found[2].value == 0.1
    assert found[2].why == "step 1: 0.1, worse than 0.9, the median of 3"
    counted = study.store.read_ended(AttemptName.counted(master.observer.history.trials[2].key),
                                     seen=True)  # fmt: skip
    assert counted.result == found[2]
    events = [event.text for event in master.observer.events]
    assert f"trial 2 pruned, y 0.1 ({found[2].why})" in events


def test_a_master_that_is_killed_before_it_counts_what_it_stopped_leaves_the_reason() -> None:
    study = Judged()
    master = study.master()
    master.step()
    study.train_well(0, 1)
    study.begin(2)
    study.looks(master)
    study.report(2, 0.1)
    while study.state_of(2) != [State.PRUNED]:
        study.now += 2.5
        master.step()
    study.looks(study.master(), 1)
    last = read_history(study.store)[-1]
    assert (last.trial.number, last.result.outcome) == (2, Outcome.PRUNED)
    assert last.result.why == "step 1: 0.1, worse than 0.9, the median of 2"


def test_a_master_that_starts_anew_judges_by_the_curves_of_the_history() -> None:
    study = Judged()
    first = study.master()
    first.step()
    study.train_well(0, 1)
    study.looks(first)
    master = study.master()
    study.begin(2)
    study.looks(master, 1)
    study.report(2, 0.1)
    study.looks(master)
    assert read_history(study.store)[-1].result.why.endswith("worse than 0.9, the median of 2")


def test_what_ends_with_the_study_has_no_reason() -> None:
    study = Judged(trials=9)
    study.limits = Limits(trials=9, target=0.8)
    master = study.master()
    master.step()
    study.begin(0)
    study.begin(1)
    study.report(1, 0.1)
    study.report(0, 0.9)
    study.end(0, 0.9)
    study.looks(master, 10)
    assert master.finished is not None
    found = {one.trial.number: one.result for one in read_history(study.store)}
    assert (found[1].outcome, found[1].why) == (Outcome.PRUNED, "")


def test_what_patience_ends_is_ranked_like_any_other() -> None:
    study = Judged(pruner="patience", pruner_options={"patience": 1})
    master = study.master()
    master.step()
    study.begin(0)
    study.looks(master)
    study.report(0, 0.7)
    study.report(0, 0.7, 0.6)
    study.looks(master)
    found = read_history(study.store)[0].result
    assert (found.outcome, found.value) == (Outcome.COMPLETE, 0.7)
    assert found.why == "step 2: no better for 1 steps than 0.7 at step 1"
    winner = master.observer.history.winner()
    assert winner is not None
    assert winner.first == 0


def test_a_silent_workers_training_is_lost_and_not_stopped() -> None:
    study = Judged()
    master = study.master()
    master.step()
    study.train_well(0, 1)
    study.begin(2)
    study.looks(master)
    study.report(2, 0.1)
    study.now += 60.0
    for _ in range(30):
        study.now += 4.0
        master.step()
        if study.state_of(2) != [State.TAKEN]:
            break
    assert study.state_of(2) == [State.PRUNED]


# -- what it costs ---------------------------------------------------------------------------


def operations(study: Judged, master: Master) -> Counter[str]:
    """Of one look, after some that have changed nothing."""
    study.looks(master, 4)
    before = study.folder.operations.copy()
    study.looks(master, 1)
    return study.folder.operations - before


def test_a_look_reads_each_running_file_once_and_only_what_is_new_in_it() -> None:
    cost = {}
    for pruner in (None, "median"):
        for counted in (2, 6):
            study = Judged(trials=9, pruner=pruner)
            master = study.master()
            master.step()
            for number in range(counted):
                study.train_well(number, value=0.5)
                study.looks(master, 2)
            for number in (6, 7, 8)[:1] if counted == 6 else (6, 7, 8):
                study.looks(master, 2)
                study.begin(number)
                study.report(number, 0.9)
            cost[pruner, counted] = operations(study, master)
    for counted, running in ((2, 3), (6, 1)):
        more = cost["median", counted] - cost[None, counted]
        assert sum(more.values()) == more["read"] == running
    study = Judged()
    master = study.master()
    master.step()
    study.begin(0)
    study.report(0, 0.9)
    study.looks(master, 4)
    before = master.store.bytes_read
    study.looks(master, 3)
    assert master.store.bytes_read == before


def test_a_file_whose_line_does_not_end_is_not_read_again_and_again() -> None:
    study = Judged()
    master = study.master()
    master.step()
    study.begin(0)
    study.folder.share.files[study.taken[0].live_path] += b"x" * (2 * records.LINE_LIMIT)
    study.looks(master, 4)
    before = master.store.bytes_read
    study.looks(master, 4)
    assert master.store.bytes_read == before


# -- what cannot work ------------------------------------------------------------------------


def test_a_pruner_without_values_of_steps_is_said_once_and_the_study_goes_on() -> None:
    study = Judged(trials=3)
    master = study.master()
    master.step()
    for number in range(3):
        study.begin(number)
        study.report(number, 0.5)
        study.end(number, 0.5)
        study.looks(master, 2)
    said = [event.text for event in master.observer.events if "pruner" in event.text]
    assert said == [
        "the pruner median can stop nothing: trial 0 has reported y once; have the objective yield "
        '{"y": 0.5} after each epoch, and begin a new study; this one goes on without'
    ]
    assert study.counted() == [0, 1, 2]


@pytest.mark.parametrize(
    ("fields", "key", "problem"),
    [
        ({"pruner": "medain"}, "pruner", "there is no 'medain': did you mean 'median'?"),
        ({"pruner": {"n_startup_trials": 3}}, "pruner", 'say which: {"name": "median", ...}'),
        ({"pruner": {"name": "median", "n_startup": 3}}, "pruner.n_startup",
         "there is no such option: did you mean 'n_startup_trials'?"),
        ({"pruner": {"name": "median", "n_warmup_steps": -1}}, "pruner.n_warmup_steps", "-1"),
        ({"pruner": {"name": "percentile", "percentile": 100}}, "pruner.percentile", "100"),
        ({"pruner": {"name": "median", "resource": "hours"}}, "pruner.resource", "hours"),
        ({"pruner": "threshold"}, "pruner", "say which"),
        ({"plateau": 0}, "plateau", "greater than 0"),
        ({"max_total_seconds": "soon"}, "max_total_seconds", "not a duration"),
        ({"plateau": 3, "stages": [{"name": "a", "params": {"lr": [0.1]}}]}, "plateau", "stages"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(fields: dict[str, object], key: str, problem: str) -> None:
    error = refusal(json.dumps({"params": {}, **fields}))
    assert error.key == key
    assert problem in error.problem


def test_a_space_file_names_a_pruner_with_options_or_without() -> None:
    plain = parse({"params": {}, "pruner": "median"})
    assert (plain.pruner, plain.pruner_options) == ("median", {})
    file = parse({"params": {}, "pruner": {"name": "patience", "patience": 2, "min_delta": 1}})
    assert (file.pruner, file.pruner_options) == ("patience", {"patience": 2, "min_delta": 1})


@pytest.mark.parametrize(
    ("pruner", "note"),
    [
        ({"name": "median", "n_startup_trials": 20},
         "the pruner median can stop nothing: n_startup_trials (20) are all 20 trials"),
        ({"name": "percentile", "n_warmup_steps": 12},
         "the pruner percentile can stop nothing: n_warmup_steps (12) are all 12 steps of a "
         "training"),
        ({"name": "patience", "patience": 12},
         "the pruner patience can stop nothing: a training has 12 steps, and its patience is for "
         "12"),
        ("median", None),
    ],
)  # fmt: skip
def test_a_rule_that_can_never_hold_is_said_by_check(
    lab: Lab, pruner: object, note: str | None
) -> None:
    params = {"x": {"type": "float", "low": 0, "high": 1}, "epochs": 12}
    lab.write_space(params=params, trials=20, pruner=pruner, plateau=7, max_total_seconds="2h")
    shown = lab.run("check", "space.json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    what_to_do = "lower that, or leave the pruner out"
    assert (f"note       {note}; {what_to_do}\n" in shown.stdout) is (note is not None)
    assert ("can stop nothing" in shown.stdout) is (note is not None)
    assert "ends       when 7 configurations in a row were no better\n" in shown.stdout
    assert "ends       when all trials together have trained for 7200 s\n" in shown.stdout


# -- limits ----------------------------------------------------------------------------------


def test_the_study_ends_when_its_trials_have_trained_for_so_long_together() -> None:
    study = Judged(trials=9)
    study.limits = Limits(trials=9, max_total_seconds=5.0)
    master = study.master()
    master.step()
    for number in range(2):
        study.begin(number)
        study.report(number, 0.5)
        study.end(number, 0.5, seconds=2.5)
        study.looks(master, 3)
        assert (master.finished is not None) is (number == 1)
    assert master.finished is not None
    assert master.finished.reason == "the 5 s of training that it may take are used up"
    again = study.master()
    study.looks(again, 1)
    assert again.finished is not None


def lose(study: Judged, number: int, steps: int, *lines: Checkpoint | Result) -> None:
    """Train it for so many seconds, a step each, in vain."""
    study.begin(number)
    for step in range(1, steps + 1):
        study.report(number, *[0.5] * step)
    study.store.append(study.taken[number], lines)
    assert study.store.lose(study.taken[number], Actor.MASTER)


def test_what_was_trained_in_vain_counts_at_once_and_for_a_master_that_comes_later() -> None:
    study = Judged(trials=9)
    study.limits = Limits(trials=9, max_total_seconds=6.0)
    study.master().step()
    lose(study, 0, 3)
    study.looks(study.master(), 6)
    later = study.master()
    study.looks(later, 6)
    lose(study, 0, 2)
    study.looks(later, 6)
    assert later.finished is None
    later = study.master()
    study.begin(0)
    study.report(0, 0.5)
    study.end(0, 0.5, seconds=1.0)
    study.looks(later)
    assert later.observer.history.trials[0].trial.wasted_seconds == 5.0
    assert later.finished is not None

    study = Judged(trials=9)
    study.limits = Limits(trials=9, max_total_seconds=6.0)
    master = study.master()
    master.step()
    lose(study, 0, 3)
    study.looks(master, 6)
    assert master.finished is None
    lose(study, 1, 3)
    study.looks(master, 6)
    assert master.finished is not None
    assert master.finished.reason == "the 6 s of training that it may take are used up"


@pytest.mark.parametrize(
    ("lines", "wasted"),
    [
        ([Checkpoint(attempt=1, number=1, step=2, size=1, sha256="0" * 64)], 1.0),
        ([Checkpoint(attempt=1, number=1, step=3, size=1, sha256="0" * 64)], 0.0),
        ([Result(outcome=Outcome.RELEASED, seconds=3.5)], 3.5),
    ],
)
def test_what_the_next_attempt_goes_on_from_was_not_trained_in_vain(
    lines: list[Checkpoint | Result], wasted: float
) -> None:
    study = Judged(trials=9)
    master = study.master()
    master.step()
    lose(study, 0, 3, *lines)
    study.looks(master, 6)
    (again,) = [name for name in study.store.listing().attempts if name.trial == 0]
    assert study.store.read_attempt(again).trial.wasted_seconds == wasted


def test_the_study_ends_when_so_many_configurations_were_no_better() -> None:
    study = Judged(trials=9)
    study.limits = Limits(trials=9, plateau=2)
    master = study.master()
    master.step()
    for number, value in enumerate([0.5, 0.4, 0.6, 0.6, 0.1]):
        assert master.finished is None
        study.train_well(number, value=value)
        study.looks(master)
    assert master.finished is not None
    assert master.finished.reason == "2 configurations in a row were no better than trial 2"


# -- real processes --------------------------------------------------------------------------

CURVES = """\
import time

def train(params, trial):
    study = trial.dir.parents[1]
    for step in range(1, 9):
        time.sleep(0.05)
        if trial.number == 2 and step == 1:  # it is compared with both of the others
            while len([*study.glob("seen/000/00000[01].jsonl")]) < 2:
                time.sleep(0.05)
        if trial.number == 2 and step == 2:  # the master stops it in the midst of this one
            while [*study.glob("trials/000002.1.*.taken")]:
                time.sleep(0.05)
            time.sleep(600)
        with (trial.dir / "steps").open("a") as file:
            print(step, file=file)
        yield {"loss": 9.0 if trial.number == 2 else 1 / step}
"""


def test_a_hopeless_training_is_ended_within_a_step_and_every_view_says_why(lab: Lab) -> None:
    (lab.folder / "train.py").write_text(CURVES)
    pruner = {"name": "median", "n_startup_trials": 2}
    lab.write_space(pruner=pruner, trials=3, lease="20s")
    worker, master = lab.worker("--jobs", "2"), lab.master("--plain")
    assert master.wait(60) == 0
    assert worker.wait(30) == 0
    steps = (lab.logs / "space/artifacts/000002.1/steps").read_text().split()
    status = lab.status()
    found = status["ranking"][-1]
    assert (found["standing"], found["trials"]) == ("pruned", [2])
    said = re.fullmatch(r"step (\d+): 9, worse than [\d.]+, the median of 2", found["reason"])
    assert said is not None, found
    assert (said[1], steps) == ("1", ["1"])
    shown = lab.run("show", "2").stdout
    assert f"stopped at {found['reason']}" in shown
    assert f"(step {said[1]}: 9, worse than" in lab.log_of(master)
    assert found["reason"] in (lab.logs / "space/leaderboard.csv").read_text()
    exported = lab.run("export", "--format", "csv", "--out", "-").stdout
    assert found["reason"] in exported
    lab.run("report", "--out", "report.html")
    assert found["reason"] in (lab.folder / "report.html").read_text()
