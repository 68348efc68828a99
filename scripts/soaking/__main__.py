"""`scripts/soak`: see its first lines."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from scripts.soaking import results
from scripts.soaking.endurance import Endurance
from scripts.soaking.rigs import KINDS, CannotRun, NetRig, make_rig
from scripts.soaking.scenario import Soak, say

_CANNOT_RUN = 3


def main() -> int:
    options = _parse()
    if options.list:
        for name, (_, title) in KINDS.items():
            print(f"{name:<8} {title}")
        return 0
    if options.collect:
        results.collect(options.collect)
        return 0
    if options.table:
        print(results.table(results.load()), end="")
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    work = Path(os.environ["SOAK_WORK"])
    try:
        with make_rig(options.rig, work / options.rig) as rig:
            lease = None if options.lease == "default" else options.lease
            if options.endurance:
                if isinstance(rig, NetRig):
                    raise CannotRun(f"an endurance run needs its processes here, not on {rig.name}")
                result = Endurance(rig, options.trials, options.minutes, options.seed).run()
            else:
                result = Soak(rig, options.trials, lease, options.seed).run()
    except CannotRun as error:
        print(f"soak: cannot run here: {error}", file=sys.stderr)
        return _CANNOT_RUN
    except KeyboardInterrupt:
        say("interrupted; everything that was started is ended")
        return 130
    for check, problems in result["checks"].items():
        print(f"{'no ' if problems else 'yes'}  {check}{'; '.join(['', *problems])}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if result["sound"] else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--rig", choices=KINDS, help="the file system")
    what.add_argument("--list", action="store_true", help="list the file systems")
    what.add_argument("--table", action="store_true", help="what has been kept, as a table")
    what.add_argument(
        "--collect", type=Path, nargs="+", metavar="FILE",
        help="keep what --json wrote in docs/, and renew the page that quotes it",
    )  # fmt: skip
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument(
        "--endurance", action="store_true", help="random faults of all kinds, for --minutes"
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--lease", default="default", help="5s, or default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, too")
    return parser.parse_args()


def _interrupt(sig: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
