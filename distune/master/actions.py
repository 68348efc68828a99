"""What the planner decides: the actions of a master."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from distune.search.pruning import Stop
from distune.share.protocol import AttemptName
from distune.study.trial import Asked, Purpose, Trial


class Action:
    """Something that the master has to do."""


@dataclass(frozen=True)
class Ask(Action):
    """Remember a configuration, before any of its trials is published."""

    asked: Asked


@dataclass(frozen=True)
class Publish(Action):
    """Make an attempt's file."""

    trial: Trial


@dataclass(frozen=True)
class Replace(Action):
    """A trial's file has vanished: see what `seen/` knows of it, else publish it again."""

    trial: Trial


@dataclass(frozen=True)
class _OnAttempt(Action):
    name: AttemptName


@dataclass(frozen=True)
class Count(_OnAttempt):
    """Give an attempt that is over its trial's one name in `seen/`, unless another has it. `stop`:
    why one that has paused does not go on.
    """

    stop: Stop | None = None


@dataclass(frozen=True)
class Promote(_OnAttempt):
    """Have a trial that has paused go on, as this attempt."""

    trial: Trial


class Lose(_OnAttempt):
    """Make an attempt lost: its worker is, or it failed and is tried again."""


@dataclass(frozen=True)
class Prune(_OnAttempt):
    """Stop a running attempt; what it has reached is counted at the next look. `stop`: why, unless
    the study is over.
    """

    stop: Stop | None = None


class Withdraw(_OnAttempt):
    """Take a trial back that no worker has claimed; it is published again if the study goes on."""


class PutAway(_OnAttempt):
    """Put a lost file away about which there is nothing left to do."""


@dataclass(frozen=True)
class CountUnreadable(_OnAttempt):
    """End a trial as failed: what its last attempt has left cannot be read."""

    trial: Trial
    why: str


@dataclass(frozen=True)
class Quarantine(Action):
    """Set a file aside that makes no sense."""

    filename: str
    why: str


@dataclass(frozen=True)
class RemoveHeartbeat(Action):
    """Remove the heartbeat of a worker that has been silent for long and holds nothing."""

    worker: str


@dataclass(frozen=True)
class Finish(Action):
    """The study is over; `stopped`: by a person, and what waits stays for when it goes on."""

    reason: str
    failed: bool = False
    stopped: bool = False


def asks_to_confirm(actions: Sequence[Action]) -> bool:
    """Whether fresh trainings are asked for. Which numbers they get follows from all that was asked
    for before, by whichever master.
    """
    return any(isinstance(one, Ask) and one.asked.confirms is not None for one in actions)


def is_test(action: Action) -> bool:
    """Whether it has a winner tested."""
    return isinstance(action, Publish) and action.trial.purpose is Purpose.TEST


def is_new(action: Action) -> TypeGuard[Publish]:
    """Whether it publishes a first attempt; these come together, before the rest."""
    return isinstance(action, Publish) and action.trial.attempt == 1
