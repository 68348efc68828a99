"""The part `confirm` of bench_search.py: what confirming the best of a search buys, at equal
trainings, and whether its intervals hold.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from distune.search.asked import asked_to_confirm, trial_of
from distune.search.finalists import Comparison, Finalist, Rules, Verdict, compare
from distune.search.ranking import History
from distune.study.confirm import Confirm
from distune.study.trial import Asked, Counted, Outcome, Params, Result, Trial
from scripts.benching import table, tell
from scripts.searching.found import Task, tasks
from scripts.searching.sides import Search

_SEARCHED = 75  # trials, of which confirming may make 25 more


# -- at equal trainings --------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """A training of a search: its setting, and which of the table's trainings it was."""

    params: Params
    key: str
    place: int


def searched(task: Task, one: Search, trials: int, workers: int, seed: int) -> list[Tried]:
    """What ten workers try. The first of them are what a search of fewer trials would try."""
    running: list[tuple[float, int, tuple[Asked, Params], Tried]] = []
    found: list[Tried] = []
    now = 0.0
    for number in range(trials):
        if number >= workers:
            now, _, asked, tried = heapq.heappop(running)
            one.tell(asked, task.values[tried.key][tried.place])
        asked = one.ask()
        key = task.key(asked[1])
        place = random.Random(f"{seed} {number}").randrange(len(task.values[key]))
        found.append(Tried(asked[1], key, place))
        heapq.heappush(running, (now + task.seconds[key], number, asked, found[-1]))
    return found


def confirmed(task: Task, one: Search, tried: list[Tried], seed: int) -> tuple[str, int]:
    """The setting that wins after these, and the fresh trainings that it took. Those are drawn from
    the table without the one that the search saw.
    """
    study = one.study.model_copy(update={"confirm": Confirm()})
    history, rng = History(study), random.Random(f"fresh {seed}")
    saw: dict[str, set[int]] = {}
    for number, each in enumerate(tried):
        asked = Asked(
            study="s", configuration=number, trial=number, repeats=1, params=dict(each.params)
        )
        value = task.values[each.key][each.place]
        history.add(_counted(trial_of(study, asked, number), value))
        saw.setdefault(each.key, set()).add(each.place)
    number = len(tried)
    while (how := history.confirmation()) is not None and not how.is_over:
        for configuration, index in how.wanted:
            asked = asked_to_confirm(study, configuration, index, number)
            key = task.key(asked.params)
            values = task.values[key]
            fresh = [v for i, v in enumerate(values) if i not in saw[key]] or values
            history.add(_counted(trial_of(study, asked, number), rng.choice(fresh)))
            number += 1
    winner = history.winner()
    assert winner is not None
    return task.key(winner.params), history.confirming


def _counted(trial: Trial, value: float) -> Counted:
    result = Result(outcome=Outcome.COMPLETE, value=value, metrics={"y": value}, seconds=1.0)
    return Counted(trial=trial, worker="w", result=result)


def at_equal_trainings(some: list[Task], seeds: int, workers: int) -> Iterator[list[str]]:
    """A row for each family: the true rank of what is taken for the best, of both sides."""
    alone: dict[str, list[float]] = {}
    both: dict[str, list[float]] = {}
    spent: dict[str, list[int]] = {}
    most = Confirm().most(_SEARCHED)
    for task in some:
        for seed in range(seeds):
            one = Search("tpe", task.params, seed)
            tried = searched(task, one, _SEARCHED + most, workers, seed)
            key, fresh = confirmed(task, one, tried[:_SEARCHED], seed)
            same = tried[: _SEARCHED + fresh]
            best = min(same, key=lambda each, of=task.values: of[each.key][each.place])  # type: ignore[misc]
            alone.setdefault(task.family, []).append(task.ranks[best.key])
            both.setdefault(task.family, []).append(task.ranks[key])
            spent.setdefault(task.family, []).append(fresh)
        tell(f"{task.name}: done")
    for family, ranks in both.items():
        gain = [math.log(a / b) for a, b in zip(alone[family], ranks, strict=True)]
        yield [
            family,
            _mean(list(map(math.log, alone[family]))),
            _mean(list(map(math.log, ranks))),
            _mean(gain, 2),
            f"{statistics.fmean(spent[family]):.1f} ({min(spent[family])} to {max(spent[family])})",
        ]


def _mean(logs: list[float], digits: int = 3) -> str:
    """Geometric mean, and its standard error as a factor."""
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    return f"{math.exp(statistics.fmean(logs)):.{digits}f} (x {math.exp(error):.2f})"


# -- whether the intervals hold ------------------------------------------------------------------


