"""Judging a study by what lies in its folder and in the logs; knows nothing of distune's code.

Pure: what was found is an argument.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ATTEMPT = re.compile(
    r"(?P<trial>\d{6,})(?:\.(?P<attempt>\d+))?\.jsonl(?:\.(?P<worker>[a-z0-9-]+)\.(?P<state>[a-z]+))?"
)
_SHOWN = 5


@dataclass(frozen=True)
class Evidence:
    """What is left of a study.

    Args:
        names: paths of the files in its folder, relative.
        history: the text of history.jsonl.
        finished: finished.json, if there.
        status: what `distune status --json` printed.
        logs: of every process.
        exits: the exit status of every process, None if it still runs, and the expected one.
    """

    names: Sequence[str]
    history: str
    finished: Mapping[str, Any] | None
    status: Mapping[str, Any]
    logs: Mapping[str, str]
    exits: Mapping[str, tuple[int | None, int]]

    def files(self, folder: str) -> list[re.Match[str]]:
        """The attempts' files in a folder, those in folders below it included."""
        below = [n for n in self.names if n.startswith(f"{folder}/")]
        return [m for n in below if (m := ATTEMPT.fullmatch(n.rpartition("/")[2]))]

    def attempts(self) -> dict[str, int]:
        """How many there were, how many were lost, and how many trials had more than one."""
        seen = self.files("seen")
        tries = Counter(int(m["trial"]) for m in seen)
        return {
            "total": len(seen),
            "lost": sum(m["state"] == "lost" for m in seen),
            "repeated": sum(n > 1 for n in tries.values()),
        }


def judge(evidence: Evidence, trials: int) -> dict[str, list[str]]:
    """What is wrong, by check; all of it empty if nothing is."""
    wanted = Counter(range(trials))
    ended = [m for m in evidence.files("seen") if m["attempt"] is None]
    # A line of which its worker did not know whether it had arrived is written again; only the
    # first of two that are the same counts, and two that differ would be two results.
    history = Counter(number for number, _ in _history(evidence.history))
    ranked = Counter(t for row in evidence.status.get("ranking", []) for t in row["trials"])
    return {
        "the study is finished": _finished(evidence),
        "each trial is in the history once": _once(wanted, history),
        "each trial has one file that counts": _once(
            wanted, Counter(int(m["trial"]) for m in ended)
        ),
        "each trial is ranked once": _once(wanted, ranked),
        "nothing is left over": _leftovers(evidence),
        "no traceback in a log": [
            f"{tag}: {log[log.index('Traceback') :].strip().splitlines()[-1]}"
            for tag, log in evidence.logs.items()
            if "Traceback" in log
        ],
        "every process ended as it should": [
            f"{tag}: {status} instead of {expected}"
            for tag, (status, expected) in evidence.exits.items()
            if status != expected
        ],
    }


def _finished(evidence: Evidence) -> list[str]:
    if evidence.finished is None:
        return ["there is no finished.json"]
    return [f"it failed: {evidence.finished['reason']}"] if evidence.finished["failed"] else []


def _history(text: str) -> set[tuple[int, str]]:
    """Trials, and what is said of each; half lines are no trials, and allowed."""
    found = set()
    for line in text.split("\n")[:-1]:
        try:
            found.add((int(json.loads(line)["trial"]["number"]), line))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _once(wanted: Counter[int], found: Counter[int]) -> list[str]:
    problems = []
    for what, numbers in (
        ("missing", sorted(wanted - found)),
        ("more than once or never asked for", sorted(found - wanted)),
    ):
        if numbers:
            shown = ", ".join(map(str, numbers[:_SHOWN]))
            problems.append(f"{len(numbers)} {what}: {shown}")
    return problems


def _leftovers(evidence: Evidence) -> list[str]:
    folders = ("trials/", "quarantine/", "workers/")
    left = [n for n in evidence.names if n.startswith(folders) and "/." not in n]
    killed = {e for e, (status, _) in evidence.exits.items() if status == 128 + 9}
    ids = {m[1] for tag in killed if (m := re.search(r"worker (\S+) on ", evidence.logs[tag]))}
    return [n for n in left if n.removeprefix("workers/").removesuffix(".beat") not in ids]
