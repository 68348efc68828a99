"""What soaks have shown, kept in docs/soak-results.json, and the page that quotes it."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.soaking.rigs import KINDS, ROOT

RESULTS = ROOT / "docs" / "soak-results.json"
#: It has a part between two marks that is written from the results.
PAGE = ROOT / "docs" / "reliability.md"
_KEPT = ("rig", "lease", "default_lease", "trials", "workers", "seconds", "attempts", "sound")
Run = Mapping[str, Any]


def load() -> list[Run]:
    """The results that are kept; none if there is no file."""
    runs: list[Run] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return runs


def key(run: Run) -> tuple[bool, bool, int]:
    """Two runs with one key are the same, made again; also the order of the table."""
    return bool(run.get("endurance")), run["default_lease"], list(KINDS).index(run["rig"])


def compact(run: Run) -> dict[str, Any]:
    """What is kept of a run: no log lines and no checks, which are in its own file."""
    kept = {name: run[name] for name in _KEPT}
    kept["mount"] = run["mount"].split(",clientaddr")[0]
    if run.get("endurance"):
        more = ("endurance", "faults", "trends", "fullest_seen_folder", "samples")
        return {**kept, **{name: run[name] for name in more}}
    names = ("kind", "lasted", "lost", "taken_up")
    return {**kept, "faults": [{name: f[name] for name in names} for f in run["faults"]]}


def collect(files: Sequence[Path]) -> None:
    """Keep the results in these files, in place of older ones, and renew the page."""
    runs = {key(run): run for run in load()}
    for file in files:
        run = compact(json.loads(file.read_text()))
        runs[key(run)] = run
    ordered = [runs[one] for one in sorted(runs)]
    RESULTS.write_text("[\n" + ",\n".join(map(json.dumps, ordered)) + "\n]\n")
    PAGE.write_text(renewed(PAGE.read_text(), ordered))


def renewed(page: str, runs: Sequence[Run]) -> str:
    """The page with what these runs have shown between its marks."""
    before, _, rest = page.partition("<!-- soak -->\n")
    _, _, after = rest.partition("<!-- /soak -->\n")
    return f"{before}<!-- soak -->\n{summary(runs)}\n{table(runs)}<!-- /soak -->\n{after}"


def table(runs: Sequence[Run]) -> str:
    """One row per run, as Markdown."""
    rows = [
        "| file system | lease | length | outages survived | attempts lost | killed worker's "
        "trial taken up | dead host's | all ranked once |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in (r for r in runs if not r.get("endurance")):
        outages = [f"{f['kind']} {f['lasted']:.0f} s" for f in run["faults"] if f["lasted"]]
        taken = {f["kind"]: f["taken_up"] for f in run["faults"]}
        cells = [
            KINDS[run["rig"]][1],
            f"{run['lease']:g} s" + (" (default)" if run["default_lease"] else ""),
            minutes(run["seconds"]),
            ", ".join(outages),
            str(run["attempts"]["lost"]),
            *(_seconds(taken.get(k)) for k in ("worker killed", "worker's host killed")),
            f"{run['trials']} of {run['trials']}" if run["sound"] else "**no**",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} s"


def minutes(seconds: float) -> str:
    """`12m40s`."""
    return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


def summary(runs: Sequence[Run]) -> str:
    """The same in a few lines."""
    short = [r for r in runs if not r.get("endurance")]
    faults: Counter[str] = Counter(f["kind"] for r in short for f in r["faults"])
    lines = [
        f"{len(short)} studies of {short[0]['trials']} trials and six workers on "
        f"{len({r['rig'] for r in short})} file systems, "
        f"{sum(r['sound'] for r in short)} of them with every trial ranked once. Survived: "
        + ", ".join(f"{kind} {n}×" for kind, n in sorted(faults.items()))
        + ".",
    ]
    taken_up = []
    for kind, whose in (
        ("worker killed", "the trial of a killed worker"),
        ("worker's host killed", "that of a worker whose whole host had died"),
    ):
        found = [
            (run["lease"], fault["taken_up"])
            for run in short
            if run["default_lease"]
            for fault in run["faults"]
            if fault["kind"] == kind and fault["taken_up"] is not None
        ]
        spans = []
        for lease in sorted({lease for lease, _ in found}):
            seconds = [taken for its, taken in found if its == lease]
            where = "local" if lease < 60 else "network"
            spans.append(f"{min(seconds):.0f} to {max(seconds):.0f} s on {where} file systems")
        taken_up.append(f"{whose} after {' and '.join(spans)}")
    lines.append(f"With default settings, another worker took up {', and '.join(taken_up)}.")
    lines += [_endured(run) for run in runs if run.get("endurance")]
    return textwrap.fill(" ".join(lines), 99, break_on_hyphens=False) + "\n"


def _endured(run: Run) -> str:
    grown = [t for t in run["trends"] if t["what"].endswith("memory, MB")]
    master = next(t for t in grown if t["what"].startswith("master"))
    workers = [t for t in grown if t["what"].startswith("worker")]
    kept = (master["last"] - master["first"]) * 1024 / master["counted"]
    return (
        f"And one of {run['trials']:,} trials over {minutes(run['seconds'])} with "
        f"{sum(run['faults'].values())} random faults on {KINDS[run['rig']][1]}: "
        f"{run['attempts']['lost']} attempts lost, no trial; the oldest workers' memory "
        f"{max(t['first'] for t in workers):.1f} MB in the first third of their lives and "
        f"{max(t['last'] for t in workers):.1f} MB in the last, the oldest master's "
        f"{master['first']:.0f} and {master['last']:.0f} MB: it keeps {kept:.1f} KB of history "
        "for each trial; descriptors and listings did not grow."
    )
