"""How long a worker goes on: until its time is up, or it has trained enough. Pure."""

import math
import statistics
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from distune.study.durations import format_duration

_LAST = 20  # trials of a study, whose durations are remembered
_SLACK = 1.1
#: A trial that will be interrupted is worth it if it leaves this many checkpoints.
_CHECKPOINTS = 2
#: What a worker leaves unused of a batch job's time. A signal before the end, which Slurm may send
#: a minute earlier than it was asked to, shall meet no trial.
_MARGIN, _SHORTEST_MARGIN, _LONGEST_MARGIN = 0.05, 15.0, 150.0  # a part; seconds
_JOB_ENDS = "SLURM_JOB_END_TIME"  # seconds since 1970


class WorkerLimits:
    """A worker's own limits, and how long trials take.

    Args:
        ends: when its time is up, on its monotonic clock.
        trials: how many it trains to an end.
    """

    def __init__(self, ends: float = math.inf, trials: float = math.inf) -> None:
        self.trained = 0  # attempts, to an end
        self.are_none = ends == trials == math.inf
        self._ends = ends
        self._trials = trials
        self._seconds = defaultdict[str, deque[float]](lambda: deque(maxlen=_LAST))  # by study
        self._own = set[str]()  # the studies of which these are the worker's own
        self._kept_every: dict[str, float] = {}  # by study: seconds between two checkpoints

    @property
    def are_enough(self) -> bool:
        """It has trained as many trials as it should."""
        return self.trained >= self._trials

    @property
    def need_durations(self) -> bool:
        return self._ends < math.inf

    def are_over(self, now: float) -> bool:
        """Its time is up."""
        return now >= self._ends

    def learn(self, study: str, seconds: Iterable[float]) -> None:
        """Take in how long others took for a study's trials, until it has trained one itself."""
        if study not in self._own:
            self._seconds[study].extend(one for one in seconds if 0 <= one < math.inf)

    def can_resume(self, study: str, every: float) -> None:
        """Its trials leave checkpoints, `every` so many seconds, from which others go on."""
        self._kept_every[study] = every

    def ended(self, study: str, seconds: float, well: bool = True) -> None:
        """It has trained a trial to an end; how long one took that failed says nothing."""
        self.trained += 1
        if well:
            if study not in self._own:
                self._own.add(study)
                self._seconds[study].clear()
            self._seconds[study].append(seconds)

    def why_none(self, study: str, held: int, now: float) -> str:
        """Why a worker that holds so many trials claims none of a study; "" if it may."""
        if self.trained + held >= self._trials:
            return f"with what it has, it will have trained {self._trials} (--max-trials)"
        if self._ends == math.inf or not self._seconds[study]:
            return ""
        kept = self._kept_every.get(study, math.inf)
        needed = min(_most(self._seconds[study]), _CHECKPOINTS * kept)
        left = self._ends - now
        if needed <= left:
            return ""
        typical = format_duration(statistics.median(self._seconds[study]))
        wanted = f"its trials take {typical}, {format_duration(needed)} are wanted"
        return f"{wanted}, and {format_duration(left)} are left"


def _most(seconds: Iterable[float]) -> float:
    """What all but the longest tenth of the trials take, with some room for the others."""
    ordered = sorted(seconds)
    upper = ordered[math.ceil(0.9 * len(ordered)) - 1]
    return max(upper, _SLACK * statistics.median(ordered))


def seconds_of_job(environment: Mapping[str, str], wall: float) -> float:
    """Seconds that a worker has in a batch job, which ends a little later; infinite outside of one.

    Args:
        wall: this host's clock, in seconds since 1970, which the job's end is given in.
    """
    try:
        left = float(environment[_JOB_ENDS]) - wall
    except (KeyError, ValueError):
        return math.inf
    if not left > 0:
        return math.inf  # of a job that is over, in an environment that outlives it
    margin = min(max(_MARGIN * left, _SHORTEST_MARGIN), _LONGEST_MARGIN)
    return max(left - margin, 0.0)
