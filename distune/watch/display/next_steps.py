"""What a person may do when a study is over. Pure."""

import shlex
from collections.abc import Iterable

from distune.share.protocol import BEST_WEIGHTS, CHECKPOINTS, key_of_checkpoint
from distune.study.trial import Purpose
from distune.watch.snapshot import Snapshot


def next_steps(snapshot: Snapshot, logs: str, kept: Iterable[str]) -> list[str]:
    """Commands, each with what it is for, and where the winner's state is, if it is kept.

    Args:
        logs: the directory that the study's folder is in.
        kept: files in that folder that are there.
    """
    name, winner = snapshot.study.name, snapshot.history.winner()
    where = ["--logs", logs]
    steps = {
        shlex.join(["distune", "report", *where, "--study", name]): "all plots in one file",
        shlex.join(["distune", "dashboard", *where]): "the same in a browser, of all studies",
    }
    if winner is not None:
        again = shlex.join(["distune", "best", *where, "--study", name, "--json"])
        steps = {f"{again} > best.json": "a space file that trains the best again", **steps}
    width = max(map(len, steps))
    lines = [f"  {command:<{width}}  {does}" for command, does in steps.items()]
    states = [f"  {what}: {logs}/{name}/{path}" for what, path in _state(snapshot, kept)]
    return ["next:", *lines, *states]


def _state(snapshot: Snapshot, kept: Iterable[str]) -> list[tuple[str, str]]:
    """The winner's weights, and the checkpoints of its trials."""
    winner = snapshot.history.winner()
    if winner is None:
        return []
    keys = {(Purpose.TRAIN, one.trial.number) for one in winner.trials}
    found = []
    for path in kept:
        if path == BEST_WEIGHTS:
            found.append(("the winner's weights", path))
        elif key_of_checkpoint(path.removeprefix(f"{CHECKPOINTS}/")) in keys:
            found.append(("its last state, to train it further", path))
    return found
