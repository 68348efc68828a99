"""What mattered, worked out in a process of its own: Optuna and all that it brings take 160 MB, and
its seconds of work would hold up what is sent meanwhile.
"""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from distune.share import records
from distune.study.study import Study
from distune.training.children import python_command

_PATIENCE = 300.0  # seconds


def importance_of(study: Study, lines: Sequence[bytes]) -> dict[str, Any]:
    """As `page.importance` says it; or `{"unknown": why}`.

    Args:
        lines: of what is counted, and of what is dropped, as the study's files have them.
    """
    document = records.encode_document(study)
    try:
        done = subprocess.run(
            python_command(__name__),
            input=b"%d\n%s%s" % (len(document), document, b"".join(lines)),
            stdout=subprocess.PIPE,
            timeout=_PATIENCE,
            check=True,
        )
    except subprocess.SubprocessError as error:
        return {"unknown": f"it could not be worked out: {error}"}
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found


def main() -> None:
    from distune.page import importance
    from distune.search.ranking import History
    from distune.study.trial import Counted, Dropped

    length = int(sys.stdin.buffer.readline())
    study = records.decode_document(Study, sys.stdin.buffer.read(length))
    history = History(study)
    for one in records.decode_lines(sys.stdin.buffer.read()):
        match one:
            case Counted():
                history.add(one)
            case Dropped():
                history.drop(one)
    sys.stdout.buffer.write(msgspec.json.encode(importance.importance_of(history)))


if __name__ == "__main__":
    main()
