"""Everything that two doctors try together."""

from __future__ import annotations

import time
from typing import Any

from pydantic import ValidationError

from distune.doctor.measurements import HostMeasurements, PairMeasurements
from distune.doctor.peer.delays import measure_delays
from distune.doctor.peer.heartbeats import HEARTBEAT_EVERY, measure_heartbeats
from distune.doctor.peer.locks import LINES, append_to_one_file, try_locks
from distune.doctor.peer.session import Session
from distune.doctor.peer.trials import claim_together, hand_over, publish_on_both
from distune.doctor.peer.waiting import PeerError


def examine_together(
    session: Session, mine: HostMeasurements
) -> tuple[HostMeasurements, PairMeasurements, PairMeasurements]:
    """Try everything; the other does the same at the same time.

    Returns:
        What the other host found alone; what this host saw of the other; what the other saw.

    Raises:
        PeerError: the other does not go on.
    """
    both = session.conversation.both
    other = _checked(HostMeasurements, both("host", mine.model_dump(mode="json")))
    ahead, within = _compare_clocks(session)
    pair = PairMeasurements(
        host=mine.host,
        other=other.host,
        one_mount=bool(mine.boot) and (mine.boot, mine.device) == (other.boot, other.device),
        beat_every=HEARTBEAT_EVERY,
        shared_lines=2 * LINES,
        clock_ahead=ahead,
        clock_within=within,
        **_measure(session),
    )
    return other, pair, _checked(PairMeasurements, both("pair", pair.model_dump(mode="json")))


def _compare_clocks(session: Session) -> tuple[float, float]:
    """How far the other host's clock is ahead of this one's, and the margin of error."""
    session.conversation.both("clocks")
    before = time.time()
    theirs = float(session.conversation.both("clock", time.time()))
    after = time.time()
    return theirs - (before + after) / 2, (after - before) / 2


def _measure(session: Session) -> dict[str, Any]:
    """Fields of `PairMeasurements`. Both doctors have to go through them in one order."""
    found: dict[str, Any] = {**measure_delays(session)}
    session.announce("each other's heartbeat")
    found["beat_gap"] = measure_heartbeats(session)
    session.announce("claiming the same trials on both hosts")
    found["claims"] = claim_together(session)
    found["publishing"] = publish_on_both(session)
    found["handed_over"] = hand_over(session)
    session.announce("locks, and appending to one file")
    found["shared_kept"] = append_to_one_file(session)
    return {**found, **try_locks(session)}


def _checked(model: type[Any], fields: Any) -> Any:
    try:
        return model.model_validate(fields)
    except ValidationError:
        raise PeerError("the other doctor has another version of distune") from None
