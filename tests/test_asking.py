"""A sampler that takes its time: the master goes on counting, and a kill changes no answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from distune.master.asking import PatientSampler
from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Suggestion
from distune.search.samplers import SAMPLERS
from distune.search.samplers.random import RandomSampler
from distune.search.staged import make_sampler
from distune.share.protocol import State
from tests.histories import asked_from, asked_in, results_of, study
from tests.test_master import StudyInMemory

PATIENCE = 30.0  # seconds


class Thinking(RandomSampler):
    """Random search, each answer of which takes until somebody allows it."""

    slow = True
    at_once = 1  # type: ignore[assignment]
    allowed = threading.Event()

    def begin(self, question: Question) -> Callable[[], Suggestion | Nothing]:
        def find() -> Suggestion | Nothing:
            assert self.allowed.wait(PATIENCE)
            return self.ask(question)

        return find


@pytest.fixture
def thinking(monkeypatch: pytest.MonkeyPatch) -> Iterator[StudyInMemory]:
    monkeypatch.setitem(SAMPLERS, "thinking", Thinking)
    monkeypatch.setattr(Thinking, "allowed", threading.Event())
    yield StudyInMemory(trials=6, sampler="thinking")
    Thinking.allowed.set()  # or its threads would wait on


def waiting(world: StudyInMemory) -> list[int]:
    return [name.trial for name in world.store.listing().attempts if name.state is State.WAITING]


def until(condition: Callable[[], bool], step: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        step()
        time.sleep(0.001)


def test_a_master_counts_while_its_sampler_thinks(thinking: StudyInMemory) -> None:
    world, master = thinking, thinking.master()
    Thinking.allowed.set()
    until(lambda: waiting(world) == [0], master.step)
    Thinking.allowed.clear()
    world.train(0)
    until(lambda: world.counted() == [0], master.step)
    assert waiting(world) == []
    Thinking.allowed.set()
    until(lambda: waiting(world) == [1], master.step)


def test_a_master_that_is_killed_between_question_and_trial_changes_no_setting(
    thinking: StudyInMemory,
) -> None:
    """P4, P5: what was found and not written is asked for again."""
    world = thinking
    killed = world.master()
    killed.step()  # it asks, and is killed before there is an answer
    after_the_answer = world.master()
    Thinking.allowed.set()
    for _ in range(3):
        after_the_answer.step()
        if waiting(world):
            break
    # One with an answer that is not in `asked.jsonl` yet leaves as little.
    last = world.master()
    until(lambda: waiting(world) == [0], last.step)
    world.train(0)
    until(lambda: waiting(world) == [1], last.step)
    found = asked_in(world.store, last.study)
    wanted = asked_from(last.study, RandomSampler(last.study.space, last.study.seed), 2)
    lines = [found.of(0), found.of(1)]
    assert [one and one.params for one in lines] == [one.params for one in wanted]
    assert world.folder.share.published.most_common(1)[0][1] == 1


def test_an_answer_is_from_what_was_known_when_it_was_asked_for() -> None:
    space = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
    sampler = {"name": "gp", "n_startup_trials": 3}
    of = study(objective="t:t", direction="minimize", params=space, sampler=sampler)
    coming = asked_from(of, make_sampler(of), 6)
    history, woken = History(of), threading.Event()
    for one in coming[:4]:
        history.extend(results_of(of, one))
    wanted = make_sampler(of).ask(Question(4, history))
    patient = PatientSampler(make_sampler(of), woken.set)
    assert patient.ask(Question(4, history)) is Nothing.STILL_LOOKING
    for one in coming[4:]:
        history.extend(results_of(of, one))
    assert woken.wait(PATIENCE)
    found: list[Suggestion | Nothing] = []

    def ask() -> None:
        found.append(patient.ask(Question(4, history)))

    until(lambda: bool(found) and found[-1] is not Nothing.STILL_LOOKING, ask)
    assert found[-1] == wanted


def test_an_answer_to_another_question_is_not_taken(thinking: StudyInMemory) -> None:
    of = thinking.master().study
    patient, history = PatientSampler(make_sampler(of), lambda: None), History(of)
    assert patient.ask(Question(0, history)) is Nothing.STILL_LOOKING
    Thinking.allowed.set()
    found: list[Suggestion | Nothing] = []

    def ask() -> None:
        found.append(patient.ask(Question(7, history)))

    until(lambda: bool(found) and found[-1] is not Nothing.STILL_LOOKING, ask)
    assert found[-1] == RandomSampler(of.space, of.seed).ask(Question(7, history))


def test_what_goes_wrong_in_a_sampler_is_said_where_it_is_asked(
    thinking: StudyInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, question: Question) -> None:
        raise ZeroDivisionError("in the model")

    monkeypatch.setattr(Thinking, "ask", fail)
    of, master = thinking.store.load(), thinking.master()
    assert of.sampler == "thinking"
    Thinking.allowed.set()
    with pytest.raises(ZeroDivisionError, match="in the model"):
        until(lambda: False, master.step)
