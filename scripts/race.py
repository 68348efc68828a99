"""The race: seconds from the command until a search has seen a validation accuracy, on all of
MNIST, in the space of the preset `lab-scenario5`, at most sixty seconds of training a trial.

    python scripts/race.py run --out race.jsonl      # hours; goes on where it was stopped
    python scripts/race.py table race.jsonl
    python scripts/race.py draw race.jsonl race.svg  # needs matplotlib

distune runs with its defaults, as `distune master --workers 2`. Optuna and NePS run with theirs,
each around the loop of their own examples (see `bench_training.py`), in one process with as many
threads as torch takes. Seconds of training are those of a trial without its evaluations, for all
of them. What is seen is the accuracy on 10,000 images after an epoch, of any trial. A system ends
when it has seen the highest goal, or after `--limit` seconds; they run in turns.
NePS needs `pip install neural-pipeline-search`; `--systems distune,optuna` leaves it out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.bench_training import unpacked
from scripts.benching import machine, table, tell
from scripts.racing import GOALS, ROOT, SYSTEMS


def run(out: Path, seeds: int, systems: Sequence[str], data: Path | None, limit: float) -> None:
    """Each system once with each seed, in turns, each in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        if not unpacked(str(data) if data else None, Path(folder)):
            sys.exit("race: MNIST's files are not there; say where they are with --data-dir")
        for seed, system in itertools.product(range(seeds), systems):
            if any((one["system"], one["seed"]) == (system, seed) for one in _read(out)):
                continue
            command = [sys.executable, __file__, "one", system, str(seed), folder, str(limit)]
            done = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            seen = json.loads(done.stdout.splitlines()[-1])
            found = {"system": system, "seed": seed, "limit": limit, "machine": machine()}
            found |= {"seen": [[round(seconds, 1), accuracy] for seconds, accuracy in seen]}
            with out.open("a") as file:
                file.write(json.dumps(found) + "\n")
            times = [_when(found, goal) for goal in GOALS]
            tell(f"{system} {seed}: {[f'{t:.0f} s' if t else 'not reached' for t in times]}")


def _read(path: Path) -> list[dict[str, Any]]:
    return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []


def _when(found: dict[str, Any], goal: float) -> float | None:
    """Seconds until a goal; None if it was not reached within the limit."""
    return next((seconds for seconds, accuracy in found["seen"] if accuracy >= goal), None)


def print_table(results: list[dict[str, Any]]) -> None:
    """Print the table."""
    rows: list[list[str]] = []
    base: dict[float, float] = {}
    for system in SYSTEMS:
        some = [one for one in results if one["system"] == system]
        if not some:
            continue
        row = [system, str(len(some))]
        for goal in GOALS:
            # What did not get there in time took at least that long.
            times = [_when(one, goal) or one["limit"] for one in some]
            median = statistics.median(times)
            late = sum(_when(one, goal) is None for one in some)
            more = "more than " if 2 * late > len(some) else ""
            base.setdefault(goal, math.nan if more else median)
            row.append(f"{more}{median:.0f} ({min(times):.0f} to {max(times):.0f})")
            known = system != "distune" and not math.isnan(base[goal])
            row.append(f"{more}{median / base[goal]:.1f} x" if known else "")
        rows.append(row)
    head = ["", "runs"]
    for goal in GOALS:
        head += [f"s until {100 * goal:.1f} %", "as long as distune"]
    print(", ".join(sorted({one["machine"] for one in results})) + "\n")
    table(head, rows)


def draw(results: list[dict[str, Any]], svg: Path) -> None:
    """The best accuracy so far of each run, against seconds."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.fonttype"] = "none"
    figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
    for system, colour in zip(SYSTEMS, ("#0b6e4f", "#b5541c", "#5b4b8a"), strict=True):
        for one in (one for one in results if one["system"] == system):
            ends = max(one["limit"] if _when(one, max(GOALS)) is None else 0, one["seen"][-1][0])
            seconds = [*(seconds for seconds, _ in one["seen"]), ends]
            errors = [*(100 * (1 - accuracy) for _, accuracy in one["seen"])]
            label = system if one["seed"] == 0 else None
            axes.step(
                seconds, [*errors, errors[-1]], where="post", color=colour, label=label, lw=1.4
            )
    for goal in GOALS:
        axes.axhline(100 * (1 - goal), color="#888888", lw=0.8, ls=":")
    axes.set(xscale="log", yscale="log", ylim=(0.5, 20))
    axes.set(xlabel="seconds since the command", ylabel="validation error seen so far, %")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_formatter("{x:g}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(svg, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    runs = parts.add_parser("run")
    runs.add_argument("--seeds", type=int, default=5)
    runs.add_argument("--systems", default=",".join(SYSTEMS))
    runs.add_argument("--out", type=Path, required=True)
    runs.add_argument("--data-dir", type=Path, default=os.environ.get("DISTUNE_DATA"))
    runs.add_argument("--limit", type=float, default=2400.0, help="seconds, of a run")
    tells = parts.add_parser("table")
    tells.add_argument("results", type=Path)
    draws = parts.add_parser("draw")
    draws.add_argument("results", type=Path)
    draws.add_argument("svg", type=Path)
    one = parts.add_parser("one", help="a run by itself; prints what it has seen")
    one.add_argument("arguments", nargs=4)
    options = parser.parse_args()
    if options.part == "run":
        run(options.out, options.seeds, options.systems.split(","), options.data_dir, options.limit)
    elif options.part == "table":
        print_table(_read(options.results))
    elif options.part == "draw":
        draw(_read(options.results), options.svg)
    else:
        system, seed, data, limit = options.arguments
        print(json.dumps(SYSTEMS[system](int(seed), Path(data), float(limit))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
