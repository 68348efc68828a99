"""How many trials share a memory, and whose fault it is when there is none left."""

from __future__ import annotations

from distune.study.trial import Outcome
from distune.worker.memory import HOST, Crowded, Room


def begin(room: Room, *slots: int) -> list[int]:
    """Those slots begin one after the other; who is busy then."""
    busy: list[int] = []
    for slot in slots:
        assert room.for_one_more(slot, busy)
        room.begins(slot, busy)
        busy.append(slot)
    return busy


def complete(room: Room, times: int) -> None:
    for _ in range(times):
        room.begins(0, [])
        assert room.ends(0, [], Outcome.COMPLETE, 100) is None


def test_a_slot_has_room_while_fewer_than_the_most_are_busy_on_its_device() -> None:
    room = Room(["cuda:0", "cuda:1", "cuda:0", "cuda:1"])
    assert room.jobs == 4
    begin(room, 0, 1, 2, 3)
    assert room.ends(0, [1, 2, 3], Outcome.OUT_OF_MEMORY, 101) == Crowded("cuda:0", 1)
    assert not room.for_one_more(0, [1, 2, 3])
    assert room.for_one_more(3, [1, 2]), "the other device has as much room as before"
    assert room.jobs == 3


def test_it_never_becomes_less_than_one() -> None:
    room = Room(["cpu", "cpu"])
    for trial in range(5):
        room.begins(0, [])
        room.begins(1, [0])
        assert room.ends(1, [0], Outcome.OUT_OF_MEMORY, trial) == Crowded(HOST, 1)
    assert room.jobs == 1
    assert room.for_one_more(0, [])


def test_who_had_company_is_not_to_blame_though_it_has_ended_meanwhile() -> None:
    room = Room(["cuda:0"] * 3)
    begin(room, 0, 1)
    assert room.ends(1, [0], Outcome.OUT_OF_MEMORY, 103) == Crowded("cuda:0", 1)
    assert room.ends(0, [], Outcome.OUT_OF_MEMORY, 104) == Crowded("cuda:0", 1)
    room.begins(0, [])
    assert room.ends(0, [], Outcome.OUT_OF_MEMORY, 105) is None, "alone from beginning to end"


def test_fewer_than_were_in_flight_are_allowed_not_fewer_than_there_are_slots() -> None:
    room = Room(["cuda:0"] * 8)
    begin(room, 0, 1, 2)
    assert room.ends(0, [1, 2], Outcome.OUT_OF_MEMORY, 106) == Crowded("cuda:0", 2)


def test_after_twenty_that_end_well_one_more_is_tried_and_after_forty_the_next_time() -> None:
    room = Room(["cuda:0", "cuda:0"])
    begin(room, 0, 1)
    assert room.ends(1, [0], Outcome.OUT_OF_MEMORY, 107) == Crowded("cuda:0", 1)
    assert room.ends(0, [], Outcome.FAILED, 108) is None
    complete(room, 19)
    assert room.jobs == 1
    complete(room, 1)
    assert room.jobs == 2
    begin(room, 0, 1)
    assert room.ends(1, [0], Outcome.OUT_OF_MEMORY, 109) == Crowded("cuda:0", 1)
    complete(room, 39)
    assert room.jobs == 1
    complete(room, 1)
    assert room.jobs == 2


def test_other_failures_and_what_is_given_back_say_nothing_about_memory() -> None:
    room = Room(["cpu"] * 3)
    begin(room, 0, 1, 2)
    for slot, outcome in enumerate((Outcome.FAILED, Outcome.TIMEOUT, Outcome.RELEASED)):
        assert room.ends(slot, [2], outcome, 110) is None
    assert room.jobs == 3


def test_a_trial_too_large_for_company_is_tried_alone_and_leaves_the_others_their_room() -> None:
    room = Room(["cuda:0"] * 8)
    busy = begin(room, *range(8))
    assert room.ends(7, busy[:7], Outcome.OUT_OF_MEMORY, "big") == Crowded("cuda:0", 7)
    assert room.ends(0, busy[1:7], Outcome.COMPLETE, "small") is None
    room.begins(0, busy[1:7])
    crowded = Crowded("cuda:0", 1, alone=True)
    assert room.ends(0, busy[1:7], Outcome.OUT_OF_MEMORY, "big") == crowded
    assert not room.for_one_more(0, [1])
    for slot in range(1, 7):  # in company once, they do not end what is for one alone
        assert room.ends(slot, range(slot + 1, 7), Outcome.COMPLETE, slot) is None
    assert room.jobs == 1
    room.begins(0, [])
    assert room.ends(0, [], Outcome.OUT_OF_MEMORY, "big") is None
    assert room.jobs == 7
