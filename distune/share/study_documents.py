"""A study's own documents: what it is, how it ended, and the heartbeats of master and workers."""

import errno
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import partial

from distune.errors import BadRecord, ShareError, UserError
from distune.share import protocol, records
from distune.share.folder import FolderLike
from distune.share.heartbeat import Finished, Mark, MasterBeat, WishedFor, padded
from distune.share.protocol import Halt
from distune.share.study_files import StudyFiles
from distune.study.study import Study
from distune.study.trial import Params, Record

_BEAT_LIMIT = 256 * 2**10  # bytes
#: Of all heartbeats together: a thousand workers have four, with a hundred trials each twenty.
_BEATS_LIMIT = 64 * 2**20

_README = """\
This is the folder of the distune study {name!r}. You can look at everything here with ls and cat.

study.json     what is searched; frozen
trials/        000017.1.jsonl                   waiting (trial 17, attempt 1)
               000017.1.jsonl.WORKER.taken      being trained by WORKER
               000017.1.jsonl.WORKER.done       finished, not yet counted
               000017.1.jsonl.WORKER.pruned     stopped by the master, not yet counted
               halt.pause.json, halt.stop.json, halt.stop-now.json
                                                you have said so (distune pause, distune stop)
               enqueue.0123456789abcdef.json    you want this tried (distune enqueue)
seen/000/      000017.jsonl                     counted: history
               000017.1.jsonl.WORKER.lost       given up; 000017.2 is the next attempt
               000017.test.jsonl                the winner, evaluated on the test set
asked.jsonl    one line per configuration, written before its first trial is published
history.jsonl  one line per counted trial; a cache, rebuilt from seen/
dropped.jsonl  the trials that you have dropped (distune drop)
workers/       heartbeats of the workers
artifacts/     what an objective wrote into trial.dir
checkpoints/   states that an interrupted training goes on from, or one that is trained further
quarantine/    files that distune could not make sense of
leaderboard.csv, best.json, finished.json       written when the study is over

Inside a trial's file: one JSON object a line (trial, claim, report..., result).
Delete the folder when no master and no worker runs, and the study is gone. Delete
nothing in it before that.
"""


