"""The check that a person asks for: `distune verify`, while no master runs or beside one."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from distune.export.leaderboard import JSON_VERSION
from distune.master.lock import Identity, only_master
from distune.master.mending import Mended, Mender
from distune.share import protocol
from distune.share.doubts import PATIENCE
from distune.share.store import Store
from distune.study.study import Study
from distune.study.trial import Purpose
from distune.watch.agreement import Finding
from distune.watch.witnesses import Witnesses


@dataclass(frozen=True)
class Verification:
    """How a study was found.

    Attributes:
        trials: how many are counted.
        tests: how many of them were evaluated on the test set.
        found: what was wrong, and what was done about it.
    """

    trials: int
    tests: int
    found: list[Mended]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong now."""
        return all(one.done for one in self.found)


Around = Callable[[], AbstractContextManager[None]]


def verify(store: Store, around: Around = nullcontext) -> Verification:
    """Compare everything, and change nothing. `around` is entered around each look at the share.

    Raises:
        ShareError: the share did not answer.
    """
    with around():
        witnesses = Witnesses.read(store)
    found = _findings(witnesses, around)
    with around():
        if found:
            witnesses.catch_up()  # a master may be at work: what it has done since is not wrong
        still: list[Finding] = []
        for key, some in groupby(found, lambda one: one.key):
            still += some if key is None else witnesses.look_again(key)
    return _verification(witnesses, [Mended(one, done=False) for one in still])


def repair(
    folder: Path, store: Store, identity: Identity, around: Around = nullcontext
) -> Verification:
    """Compare everything, as the only master, and mend what can be. `around`: as above.

    Raises:
        UserError: a master is at work, or the study is one of the earlier layout.
        ShareError: the share did not answer; what was not done can be done again.
    """
    store.load().refuse_earlier()
    with only_master(folder, store, identity):
        with around():
            store.mend_folders()
            witnesses = Witnesses.read(store)
        mender = Mender(store, witnesses)
        found = list(mender.mend(_findings(witnesses, around)))
        with around():
            mender.write()
    return _verification(witnesses, found)


def _findings(witnesses: Witnesses, around: Around) -> list[Finding]:
    """What seems wrong, and need not be only old any more: each is looked at again."""
    found: list[Finding] = []
    looks = witnesses.findings()
    while True:
        with around():
            some = next(looks, None)
        if some is None:
            break
        found += some
    if found and witnesses.store.folder.network:
        time.sleep(PATIENCE)
    return found


def _verification(witnesses: Witnesses, found: list[Mended]) -> Verification:
    counted = witnesses.counted
    return Verification(counted[Purpose.TRAIN], counted[Purpose.TEST], found)


def in_words(study: Study, done: Verification) -> Iterator[str]:
    """A line for each thing that was found, and one for all."""
    for one in done.found:
        if one.done or not one.finding.mends:
            yield str(one)
        else:
            yield f"{one.finding}: it can be mended"
    tests = f" and {done.tests} tests" if done.tests else ""
    counted = f"{study.name}: {done.trials} trials{tests}, each counted once"
    if not done.found:
        files = f"their files, {protocol.HISTORY} and {protocol.ASKED} agree"
        if not study.is_current:
            files = f"their files and {protocol.HISTORY} agree"
        yield f"{counted}; {files}, and all checksums are right"
        return
    mended = sum(one.done for one in done.found)
    mendable = sum(bool(one.finding.mends) and not one.done for one in done.found)
    parts = {
        "mended": mended,
        "can be mended (--repair)" if study.is_current else "to be looked at only": mendable,
        "cannot be mended": len(done.found) - mended - mendable,
    }
    many = len(done.found)
    things = f"{many} things are wrong" if many > 1 else "1 thing is wrong"
    yield f"{counted}; {things}: " + ", ".join(f"{n} {what}" for what, n in parts.items() if n)


def as_json(study: Study, done: Verification) -> dict[str, Any]:
    """The same for programs."""
    return {
        "version": JSON_VERSION,
        "study": study.name,
        "trials": done.trials,
        "tests": done.tests,
        "sound": done.is_sound,
        "found": [
            {
                "subject": one.finding.subject,
                "trial": one.finding.key[1] if one.finding.key else None,
                "problem": one.finding.problem,
                "mends": list(map(str, one.finding.mends)),
                "mended": one.done,
            }
            for one in done.found
        ],
    }
