"""What every sampler promises. A new one inherits these tests:

class TestMySampler(SamplerContract):
    def study(self) -> Study:
        return a_study(params=..., sampler="mine")
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Sampler, Suggestion
from distune.search.samplers import SAMPLERS
from distune.search.staged import make_sampler
from distune.study.stage import Stage
from distune.study.study import Study
from distune.study.trial import Asked, Counted, Outcome, Result, params_key
from tests.histories import asked_for, asked_from, results_of

_ASKED = 12


def _ended(study: Study, one: Asked, at: tuple[int, float] | None) -> list[Counted]:
    """All trials of a configuration, complete, or given up at a rung."""
    if at is None:
        return results_of(study, one)
    step, value = at
    result = Result(outcome=Outcome.PRUNED, value=value, steps=step)
    return [trial.replace(result=result) for trial in results_of(study, one)]


class SamplerContract:
    """Tests of the sampler of one study, which has a dozen configurations or more."""

    def study(self) -> Study:
        raise NotImplementedError

    def params_that_it_cannot_sample(self) -> dict[str, Any] | None:
        """None if it can sample all there are."""
        return None

    # -- what it is ------------------------------------------------------------------------

    def test_it_is_registered_and_says_what_it_is(self) -> None:
        study = self.study()
        sampler = make_sampler(study)
        composed = study.stages is not None or study.enqueue
        assert composed or isinstance(sampler, SAMPLERS[study.sampler])
        assert sampler.label
        assert sampler.label.isprintable()

    def test_it_refuses_parameters_that_it_cannot_sample(self) -> None:
        study, bad = self.study(), self.params_that_it_cannot_sample()
        checked: Sequence[Study | Stage] = study.stages or [study]
        for one in checked:
            SAMPLERS[one.sampler].check(one.params, one.settings, one.sampler_options)
        if bad is not None:
            with pytest.raises(ValueError, match=r"^params\.\w+: "):
                SAMPLERS[study.sampler].check(bad, study.settings, {})

    def test_it_ends_after_as_many_configurations_as_it_says(self) -> None:
        study = self.study()
        sampler = make_sampler(study)
        assert (sampler.size is None) or not sampler.endless
        if sampler.size is not None:
            asked = asked_from(study, sampler, sampler.size + 5)
            assert len(asked) == sampler.size

    # -- what it gives ---------------------------------------------------------------------

    def test_two_of_them_give_the_same_in_the_same_history(self) -> None:
        study = self.study()
        assert self.settings(study) == self.settings(study)

    def test_a_restart_changes_nothing(self) -> None:
        """P5: the master of each configuration is another one, which finds what was asked."""
        study = self.study()
        whole = self.settings(study)
        history = History(study)
        for asked in whole:
            found = make_sampler(study).ask(Question(asked.configuration, history))
            assert isinstance(found, Suggestion)
            assert (found.params, found.stage, found.state) == (
                asked.params,
                asked.stage,
                asked.state,
            )
            history.extend(results_of(study, asked))

    def test_every_setting_is_one_of_the_space(self) -> None:
        study = self.study()
        for asked in self.settings(study):
            for name, value in asked.params.items():
                spec = study.params.get(name)
                if spec is not None:
                    values = spec.grid()
                    assert study.settings or study.stages or values is None or value in values
            for name, spec in study.params.items():
                assert (name in asked.params) is spec.is_active(asked.params), name
            assert not study.space.excludes(asked.params)

    def test_a_setting_is_the_callers_own(self) -> None:
        sampler = make_sampler(self.study())
        first = self.first(sampler)
        kept = dict(first.params)
        first.params.clear()
        assert self.first(sampler).params == kept

    def test_what_it_remembers_is_json(self) -> None:
        for asked in self.settings(self.study()):
            assert json.loads(json.dumps(asked.state)) == asked.state

    def test_the_global_generator_is_neither_used_nor_moved(self) -> None:
        study = self.study()
        random.seed(1)
        state = random.getstate()
        before = self.settings(study)
        assert random.getstate() == state
        random.seed(2)
        assert self.settings(study) == before

    def test_it_waits_only_while_something_is_in_flight(self) -> None:
        study = self.study()
        sampler, history = make_sampler(study), History(study)
        for asked in self.settings(study):
            history.extend(results_of(study, asked))
        following = Question(_ASKED, history)
        assert sampler.ask(following) is not Nothing.NOT_YET

    def test_ten_workers_get_ten_settings_and_a_restart_between_any_two_changes_none(self) -> None:
        """P5, with trials in flight that end in another order than they began in."""
        study, rng = self.study(), random.Random(0)
        lasting, history = make_sampler(study), History(study)
        in_flight: list[Asked] = []
        for number in range(2 * _ASKED):
            if len(in_flight) == 10 or (in_flight and rng.random() < 0.3):
                history.extend(results_of(study, in_flight.pop(rng.randrange(len(in_flight)))))
            question = Question(number, history, lambda: list(in_flight))
            found = lasting.ask(question)
            again = make_sampler(study).ask(question)
            assert found == again
            if not isinstance(found, Suggestion):
                break
            assert params_key(found.params) not in {params_key(one.params) for one in in_flight}
            in_flight.append(asked_for(study, number, found))
        assert number >= _ASKED or not isinstance(found, Suggestion)

    def test_a_restart_changes_none_while_trials_pause_go_on_and_are_given_up(self) -> None:
        """P5, with trials that have paused, or gone on; of which one master has seen each step of
        it, and the other what it came to.
        """
        study, rng = self.study(), random.Random(1)
        lasting, history = make_sampler(study), History(study)
        in_flight: dict[int, Asked] = {}
        reached: dict[int, tuple[int, float]] = {}
        for number in range((1 if lasting.slow else 3) * _ASKED):
            for one in list(in_flight.values()):
                self._come_further(study, one, reached, rng)
                if rng.random() < 0.1 or len(in_flight) >= 2 * _ASKED:
                    history.extend(_ended(study, one, reached.pop(one.configuration, None)))
                    del in_flight[one.configuration]
            listed = list(reached.items())
            rng.shuffle(listed)
            seen = dict(listed)
            running = list(in_flight.values())
            question = Question(number, history, running.copy, seen.copy)
            found = lasting.ask(question)
            assert found == make_sampler(study).ask(question)
            if not isinstance(found, Suggestion):
                break
            in_flight[number] = asked_for(study, number, found)
        assert number >= _ASKED - 1 or not isinstance(found, Suggestion)

    # -- helpers ---------------------------------------------------------------------------

    def _come_further(
        self,
        study: Study,
        one: Asked,
        reached: dict[int, tuple[int, float]],
        rng: random.Random,
    ) -> None:
        """To the first rung, or the next; or a listing hides that it has."""
        if study.stages is None and rng.random() < 0.4:
            step, _ = reached.get(one.configuration, (0, 0.0))
            reached[one.configuration] = max(1, 3 * step), rng.random()
        elif rng.random() < 0.1:
            reached.pop(one.configuration, None)

    def settings(self, study: Study) -> list[Asked]:
        """The first dozen, each asked for when the one before is counted."""
        return asked_from(study, make_sampler(study), _ASKED)

    def first(self, sampler: Sampler) -> Suggestion:
        found = sampler.ask(Question(0, History(self.study())))
        assert isinstance(found, Suggestion)
        return found
