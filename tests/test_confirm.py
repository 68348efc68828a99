"""`"confirm"`: the best of a search are trained again, and what every view says of that."""

from __future__ import annotations

import io
import json
import os
import random
import shlex
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from distune.errors import UserError
from distune.export.leaderboard import best_space
from distune.export.table import trial_rows
from distune.master.extending import extend
from distune.master.master import Master
from distune.master.verification import verify
from distune.report.reading import read_study
from distune.report.words import words_of
from distune.search.asked import asked_to_confirm, trial_of
from distune.search.confirming import Confirmation, confirm
from distune.search.ranking import History
from distune.share import protocol
from distune.share.heartbeat import Beat
from distune.share.protocol import Halt, State
from distune.share.store import Store
from distune.space_file.preview import preview
from distune.space_file.read import parse_space_file
from distune.study.confirm import Confirm
from distune.study.space import Space
from distune.study.stage import Stage
from distune.study.study import Limits
from distune.study.trial import Asked, Claim, Counted, Failure, Outcome, Purpose, Result, Trial
from distune.watch.display.json_data import snapshot_json
from distune.watch.display.leaderboard import final_table
from distune.watch.display.state import describe_state, plain_progress
from distune.watch.observer import Observer
from tests.conftest import Lab, wait_until
from tests.histories import make_study, study
from tests.memory_folder import Crash, Faults
from tests.simulation import World
from tests.test_retry import ME, Interrupted, Studied

Value = Callable[[Trial], float | None]


def noisy(noise: float) -> Value:
    """What is `x`, and noise that follows from it and the seed."""

    def value(trial: Trial) -> float:
        x = float(trial.params["x"])  # type: ignore[arg-type]
        return x + random.Random(f"{x} {trial.seed}").gauss(0, noise)

    return value


class Confirmed(Studied):
    """A study of which each trial reaches what `value` says; one that has none fails."""

    def __init__(self, folder: Path, trials: int = 24, value: Value | None = None, **changes: Any):
        self.value = value or noisy(0.3)
        changes.setdefault("confirm", Confirm(min_difference=0.0))
        super().__init__(folder, trials, **changes)

    def _train(self, at_the_end: bool = False) -> None:
        """A worker, to which a study at its end leaves only what belongs there."""
        store = self.store
        for name in store.listing().attempts:
            if name.state is not State.WAITING:
                continue
            trial = store.read_attempt(name).trial
            if at_the_end and trial.confirms is None and trial.purpose is Purpose.TRAIN:
                continue
            taken = store.claim(name, "w-1")
            assert taken is not None
            value = self.value(trial)
            metrics = {} if value is None else {"y": value}
            if trial.purpose is Purpose.TEST:
                metrics = {"test_accuracy": 0.5}
            result = Result(outcome=Outcome.COMPLETE, value=value, metrics=metrics, steps=1)
            if value is None:
                result = Result(outcome=Outcome.FAILED, failure=Failure(message="oops"))
            store.append(taken, [Claim(worker="w-1", host="h", device="cpu", time=0.0), result])
            assert store.finish(taken)

    @property
    def fresh(self) -> list[Trial]:
        return [one.trial for one in self.history.trials if one.trial.confirms is not None]

    @property
    def confirmation(self) -> Confirmation:
        found = self.history.confirmation()
        assert found is not None
        return found

    def killed(self, folder: Interrupted) -> None:
        """A master that dies in the midst of what it does, and a worker."""
        with suppress(Crash):
            master = Master(Store(folder), self.limits, ME, monotonic=lambda: 0.0)
            while folder.lives and master.finished is None:
                master.step()
                self._train()

    def check_confirmed(self) -> None:
        """What is counted agrees, and each fresh training is one of a finalist, with its seed."""
        assert verify(self.store).found == []
        assert self.confirmation.is_over
        found = [(trial.confirms, trial.repeat) for trial in self.fresh]
        assert len(set(found)) == len(found)
        assert len(self.history.standing) == sum(
            len(one.trials) for one in self.history.ranking()
        ) + len(found)

    @property
    def reason(self) -> str:
        finished = self.store.read_finished()
        assert finished is not None
        return finished.reason


