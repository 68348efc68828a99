"""The heartbeats of workers, a file each."""

from __future__ import annotations

from distune.errors import BadRecord
from distune.share import protocol
from distune.share.heartbeat import padded
from distune.share.study_files import StudyFiles
from distune.study.trial import Record

_BEAT_LIMIT = 256 * 2**10


class HeartbeatFiles(StudyFiles):
    """What lies in `workers/`."""

    def beat(self, worker: str, record: Record) -> None:
        """Rewrite one's heartbeat in place, always the same length or longer."""
        path = protocol.beat_path(worker)

        def rewrite() -> bool:
            self._insist(path, lambda: self.folder.rewrite(path, padded(record)))
            return True

        self._in_folder(protocol.WORKERS, rewrite)

    def remove_beat(self, worker: str) -> None:
        try:
            self.folder.remove(protocol.beat_path(worker))
        except (FileNotFoundError, BadRecord):
            pass

    def beats(self) -> dict[str, bytes]:
        """The heartbeat of every worker, as it stands."""
        return self._read_beats()[0]

    def strange_beats(self) -> dict[str, str]:
        """Paths in `workers/` that are nobody's heartbeat, and why."""
        return self._read_beats()[1]

    def _read_beats(self) -> tuple[dict[str, bytes], dict[str, str]]:
        found: dict[str, bytes] = {}
        strange: dict[str, str] = {}
        for name in self._names_in(protocol.WORKERS):
            try:
                worker = protocol.parse_beat(name)
                found[worker] = self.folder.read(protocol.beat_path(worker), limit=_BEAT_LIMIT)
            except BadRecord as error:
                strange[f"{protocol.WORKERS}/{name}"] = str(error)
            except FileNotFoundError:
                continue
        return found, strange
