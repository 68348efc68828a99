"""What a worker decides to claim: plain names in, an order out."""

from __future__ import annotations

import random
from collections.abc import Collection

from distune.share.protocol import AttemptName
from distune.study.trial import Purpose
from distune.worker.claims import Candidates, order_of_claims


def waiting(trial: int, attempt: int = 1, purpose: Purpose = Purpose.TRAIN) -> AttemptName:
    return AttemptName(trial, attempt, purpose=purpose)


def order(
    names: Collection[AttemptName],
    others: Collection[AttemptName] = (),
    read: Collection[AttemptName] = (),
    seed: int = 0,
) -> list[AttemptName]:
    return order_of_claims(names, others, read, random.Random(seed))


def test_another_attempt_and_the_winners_test_go_before_everything_new() -> None:
    new = [waiting(number) for number in range(20)]
    urgent = [waiting(3, attempt=2), waiting(0, purpose=Purpose.TEST)]
    for seed in range(20):
        assert set(order([*new, *urgent], seed=seed)) == set(urgent)


def test_workers_with_the_same_listing_begin_at_different_trials_and_go_on_in_order() -> None:
    names = [waiting(number) for number in range(40)]
    begun = set()
    for seed in range(50):
        found = order(names, seed=seed)
        nearest = sorted(found)
        begin = nearest.index(found[0])
        assert found == [*nearest[begin:], *nearest[:begin]]
        assert nearest == names[:30], "the oldest three quarters"
        begun.add(begin)
    assert len(begun) > 10


def test_what_was_read_ahead_goes_first() -> None:
    names = [waiting(number) for number in range(9)]
    for seed in range(10):
        assert order(names, read=[names[4]], seed=seed)[0] == names[4]


def test_what_is_left_to_others_is_not_claimed_at_all() -> None:
    names = [waiting(number) for number in range(3)]
    assert set(order(names, others=names[:2])) == {names[2]}
    assert order(names, others=names) == []


def test_candidates_of_a_worker_with_rivals_are_listed_ten_times_a_second() -> None:
    candidates = Candidates()
    assert all(candidates.may_be_listed(0.0, rivals=False) for _ in range(3))
    assert not candidates.may_be_listed(0.09, rivals=True)
    assert candidates.may_be_listed(0.11, rivals=True)
    candidates.lost_one(1.0, random.Random(0))
    assert candidates.have_rivals(10.9)
    assert not candidates.have_rivals(11.1)