@dataclass(frozen=True)
class Simulated:
    """A kind of study. What a training gives is normal about its configuration's own value.

    Attributes:
        spread: standard deviation of the configurations' own values.
        noise: of a training about them.
        shared: of what a seed does to all configurations alike.
        unlike: of the logarithm of the noise, between configurations.
        tails: whether the noise has those of Student's t with three degrees of freedom.
        least: `min_difference`.
    """

    name: str
    spread: float
    noise: float = 1.0
    shared: float = 0.0
    unlike: float = 0.0
    tails: bool = False
    least: float | None = 0.0

    def run(self, rng: random.Random) -> tuple[list[float], Comparison, int]:
        """The true values, how it ended, and its trainings."""
        true = [rng.gauss(0, self.spread) for _ in range(_SEARCHED)]
        noise = [self.noise * math.exp(rng.gauss(0, self.unlike)) for _ in true]

        def trained(number: int, of_seed: float) -> float:
            drawn = rng.gauss(0, 1)
            if self.tails:
                drawn /= math.sqrt(rng.gammavariate(1.5, 1 / 1.5))
            return true[number] + of_seed + noise[number] * drawn

        seen = [trained(number, rng.gauss(0, self.shared)) for number in range(_SEARCHED)]
        rules = Confirm(min_difference=self.least)
        by_seed: dict[int, float] = {}
        best = sorted(range(_SEARCHED), key=lambda number: -seen[number])[: rules.top]
        again: dict[int, dict[int, float]] = {number: {} for number in best}
        reach, spent = seen[best[0]] - statistics.median(seen), 0
        while True:
            found = compare(
                [Finalist(number, [seen[number]], again[number]) for number in best],
                Rules(
                    rules.confidence,
                    self.least,
                    rules.max_repeats,
                    rules.most(_SEARCHED),
                    spent,
                    reach,
                ),
            )
            if found.verdict is not None:
                return true, found, spent
            for number, index in found.wanted:
                of_seed = by_seed.setdefault(index, rng.gauss(0, self.shared))
                again[number][index] = trained(number, of_seed)
                spent += 1


KINDS = (
    Simulated("all equal", 0.0),
    Simulated("all equal, quiet rule on", 0.0, least=None),
    Simulated("all equal, noise of unlike size", 0.0, unlike=0.7),
    Simulated("all equal, heavy tails", 0.0, tails=True),
    Simulated("noise twice the spread", 0.5),
    Simulated("noise like the spread", 1.0),
    Simulated("noise a tenth of the spread", 1.0, 0.1),
    Simulated("the same, quiet rule on", 1.0, 0.1, least=None),
    Simulated("seeds shift all alike", 0.5, 0.3, shared=1.0),
    Simulated("noise of unlike size", 0.5, unlike=0.7),
    Simulated("heavy tails", 0.5, tails=True),
    Simulated("0.3 does not matter, noise 0.1", 0.05, 0.1, least=0.3),
)


@dataclass
class Held:
    """How often, in so many studies of a kind."""

    intervals: int = 0
    covered: int = 0
    better: int = 0
    wrong: int = 0  # what was called better is not
    trainings: int = 0


def simulated(kind: Simulated, studies: int) -> tuple[Held, Counter[Verdict]]:
    rng, held, verdicts = random.Random(kind.name), Held(), Counter[Verdict]()
    for _ in range(studies):
        true, found, spent = kind.run(rng)
        held.trainings += spent
        if found.verdict is not None:
            verdicts[found.verdict] += 1
        if found.interval is not None:
            gap = true[found.order[0]] - true[found.order[1]]
            held.intervals += 1
            held.covered += found.interval[0] <= gap <= found.interval[1]
        if found.verdict is Verdict.BEATS:
            held.better += 1
            held.wrong += true[found.order[0]] <= max(true[n] for n in found.order[1:])
    return held, verdicts


def whether_intervals_hold(studies: int) -> Iterator[list[str]]:
    for kind in KINDS:
        held, verdicts = simulated(kind, studies)
        yield [
            kind.name,
            f"{100 * held.covered / held.intervals:.1f} % of {held.intervals}",
            f"{100 * held.better / studies:.1f} %",
            f"{100 * held.wrong / studies:.1f} %",
            f"{100 * verdicts[Verdict.WITHIN] / studies:.1f} %",
            f"{held.trainings / studies:.1f}",
        ]


def confirm(seeds: int, workers: int) -> None:
    """Both tables."""
    head = ["true rank, per cent", "search alone", "search, then confirm", "times better"]
    rows = at_equal_trainings(tasks(), seeds, workers)
    table([*head, "fresh trainings of 25"], list(rows))
    print()
    head = ["1,000 studies of 75 trials", "intervals hold", '"better"', "wrongly", "within"]
    table([*head, "fresh trainings"], list(whether_intervals_hold(1000)))