def fill(history: History, metrics: dict[str, float], seconds: float) -> None:
    """24 trials, and what confirms their best; -1 stands for what falls with the number."""

    def count(trial: Trial) -> None:
        falls = 1000.0 - (trial.number if trial.confirms is None else trial.confirms)
        value = noisy(0.5)(trial)
        own = {name: falls if number < 0 else number for name, number in metrics.items()}
        took = falls if seconds < 0 else seconds
        result = Result(
            outcome=Outcome.COMPLETE, value=value, metrics={"y": value or 0.0, **own}, seconds=took
        )
        history.add(Counted(trial=trial, worker="w", result=result))

    of, number = history.study, 24
    for n in range(number):
        count(trial_of(of, Asked(study="s", configuration=n, trial=n, repeats=1,
                                 params={"x": n / 24}), n))  # fmt: skip
    while (found := history.confirmation()) is not None and not found.is_over:
        for configuration, index in found.wanted:
            count(trial_of(of, asked_to_confirm(of, configuration, index, number), number))
            number += 1


def printed(what: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# -- what is trained -----------------------------------------------------------------------------


def test_the_best_are_trained_again_with_paired_seeds_that_the_search_had_not(
    tmp_path: Path,
) -> None:
    one = Confirmed(tmp_path)
    one.run()
    searched = {c.trial.seed for c in one.history.trials if c.trial.confirms is None}
    fresh = {(trial.repeat, trial.seed) for trial in one.fresh}
    indices, seeds = {index for index, _ in fresh}, {seed for _, seed in fresh}
    assert len(fresh) == len(indices) == len(seeds) > 1
    assert not searched & seeds
    best = {c.first: c.params for c in one.confirmation.searched.best}
    assert all(trial.params == best[trial.confirms or 0] for trial in one.fresh)


def test_no_fresh_seed_is_one_of_those_that_every_configuration_has() -> None:
    plain = study(params={"x": [1, 2]}, metric="y", direction="maximize", objective="o:o")
    taken = plain.confirming_seed(0)
    own = plain.model_copy(update={"seeds": [taken]})
    assert own.confirming_seed(0) != taken
    assert own.confirming_seed(1) == plain.confirming_seed(1)


def test_never_more_than_a_quarter_of_all_trainings_confirm(tmp_path: Path) -> None:
    for trials in (12, 17, 24, 40):
        one = Confirmed(tmp_path, trials, confirm=Confirm(min_difference=0.0))
        one.run()
        total = len(one.history.trials)
        assert one.history.confirming == total - trials
        assert 0 < one.history.confirming <= total / 4
        one.check_confirmed()


def test_the_fresh_trainings_alone_rank_the_finalists(tmp_path: Path) -> None:
    """The best of the search was lucky: trained again, it is far worse than the others."""

    def value(trial: Trial) -> float:
        x = float(trial.params["x"])  # type: ignore[arg-type]
        lucky = trial.confirms is not None and x == best
        return (0.2 if lucky else x) + random.Random(f"{x} {trial.seed}").gauss(0, 0.01)

    plain = Confirmed(tmp_path, value=lambda trial: float(trial.params["x"]), confirm=None)  # type: ignore[arg-type]
    plain.run()
    best = plain.history.ranking()[0].params["x"]
    one = Confirmed(tmp_path, value=value)
    one.run()
    history = one.history
    confirmation = history.confirmation()
    winner = history.winner()
    assert confirmation is not None
    assert winner is not None
    assert winner.params["x"] != best
    assert winner.is_confirmed
    assert winner.mean == pytest.approx(sum(winner.confirming_values) / len(winner.confirming))
    means = [c.mean or 0.0 for c in confirmation.order]
    assert means[0] == max(means)
    assert history.ranking(len(means)) == confirmation.order
    assert len(history.ranking()) == history.configurations
    # What the search has reached stays what it was.
    reached = history.target_reached(0.0)
    assert reached is not None
    assert reached.params["x"] == best


def test_whichever_way_a_search_ends_its_best_are_confirmed(tmp_path: Path) -> None:
    ends: list[tuple[dict[str, Any], Limits]] = [
        ({}, Limits(trials=24)),
        ({}, Limits(trials=400, target=0.95)),
        ({"sampler": "list", "settings": [{"x": i / 20} for i in range(20)]}, Limits()),
    ]
    for changes, limits in ends:
        one = Confirmed(tmp_path, **changes)
        one.limits = limits
        one.run()
        assert one.confirmation.is_over
        assert one.fresh, limits
        assert one.reason.endswith(one.confirmation.words()[0])


def test_a_study_that_is_stopped_is_confirmed_and_one_that_is_stopped_now_is_not(
    tmp_path: Path,
) -> None:
    for halt in (Halt.STOP, Halt.NOW):
        one = Confirmed(tmp_path)
        master = Master(one.store, Limits(trials=200), ME, monotonic=lambda: 0.0)
        for _ in range(2):
            master.step()
            one._train()
        store = one.store
        store.load()
        store.mark(halt, "desk")
        for _ in range(30):
            master.step()
            one._train(at_the_end=True)
        assert master.finished is not None
        assert bool(one.fresh) is (halt is Halt.STOP)
        assert master.finished.stopped


def test_more_trials_later_are_confirmed_with_what_was_trained_before(tmp_path: Path) -> None:
    one = Confirmed(tmp_path)
    one.run()
    before = {trial.number for trial in one.fresh}
    one.limits = Limits(trials=48)
    one.run()
    after = one.fresh
    assert before < {trial.number for trial in after}
    pairs = [(trial.confirms, trial.repeat) for trial in after]
    assert len(set(pairs)) == len(pairs)
    searched = [c for c in one.history.trials if c.trial.confirms is None]
    assert len(searched) == 48
    assert len(after) <= len(one.history.trials) / 4
    one.check_confirmed()


def test_stages_are_confirmed_after_the_last_of_them(tmp_path: Path) -> None:
    params = Space(params={"x": {"type": "float", "low": 0, "high": 1}}).params  # type: ignore[dict-item]
    stages = [Stage(name=n, params=params, sampler="random", trials=10) for n in ("a", "b")]
    space = Space(params={"x": 0.5})  # type: ignore[dict-item]
    one = Confirmed(tmp_path, params=space.params, stages=stages)
    one.limits = Limits()
    one.run()
    numbers = [trial.number for trial in one.fresh]
    assert min(numbers) == 20
    assert len(one.history.trials) == 20 + len(numbers)
    assert read_study(one.store).stages == {"a": [*range(10)], "b": [*range(10, 20)]}
    stages_of = {row.number: row.stage for row in trial_rows(one.history)}
    assert {stages_of[number] for number in numbers} == {"confirming"}


def test_repeats_are_compared_by_their_mean(tmp_path: Path) -> None:
    one = Confirmed(tmp_path, trials=36, repeats=3)
    one.run()
    assert one.fresh
    best = one.confirmation.searched.best
    means = [c.searched_mean or 0.0 for c in best]
    assert means == sorted(means, reverse=True)
    assert all(len(c.searched_values) == 3 for c in best)


def test_the_winner_is_tested_on_what_has_confirmed_it(tmp_path: Path) -> None:
    one = Confirmed(tmp_path, objective="mnist-cnn")
    one.run()
    winner = one.history.winner()
    assert winner is not None
    tested = [test.trial.number for test in one.history.tests]
    assert sorted(tested) == sorted(c.trial.number for c in winner.confirming[:5])
    assert winner.test_mean("test_accuracy") == 0.5


class Busy(Confirmed):
    """The same, with eight slots of a worker that is slow with what has a later seed."""

    def __init__(self, folder: Path, claims: bool, **changes: Any):
        super().__init__(folder, **changes)
        self.claims = claims  # also what it does not end soon
        self.at_once = self.calls = 0  # fresh trainings that were under way
        beat = Beat(worker="w-1", host="h", pid=1, device="", jobs=8, counter=1, state="working")
        self.store.beat("w-1", beat)

    def _train(self, at_the_end: bool = False) -> None:
        attempts, store = self.store.listing().attempts, self.store
        trials = {
            name: store.read_attempt(name).trial
            for name in attempts
            if name.state in (State.WAITING, State.TAKEN)
        }
        fresh = [trial for trial in trials.values() if trial.confirms is not None]
        self.at_once = max(self.at_once, len(fresh))
        first = min((trial.repeat for trial in fresh), default=0)
        self.calls += 1
        for name, trial in trials.items():
            soon = trial.confirms is None or (trial.repeat == first and self.calls % 3 == 0)
            if name.state is State.WAITING and (soon or self.claims):
                taken = store.claim(name, "w-1")
                assert taken is not None
                store.append(taken, [Claim(worker="w-1", host="h", device="cpu", time=0.0)])
                name = taken
            if soon:
                value = self.value(trial)
                result = Result(outcome=Outcome.COMPLETE, value=value, metrics={"y": value or 0.0})
                store.append(name, [result])
                assert store.finish(name)


@pytest.mark.parametrize("claims", [True, False])
@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_workers_that_would_be_idle_begin_the_next_round_which_ends_if_it_does_not_come(
    tmp_path: Path, claims: bool, sampler: str
) -> None:
    space: dict[str, Any] = {"sampler": sampler, "seed": 2}
    if sampler == "grid":
        space["params"] = Space.model_validate(
            {"params": {"x": [n / 24 for n in range(24)]}}
        ).params
    rules = Confirm(min_difference=0.0, share=0.5)
    plain = Confirmed(tmp_path, value=noisy(0.01), confirm=rules, **space)
    one = Busy(tmp_path, claims, value=noisy(0.01), confirm=rules, **space)
    for either in (plain, one):
        if sampler == "grid":
            either.limits = Limits()
        either.run()
        either.check_confirmed()
    assert one.at_once > 3
    assert one.reason == plain.reason
    most = one.confirmation.most
    assert one.history.confirming <= most
    stopped = [c for c in one.history.trials if c.result.outcome is Outcome.PRUNED]
    assert (len(stopped) > 0) is claims
    assert all(c.trial.repeat >= one.confirmation.found.rounds for c in stopped)
    assert one.confirmation.luck == plain.confirmation.luck
    # What was taken back is no hole for which a study waits that goes on.
    if sampler == "random":
        one.limits = Limits(trials=30)
    else:
        one.retry(one.history.trials[0].trial.number)
    one.run()
    assert one.confirmation.is_over
    assert one.history.over - one.history.confirming == (30 if sampler == "random" else 24)


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_what_was_asked_for_and_never_begun_holds_up_no_study(tmp_path: Path, sampler: str) -> None:
    space = Space.model_validate({"params": {"x": [n / 24 for n in range(24)]}})
    changes: dict[str, Any] = {"params": space.params} if sampler == "grid" else {}
    one = Confirmed(tmp_path, sampler=sampler, **changes)
    one.run()
    master = Master(one.store, one.limits, ME, monotonic=lambda: 0.0)
    ahead = one.confirmation.order[0], one.confirmation.found.rounds + 3
    master.ask([asked_to_confirm(one.study, *ahead, master.next_number)])
    assert not master.asked.wants(master.asked.next_trial - 1, 100)
    one.limits = Limits(trials=30) if sampler == "random" else Limits()
    one.run()
    assert one.history.over - one.history.confirming == (30 if sampler == "random" else 24)


def test_what_was_begun_ahead_does_not_change_the_value_that_has_decided(tmp_path: Path) -> None:
    one = Confirmed(tmp_path)
    one.run()
    best = one.confirmation.order[0]
    before, history = best.mean, one.history
    known = history.confirmation()
    assert known is not None
    ahead = asked_to_confirm(one.study, best, known.found.rounds, 99)
    lucky = Result(outcome=Outcome.COMPLETE, value=9.0, metrics={"y": 9.0})
    history.add(Counted(trial=trial_of(one.study, ahead, 99), worker="w", result=lucky))
    found = history.confirmation()
    assert found is not None
    assert (found.order[0].first, found.order[0].mean) == (best.first, before)


# -- restarts, and what persons do ---------------------------------------------------------------


def test_killed_after_any_operation_a_master_asks_for_the_same_trainings(tmp_path: Path) -> None:
    whole = Confirmed(tmp_path, trials=12)
    whole.run()
    wanted = sorted((t.number, t.confirms, t.repeat, t.seed) for t in whole.fresh)
    assert wanted
    for n in range(1, 40, 3):
        for after in (False, True):
            one = Confirmed(tmp_path, trials=12)
            while len(one.history.trials) < 12:
                Master(one.store, one.limits, ME, monotonic=lambda: 0.0).step()
                one._train()
            folder = Interrupted(one.share, random.Random(0), lambda: 0.0, Faults())
            folder.dies(n, after=after)
            one.killed(folder)
            one.run()
            found = sorted((t.number, t.confirms, t.repeat, t.seed) for t in one.fresh)
            assert found == wanted, (n, after)
            assert one.reason == whole.reason
            one.check_confirmed()


def test_what_confirms_is_known_without_the_file_that_asked_for_it(tmp_path: Path) -> None:
    one = Confirmed(tmp_path)
    one.run()
    fresh, reason = one.fresh, one.reason
    one.share.files[protocol.ASKED] = b""
    one.share.files.pop(protocol.FINISHED)
    one.run()
    assert (one.fresh, one.reason) == (fresh, reason)
    one.check_confirmed()


def test_a_training_that_failed_is_tried_again_and_then_counts(tmp_path: Path) -> None:
    value, broken = noisy(0.3), True

    def fails(trial: Trial) -> float | None:
        return None if broken and trial.confirms is not None and trial.repeat == 1 else value(trial)

    one = Confirmed(tmp_path, value=fails)
    one.run()
    failed = [c.trial for c in one.history.trials if c.result.outcome is Outcome.FAILED]
    assert {trial.repeat for trial in failed} == {1}
    assert one.reason.endswith("; the ranking is that of the search")
    broken = False
    one.retry(*(trial.number for trial in failed))
    one.run()
    assert one.confirmation.found.out == ()
    assert one.confirmation.order
    again = [c.trial for c in one.history.trials if c.trial.replaces is not None]
    assert {(t.confirms, t.repeat, t.seed) for t in again} == {
        (t.confirms, t.repeat, t.seed) for t in failed
    }


def test_a_training_that_was_dropped_is_compared_with_nothing(tmp_path: Path) -> None:
    one = Confirmed(tmp_path)
    one.run()
    dropped = one.confirmation.order[0].confirming[0].trial
    one.drop(dropped.number)
    one.run()
    assert one.confirmation.is_over
    assert one.confirmation.found.out == ()
    numbers = [c.trial.number for c in one.history.standing]
    assert dropped.number not in numbers
    assert all(dropped.number != c.trial.number for o in one.confirmation.order
               for c in o.confirming)  # fmt: skip


def test_what_confirms_is_not_trained_further(tmp_path: Path) -> None:
    one = Confirmed(tmp_path)
    one.run()
    fresh = one.fresh[0]
    with pytest.raises(UserError) as error:
        extend(one.path, one.store, ME, {"x": 1.0}, numbers=[fresh.number])
    assert str(error.value) == (
        f"trial {fresh.number} confirms trial {fresh.confirms}: train that one further"
    )


# -- in words ------------------------------------------------------------------------------------


def words(tmp_path: Path, value: Value, **rules: Any) -> list[str]:
    one = Confirmed(tmp_path, value=value, confirm=Confirm(**rules))
    one.run()
    assert one.reason == f"all 24 trials are counted; {one.confirmation.words()[0]}"
    return one.confirmation.words()


def test_one_that_beats_the_others_is_said_to_with_its_interval(tmp_path: Path) -> None:
    said, luck = words(tmp_path, noisy(0.0005), min_difference=0.0)
    first, rest = said.split(" beats ")
    assert first.startswith("trial ")
    assert rest.endswith(" (90 %)")
    low, _, high = rest.split(" by ")[1].removesuffix(" (90 %)").partition(" to ")
    assert 0 < float(low) < float(high)
    assert luck.startswith("the search saw 0.9")


def test_those_that_are_not_told_apart_are_tied(tmp_path: Path) -> None:
    said, luck = words(tmp_path, noisy(0.5), min_difference=0.0)
    assert said.startswith("tied: trials ")
    assert ": not told apart by 2 fresh trainings each (trial " in said
    assert " (90 %)); choose any of them, for example trial " in said
    assert luck.startswith("the search saw ")


def test_those_that_differ_by_less_than_matters_are_tied(tmp_path: Path) -> None:
    said, _ = words(tmp_path, noisy(0.01), min_difference=0.2, confidence=0.8)
    assert said.startswith("tied: trials ")
    assert " differ by less than 0.2 (80 %); choose any of them, for example trial " in said


def test_on_a_quiet_study_more_is_said_not_to_be_worth_it(tmp_path: Path) -> None:
    said, _ = words(tmp_path, noisy(0.03))
    assert ", and more are not worth it: the noise of a training is 0.0" in said
    assert " lie between the best and the median of the search; choose " in said


def test_a_metric_without_noise_is_said_to_make_it_pointless(tmp_path: Path) -> None:
    said = words(tmp_path, lambda trial: float(trial.params["x"]))  # type: ignore[arg-type]
    assert said == ["confirming is pointless: y has no noise, the best give the same with any seed"]


def test_a_finalist_that_fails_is_said_to_be_out(tmp_path: Path) -> None:
    value = noisy(0.3)
    plain = Confirmed(tmp_path, value=value, confirm=None)
    plain.run()
    best = plain.history.ranking()[0]

    def fails(trial: Trial) -> float | None:
        gone = trial.confirms is not None and trial.params == best.params
        return None if gone else value(trial)

    said = words(tmp_path, fails, min_difference=0.0)
    assert said[1] == f"out: trial {best.first}, of which a fresh training failed"
    assert f"trial {best.first}," not in said[0]


def test_one_that_alone_can_be_trained_again_is_said_to_be_confirmed_alone(tmp_path: Path) -> None:
    value = noisy(0.3)
    plain = Confirmed(tmp_path, value=value, confirm=None)
    plain.run()
    best = plain.history.ranking()[0]
    only_it = words(
        tmp_path,
        lambda t: value(t) if t.confirms is None or t.params == best.params else None,
        top=2,
    )
    second = plain.history.ranking()[1].first
    assert only_it[0] == (
        f"trial {best.first} is confirmed alone: of the other finalists, trial {second}, a fresh "
        "training failed"
    )
    none = words(tmp_path, lambda trial: value(trial) if trial.confirms is None else None, top=2)
    assert none == [
        f"nothing is confirmed: of all finalists, trials {best.first}, {second}, a fresh training "
        "failed; the ranking is that of the search"
    ]


def test_a_search_that_was_too_short_is_said_to_leave_too_little(tmp_path: Path) -> None:
    one = Confirmed(tmp_path, trials=6)
    one.run()
    assert one.fresh == []
    assert one.confirmation.words() == [
        "nothing is confirmed: after 6 trainings it may make 2, and to compare two configurations "
        "takes 4: search with 12 or more, or give it a larger share"
    ]
    single = Confirmed(tmp_path, 24, sampler="list", settings=[{"x": 0.5}])
    single.limits = Limits()
    single.run()
    assert single.confirmation.words() == ["nothing to confirm: 1 configuration has a result"]


def test_what_was_confirmed_before_is_said_to_have_left_too_little() -> None:
    of = study(params={"x": {"type": "float", "low": 0, "high": 1}}, metric="y",
               direction="maximize", objective="o:o", confirm=True)  # fmt: skip
    history = History(of)
    fill(history, {}, 1.0)
    known = history.confirmation()
    assert known is not None
    others = replace(known.searched, best=known.searched.best[3:], again=known.most)
    assert of.confirm is not None
    assert confirm(of, of.confirm, others).words() == [
        f"nothing is confirmed: of at most {known.most} fresh trainings, {known.most} were made "
        "before, and to compare those that are the best now takes more"
    ]


@pytest.mark.parametrize(
    ("metrics", "seconds", "ending"),
    [
        ({"parameters": -1.0}, 0.0, "choose the smallest, trial {last} ({size:,.0f} parameters)"),
        ({}, -1.0, "choose the quickest, trial {last} ({seconds:.3g} s of training)"),
        ({"parameters": 7.0}, 2.0, "choose any of them, for example trial {first}"),
    ],
)
def test_of_those_that_are_tied_the_smallest_is_named_else_the_quickest(
    metrics: dict[str, float], seconds: float, ending: str
) -> None:
    """-1 stands for what falls with the trial's number."""
    one = study(params={"x": {"type": "float", "low": 0, "high": 1}}, metric="y",
                direction="maximize", objective="o:o", confirm={"min_difference": 0})  # fmt: skip
    history = History(one)
    fill(history, metrics, seconds)
    found = history.confirmation()
    assert found is not None
    tied = sorted(found.found.tied)
    assert found.words()[0].endswith(
        ending.format(
            first=found.found.order[0],
            last=tied[-1],
            size=1000 - tied[-1],
            seconds=1000.0 - tied[-1],
        )
    )


# -- in the views --------------------------------------------------------------------------------


def test_every_view_says_who_wins_and_how_lucky_the_search_was(tmp_path: Path) -> None:
    one = Confirmed(tmp_path)
    one.run()
    snapshot = Observer(one.store).look()
    verdict, luck = one.confirmation.words()
    table = " ".join(printed(final_table(snapshot, 200), 200).split())
    assert f"{verdict[0].upper()}{verdict[1:]}." in table
    assert f"{luck[0].upper()}{luck[1:]}." in table
    assert "search saw" in table
    winner = snapshot.history.winner()
    assert winner is not None
    assert f"over {len(winner.confirming)} fresh trainings" in table
    assert describe_state(snapshot) == f"finished: {one.reason}"

    as_json = snapshot_json(snapshot)
    assert as_json["confirmation"]["words"] == [verdict, luck]
    assert as_json["confirmation"]["verdict"] == "tied"
    assert as_json["confirmation"]["trainings"] == len(one.fresh)
    assert as_json["ranking"][0]["confirmed"] == len(winner.confirming)
    assert as_json["ranking"][0]["search_saw"] == winner.searched_mean
    assert as_json["trials"]["planned"] == as_json["trials"]["counted"] == 24 + len(one.fresh)

    best = json.loads(best_space(snapshot.history) or "")
    assert best["result"]["confirmed"] == [verdict, luck]
    assert best["result"]["search_saw"] == winner.searched_mean
    assert best["result"]["trials"] == [c.trial.number for c in winner.confirming]
    assert best["seeds"] == [c.trial.seed for c in winner.confirming]
    assert parse_space_file(json.dumps(best), "best.json").repeats == len(winner.confirming)

    data = read_study(one.store)
    page = " ".join(words_of(data))
    assert verdict[1:] in page
    assert luck[1:] in page
    rows = {row.number for row in trial_rows(snapshot.history)}
    assert rows == {c.trial.number for c in snapshot.history.trials}


def test_while_it_goes_on_the_views_say_so(tmp_path: Path) -> None:
    one = Confirmed(tmp_path)
    master = Master(one.store, one.limits, ME, monotonic=lambda: 0.0)
    while len(one.fresh) < 3:
        master.step()
        one._train()
    master.step()
    waiting = next(n for n in one.store.listing().attempts if n.state is State.WAITING)
    assert one.store.claim(waiting, "w-1")
    snapshot = Observer(one.store).look()
    assert describe_state(snapshot) == "confirming the winner, as its master said last"
    said = f"confirming: {len(one.fresh)} of at most 8 fresh trainings"
    assert said in plain_progress(snapshot)
    searched = [one for one in snapshot.history.ranking() if one.is_confirmed]
    assert searched == []  # until there is a verdict the ranking is that of the search


def test_a_study_without_the_key_says_nothing_of_it(tmp_path: Path) -> None:
    one = Confirmed(tmp_path, confirm=None)
    one.run()
    assert one.reason == "all 24 trials are counted"
    assert one.history.confirmation() is None
    snapshot = Observer(one.store).look()
    assert snapshot_json(snapshot)["confirmation"] is None
    assert "search saw" not in printed(final_table(snapshot, 200), 200)


# -- a space file's mistakes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tops": 3}, "confirm.tops: unknown key: did you mean 'top'?"),
        ({"top": 1}, "confirm.top"),
        ({"share": 0}, "confirm.share"),
        ({"confidence": 1}, "confirm.confidence"),
        ({"min_difference": -1}, "confirm.min_difference"),
        ("yes", 'confirm: say true, false, or its options: {"top": 3}'),
    ],
)
def test_a_mistake_in_it_names_the_key(given: Any, message: str) -> None:
    space = {"params": {"x": [1, 2]}, "objective": "o:o", "metric": "y", "direction": "maximize"}
    with pytest.raises(UserError) as error:
        parse_space_file(json.dumps({**space, "confirm": given}), "space.json")
    assert f"space.json: {message}" in str(error.value)


