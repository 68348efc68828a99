"""The best of a search, trained again with fresh seeds: how that stands, and in words. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from distune.search.configuration import Configuration, Ended
from distune.search.finalists import Comparison, Finalist, Rules, Verdict, compare, fewest_trainings
from distune.study.confirm import Confirm
from distune.study.study import Study
from distune.study.trial import Trial, params_key


@dataclass(frozen=True)
class Searched:
    """What the search has left.

    Attributes:
        best: its best configurations, those that have all their repeats.
        median: what half of those reach.
        trainings: how many it was.
        again: of any configuration, how many fresh ones there have been so far.
    """

    best: Sequence[Configuration]
    median: float
    trainings: int
    again: int


@dataclass(frozen=True)
class Confirmation:
    """How confirming stands: `confirm(study, searched)`."""

    study: Study
    rules: Confirm
    searched: Searched
    most: int  # fresh trainings
    found: Comparison

    @property
    def is_over(self) -> bool:
        return self.found.verdict is not None

    @property
    def order(self) -> list[Configuration]:
        """The finalists by their fresh trainings alone, best first, once that is over; none that
        has failed.
        """
        known = self._by_number
        return [known[number] for number in self.found.order] if self.is_over else []

    @property
    def _by_number(self) -> Mapping[int, Configuration]:
        return {one.first: one for one in self.searched.best}

    @property
    def wanted(self) -> list[tuple[Configuration, int]]:
        """The fresh trainings that are missing now, each with the index of its seed."""
        return [(self._by_number[number], index) for number, index in self.found.wanted]

    @property
    def ahead(self) -> list[tuple[Configuration, int]]:
        """Those that may be wanted next, for workers that would have nothing to do."""
        return [(self._by_number[number], index) for number, index in self.found.ahead]

    @property
    def left(self) -> int:
        """How many fresh trainings it may make beside those that were made."""
        return self.most - self.searched.again

    def words(self) -> list[str]:
        """What there is to say, in sentences without a capital or a full stop."""
        if not self.is_over:
            return [f"confirming: {self.searched.again} of at most {self.most} fresh trainings"]
        found = [self._verdict_words()]
        if self.found.out and self.found.verdict not in (Verdict.ALONE, Verdict.FAILED):
            found.append(f"out: {_trials(self.found.out)}, of which a fresh training failed")
        if luck := self._luck_words():
            found.append(luck)
        return found

    # -- the verdict -----------------------------------------------------------------------

    def _verdict_words(self) -> str:
        found, metric = self.found, self.study.metric
        finalists = [one.first for one in self.searched.best]
        match found.verdict:
            case Verdict.BEATS:
                return f"{self._first} beats {self._second} by {self._interval}"
            case Verdict.WITHIN:
                least = f"{self.rules.min_difference:g}"
                both = f"{self._first} and {self._second}"
                return (
                    f"{self._tied}: {both} differ by less than {least} {self._sure}; {self._choice}"
                )
            case Verdict.TIED:
                return f"{self._tied}: {self._not_told_apart}; {self._choice}"
            case Verdict.ALONE:
                return (
                    f"{self._first} is confirmed alone: of the other finalists, "
                    f"{_trials(found.out)}, a fresh training failed"
                )
            case Verdict.FAILED:
                return (
                    f"nothing is confirmed: of all finalists, {_trials(found.out)}, a fresh "
                    "training failed; the ranking is that of the search"
                )
            case Verdict.POINTLESS:
                return (
                    f"confirming is pointless: {metric} has no noise, the best give the same with "
                    "any seed"
                )
        if len(finalists) < 2:
            return f"nothing to confirm: {len(finalists) or 'no'} configuration has a result"
        return can_never_decide(self.rules, self.searched.trainings, after=True) or (
            f"nothing is confirmed: of at most {self.most} fresh trainings, "
            f"{self.searched.again} were made before, and to compare those that are the best now "
            "takes more"
        )

    @property
    def _first(self) -> str:
        return f"trial {self.found.order[0]}"

    @property
    def _second(self) -> str:
        return f"trial {self.found.order[1]}"

    @property
    def _sure(self) -> str:
        return f"({100 * self.rules.confidence:g} %)"

    @property
    def _interval(self) -> str:
        low, high = self.found.interval or (math.nan, math.nan)
        low_text, high_text = _alike(low, high, step=high - low)
        return f"{low_text} to {high_text} {self._sure}"

    @property
    def _tied(self) -> str:
        return f"tied: {_trials(self.found.tied)}"

    @property
    def _not_told_apart(self) -> str:
        times = f"not told apart by {self.found.rounds} fresh trainings each"
        if self.found.interval is not None:
            times += f" ({self._first} against {self._second}: {self._interval})"
        if self.found.quiet and self.found.noise is not None:
            reach = abs(self._seen(self.searched.best[0]) - self.searched.median)
            times += (
                f", and more are not worth it: the noise of a training is {self.found.noise:.2g}, "
                f"and {reach:.2g} lie between the best and the median of the search"
            )
        return times

    @property
    def _choice(self) -> str:
        """Which of those that are tied to take, by what they cost."""
        tied = [self._by_number[number] for number in self.found.tied]
        sizes = [one.parameters for one in tied]
        if None not in sizes and len(set(sizes)) > 1:
            size, place = min((size or 0.0, place) for place, size in enumerate(sizes))
            return f"choose the smallest, trial {tied[place].first} ({size:,.0f} parameters)"
        seconds, place = min((one.seconds, place) for place, one in enumerate(tied))
        if seconds > 0 and any(one.seconds != seconds for one in tied):
            return f"choose the quickest, trial {tied[place].first} ({seconds:.3g} s of training)"
        return f"choose any of them, for example {self._first}"

    # -- how lucky the search was ----------------------------------------------------------

    def _seen(self, one: Configuration) -> float:
        return fmean(one.searched_values)

    @property
    def luck(self) -> tuple[float, float, int] | None:
        """Of the first: what the search saw of it, what it is by its fresh trainings, and how many
        those are.
        """
        if not self.order:
            return None
        values = self.order[0].confirming_values
        return (self._seen(self.order[0]), fmean(values), len(values)) if values else None

    def _luck_words(self) -> str | None:
        if self.luck is None:
            return None
        seen, again, times = self.luck
        better = seen - again if self.study.direction == "maximize" else again - seen
        seen_text, again_text, by = _alike(seen, again, abs(better), step=abs(better) or abs(seen))
        how = f"{by} too good" if better > 0 else f"{by} better than it saw"
        how = "just that" if better == 0 else how
        return (
            f"the search saw {seen_text} of {self._first}; trained again {times} times it is "
            f"{again_text}: {how}"
        )

    def as_dict(self) -> dict[str, Any]:
        """As plain data; docs/json.md says what the keys mean."""
        verdict, luck = self.found.verdict, self.luck
        return {
            "verdict": verdict.name.lower().replace("_", " ") if verdict is not None else None,
            "words": self.words(),
            "order": list(self.found.order) if self.is_over else [],
            "tied": list(self.found.tied) if self.is_over else [],
            "out": list(self.found.out),
            "interval": list(self.found.interval) if self.found.interval and self.is_over else None,
            "confidence": self.rules.confidence,
            "noise": self.found.noise,
            "trainings": self.searched.again,
            "most": self.most,
            "seen": luck[0] if luck is not None else None,
            "again": luck[1] if luck is not None else None,
        }


class FreshTrainings:
    """Those that confirm a configuration, of all of them: by its params, and the index of the seed.
    None stands for one that was taken out.
    """

    def __init__(self) -> None:
        self.numbers: set[int] = set()  # of all their trials
        self._of: dict[str, dict[int, Ended | None]] = {}

    def of(self, key: str) -> dict[int, Ended | None]:
        """Those of the configuration with these params."""
        return self._of.setdefault(key, {})

    def add(self, trial: Trial) -> None:
        """One is over; whether it stands, is said next."""
        self.numbers.add(trial.number)
        self.of(params_key(trial.params)).setdefault(trial.repeat, None)

    def take_out(self, trial: Trial) -> None:
        own = self.of(params_key(trial.params))
        known = own.get(trial.repeat)
        if known is not None and known.number == trial.number:
            own[trial.repeat] = None


def confirm(study: Study, rules: Confirm, searched: Searched) -> Confirmation:
    """How confirming stands after such a search."""
    sign = 1.0 if study.direction == "maximize" else -1.0
    finalists = [
        Finalist(
            one.first,
            [sign * value for value in one.searched_values],
            {
                k: None if value is None else sign * value
                for k, value in one.confirming_by_seed.items()
            },
        )
        for one in searched.best
    ]
    most = rules.most(searched.trainings)
    reach = 0.0
    if searched.best:
        reach = abs(fmean(searched.best[0].searched_values) - searched.median)
    how = compare(
        finalists,
        Rules(
            rules.confidence,
            rules.min_difference,
            rules.max_repeats,
            most,
            searched.again,
            reach,
        ),
    )
    return Confirmation(study, rules, searched, most, how)


def can_never_decide(rules: Confirm, trainings: int, *, after: bool = False) -> str:
    """Why so many trainings leave too few for confirming; "" if they do not."""
    most = rules.most(trainings)
    if most >= fewest_trainings():
        return ""
    least = math.ceil(fewest_trainings() * (1 - rules.share) / rules.share - 1e-9)
    what = "nothing is confirmed" if after else "it can never decide"
    return (
        f"{what}: after {trainings} trainings it may make {most}, and to compare two "
        f"configurations takes {fewest_trainings()}: search with {least} or more, or give it a "
        "larger share"
    )


def _trials(numbers: Sequence[int]) -> str:
    return f"trial{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _alike(*values: float, step: float) -> list[str]:
    """Numbers with the same decimals, which show two digits of a step of this size."""
    if not 0 < step < math.inf:
        return [f"{value:.4g}" for value in values]
    decimals = 1 - math.floor(math.log10(step))
    if decimals > 8:
        return [f"{value:.6g}" for value in values]
    return [f"{value:.{max(decimals, 0)}f}" for value in values]
