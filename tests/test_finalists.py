"""A comparison of finalists: who takes part, when it ends, and how sure it is."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from distune.search.finalists import Comparison, Finalist, Rules, Verdict, compare
from scripts.searching.confirm import KINDS, simulated

RULES: dict[str, Any] = {
    "confidence": 0.9, "min_difference": 0.0, "max_rounds": 25, "most": 25, "reach": 1.0,
}  # fmt: skip
SEEN = (1.0, 0.99, 0.98, 0.97, 0.96)

Value = Callable[[int, int], float | None]


def noisy(levels: tuple[float, ...], noise: float, seed: int = 0) -> Value:
    """What finalist `number` gives with seed `index`: its level, with noise."""

    def value(number: int, index: int) -> float:
        return levels[number] + random.Random(f"{seed} {number} {index}").gauss(0, noise)

    return value


def run(
    value: Value, *, seen: tuple[float, ...] = SEEN, repeats: int = 1, **rules: Any
) -> tuple[Comparison, list[tuple[tuple[int, int], ...]]]:
    """A comparison to its end, and what it wanted each time."""
    again: list[dict[int, float | None]] = [{} for _ in seen]
    wanted: list[tuple[tuple[int, int], ...]] = []
    while True:
        finalists = [Finalist(n, [one] * repeats, again[n]) for n, one in enumerate(seen)]
        known = sum(map(len, wanted))
        found = compare(finalists, Rules(**{**RULES, **rules}, known=known))
        if found.verdict is not None:
            return found, wanted
        assert found.wanted
        wanted.append(found.wanted)
        for number, index in found.wanted:
            assert index not in again[number], "nothing is trained twice"
            again[number][index] = value(number, index)


def trained(wanted: list[tuple[tuple[int, int], ...]]) -> int:
    return sum(map(len, wanted))


def test_a_clear_winner_is_found_with_few_trainings_and_by_how_much_is_said() -> None:
    found, wanted = run(noisy((1.0, 0.5, 0.4, 0.3, 0.2), 0.01), seen=(1.0, 0.52, 0.4, 0.3, 0.2))
    assert found.verdict is Verdict.BEATS
    assert (found.order[0], found.tied) == (0, (0,))
    assert found.interval is not None
    assert 0 < found.interval[0] < 0.5 < found.interval[1] < 1
    assert trained(wanted) < 12


def test_every_finalist_is_trained_with_the_same_seeds() -> None:
    _, wanted = run(noisy((1.0,) * 5, 0.5))
    for number in (0, 1, 2):
        indices = [index for wave in wanted for n, index in wave if n == number]
        assert indices == [*range(len(indices))]
    assert len({index for _, index in wanted[-1]}) == 1


def test_it_makes_no_more_trainings_than_it_may() -> None:
    for most in range(4, 26):
        found, wanted = run(noisy((1.0,) * 5, 0.5), most=most)
        assert found.verdict is Verdict.TIED
        assert most - 5 < trained(wanted) <= most
        assert found.rounds >= 2
        assert found.interval is not None


def test_it_ends_after_as_many_rounds_as_it_may_make() -> None:
    found, _ = run(noisy((1.0,) * 5, 0.5), most=1000, max_rounds=4)
    assert (found.verdict, found.rounds) == (Verdict.TIED, 4)


def test_too_few_trainings_or_finalists_are_none() -> None:
    assert run(noisy(SEEN, 0.1), most=3)[0].verdict is Verdict.TOO_FEW
    assert run(noisy((1.0,), 0.1), seen=(1.0,))[0].verdict is Verdict.TOO_FEW


def test_what_was_trained_for_others_leaves_less() -> None:
    """The study went on after it had been confirmed, and has other finalists now."""
    fresh = [Finalist(number, [SEEN[number]], {}) for number in range(5)]
    begun = compare(fresh, Rules(**{**RULES, "most": 10}, known=5))
    assert begun.wanted == ((0, 0), (1, 0), (2, 0))
    over = compare(fresh, Rules(**{**RULES, "most": 10}, known=8))
    assert (over.verdict, over.wanted, over.order) == (Verdict.TOO_FEW, (), ())


def test_a_quiet_study_is_over_after_two_rounds_unless_a_difference_was_named() -> None:
    levels = (1.0, 0.999, 0.998, 0.997, 0.996)
    quiet, wanted = run(noisy(levels, 0.05), min_difference=None)
    assert (quiet.verdict, quiet.quiet, quiet.rounds) == (Verdict.TIED, True, 2)
    assert trained(wanted) <= 10
    named, more = run(noisy(levels, 0.05), min_difference=0.0)
    assert named.rounds > 2
    assert trained(more) > trained(wanted)


def test_a_noisy_study_goes_on_without_a_difference_that_was_named() -> None:
    found, wanted = run(noisy((1.0,) * 5, 0.5), min_difference=None)
    assert not found.quiet
    assert trained(wanted) > 20


def test_those_that_noise_cannot_have_kept_down_take_no_part() -> None:
    found, wanted = run(noisy((1.0, 0.99, 0.5, 0.4, 0.3), 0.01), seen=(1.0, 0.99, 0.5, 0.4, 0.3))
    assert {number for number, _ in wanted[-1]} == {0, 1}
    assert set(found.order) == {0, 1}


def test_the_more_noise_the_more_take_part() -> None:
    few, _ = run(noisy((1.0, 0.9, 0.8, 0.7, 0.6), 0.02), seen=(1.0, 0.9, 0.8, 0.7, 0.6))
    many, _ = run(noisy((1.0, 0.9, 0.8, 0.7, 0.6), 1.0), seen=(1.0, 0.9, 0.8, 0.7, 0.6))
    assert len(few.order) < len(many.order) == 5


def test_what_is_shown_to_matter_to_nobody_ends_it() -> None:
    found, wanted = run(noisy((1.0,) * 5, 0.01), min_difference=0.2)
    assert found.verdict is Verdict.WITHIN
    assert found.interval is not None
    assert found.interval[1] < 0.2
    assert trained(wanted) < 15


def test_without_noise_it_is_pointless_after_one_round() -> None:
    found, wanted = run(lambda number, index: SEEN[number])
    assert found.verdict is Verdict.POINTLESS
    assert wanted == [((0, 0), (1, 0), (2, 0))]


def test_where_repeats_show_that_there_is_no_noise_nothing_is_trained() -> None:
    found, wanted = run(noisy(SEEN, 0.1), repeats=3)
    assert (found.verdict, wanted) == (Verdict.POINTLESS, [])


def test_a_finalist_that_fails_is_out_and_the_others_go_on() -> None:
    value = noisy((1.0, 0.9, 0.8, 0.7, 0.6), 0.5)
    found, wanted = run(lambda n, index: None if (n, index) == (1, 1) else value(n, index))
    assert found.out == (1,)
    assert 1 not in found.order
    assert all(number != 1 for wave in wanted[3:] for number, _ in wave)
    early, _ = run(lambda n, index: None if n == 0 else value(n, index))
    assert early.out == (0,)
    assert len(early.order) > 1


def test_of_all_that_fail_but_one_that_one_stands_alone() -> None:
    found, _ = run(lambda n, index: None if n else 1.0 + index)
    assert (found.verdict, found.order) == (Verdict.ALONE, (0,))
    nobody, _ = run(lambda n, index: None)
    assert (nobody.verdict, nobody.order) == (Verdict.FAILED, ())


def test_a_seed_that_one_of_them_lacks_is_not_compared() -> None:
    """A person has dropped a training: it is neither a failure nor a value."""
    value = noisy((1.0, 0.5, 0.4), 0.05)
    found, _ = run(
        lambda n, index: math.nan if (n, index) == (0, 1) else value(n, index),
        seen=(1.0, 0.99, 0.98),
    )
    assert found.verdict is Verdict.BEATS
    assert found.out == ()


def test_how_it_stands_depends_on_what_is_known_and_on_no_order_of_it() -> None:
    value = noisy((1.0, 0.9, 0.8), 0.3)
    again = {n: {k: value(n, k) for k in range(4)} for n in range(3)}
    rules = Rules(**{**RULES, "most": 12}, known=12)
    forward = compare([Finalist(n, [SEEN[n]], again[n]) for n in range(3)], rules)
    backward = {n: dict(reversed(again[n].items())) for n in range(3)}
    assert compare([Finalist(n, [SEEN[n]], backward[n]) for n in range(3)], rules) == forward


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_its_intervals_hold_with_all_that_was_selected(kind: Any) -> None:
    """At least 88 of 100 at 90 %, and at most 5 of 100 are wrongly called better."""
    held, verdicts = simulated(kind, 400)
    assert held.intervals >= 300
    assert held.covered >= 0.88 * held.intervals
    assert held.wrong <= 0.05 * 400
    assert sum(verdicts.values()) == 400


def in_turns(value: Value, workers: int, ahead: bool, **rules: Any) -> tuple[Comparison, int, int]:
    """A comparison by so many workers that need one turn for a training, begun ahead or not: how it
    ends, after how many turns and trainings.
    """
    again: list[dict[int, float | None]] = [{} for _ in SEEN]
    turns = known = 0
    while True:
        finalists = [Finalist(n, [one], again[n]) for n, one in enumerate(SEEN)]
        found = compare(finalists, Rules(**{**RULES, **rules}, known=known))
        if found.verdict is not None:
            return found, turns, known
        more = max(0, workers - len(found.wanted)) if ahead else 0
        for number, index in [*found.wanted[:workers], *found.ahead[:more]]:
            again[number][index] = value(number, index)
            known += 1
        turns += 1


@pytest.mark.parametrize(("noise", "share"), [(0.003, 1.0), (0.1, 0.7)])
def test_what_is_begun_ahead_saves_turns_and_changes_no_verdict(noise: float, share: float) -> None:
    turns = {True: 0, False: 0}
    for seed in range(10):
        value = noisy(SEEN, noise, seed)
        plain, in_rounds, _ = in_turns(value, 8, False, most=100)
        found, begun_ahead, _ = in_turns(value, 8, True, most=100)
        assert (found.verdict, found.order, found.tied, found.interval, found.rounds) == (
            plain.verdict, plain.order, plain.tied, plain.interval, plain.rounds
        )  # fmt: skip
        turns[True] += begun_ahead
        turns[False] += in_rounds
        assert in_turns(value, 8, True)[2] <= RULES["most"]
    assert turns[True] <= share * turns[False]


def test_nothing_is_begun_ahead_of_what_is_the_last_round_in_any_case() -> None:
    value = noisy((1.0, 0.99, 0.98, 0.97, 0.96), 0.01)
    again: list[dict[int, float | None]] = [{0: value(n, 0)} for n in range(5)]

    def ahead(**rules: Any) -> tuple[tuple[int, int], ...]:
        finalists = [Finalist(n, [one], again[n]) for n, one in enumerate(SEEN)]
        return compare(finalists, Rules(**{**RULES, **rules}, known=5)).ahead

    assert {index for _, index in ahead()} == {2}
    assert ahead(min_difference=None) == ()  # it is quiet
    assert ahead(max_rounds=2) == ()
    assert ahead(most=8) == ()
