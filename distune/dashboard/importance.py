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


class ImportanceOf:
    """`ImportanceOf(study, lines).found()`: as `page.importance` says it; or `{"unknown": why}`.

    Args:
        lines: of what is counted, and of what is dropped, as the study's files have them.
    """

    def __init__(self, study: Study, lines: Sequence[bytes]) -> None:
        document = records.encode_document(study)
        self._told = b"%d\n%s%s" % (len(document), document, b"".join(lines))
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(python_command(__name__), stdin=pipe, stdout=pipe)

    def found(self) -> dict[str, Any]:
        with self._process as process:
            try:
                answer, _ = process.communicate(self._told, _PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        if process.returncode:
            return {"unknown": "it could not be worked out"}
        found: dict[str, Any] = msgspec.json.decode(answer)
        return found

    def end(self) -> None:
        self._process.kill()


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
