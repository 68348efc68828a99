"""What a sampler suggests once more becomes one more repeat of what was tried."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from distune.export.leaderboard import best_space, leaderboard_csv
from distune.export.table import trial_rows
from distune.master import planner
from distune.master.actions import Ask
from distune.master.lock import Identity
from distune.master.master import Master
from distune.search.asked import (
    AskedSoFar,
    asked_again,
    asked_further,
    asked_once_more,
    recovered_from,
    trial_of,
)
from distune.search.learning import _to_repeat
from distune.search.plateau import Plateau
from distune.search.pruning import may_stop
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.search.told import Telling
from distune.share import protocol, records
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import Store
from distune.study.study import MOST_ADDED, Limits, Study
from distune.study.trial import Asked, Counted, Failure, Outcome, Purpose, Result, Trial
from distune.watch.display.leaderboard import best_text, final_table
from distune.watch.display.trial_detail import trial_detail
from distune.watch.snapshot import Snapshot
from tests.histories import WORKER, asked_in, study, write_study
from tests.memory_folder import Faults
from tests.simulation import World, random_faults
from tests.test_display import text_of
from tests.test_planner import view

TPE = {"name": "tpe", "n_startup_trials": 3}
PLACES = {"type": "int", "low": 0, "high": 5}
WIDE = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in "xy"}
STEPS = {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}


def a_study(**fields: Any) -> Study:
    params = {"x": PLACES, "y": PLACES}
    given = {"objective": "t:t", "direction": "minimize", "params": params, "sampler": TPE}
    return study(**{**given, "repeats": 2, **fields})


def result_of(trial: Trial) -> Counted:
    """Near the middle it is best; each training has noise of its own."""
    at = [float(value or 0) for value in trial.params.values()]
    value = math.fsum((one - 2) ** 2 for one in at) + random.Random(trial.seed).gauss(0, 0.5)
    result = Result(outcome=Outcome.COMPLETE, value=value, metrics={}, seconds=1.0)
    return Counted(trial=trial, worker=WORKER, result=result)


class Search:
    """What a master does with a sampler, with so many workers at the same time."""

    def __init__(self, of: Study) -> None:
        self.study, self.history = of, History(of)
        self.asked = AskedSoFar(of, self.history)
        self.sampler = make_sampler(of)
        self.lines: list[Asked] = []
        self.running: list[Trial] = []

    def question(self) -> Question:
        numbers = dict.fromkeys(self.asked.of(one.number).trial for one in self.running)  # type: ignore[union-attr]
        in_flight = [one for one in self.lines if one.trial in numbers]

        number = self.asked.next_configuration
        return Question(number, self.history, lambda: in_flight, may_add_to=self.asked.may_add_to)

    def ask(self) -> Suggestion:
        found = self.sampler.ask(self.question())
        assert isinstance(found, Suggestion)
        return found

    def take(self, found: Suggestion) -> Asked:
        trial = self.asked.next_trial
        if found.adds_to is not None:
            first = self.asked.of(found.adds_to)
            assert first is not None
            line = asked_once_more(self.study, self.asked, first, trial)
        else:
            line = Asked(
                study=self.study.id,
                configuration=self.asked.next_configuration,
                trial=trial,
                repeats=self.study.repeats,
                params=found.params,
            )
        assert self.asked.add(line)
        self.lines.append(line)
        self.running += [trial_of(self.study, line, trial + n) for n in range(line.repeats)]
        return line

    def run(self, trials: int, workers: int = 4) -> Search:
        rng = random.Random(0)
        while self.asked.next_trial < trials:
            if len(self.running) >= workers:
                self.end(rng.randrange(len(self.running)))
            else:
                self.take(self.ask())
        while self.running:
            self.end(0)
        return self

    def end(self, place: int) -> None:
        self.history.add(result_of(self.running.pop(place)))


def test_what_is_suggested_once_more_is_the_next_repeat_with_a_seed_of_its_own() -> None:
    searched = Search(a_study()).run(80)
    added = [one for one in searched.lines if one.adds_to is not None]
    assert len(added) > 5
    first = {one.configuration: one for one in searched.lines if one.adds_to is None}
    assert sorted(first) == list(range(len(first))), "no number of the sampler's is used up"
    counts = Counter(one.configuration for one in added)
    for one in added:
        base = first[one.configuration]
        assert (one.adds_to, one.params, one.repeats) == (base.trial, base.params, 1)
    for configuration, count in counts.items():
        repeats = [one.repeat for one in added if one.configuration == configuration]
        assert repeats == list(range(2, 2 + count))
    seeds = [one.trial.seed for one in searched.history.trials]
    assert len({*seeds}) == len(seeds)
    winner = searched.history.winner()
    assert winner is not None
    assert winner.size > 2, "the best ones are those that are suggested again"


def test_at_most_five_more_repeats_of_a_configuration_are_asked_for() -> None:
    searched = Search(a_study(repeats=1, duplicates="repeat")).run(50, 1)
    assert max(Counter(one.configuration for one in searched.lines).values()) == 1 + MOST_ADDED
    assert max(searched.asked.added.values()) == MOST_ADDED


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2"])
def test_a_restart_between_any_two_answers_changes_none(sampler: str) -> None:
    """P5, with trials in flight that end in another order than they began in."""
    own = "n_startup_trials" if sampler in ("tpe", "gp") else "population_size"
    of = a_study(sampler={"name": sampler, own: 4}, repeats=1, duplicates="repeat")
    searched, rng = Search(of), random.Random(1)
    for _ in range(16 if sampler == "gp" else 50):
        while len(searched.running) == 3 or (searched.running and rng.random() < 0.6):
            searched.end(rng.randrange(len(searched.running)))
        found = searched.ask()
        assert make_sampler(of).ask(searched.question()) == found
        searched.take(found)
    assert any(one.adds_to is not None for one in searched.lines)


def test_while_a_repeat_is_in_flight_the_sampler_is_asked_again() -> None:
    searched = Search(a_study(repeats=1, duplicates="repeat")).run(30)
    while (found := searched.ask()).adds_to is None:
        searched.take(found)
        searched.end(0)
    searched.take(found)
    assert searched.ask().params != found.params


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.PRUNED, Outcome.DIVERGED])
def test_what_has_not_all_its_repeats_complete_is_not_repeated(outcome: Outcome) -> None:
    searched = Search(a_study())
    line = searched.take(Suggestion({"x": 1, "y": 1}))
    searched.end(0)
    trial = searched.running.pop()
    result = Result(outcome=outcome, seconds=1.0, failure=Failure(message="m"))
    searched.history.add(Counted(trial=trial, worker=WORKER, result=result))
    assert _to_repeat(searched.question(), line.params) is None
    assert _to_repeat(Search(a_study()).question(), line.params) is None
    other = searched.take(Suggestion({"x": 2, "y": 2}))
    while searched.running:
        searched.end(0)
    assert _to_repeat(searched.question(), other.params) == other.trial


def test_without_repeats_or_where_again_is_asked_for_nothing_is_repeated() -> None:
    for of in (a_study(repeats=1), a_study(duplicates="again")):
        searched = Search(of).run(24)
        assert all(one.adds_to is None for one in searched.lines)
    searched = Search(a_study()).run(80)
    known = Question(0, searched.history)
    found = [searched.sampler.ask(Question(n, known.history)) for n in range(80, 120)]
    assert all(isinstance(one, Suggestion) and one.adds_to is None for one in found)


def test_the_mean_of_all_repeats_is_told_in_place() -> None:
    of = a_study(repeats=1, duplicates="repeat")
    searched, telling = Search(of), Telling()
    line = searched.take(Suggestion({"x": 1, "y": 1}))
    searched.end(0)
    assert [told.number for told in telling.follow(searched.history, []).over] == [0]
    more = searched.take(Suggestion(line.params, adds_to=0))
    running = telling.follow(searched.history, [more])
    assert (running.anew, running.running, running.over, running.again) == (False, {}, [], [])
    searched.end(0)
    news = telling.follow(searched.history, [])
    assert (news.anew, news.over) == (False, [])
    values = [one.result.value for one in searched.history.trials]
    assert [told.values for told in news.again] == [values]
    at_once = Telling().follow(searched.history, [])
    assert [told.values for told in at_once.over] == [values[:1]]
    assert [told.values for told in at_once.again] == [values]


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_one_more_repeat_moves_what_is_suggested_next(sampler: str) -> None:
    of = a_study(sampler={"name": sampler, "n_startup_trials": 3}, params=WIDE, repeats=1)

    def following(value: float) -> list[Any]:
        searched = Search(of.model_copy(update={"duplicates": "repeat"}))
        lasting, found = searched.sampler, []
        for place in range(4):
            searched.take(Suggestion({"x": place / 4, "y": place / 4}))
            searched.end(0)
        lasting.ask(searched.question())  # has it told
        searched.take(Suggestion({"x": 0.0, "y": 0.0}, adds_to=0))
        trial = searched.running.pop()
        result = Result(outcome=Outcome.COMPLETE, value=value, seconds=1.0)
        searched.history.add(Counted(trial=trial, worker=WORKER, result=result))
        for number in range(4, 6 if sampler == "gp" else 14):
            found.append(lasting.ask(Question(number, searched.history)))
        assert found[-1] == make_sampler(of).ask(Question(number, searched.history))
        return found

    assert following(-50.0) != following(50.0)


def test_a_master_numbers_on_after_one_more_repeat_and_asks_the_same_question_again() -> None:
    searched, looks = Search(a_study(repeats=1, duplicates="repeat")).run(30), 0
    workers = tuple(view(f"w-{i}", 0.0) for i in range(8))
    while looks < 3:
        number, free = searched.asked.next_trial, searched.asked.next_configuration
        snapshot = Snapshot(
            study=searched.study,
            limits=Limits(trials=100),
            elapsed=0.0,
            history=searched.history,
            next_number=number,
            workers=workers,
        )
        actions = planner.plan(snapshot, searched.asked, searched.sampler)
        asked = [one.asked for one in actions if isinstance(one, Ask)]
        assert [one.trial for one in asked] == list(range(number, number + len(asked)))
        new = [one.configuration for one in asked if one.adds_to is None]
        assert new == list(range(free, free + len(new)))
        looks += any(one.adds_to is not None for one in asked[:-1])
        searched.run(number + 1)
        assert number < 60, "no look had any"


def test_no_pruner_ends_it_and_it_is_no_configuration_more() -> None:
    of = a_study(repeats=1, duplicates="repeat")
    searched = Search(of)
    searched.take(Suggestion({"x": 1, "y": 1}))
    searched.end(0)
    before = Plateau(of).since(searched.history)
    searched.take(Suggestion({"x": 1, "y": 1}, adds_to=0))
    trial = searched.running[0]
    assert not may_stop(trial)
    searched.end(0)
    assert searched.history.configurations == 1
    assert searched.history.on_top == 0, "the limit counts it"
    assert Plateau(of).since(searched.history) == before


def test_a_line_that_was_lost_is_made_again_from_its_trial(tmp_path: Path) -> None:
    of = a_study()
    searched = Search(of).run(80)
    store = write_study(tmp_path / "s", of, list(searched.history.trials), {})
    store.folder.remove(protocol.ASKED)
    Master(store, Limits(trials=80), Identity("h", 1)).step()
    again = asked_in(Store(store.folder), of)
    assert again.added == searched.asked.added
    assert [one.replace(origin="sampler", state={}) for one in map(_decoded, again.lines())] == [
        one.replace(state={}) for one in searched.lines
    ]


def _decoded(line: bytes) -> Asked:
    found = records.decode_again(line)
    assert isinstance(found, Asked)
    return found


@pytest.mark.parametrize(
    ("fields", "repeats"),
    [
        ({}, True),
        ({"repeats": 1}, False),
        ({"repeats": 1, "confirm": True}, True),
        ({"repeats": 1, "duplicates": "repeat"}, True),
        ({"duplicates": "again"}, False),
    ],
)
def test_a_study_with_noise_repeats_duplicates_unless_it_says_otherwise(
    fields: dict[str, Any], repeats: bool
) -> None:
    of = a_study(**fields)
    assert of.repeats_duplicates is repeats
    assert ("duplicates" in of.model_dump()) is ("duplicates" in fields)


def test_of_two_masters_lines_the_second_gives_no_number_to_another_setting_or_trial() -> None:
    """A line that is one more repeat takes a trial's number, and no configuration's."""
    of = a_study(repeats=1, duplicates="repeat")
    asked = AskedSoFar(of)
    first, new, other = (
        Asked(study=of.id, configuration=n, trial=trial, repeats=1, params={"x": trial, "y": 0})
        for n, trial in ((0, 0), (1, 1), (1, 2))
    )
    assert asked.add(first)
    assert asked.add(new)
    assert not asked.add(other)
    assert asked.add(asked_once_more(of, asked, first, 2))
    assert not asked.add(asked_once_more(of, AskedSoFar(of), first, 3))
    assert asked.add(asked_once_more(of, asked, first, 3))
    assert asked.added == {0: 2}
    more = trial_of(of, asked.of(3), 3)  # type: ignore[arg-type]
    assert asked.add(asked_further(of, more, 4, {**more.params, "epochs": 9}))
    assert asked.add(asked_again(of, more, 5))


def test_nobody_has_asked_for_a_repeat_beyond_the_most() -> None:
    for of, known in ((a_study(), True), (a_study(duplicates="again"), False)):
        for repeat in (2, 2 + MOST_ADDED - 1, 2 + MOST_ADDED):
            trial = Trial(
                study=of.id,
                number=9,
                attempt=1,
                configuration=3,
                repeat=repeat,
                adds_to=6,
                seed=of.seed_of(3, repeat),
                params={"x": 1, "y": 1},
            )
            assert (recovered_from(of, trial) is not None) is (known and repeat < 2 + MOST_ADDED)


def test_after_any_history_each_repeat_is_counted_once() -> None:
    added = 0
    for seed in range(4):
        rng = random.Random(f"repeating {seed}")
        of = a_study(
            metric="y", direction="maximize", params={"x": STEPS}, repeats=rng.choice([1, 2])
        )
        of = of.model_copy(update={"duplicates": "repeat", "lease": 20.0})
        world = World(
            seed, random_faults(rng), study=of, limits=Limits(trials=12), masters=1 + seed % 2
        )
        world.learns = True
        world.run()
        world.check()
        added += sum(asked_in(Store(world._folder("check", Faults())), of).added.values())
    assert added > 0


def test_every_view_ranks_one_more_repeat_with_what_it_repeats() -> None:
    searched = Search(a_study(repeats=1, duplicates="repeat"))
    searched.take(Suggestion({"x": 2, "y": 2}))
    searched.take(Suggestion({"x": 5, "y": 5}))
    searched.take(Suggestion({"x": 2, "y": 2}, adds_to=0))
    more = searched.running[-1]
    while searched.running:
        searched.end(0)
    history = searched.history
    values = [one.result.value or 0.0 for one in history.trials if one.trial.params["x"] == 2]
    mean = f"{math.fsum(values) / 2:.4f}"
    snapshot = Snapshot(study=searched.study, limits=Limits(), elapsed=1.0, history=history)
    live = text_of(final_table(snapshot, 100))
    best = next(line for line in live.splitlines() if mean in line)
    assert best.split()[1:4] == ["1", "0", "2"]
    assert "repeats" in live
    assert f"{mean} ± " in text_of(best_text(snapshot, 100))
    assert " over 2 repeats" in text_of(best_text(snapshot, 100))
    row = leaderboard_csv(history).splitlines()[1].split(",")
    assert (row[1], row[5]) == ("0 2", "2")
    assert json.loads(best_space(history) or "")["repeats"] == 2
    assert [one.configuration for one in trial_rows(history)] == [0, 1, 0]
    name = AttemptName(more.number, 1, Purpose.TRAIN, WORKER, State.DONE)
    shown = text_of(trial_detail(snapshot, [(name, AttemptFile(more, None, (), None))], 100))
    assert "Trial 2 of digits  repeat 2 of trial 0, suggested again" in shown
