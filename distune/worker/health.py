"""Whether a worker should doubt itself, and which others could do its work. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from distune.share.heartbeat import WILLING, Beat, BeatState, Watch
from distune.study.trial import FAILURES, Result

#: Attempts that failed at once, in a row, after which a worker tests itself.
FAILURES_TO_DOUBT = 3
_PAUSE_BELOW, _GIVE_UP_BELOW = 1e-2, 1e-4  # chance of such bad luck
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 600.0  # seconds


class Peers:
    """The other workers of a study, as their heartbeats (`beats`) show them to one of them."""

    def __init__(self, me: str, lease: float) -> None:
        self._me = me
        self._lease = lease
        self._watch = Watch(longest_step=lease / 4)
        self._silence: dict[str, float] = {}

    def look(self, beats: Mapping[str, bytes], now: float) -> None:
        """Take in what all heartbeats say at a moment."""
        self._silence = self._watch.look(beats, now)

    @property
    def beats(self) -> dict[str, Beat]:
        """What each of them said last."""
        return {worker: said for worker, said in self._watch.said.items() if worker != self._me}

    def can_take(self, failed_on: Collection[str]) -> bool:
        """Whether another worker lives that has not failed at a trial yet."""
        return any(
            worker not in failed_on
            and beat.state in WILLING
            and self._silence.get(worker, 0.0) < self._lease
            for worker, beat in self.beats.items()
        )


@dataclass(frozen=True)
class Verdict:
    """What a worker does that should doubt itself: claim nothing for `pause` seconds, then one
    trial to see; without, leave the study to other workers.
    """

    reason: str
    pause: float | None = None


class Health:
    """How a worker fares with one study."""

    def __init__(self) -> None:
        self.completed = 0  # of its attempts, like `failed`
        self.failed = 0
        self.reason = ""  # why the worker has paused or left the study, if so
        self.has_left = False
        self._paused_until: float | None = None
        self._in_a_row = 0
        self._pauses = 0
        self._last = ""

    def ended(self, result: Result) -> bool:
        """Take in how an attempt ended; whether the worker had better test itself now."""
        if result.infeasible:
            return False  # says nothing about this worker
        failed = result.outcome in FAILURES
        self.failed += failed
        self.completed += not failed
        if not failed or result.steps > 0:
            self._in_a_row = self._pauses = 0
            return False
        self._in_a_row += 1
        self._last = result.failure.message if result.failure else "no reason given"
        return self.doubtful and (self._pauses > 0 or self._in_a_row % FAILURES_TO_DOUBT == 0)

    @property
    def doubtful(self) -> bool:
        """The last attempts all failed at once: one at a time is enough."""
        return self._in_a_row >= FAILURES_TO_DOUBT

    def judge(self, problem: str | None, peers: Peers) -> Verdict | None:
        """What to do after a self-test; None to go on.

        A problem is a reason to give up. Else the worker compares itself with the others: as
        often as they fail (by Laplace's rule of succession, k failures of n are (k + 1) / (n + 2)),
        so often a healthy one would. If that makes all its failures in a row too unlikely a piece
        of bad luck, it pauses; if very unlikely, it gives up.
        """
        if problem is not None:
            return Verdict(problem)
        completed = sum(beat.completed for beat in peers.beats.values())
        failed = sum(beat.failed for beat in peers.beats.values())
        if completed == 0:
            return None  # no worker succeeds: the study's fault, and the master will stop it
        chance = (failed + 1) / (failed + completed + 2)
        luck = chance**self._in_a_row
        said = (
            f"{self._in_a_row} trials in a row failed here at once while others succeed; "
            f"the last: {self._last}"
        )
        if luck < _GIVE_UP_BELOW and self._pauses > 0:
            return Verdict(said)
        if luck < _PAUSE_BELOW:
            self._pauses += 1
            seconds = min(_FIRST_PAUSE * 2 ** (self._pauses - 1), _LONGEST_PAUSE)
            return Verdict(said, pause=seconds)
        return None

    def heed(self, verdict: Verdict, now: float) -> None:
        self.reason = verdict.reason
        if verdict.pause is None:
            self.has_left = True
        else:
            self._paused_until = now + verdict.pause

    @property
    def may_claim(self) -> bool:
        return not self.has_left and self._paused_until is None

    def ends_pause(self, now: float) -> bool:
        """Whether the pause that the worker makes, if any, is over now."""
        if self._paused_until is None or now < self._paused_until:
            return False
        self._paused_until, self.reason = None, ""
        return True

    def state(self, *, works: bool) -> BeatState:
        if self.has_left:
            return "gave up"
        if self._paused_until is not None:
            return "paused"
        return "working" if works else "idle"
