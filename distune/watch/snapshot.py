"""What is known about a study at one moment. Everything that decides or shows takes one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from distune.search.pruning import Curve
from distune.search.ranking import History
from distune.search.staged import StageView
from distune.share.heartbeat import Beat, Finished, MasterBeat
from distune.share.protocol import AttemptName, Halt, State
from distune.share.records import AttemptFile
from distune.study.study import Limits, Study
from distune.study.trial import Purpose, Trial


@dataclass(frozen=True)
class Event:
    """Something that happened, as the watcher saw it. `at`: its wall clock, since 1970."""

    at: float
    kind: str  # an outcome, or claimed, retried, trouble
    text: str


@dataclass(frozen=True)
class WorkerView:
    """A worker as its heartbeat shows it.

    Attributes:
        silence: in seconds, on the watcher's clock.
        heard: whether it beat while it was watched; else what it says may be long ago.
    """

    worker: str
    beat: Beat | None
    silence: float
    heard: bool = True


@dataclass(frozen=True)
class Snapshot:
    """One look at a study.

    Attributes:
        elapsed: seconds that masters have run it.
        since_best: configurations in a row that have not bettered the best; counted only where that
            is to end the study.
        attempts: what lies in `trials/`.
        strangers: names there that no master of the study gave, and why they are none of its own.
        files: what those of done and lost attempts say, and of running ones when asked for.
        curves: of running attempts, for a pruner; only a master has them.
        going_on: of running and waiting attempts that are no first ones the trials, by their number
            and the attempt's, in a study whose pruner has rungs (None: it cannot be read); only a
            master has them. `unread`: there are others.
        bad: attempts whose content is not what it should be, and why.
        wasted: seconds of training that trials have lost which are not counted yet, as far as that
            was seen.
        absent: trials that were there, are not counted, and were in none of the last
            listings; with the number of listings.
        next_number: the lowest trial number never seen.
        size: how many configurations its sampler has, where that is known.
        halt: what a person wants of it, if it is to halt.
        wishes: settings that persons want tried, and that no master has asked for yet.
        retries: counted trials that persons want trained again, likewise.
        stages: of a study that has them, how each stands.
        master: its heartbeat, how long it has been silent, and whether it beat while watched.
        logs: the directory that the study's folder is in, as this host sees it.
    """

    study: Study
    limits: Limits
    elapsed: float
    history: History
    since_best: int = 0
    attempts: tuple[AttemptName, ...] = ()
    strangers: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[AttemptName, AttemptFile] = field(default_factory=dict)
    curves: Mapping[AttemptName, Curve] = field(default_factory=dict)
    going_on: Mapping[tuple[int, int], Trial | None] = field(default_factory=dict)
    unread: bool = False
    bad: Mapping[AttemptName, str] = field(default_factory=dict)
    wasted: float = 0.0
    absent: Mapping[tuple[Purpose, int], int] = field(default_factory=dict)
    next_number: int = 0
    workers: tuple[WorkerView, ...] = ()
    size: int | None = None
    halt: Halt | None = None
    wishes: tuple[str, ...] = ()
    retries: tuple[int, ...] = ()
    stages: tuple[StageView, ...] = ()
    events: tuple[Event, ...] = ()
    finished: Finished | None = None
    master: MasterBeat | None = None
    master_silence: float = 0.0
    master_heard: bool = True
    trials_per_second: float | None = None
    logs: str = "DIR"

    @cached_property
    def beats(self) -> Mapping[str, Beat | None]:
        """What each worker says of itself."""
        return {view.worker: view.beat for view in self.workers}

    @property
    def trained(self) -> float:
        """Seconds of training, of all trials that do not run now, and of what was lost."""
        paused = (self.files.get(name) for name in self.in_state(State.PAUSED))
        resting = sum(file.result.seconds for file in paused if file and file.result)
        return self.history.trained + resting + self.wasted

    def in_state(self, *states: State) -> list[AttemptName]:
        return [name for name in self.attempts if name.state in states]
