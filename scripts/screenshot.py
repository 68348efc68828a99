"""Run a preset with two workers and keep a picture of its live view as SVG."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from distune.share.find_studies import open_study
from distune.share.protocol import State
from distune.watch.display.live import render
from distune.watch.display.wish import UNCHANGED
from distune.watch.observer import Observer

WIDTH, HEIGHT = 110, 36
COUNTED = 12  # trials that shall be in the ranking by then
DEADLINE = 600.0  # seconds


def main(preset: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as logs:
        command = [sys.executable, "-m", "distune", "master", "--space", preset, "--logs", logs]
        master = subprocess.Popen(
            [*command, "--workers", "2", "--plain"], stdout=subprocess.DEVNULL
        )
        try:
            draw(Path(logs), preset, target)
        finally:
            master.terminate()
            master.wait()


def draw(logs: Path, preset: str, target: Path) -> None:
    """Wait until there is something to see, and draw it."""
    observer: Observer | None = None
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if not (logs / preset / "study.json").exists():
            continue
        observer = observer or Observer(open_study(logs, preset))
        snapshot = observer.look(curves=True)
        curves = [len(snapshot.files[n].reports) for n in snapshot.in_state(State.TAKEN)
                  if n in snapshot.files]  # fmt: skip
        if len(snapshot.history) >= COUNTED and len(curves) == 2 and min(curves) >= 2:
            console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO())
            console.print(render(snapshot, WIDTH, HEIGHT, UNCHANGED, quits=False))
            target.parent.mkdir(exist_ok=True)
            console.save_svg(str(target), title=f"distune master --space {preset} --workers 2")
            print(f"wrote {target}: {len(snapshot.history)} trials counted")
            return
    raise SystemExit(f"nothing worth a picture within {DEADLINE:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
