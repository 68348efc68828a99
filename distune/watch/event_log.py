"""What happened lately, found out from one look to the next."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from distune.search.ranking import History
from distune.search.staged import StageView
from distune.share.protocol import AttemptName, Halt, State
from distune.share.records import AttemptFile
from distune.study.trial import FAILURES, Outcome, Purpose, Result
from distune.watch.places import failure_place
from distune.watch.snapshot import Event

_EVENTS_KEPT = 200
_LONGEST_TEXT = 2000  # characters; what a worker says of a failure has 500


class EventLog:
    """Its methods turn what is new into `events`, the newest last. `wall`: a clock for people."""

    def __init__(self, history: History, wall: Callable[[], float]) -> None:
        self._history = history
        self._trials, self._tests = len(history.trials), len(history.tests)
        self._wall = wall
        self.events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._before: frozenset[AttemptName] | None = None
        self._stages_begun = 0
        self._halt: Halt | None = None
        self._promoted: set[tuple[Purpose, int]] = set()  # trials

    def add(self, kind: str, text: str) -> None:
        self.events.append(Event(self._wall(), kind, text[:_LONGEST_TEXT]))

    def counted(self) -> None:
        """Trials and tests that were counted since the look before."""
        history, metric = self._history, self._history.study.metric
        for one in history.trials[self._trials :]:
            result, number = one.result, one.trial.number
            if result.outcome in FAILURES:
                self.add(result.outcome, f"trial {number} failed for good: {_why(result)}")
            else:
                value = "" if result.value is None else f", {metric} {result.value:.5g}"
                why = f" ({result.why})" if result.why else ""
                self.add(result.outcome, f"trial {number} {result.outcome}{value}{why}")
        for one in history.tests[self._tests :]:
            found = {k: v for k, v in one.result.metrics.items() if k.startswith("test_")}
            shown = ", ".join(f"{key} {value:.5g}" for key, value in found.items())
            self.add(one.result.outcome, f"trial {one.trial.number} tested: {shown}")
        self._trials, self._tests = len(history.trials), len(history.tests)

    def listed(
        self, attempts: Iterable[AttemptName], files: Mapping[AttemptName, AttemptFile]
    ) -> None:
        """What lies in `trials/` now, and what the files of lost attempts say."""
        now = frozenset(attempts)
        before, self._before = self._before, now
        for name in sorted(now - before) if before is not None else ():
            match name.state:
                case State.TAKEN:
                    self.add("claimed", f"trial {name.label} claimed by {name.worker}")
                case State.PAUSED:
                    self._add_paused(name, files.get(name))
                case State.LOST if not self._history.has(name.key):
                    self._add_lost(name, files.get(name))
                case State.WAITING if name.attempt > 1 and name.key not in self._promoted:
                    self.add("retried", f"trial {name.trial}: attempt {name.attempt} published")

    def _add_lost(self, name: AttemptName, file: AttemptFile | None) -> None:
        result = file.result if file else None
        self._promoted.discard(name.key)
        if result is not None and result.outcome is Outcome.PAUSED:
            self._promoted.add(name.key)
            self.add("promoted", f"trial {name.trial} goes on after {_reached(file)}")
        elif result is not None and result.outcome in FAILURES:
            self.add(result.outcome, f"trial {name.label} failed on {name.worker}: {_why(result)}")
        elif result is not None and result.outcome is Outcome.RELEASED:
            self.add("released", f"trial {name.label} given back by {name.worker}: {_why(result)}")
        else:
            self.add("lost", f"trial {name.label} lost: {name.worker} fell silent")

    def _add_paused(self, name: AttemptName, file: AttemptFile | None) -> None:
        if file is not None and file.result is not None and file.result.value is not None:
            value = f"{self._history.study.metric} {file.result.value:.5g}"
            self.add("paused", f"trial {name.label} paused after {_reached(file)}, {value}")
        else:
            self.add("paused", f"trial {name.label} paused")

    def halted(self, halt: Halt | None) -> None:
        """What a person wants of the study."""
        if halt is not self._halt:
            self.add("halt", f"the study {halt.meaning if halt is not None else 'goes on'}")
        self._halt = halt

    def staged(self, views: Sequence[StageView]) -> None:
        """How the stages of a study stand that has them."""
        begun = [view for view in views if view.state != "waiting"]
        for view in begun[self._stages_begun :] if self._stages_begun else ():
            params = ", ".join(f"{k} {v}" for k, v in view.start.items())
            self.add("stage", f"stage {view.stage.name} starts from {params}")
        self._stages_begun = len(begun)


def _reached(file: AttemptFile | None) -> str:
    steps = file.result.steps if file is not None and file.result is not None else 0
    return f"{steps} step{'s' * (steps != 1)}"


def _why(result: Result) -> str:
    """With the place in the user's code: `train.py:41: ValueError: expected 3 channels`."""
    failure = result.failure
    if failure is None:
        return "no reason given"
    place = failure_place(failure)
    return f"{place}: {failure.message}" if place else failure.message
