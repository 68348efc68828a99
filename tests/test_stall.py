"""A share that neither answers nor fails."""

from __future__ import annotations

import threading

import pytest

from distune.share.waiting import Stall
from tests.conftest import wait_until


class Said(list[str]):
    def holds(self, text: str) -> bool:
        return any(text in line for line in self)


def test_a_look_that_hangs_is_named_while_it_hangs_and_again_when_it_is_over() -> None:
    said = Said()
    stall = Stall(said.append, "training goes on", after=1)
    with stall.watched():
        wait_until(lambda: said, what="it says that the share does not answer")
        assert said == ["the share has not answered for 1 s; training goes on, waiting"]
    assert len(said) == 2
    assert said[1].startswith("the share is back after ")


def test_a_look_that_fails_after_hanging_is_not_called_back() -> None:
    said = Said()
    stall = Stall(said.append, "nothing is lost", after=1)

    def fails() -> None:
        with stall.watched():
            wait_until(lambda: said)
            raise OSError("EIO")

    with pytest.raises(OSError, match="EIO"):
        fails()
    assert not said.holds("back")


def test_a_share_that_is_known_not_to_answer_is_not_named_at_each_look() -> None:
    said = Said()
    failed = True
    stall = Stall(said.append, "nothing is lost", lambda: failed, after=1)
    with stall.watched():
        wait_until(lambda: said)
    with stall.watched():
        threading.Event().wait(2.5)  # more than it takes to say it again
    assert len(said) == 1
    failed = False
    with stall.watched():
        pass
    with stall.watched():
        wait_until(lambda: len(said) == 2, what="news after it had answered in between")


def test_quick_looks_are_not_worth_a_line() -> None:
    said = Said()
    stall = Stall(said.append, "nothing is lost", after=2)
    for _ in range(30):
        with stall.watched():
            threading.Event().wait(0.05)
    assert said == []
