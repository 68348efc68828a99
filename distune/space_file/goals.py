"""What a space file may say of several objectives, and of constraints. Pure."""

from collections.abc import Iterable, Mapping

from distune.search.samplers import SAMPLERS
from distune.study.constraint import SECONDS
from distune.study.space import did_you_mean
from distune.study.trial import Direction
from distune.workloads import Workload

#: What every workload reports beside the metrics that its description names.
_SIZE = "parameters"


def check_objectives(
    objectives: Mapping[str, Direction], given: Iterable[str], workload: Workload | None
) -> None:
    """See that a study can be ranked by these.

    Args:
        objectives: with their directions.
        given: the keys that the file has.
        workload: the built-in objective that it names, if it does.

    Raises:
        ValueError: it cannot; `key: problem`.
    """
    if "objectives" not in given:
        return
    if not objectives:
        raise ValueError('objectives: is empty: write {"val_accuracy": "maximize", ...}')
    for other in ("metric", "direction"):
        if other in given:
            raise ValueError(
                f"objectives: there is a {other} too: leave it out, for each objective has its "
                "direction here, and the first one is what a metric would be"
            )
    if next(iter(objectives)) == SECONDS:
        raise ValueError(
            f"objectives: {SECONDS} cannot be the first: put a metric before it that is reported "
            "at each step, and that curves and winners go by"
        )
    check_reported("objectives", objectives, workload)


def check_reported(key: str, names: Iterable[str], workload: Workload | None) -> None:
    """See that a built-in objective reports these metrics; of others it is seen when they run.

    Raises:
        ValueError: it does not; `key.NAME: problem`.
    """
    if workload is None:
        return
    known = dict.fromkeys([*workload.reports, _SIZE, SECONDS])
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"{key}.{name}: {workload.name} does not report it{hint}")


def check_samplers(objectives: Mapping[str, Direction], samplers: Iterable[str]) -> None:
    """See that these can search for that many objectives.

    Raises:
        ValueError: one cannot; `sampler: problem`.
    """
    for name in samplers if len(objectives) > 1 else ():
        if name in SAMPLERS and not SAMPLERS[name].several:
            raise ValueError(
                f"sampler: {name} searches for one objective: say tpe or nsga2, or leave all "
                "objectives out but one"
            )
