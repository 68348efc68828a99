"""What a person may do when a study is over. Pure."""

import shlex
from collections.abc import Container, Iterable, Iterator

from distune.share.protocol import BEST_WEIGHTS, CHECKPOINTS, key_of_checkpoint
from distune.study.trial import Purpose
from distune.watch.snapshot import Snapshot


def next_steps(snapshot: Snapshot, logs: str, kept: Iterable[str]) -> list[str]:
    """Commands, each with what it is for, and where the winner's state is, if it is kept.

    Args:
        logs: the directory that the study's folder is in.
        kept: files in that folder that are there.
    """
    name, where = snapshot.study.name, ["--logs", logs]
    steps = [
        ("all plots, in a file", shlex.join(["distune", "report", *where, "--study", name])),
        ("all studies, live", shlex.join(["distune", "dashboard", *where])),
    ]
    winner = snapshot.history.winner()
    if winner is not None:
        best = shlex.join(["distune", "best", *where, "--study", name, "--json"])
        numbers = {one.trial.number for one in winner.trials}
        states = [(what, f"{logs}/{name}/{path}") for what, path in _states(numbers, kept)]
        steps = [("a space file of the best", best), *steps, *states]
    width = max(len(what) for what, _ in steps)
    return ["next:", *(f"  {what:<{width}}  {how}" for what, how in steps)]


def _states(numbers: Container[int], kept: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The winner's weights, and the checkpoints of its trials, which have these numbers."""
    for path in kept:
        key = key_of_checkpoint(path.removeprefix(f"{CHECKPOINTS}/"))
        if path == BEST_WEIGHTS:
            yield "weights of the best", path
        elif key is not None and key[0] is Purpose.TRAIN and key[1] in numbers:
            yield "last state of the best", path
