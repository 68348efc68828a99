"""Every state that the protocol's model can get into, explored; see `protocol_rules.py`.

    python -m tests.protocol_model                               # the usual, some minutes
    python -m tests.protocol_model --trials 1 --attempts 3       # this, and what is usual besides
    python -m tests.protocol_model --broken history-first        # the shortest way to what is wrong

Breadth first, so that what goes wrong is shown by the shortest way there. It is written in Python
because the model checkers of the trade (TLC, Alloy) want Java, which no registry of Python has.

The parts of a state (what a worker holds, what a master knows and plans, what there is of a trial)
are numbered, and the steps of each are worked out once for each thing that it can meet; so what is
done for every state handles numbers alone. Workers are interchangeable, and so are masters: of
states that differ in nothing else, one is explored.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import time
from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from distune.share.protocol import Halt, State
from tests.protocol_rules import (
    BROKEN,
    Beyond,
    File,
    Hold,
    Ids,
    Listing,
    Master,
    Rules,
    Share,
    View,
    Wish,
    wrong_end,
    wrong_rest,
    wrong_step,
)
from tests.protocol_views import decides_alike

Part = TypeVar("Part", bound=Hashable)
#: A state, in numbers: the mishaps so far, what is wanted of the study, two workers, two masters,
#: and then the trials.
Numbers = tuple[int, ...]
_SPENT, _WISH, _FIRST_TRIAL = 0, 1, 6
_WORKERS, _MASTERS = (2, 3), (4, 5)
_IDS = ("w1", "w2")
_SWAPPED = {"w1": "w2", "w2": "w1"}
_OVER = frozenset({State.DONE, State.PRUNED, State.LOST})
_RESUMES = "a person takes the mark away"


class Numbered(Generic[Part]):
    """Parts of one kind, each with a number."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._numbers: dict[Part, int] = {}

    def number(self, part: Part) -> int:
        number = self._numbers.setdefault(part, len(self.parts))
        if number == len(self.parts):
            self.parts.append(part)
        return number


class Change(NamedTuple):
    """A step, in numbers: what is at which place of a state afterwards."""

    places: tuple[tuple[int, int], ...]
    text: str
    mishaps: int = 0
    wrong: str = ""


#: In place of a change: what comes next is not explored.
BEYOND = Change((), "")


@dataclass
class Found:
    """How many states and steps there are; and what is wrong, if so, and how it comes about."""

    states: int = 0
    steps: int = 0
    ends: int = 0
    beyond: int = 0  # states in which an attempt would begin that is not explored
    wrong: str = ""
    path: list[str] = field(default_factory=list)


class Graph:
    """States, in the order in which they are met, and how each can be reached.

    Attributes:
        good: states where nothing more happens, or nothing more is explored.
    """

    def __init__(self, first: Numbers) -> None:
        self.states = [first]
        self.steps = 0
        self.good = array("i")
        self._numbers = {first: 0}
        self._came_from = array("i", [-1])
        self._sources, self._targets = array("i"), array("i")  # of steps that are no mishaps

    def add(self, here: int, state: Numbers, mishaps: int) -> None:
        there = self._numbers.setdefault(state, len(self.states))
        if there == len(self.states):
            self.states.append(state)
            self._came_from.append(here)
        self.steps += 1
        if not mishaps:
            self._sources.append(here)
            self._targets.append(there)

    def way(self, there: int) -> list[Numbers]:
        """The shortest way to a state, from the first."""
        way = []
        while there >= 0:
            way.append(self.states[there])
            there = self._came_from[there]
        return way[::-1]

    def stuck(self) -> int | None:
        """The first state from which no steps lead to a good one, unless they are mishaps."""
        # The steps to each state form a chain: its first one, and of each step the next.
        first = array("i", [-1]) * len(self.states)
        following = array("i", [-1]) * len(self._targets)
        for step, target in enumerate(self._targets):
            following[step], first[target] = first[target], step
        reached, to_do = bytearray(len(self.states)), list(self.good)
        while to_do:
            state = to_do.pop()
            if not reached[state]:
                reached[state] = 1
                step = first[state]
                while step >= 0:
                    to_do.append(self._sources[step])
                    step = following[step]
        stuck = reached.find(0)
        return stuck if stuck >= 0 else None