def test_it_does_not_go_together_with_several_objectives() -> None:
    space = {"params": {"x": [1, 2]}, "objective": "o:o", "confirm": True,
             "objectives": {"y": "maximize", "seconds": "minimize"}}  # fmt: skip
    with pytest.raises(UserError) as error:
        parse_space_file(json.dumps(space), "space.json")
    assert str(error.value) == (
        "space.json: confirm: it ranks by one metric, and there are several objectives: leave one "
        "of the two out"
    )


def test_false_is_as_good_as_nothing() -> None:
    space = {"params": {"x": [1, 2]}, "objective": "o:o", "metric": "y", "direction": "maximize"}
    assert parse_space_file(json.dumps({**space, "confirm": False}), "s").confirm is None
    assert parse_space_file(json.dumps({**space, "confirm": True}), "s").confirm == Confirm()


def test_what_can_never_decide_is_refused_before_anything_is_published(lab: Lab) -> None:
    lab.write_space(trials=6, confirm={"top": 5, "share": 0.25})
    said = (
        "distune: confirm: it can never decide: after 6 trainings it may make 2, and to compare "
        "two configurations takes 4: search with 12 or more, or give it a larger share\n"
    )
    for arguments in (("check", "space.json"), ("master", "--space", "space.json")):
        found = lab.run(*arguments)
        assert (found.returncode, found.stderr) == (2, said)
    assert not (lab.logs / "space").exists()
    enough = study(params={"x": {"type": "float", "low": 0, "high": 1}}, metric="y",
                   direction="maximize", objective="o:o", confirm=True)  # fmt: skip
    assert (
        "confirm    the best, 5 at most, are trained again, with 4 trainings at most beyond these"
        in preview(enough, Limits(trials=12), 0)
    )


