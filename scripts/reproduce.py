"""Runs presets on real data and compares what they find with what the reports say.

    python scripts/reproduce.py --data-dir DIR                    # what takes minutes
    python scripts/reproduce.py --data-dir DIR lab-scenario1 ...  # these presets, also long ones
    python scripts/reproduce.py --table                           # the table, from what was found

What was found is kept in docs/reproduced.json; docs/presets.md has its table. Each line there says
at which scale and with how many seeds it was found, and what could not be run or did not come out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import distune
from distune.report.preset_claims import CLAIMS
from distune.report.preset_figures import Verdict
from distune.watch.load import LoadedStudy

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "reproduced.json"
PAGE = ROOT / "docs" / "presets.md"
BEGIN, END = "<!-- reproduced: begin -->\n", "<!-- reproduced: end -->\n"


#: They take hours on two cores, and run only when they are named.
LONG = {
    *("lab-scenario5", "cifar-stages", "cifar-best", "digits-loss", "digits-best"),
    *("coloured-best", "coloured-kernel", "coloured-trunk", "coloured-optimizer"),
}


# -- running ---------------------------------------------------------------------------------


def run(preset: str, arguments: list[str], logs: Path) -> LoadedStudy:
    """One study, to its end, as a user runs it."""
    command = [sys.executable, "-m", "distune", "master", "--space", preset, "--logs", str(logs)]
    subprocess.run(
        [*command, *arguments, "--plain"], check=True, stdout=subprocess.DEVNULL, cwd=logs
    )
    (folder,) = logs.iterdir()
    return distune.load(folder)


@dataclass
class Line:
    """One line of the table."""

    preset: str
    what: str
    says: str
    here: str
    scale: float
    trials: int
    verdict: Verdict | None = None


def findings(preset: str, study: LoadedStudy, scale: float) -> list[Line]:
    return [
        Line(
            *(preset, c.what, c.says, c.find(study), scale, len(study.trials)),
            verdict=c.judge(study) if c.judge and scale == 1 else None,
        )
        for c in CLAIMS
        if c.preset == preset
    ]


def kept() -> list[Line]:
    return [Line(**line) for line in json.loads(RESULTS.read_text())] if RESULTS.exists() else []


def keep(new: list[Line]) -> None:
    """In the order of the claims; a line takes the place of an older one about the same."""
    known = {(line.preset, line.what): line for line in [*kept(), *new]}
    lines = [asdict(known[key]) for c in CLAIMS if (key := (c.preset, c.what)) in known]
    RESULTS.write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n")


# -- the table -------------------------------------------------------------------------------


def table() -> str:
    known = {(line.preset, line.what): line for line in kept()}
    rows = [
        "| preset | what | report says | here | verdict | scale | trials |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim in CLAIMS:
        line = known.get((claim.preset, claim.what))
        missing = "not run: hours on two cores" if claim.preset in LONG else "not run yet"
        here = line.here if line else missing
        scale, trials = (f"{line.scale:g}", str(line.trials)) if line else ("", "")
        verdict = (line.verdict if line else None) or ""
        if line and claim.caveat and verdict in ("", "not the same"):
            here += f"; {claim.caveat}"
        cells = f"`{claim.preset}`", claim.what, claim.says, here, verdict, scale, trials
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def write_table() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}")


def main() -> None:
    presets = list(dict.fromkeys(claim.preset for claim in CLAIMS))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("presets", nargs="*", help="all but the long ones if none is named")
    parser.add_argument("--data-dir", help="where the data sets are")
    parser.add_argument("--scale", type=float, default=1.0, help="of epochs and data")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    options = parser.parse_args()
    unknown = [name for name in options.presets if name not in presets]
    if unknown:
        parser.error(f"nothing is said about {', '.join(unknown)}; only about {', '.join(presets)}")
    if not options.table:
        arguments = ["--workers", str(options.workers)]
        if options.scale != 1:
            arguments += ["--scale", str(options.scale)]
        if options.data_dir:
            arguments += ["--data-dir", str(Path(options.data_dir).resolve())]
        for preset in options.presets or [name for name in presets if name not in LONG]:
            with tempfile.TemporaryDirectory(prefix="distune-reproduce-") as logs:
                study = run(preset, arguments, Path(logs))
                lines = findings(preset, study, options.scale)
            keep(lines)
            for line in lines:
                print(f"{preset}: {line.what}: {line.says} | {line.here}", flush=True)
    write_table()


if __name__ == "__main__":
    main()
