"""A program that goes on where it was interrupted; examples/resume.json tunes it."""

import argparse
import json
import os
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--seconds", type=float, default=1.0, help="of each step")
parser.add_argument("--resume", type=Path, help="what was saved last")
parser.add_argument("--dir", type=Path, required=True)
arguments = parser.parse_args()

step, weight = 0, 10.0
if arguments.resume is not None:
    saved = json.loads(arguments.resume.read_text())
    step, weight = saved["step"], saved["weight"]

while step < arguments.steps:
    time.sleep(arguments.seconds)
    weight -= arguments.lr * 2 * weight  # gradient of weight**2
    step += 1

    file = arguments.dir / "state.json"
    aside = file.with_suffix(".part")
    aside.write_text(json.dumps({"step": step, "weight": weight}))
    os.replace(aside, file)
    print(json.dumps({"loss": weight**2, "checkpoint": str(file)}), flush=True)