# -- real processes ------------------------------------------------------------------------------


OBJECTIVE = """
import random, time

def train(params, trial):
    time.sleep(0.02)
    return params["x"] + random.Random(f"{params} {trial.seed}").gauss(0, 0.3)
"""


def test_a_master_that_is_killed_while_it_confirms_goes_on(lab: Lab) -> None:
    (lab.folder / "train.py").write_text(OBJECTIVE)
    lab.write_space(trials=24, metric="value", confirm={"min_difference": 0})
    master = lab.master("--plain")
    lab.worker("--forever")

    def fresh() -> int:
        try:
            lines = (lab.logs / "space" / protocol.HISTORY).read_bytes()
        except FileNotFoundError:
            return 0
        return lines.count(b'"confirms":') - lines.count(b'"confirms":null')

    wait_until(lambda: fresh() > 0, what="a fresh training is counted")
    os.kill(master.pid, signal.SIGKILL)
    master.wait()
    killed_at = fresh()
    with_worker = shlex.split("master --space space.json --workers 1 --objective train:train")
    assert lab.run(*with_worker).returncode == 0
    assert killed_at < fresh() <= 8
    finished = json.loads((lab.logs / "space" / protocol.FINISHED).read_text())
    status = json.loads(lab.run("status", "--json", "--logs", "logs").stdout)
    assert finished["reason"] == f"all 24 trials are counted; {status['confirmation']['words'][0]}"
    assert lab.run("verify", "--logs", "logs").returncode == 0
    shown = json.loads(lab.run("show", "24", "--json", "--logs", "logs").stdout)
    assert shown["confirms"] in [one["trials"][0] for one in status["ranking"]]


def test_of_a_study_that_is_stopped_workers_train_what_confirms_and_nothing_else() -> None:
    """Only the files' first lines tell them apart."""
    made, limits = make_study(500, confirm=Confirm(min_difference=0.0, share=0.5))
    world = World(3, Faults(), study=made, limits=limits, workers=2)
    store = Store(world._folder("viewer", Faults()))
    while len(Observer(store).history) < 12:
        world._advance()
    world.halt(Halt.STOP)
    begun = world.clock
    while not world._over():
        world._advance()
        assert world.clock < begun + 600, world.describe()
    history, finished = Observer(store).history, store.read_finished()
    assert finished is not None
    assert finished.stopped
    assert history.confirming >= 4
    confirmation = history.confirmation()
    assert confirmation is not None
    assert finished.reason == (f"it was stopped (distune stop); {confirmation.words()[0]}")
    waiting = [name for name in store.listing().attempts if name.state is State.WAITING]
    assert waiting
    assert all(store.read_attempt(name).trial.confirms is None for name in waiting)