class StudyDocuments(StudyFiles):
    """Files that are one record each."""

    def __init__(self, folder: FolderLike) -> None:
        super().__init__(folder)
        self._study: Study | None = None
        self._read: tuple[bytes, Study] | None = None  # last, because a master reads it often

    def create(self, study: Study) -> Study:
        """Publish a new study, or find the one that is there already. `study.json` comes last: a
        process that sees it may rely on the rest.
        """
        self.mend_folders()
        for path, data in (
            (protocol.README, _README.format(name=study.name).encode()),
            (protocol.ASKED, b""),
            (protocol.HISTORY, b""),
            (protocol.STUDY, records.encode_document(study)),
        ):
            try:
                self.folder.publish(path, data)
            except FileExistsError:
                pass
            self.folder.sync("")  # one after the other, also for a power cut
        return self.load()

    def freeze_anew(self, study: Study) -> None:
        """Have `study.json` say this of the same study: its only master may, between two runs."""
        if study != self.load():
            self.write_document(protocol.STUDY, records.encode_document(study))
            self.folder.sync("")
            self._study = study

    def load(self) -> Study:
        """The frozen study.

        Raises:
            FileNotFoundError: there is none here.
            BadRecord: `study.json` is not what it should be.
        """
        self._study = self._read_study()
        return self._study

    def _read_study(self) -> Study:
        data = self.folder.read(protocol.STUDY, limit=records.STUDY_LIMIT)
        if self._read is None or self._read[0] != data:
            self._read = data, records.decode_document(Study, data)
        return self._read[1]

    def is_replaced(self, names: Collection[str] | None = None) -> bool:
        """Whether another study lies now where this one was when it was loaded. `names`: a listing
        of the folder that has just been made, if one has.

        Raises:
            FileNotFoundError: none does, or the share is away.
            BadRecord: `study.json` is not what it should be.
        """
        assert self._study is not None
        # What is kept open may be the old folder.
        if protocol.STUDY not in (self.folder.names("") if names is None else names):
            raise FileNotFoundError(errno.ENOENT, "no such file", protocol.STUDY)
        return self._read_study().id != self._study.id

    def keep_study(self, names: Collection[str] | None = None) -> str | None:
        """See that `study.json` says of which study this folder is, as long as its master runs; a
        line for people, if it had to be written anew. `names`: as above.

        Raises:
            FileNotFoundError: the folder is gone, or the share is away.
            UserError: another study lies there, which its own master must have for itself.
        """
        assert self._study is not None
        name, why = self._study.name, "it was gone"
        try:
            if self.is_replaced(names):
                raise UserError(
                    f"study {name!r} was moved away or replaced: another study lies in its folder "
                    "now, and this master leaves it alone; to go on with the one before, put its "
                    "folder back, or start the master where it is"
                )
            return None
        except FileNotFoundError:
            pass
        except BadRecord as error:
            why = str(error)
            self.set_aside(protocol.STUDY, why)
        try:
            self.folder.publish(protocol.STUDY, records.encode_document(self._study))
        except FileExistsError:
            return None
        self.folder.sync("")
        return f"{protocol.STUDY}: {why}; written anew"

    def is_finished(self) -> bool:
        """Whether a master has said so; garbage of that name says nothing."""
        try:
            return self.read_finished() is not None
        except BadRecord:
            return False

    def read_finished(self, names: Collection[str] | None = None) -> Finished | None:
        """How the study ended; None if it has not. `names`: as above.

        Raises:
            BadRecord: something is called so that no master of this study wrote.
        """
        if protocol.FINISHED not in (self.folder.names("") if names is None else names):
            return None  # asked for by name, it might be missing long after it came
        try:
            data = self.folder.read(protocol.FINISHED, limit=records.LINE_LIMIT)
        except FileNotFoundError:
            return None
        finished = records.decode_document(Finished, data)
        self._check_study(finished.study)
        return finished

    def reopen(self) -> None:
        """Take the mark of the end away: the study goes on."""
        try:
            self._insist(protocol.FINISHED, lambda: self.folder.remove(protocol.FINISHED))
        except FileNotFoundError:
            pass

    # -- what a person wants -----------------------------------------------------------------

    def mark(self, halt: Halt, host: str) -> None:
        """Have every process of the study see that it is to halt. It may have been marked before.

        Raises:
            ShareError: it may be marked or not; do it again.
        """
        self._leave_mark(halt.path, host)

    def enqueue(self, wish: str, params: Params, host: str) -> None:
        """Have the master try a setting.

        Raises:
            ShareError: it may be asked for or not; do it again, as the same wish.
        """
        assert self._study is not None
        wanted = WishedFor(study=self._study.id, host=host, params=dict(params))
        data, path = records.encode_document(wanted), protocol.wish_path(wish)
        self._in_folder(protocol.TRIALS, lambda: self.write_document(path, data))
        self.folder.sync(protocol.TRIALS)

    def read_wish(self, wish: str) -> Params:
        """The setting of a wish that a listing of `trials/` shows.

        Raises:
            FileNotFoundError: another master has taken it in.
            BadRecord: no `enqueue` of this study has made it.
        """
        data = self.folder.read(protocol.wish_path(wish), limit=records.LINE_LIMIT)
        wanted = records.decode_document(WishedFor, data)
        self._check_study(wanted.study)
        return wanted.params

    def remove_wish(self, wish: str) -> None:
        """Take it away: it has been asked for."""
        self._take_away(protocol.wish_path(wish))

    def wish_again(self, trial: int, host: str) -> None:
        """Have the master have a counted trial trained again.

        Raises:
            ShareError: it may be asked for or not; do it again.
        """
        self._leave_mark(protocol.retry_path(trial), host)

    def check_retry(self, trial: int) -> None:
        """See that this study's `retry` has made what a listing of `trials/` shows.

        Raises:
            FileNotFoundError: another master has taken it in.
            BadRecord: it has not.
        """
        self._check_mark(protocol.retry_path(trial))

    def remove_retry(self, trial: int) -> None:
        """Take it away: it has been asked for."""
        self._take_away(protocol.retry_path(trial))

    def _leave_mark(self, path: str, host: str) -> None:
        assert self._study is not None
        data = records.encode_document(Mark(study=self._study.id, host=host))
        self._in_folder(protocol.TRIALS, lambda: self.write_document(path, data))
        self.folder.sync(protocol.TRIALS)

    def _check_mark(self, path: str) -> None:
        data = self.folder.read(path, limit=records.LINE_LIMIT)
        self._check_study(records.decode_document(Mark, data).study)

    def _take_away(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._insist(path, partial(self.folder.remove, path))

    def resume(self) -> None:
        """Take all marks away; a study that was stopped is not over any more, so that workers wait
        for its master.

        Raises:
            ShareError: some of it may be done; do it again.
        """
        for halt in reversed(Halt):  # or the study would seem to be paused for a moment
            try:
                self._insist(halt.path, partial(self.folder.remove, halt.path))
            except FileNotFoundError:
                continue
        self.folder.sync(protocol.TRIALS)
        with suppress(BadRecord):
            finished = self.read_finished()
            if finished is not None and finished.stopped:
                self.reopen()

    def read_halts(self, listed: Iterable[Halt]) -> tuple[Halt | None, dict[str, str]]:
        """The strongest of the marks that a listing of `trials/` shows; and the names of those that
        no `mark` of this study has made, and why.
        """
        found, bad = None, {}
        for halt in sorted(listed, key=list(Halt).index):
            try:
                self._check_mark(halt.path)
                found = halt
            except FileNotFoundError:
                continue  # an old listing
            except BadRecord as error:
                bad[halt.path.rpartition("/")[2]] = str(error)
        return found, bad

    def read_master(self) -> MasterBeat | None:
        """The master's heartbeat; None if there is none, or it is half written."""
        try:
            data = self.folder.read(protocol.MASTER, limit=records.LINE_LIMIT)
            beat = records.decode_document(MasterBeat, data)
            self._check_study(beat.study)
        except (FileNotFoundError, BadRecord):
            return None
        return beat

    def beat_as_master(self, record: Record) -> None:
        self._insist(protocol.MASTER, lambda: self.folder.rewrite(protocol.MASTER, padded(record)))

    # -- workers ---------------------------------------------------------------------------

    def beat(self, worker: str, record: Record) -> None:
        """Rewrite one's heartbeat in place, always the same length or longer."""
        path = protocol.beat_path(worker)

        def rewrite() -> None:
            self._insist(path, lambda: self.folder.rewrite(path, padded(record)))

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
        """Paths in `workers/` that are no worker's heartbeat, and why."""
        return self._read_beats()[1]

    def _read_beats(self) -> tuple[dict[str, bytes], dict[str, str]]:
        found: dict[str, bytes] = {}
        strange: dict[str, str] = {}
        size = 0
        for name in self._names_in(protocol.WORKERS):
            try:
                worker = protocol.parse_beat(name)
                found[worker] = self.folder.read(protocol.beat_path(worker), limit=_BEAT_LIMIT)
                size += len(found[worker])
                if size > _BEATS_LIMIT:
                    raise ShareError(
                        f"the heartbeats in {protocol.WORKERS}/ have more than "
                        f"{_BEATS_LIMIT >> 20} MB: remove those of no worker"
                    )
            except BadRecord as error:
                strange[f"{protocol.WORKERS}/{name}"] = str(error)
            except FileNotFoundError:
                continue
        return found, strange

    def _check_study(self, study: str) -> None:
        if self._study is not None and study != self._study.id:
            raise BadRecord("it belongs to another study")
