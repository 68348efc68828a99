"""How many trials share a memory, and whose fault it is when there is none left."""

from __future__ import annotations

from distune.study.trial import Outcome
from distune.worker.memory import HOST, MemoryLimit, MemoryShortage


def begin(limit: MemoryLimit, *slots: int) -> list[int]:
    """Those slots begin one after the other; which are busy then."""
    busy: list[int] = []
    for slot in slots:
        assert limit.allows(slot, busy)
        limit.began(slot, busy)
        busy.append(slot)
    return busy


def complete(limit: MemoryLimit, times: int) -> None:
    for _ in range(times):
        limit.began(0, [])
        assert limit.ended(0, [], Outcome.COMPLETE, 100) is None


def test_a_slot_may_begin_while_fewer_than_the_most_are_busy_on_its_device() -> None:
    limit = MemoryLimit(["cuda:0", "cuda:1", "cuda:0", "cuda:1"])
    assert limit.most == 4
    begin(limit, 0, 1, 2, 3)
    assert limit.ended(0, [1, 2, 3], Outcome.OUT_OF_MEMORY, 101) == MemoryShortage("cuda:0", 1)
    assert not limit.allows(0, [1, 2, 3])
    assert limit.allows(3, [1, 2]), "the other device allows as many as before"
    assert limit.most == 3


def test_it_never_becomes_less_than_one() -> None:
    limit = MemoryLimit(["cpu", "cpu"])
    for trial in range(5):
        limit.began(0, [])
        limit.began(1, [0])
        assert limit.ended(1, [0], Outcome.OUT_OF_MEMORY, trial) == MemoryShortage(HOST, 1)
    assert limit.most == 1
    assert limit.allows(0, [])


def test_a_trial_beside_others_is_not_to_blame_though_they_have_ended_meanwhile() -> None:
    limit = MemoryLimit(["cuda:0"] * 3)
    begin(limit, 0, 1)
    assert limit.ended(1, [0], Outcome.OUT_OF_MEMORY, 103) == MemoryShortage("cuda:0", 1)
    assert limit.ended(0, [], Outcome.OUT_OF_MEMORY, 104) == MemoryShortage("cuda:0", 1)
    limit.began(0, [])
    assert limit.ended(0, [], Outcome.OUT_OF_MEMORY, 105) is None, "alone from beginning to end"


def test_fewer_than_were_in_flight_are_allowed_not_fewer_than_there_are_slots() -> None:
    limit = MemoryLimit(["cuda:0"] * 8)
    begin(limit, 0, 1, 2)
    assert limit.ended(0, [1, 2], Outcome.OUT_OF_MEMORY, 106) == MemoryShortage("cuda:0", 2)


def test_after_twenty_that_end_well_one_more_is_tried_and_after_forty_the_next_time() -> None:
    limit = MemoryLimit(["cuda:0", "cuda:0"])
    begin(limit, 0, 1)
    assert limit.ended(1, [0], Outcome.OUT_OF_MEMORY, 107) == MemoryShortage("cuda:0", 1)
    assert limit.ended(0, [], Outcome.FAILED, 108) is None
    complete(limit, 19)
    assert limit.most == 1
    complete(limit, 1)
    assert limit.most == 2
    begin(limit, 0, 1)
    assert limit.ended(1, [0], Outcome.OUT_OF_MEMORY, 109) == MemoryShortage("cuda:0", 1)
    complete(limit, 39)
    assert limit.most == 1
    complete(limit, 1)
    assert limit.most == 2


def test_other_failures_and_what_is_given_back_say_nothing_about_memory() -> None:
    limit = MemoryLimit(["cpu"] * 3)
    begin(limit, 0, 1, 2)
    for slot, outcome in enumerate((Outcome.FAILED, Outcome.TIMEOUT, Outcome.RELEASED)):
        assert limit.ended(slot, [2], outcome, 110) is None
    assert limit.most == 3


def test_a_trial_too_large_beside_others_is_tried_alone_and_the_limit_is_what_it_was() -> None:
    limit = MemoryLimit(["cuda:0"] * 8)
    busy = begin(limit, *range(8))
    assert limit.ended(7, busy[:7], Outcome.OUT_OF_MEMORY, "big") == MemoryShortage("cuda:0", 7)
    assert limit.ended(0, busy[1:7], Outcome.COMPLETE, "small") is None
    limit.began(0, busy[1:7])
    shortage = MemoryShortage("cuda:0", 1, alone=True)
    assert limit.ended(0, busy[1:7], Outcome.OUT_OF_MEMORY, "big") == shortage
    assert not limit.allows(0, [1])
    for slot in range(1, 7):  # beside others once, they do not end what is for one alone
        assert limit.ended(slot, range(slot + 1, 7), Outcome.COMPLETE, slot) is None
    assert limit.most == 1
    limit.began(0, [])
    assert limit.ended(0, [], Outcome.OUT_OF_MEMORY, "big") is None
    assert limit.most == 7