class Exploration:
    """`Exploration(Rules(attempts=3)).run()`.

    Args:
        rules: how processes move.
        trials: how many trials the study has.
        mishaps: how many may happen, one after the other.
        masters: two, or one alone.
        stop: whether the time limit runs out, at any moment.
        halts: whether a person may pause or stop the study, at any moment.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        trials: int = 1,
        mishaps: int = 1,
        masters: int = 2,
        stop: bool = False,
        halts: bool = False,
    ) -> None:
        self.rules = rules
        self.mishaps = mishaps
        self.masters = _MASTERS[-masters:]  # in front is what does not run, when they are sorted
        self.stop = stop
        self.halts = halts
        self.trials = range(_FIRST_TRIAL, _FIRST_TRIAL + trials)
        self.views: set[View] = set()  # all that masters have decided upon
        self._ids = (_IDS[0], _IDS[0]) if rules.broken == "one-id" else _IDS
        self._holds: Numbered[Hold | None] = Numbered()
        self._masters: Numbered[Master | None] = Numbered()  # None: it does not run
        self._shares: Numbered[Share] = Numbered()
        self._wishes: Numbered[Wish] = Numbered()
        self._idle, self._down = self._holds.number(None), self._masters.number(None)
        nobody = (self._idle, self._idle, self._down, self._down)
        shares = (self._shares.number(Share()),) * trials
        self.first: Numbers = (0, self._wishes.number(Wish()), *nobody, *shares)
        # Worked out once for each thing that a part can meet.
        self._works = cache(self._find_works)
        self._acts = cache(self._find_acts)
        self._looks = cache(self._find_looks)
        self._acts_on = cache(self._find_acts_on)
        self._held_of = cache(self._find_held_of)
        self._still_held = cache(self._find_still_held)
        self._swapped_wish = cache(
            lambda wish: self._wishes.number(self._wishes.parts[wish].called(_SWAPPED))
        )
        self._swapped_share = cache(lambda share: self._share_called(share, _SWAPPED))
        self._swapped_master = cache(lambda master: self._master_called(master, _SWAPPED))

    # -- all states --------------------------------------------------------------------

    def run(self) -> Found:
        """Explore all states, or up to the first in which something is wrong."""
        graph, found = Graph(self.first), Found()
        for here, state in enumerate(graph.states):
            wrong, change = self._go_on(graph, here, state, found)
            found.states, found.steps = len(graph.states), graph.steps
            if wrong:
                return self._wrong(found, wrong, graph.way(here), change)
        stuck = graph.stuck()
        if stuck is not None:
            return self._wrong(found, "without another mishap it never ends", graph.way(stuck))
        return found

    def _go_on(
        self, graph: Graph, here: int, state: Numbers, found: Found
    ) -> tuple[str, Change | None]:
        """Add what may follow a state; what is wrong with it, or with a change, if so."""
        ends, rests, beyond = True, True, False
        for change in self.changes(state):
            if change is BEYOND:
                beyond = True
            elif change.wrong:
                return change.wrong, change
            else:
                after = self._representative(self._after(state, change))
                if after != state:
                    graph.add(here, after, change.mishaps)
                    ends = ends and change.mishaps > 0
                    rests = rests and (change.mishaps > 0 or change.text == _RESUMES)
        if state[_WORKERS[0]] == state[_WORKERS[1]] != self._idle and self._ids[0] == self._ids[1]:
            return "a file has two owners", None
        found.beyond += beyond
        if rests and not ends and not beyond and (wrong := self._wrong_rest(state)):
            return wrong, None
        if beyond or ends:
            graph.good.append(here)
        if ends and not beyond:
            found.ends += 1
            return self._wrong_end(state), None
        return "", None

    def _after(self, state: Numbers, change: Change) -> Numbers:
        after = list(state)
        after[_SPENT] += change.mishaps
        for place, number in change.places:
            after[place] = number
        for place in _WORKERS:
            hold = after[place]
            if hold != self._idle:
                after[place] = self._still_held(place, hold, after[self._held_of(hold)])
        return tuple(after)

    def _representative(self, state: Numbers) -> Numbers:
        """The state that stands for all that differ in who is who."""
        spent, wish, one, other, first, second, *shares = state
        same = (spent, wish, one, other, *sorted((first, second)), *shares)
        if self._ids[0] == self._ids[1]:
            return same
        masters = sorted((self._swapped_master(first), self._swapped_master(second)))
        wish = self._swapped_wish(wish)
        return min(same, (spent, wish, other, one, *masters, *map(self._swapped_share, shares)))

    def _wrong_end(self, state: Numbers) -> str:
        shares = [self._shares.parts[state[place]] for place in self.trials]
        for share in shares:
            if wrong := wrong_end(share, self._wishes.parts[state[_WISH]].over):
                return wrong
        for master in (self._masters.parts[state[place]] for place in self.masters):
            if master is None:
                return "a master does not start"
            for known, share in zip(master.known, shares, strict=True):
                if not known and share.counted:
                    return "a master does not know that a trial is counted"
        return ""

    def _wrong_rest(self, state: Numbers) -> str:
        shares = (self._shares.parts[state[place]] for place in self.trials)
        return next(filter(None, map(wrong_rest, shares)), "")

    def _wrong(
        self, found: Found, wrong: str, way: Sequence[Numbers], last: Change | None = None
    ) -> Found:
        """With the way there. Of representatives, each has to be found among what can follow the
        one before: so everyone keeps its name.
        """
        found.wrong, state = wrong, way[0]
        for representative in way[1:]:
            for change in self.changes(state):
                after = self._after(state, change)
                if change is not BEYOND and self._representative(after) == representative:
                    found.path.append(change.text)
                    state = after
                    break
            else:
                raise AssertionError("workers or masters are not interchangeable")
        if last is not None:
            found.path.append(next(c.text for c in self.changes(state) if c.wrong == wrong))
        return found

    # -- what may come next ------------------------------------------------------------

    def changes(self, state: Numbers) -> Iterator[Change]:
        """All that may happen next; `BEYOND` for what is not explored."""
        may_fail = state[_SPENT] < self.mishaps
        wish = self._wishes.parts[state[_WISH]]
        for place, worker in zip(_WORKERS, self._ids, strict=True):
            seen = wish.seen_by(worker)
            for trial in self.trials:
                yield from self._works(place, state[place], trial, state[trial], seen, may_fail)
            if seen != wish.halt:
                looked = self._wishes.number(wish.looked(worker))
                yield Change(((_WISH, looked),), f"{worker} sees what a person wants")
        for place in self.masters:
            about = self._acts_on(state[place])
            if about is None:
                shares = state[_FIRST_TRIAL:]
                yield from self._looks(place, state[place], state[_WISH], shares, may_fail)
            else:
                yield from self._acts(place, state[place], about, state[about], may_fail)
        if may_fail:
            yield from self._killed_workers(state)
        if self.stop and not wish.over:
            over = self._wishes.number(wish._replace(over=True))
            yield Change(((_WISH, over),), "the time limit is over")
        if wish.halt:
            yield Change(((_WISH, self._wishes.number(wish._replace(halt=""))),), _RESUMES)
        elif self.halts and may_fail:
            for halt in Halt:
                marked = self._wishes.number(wish._replace(halt=halt))
                yield Change(((_WISH, marked),), f"a person leaves the mark {halt}", 1)

    def _find_works(
        self, place: int, hold: int, trial: int, share: int, seen: str, may_fail: bool
    ) -> list[Change]:
        worker, before = self._ids[place - _WORKERS[0]], self._shares.parts[share]
        held, number = self._holds.parts[hold], trial - _FIRST_TRIAL
        found = []
        for step in self.rules.work(worker, held, number, before, seen):
            if step.mishaps <= may_fail:
                after = self._holds.number(step.hold), self._shares.number(step.share)
                places = ((place, after[0]), (trial, after[1]))
                wrong = wrong_step(before, step.share)
                if seen and step.share.waiting() < before.waiting():
                    wrong = wrong or "a worker claims in a study that it knows to be halted"
                found.append(Change(places, f"{worker} {step.text}", step.mishaps, wrong))
        return found

    def _find_held_of(self, number: int) -> int:
        """The trial of which a worker believes to own a file."""
        hold = self._holds.parts[number]
        assert hold is not None
        return _FIRST_TRIAL + hold.trial

    def _find_still_held(self, place: int, number: int, share: int) -> int:
        worker, hold = self._ids[place - _WORKERS[0]], self._holds.parts[number]
        assert hold is not None
        held = self.rules.still_holds(worker, hold, self._shares.parts[share])
        return number if held else self._idle

    def _find_acts_on(self, master: int) -> int | None:
        """The trial that a master has something planned about."""
        part = self._masters.parts[master]
        return _FIRST_TRIAL + part.plan[0].trial if part is not None and part.plan else None

    def _find_acts(
        self, place: int, number: int, trial: int, share: int, may_fail: bool
    ) -> list[Change]:
        master, before = self._masters.parts[number], self._shares.parts[share]
        assert master is not None
        found = [self._killed_master(place), self._away(place, master)] if may_fail else []
        try:
            for step in self.rules.act(master, before):
                if step.mishaps <= may_fail:
                    after = self._masters.number(step.master), self._shares.number(step.share)
                    places = ((place, after[0]), (trial, after[1]))
                    wrong = wrong_step(before, step.share)
                    text = f"{_called(place)} {step.text}"
                    found.append(Change(places, text, step.mishaps, wrong))
        except Beyond:
            found.append(BEYOND)
        return found

    def _killed_master(self, place: int) -> Change:
        return Change(((place, self._down),), f"{_called(place)} is killed", 1)

    def _away(self, place: int, master: Master) -> Change:
        # What it has counted it remembers to write.
        left = tuple(op for op in master.plan if op.kind == "write")
        dropped = self._masters.number(master._replace(plan=left))
        return Change(((place, dropped),), f"the share is away from {_called(place)}", 1)

    def _killed_workers(self, state: Numbers) -> Iterator[Change]:
        """What was the worker's is a dead one's; a worker with another id takes its place."""
        for place, worker in zip(_WORKERS, self._ids, strict=True):
            dead = {worker: f"dead{state[_SPENT] + 1}"}
            places = [(place, self._idle)]
            places += [(p, self._master_called(state[p], dead)) for p in _MASTERS]
            places += [(p, self._share_called(state[p], dead)) for p in self.trials]
            wish = self._wishes.parts[state[_WISH]].forgotten(worker)
            places.append((_WISH, self._wishes.number(wish)))
            yield Change(tuple(places), f"{worker} is killed, and becomes {dead[worker]}", 1)

    # -- what a master sees ------------------------------------------------------------

    def _find_looks(
        self, place: int, number: int, wanted: int, shares: Numbers, may_fail: bool
    ) -> list[Change]:
        """What a master does that has nothing planned."""
        master, there = self._masters.parts[number], [self._shares.parts[n] for n in shares]
        if master is None:
            started = self.rules.start(there)
            return [self._look(place, started, "starts")]
        listing = tuple(share.files for share in there)
        dead = {file.worker for files in listing for file in files} - set(self._ids) - {""}
        silent = frozenset() if self.rules.broken == "no-lease" else frozenset(dead)
        wish = self._wishes.parts[wanted]
        remembered = master.known, master.last, silent
        view = View(listing, _nothing(listing), *remembered, wish.over, wish.halt)
        found = [self._killed_master(place)] if may_fail else []
        if master.torn is None:
            found += self._decided(place, view)
            found += self._kept(place, master, there)
            found += self._compared(place, master, view, there)
            if may_fail:
                found += self._unlucky(place, master, view)
            return found
        for files, unread in _torn(master.torn, listing):
            for halt in dict.fromkeys((wish.halt, "")):
                torn = view._replace(files=files, unread=unread, halt=halt)
                found += self._decided(place, torn)
        return found

    def _look(self, place: int, master: Master, text: str, mishaps: int = 0) -> Change:
        text = f"{_called(place)} {text}"
        if master.plan:
            text += f", and plans: {'; '.join(map(str, master.plan))}"
        return Change(((place, self._masters.number(master)),), text, mishaps)

    def _decided(
        self, place: int, view: View, text: str = "looks", mishaps: int = 0
    ) -> Iterator[Change]:
        views = [view, view._replace(promotes=True)] if view.paused() else [view]
        for seen, back in (order for one in views for order in one.met().orders()):
            self.views.add(seen)
            yield self._look(place, self.rules.decided(seen).called(back), text, mishaps)

    def _unlucky(self, place: int, master: Master, view: View) -> Iterator[Change]:
        begun = master._replace(torn=view.files)
        yield self._look(place, begun, "begins to list trials/", 1)
        for worker in self._ids:
            if any((f.worker, f.state) == (worker, State.TAKEN) for fs in view.files for f in fs):
                wrongly = view._replace(silent=view.silent | {worker})
                yield from self._decided(place, wrongly, f"thinks that {worker} is dead", 1)

    def _kept(self, place: int, master: Master, shares: Sequence[Share]) -> Iterator[Change]:
        """A master that misses a line in the history writes all of it anew."""
        lines = [(known,) if known and known.content else () for known in master.known]
        if any(line and line[0] not in s.lines for line, s in zip(lines, shares, strict=True)):
            kept = [s._replace(lines=line) for line, s in zip(lines, shares, strict=True)]
            numbers = map(self._shares.number, kept)
            yield Change(
                tuple(zip(self.trials, numbers, strict=True)),
                f"{_called(place)} writes the history anew",
                wrong=next(filter(None, map(wrong_step, shares, kept)), ""),
            )

    def _compared(
        self, place: int, master: Master, view: View, shares: Sequence[Share]
    ) -> Iterator[Change]:
        """A master whose time limit is over looks what another has counted, before it finishes."""
        if view.stop and not any(view.files):
            unknown = [t for t, known in enumerate(master.known) if not known and shares[t].counted]
            for trial in unknown:
                write = master.writing(trial)
                yield self._look(place, write, "compares what it knows with seen/")

    # -- who is who --------------------------------------------------------------------

    def _share_called(self, number: int, ids: Ids) -> int:
        return self._shares.number(self._shares.parts[number].called(ids))

    def _master_called(self, number: int, ids: Ids) -> int:
        master = self._masters.parts[number]
        return number if master is None else self._masters.number(master.called(ids))


def _called(place: int) -> str:
    return f"master {place - _MASTERS[0] + 1}"


def _nothing(listing: Listing) -> Listing:
    return tuple(() for _ in listing)


def _torn(begun: Listing, ended: Listing) -> Iterator[tuple[Listing, Listing]]:
    """What a listing may have that was read while names came and went; and what of it is gone."""
    for files in itertools.product(*map(_torn_files, begun, ended)):
        unread = tuple(
            tuple(file for file in some if file.state in _OVER and file not in there)
            for some, there in zip(files, ended, strict=True)
        )
        yield files, unread


def _torn_files(begun: Iterable[File], ended: Iterable[File]) -> list[tuple[File, ...]]:
    now = {file.name: file for file in ended}
    before = {file.name: file for file in begun}
    stayed = [now[name] for name in now.keys() & before.keys()]
    passing = [{**before, **now}[name] for name in now.keys() ^ before.keys()]
    return [
        tuple(sorted((*stayed, *some)))
        for many in range(len(passing) + 1)
        for some in itertools.combinations(passing, many)
    ]


#: What is explored if nothing else is asked for.
USUAL = (
    "--attempts 4",
    "--attempts 2 --mishaps 2",
    "--attempts 2 --stop",
    "--attempts 2 --trials 2 --mishaps 0",
    "--attempts 5 --trials 2 --mishaps 3 --masters 1",
    "--attempts 2 --halts",
    "--attempts 2 --pauses --mishaps 0",
    "--attempts 1 --pauses --stop",
    "--attempts 3 --trials 2 --pauses --masters 1",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.protocol_model", description=__doc__)
    parser.add_argument("--attempts", type=int, default=3, help="at each trial")
    parser.add_argument("--trials", type=int, default=1, choices=(1, 2))
    parser.add_argument("--mishaps", type=int, default=1)
    parser.add_argument("--masters", type=int, default=2, choices=(1, 2))
    parser.add_argument("--stop", action="store_true", help="a time limit runs out at any moment")
    parser.add_argument("--halts", action="store_true", help="a person pauses or stops it")
    parser.add_argument("--pauses", action="store_true", help="trainings pause at rungs")
    parser.add_argument("--broken", choices=BROKEN, default="")
    asked_for = [" ".join(sys.argv[1:])] if sys.argv[1:] else USUAL
    gc.disable()  # there is nothing for it to find, in ever more states
    sound = [_explore(line, parser.parse_args(line.split())) for line in asked_for]
    return 0 if all(sound) else 1


def _explore(title: str, options: argparse.Namespace) -> bool:
    """Explore one model and say what is found; whether that is nothing wrong."""
    began = time.process_time()
    exploration = Exploration(
        Rules(options.attempts, options.broken, options.pauses),
        trials=options.trials,
        mishaps=options.mishaps,
        masters=options.masters,
        stop=options.stop,
        halts=options.halts,
    )
    found = exploration.run()
    differing = sum(not decides_alike(view) for view in exploration.views)
    if differing:
        found.wrong = found.wrong or f"the planner decides otherwise in {differing:,} views"
    for number, text in enumerate(found.path, 1):
        print(f"{number:3}  {text}")
    counts = {
        "states": found.states,
        "steps": found.steps,
        "ends": found.ends,
        "where one more attempt would begin": found.beyond,
        "views": len(exploration.views),
        "s": round(time.process_time() - began),
    }
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    print(f"{title}: {said}: {found.wrong or 'nothing is wrong'}", flush=True)
    return not found.wrong


if __name__ == "__main__":
    sys.exit(main())
