"""The share: what file operations mean for a study. The only code that renames trial files,
appends to them or lists them.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from distune.errors import BadRecord, NotAFolder, ShareError, UserError
from distune.share import protocol, records
from distune.share.folder import Folder, FolderLike, answers, shown
from distune.share.heartbeat import Finished, MasterBeat
from distune.share.protocol import COUNTED, LIVE, Actor, AttemptName, State
from distune.study.study import Study
from distune.study.trial import Counted, Outcome, Purpose, Record, Trial

LOCAL_LEASE = 20.0  # seconds
NETWORK_LEASE = 120.0  # seconds; attribute caches live up to 60, see FILESYSTEMS in PROTOCOL.md
_BEAT_SIZE = 4096
_BEAT_LIMIT = 256 * 2**10
#: Answers that will be the same later: such a thing cannot be set aside.
_FOR_EVER = {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV, errno.EINVAL, errno.EROFS}
R = TypeVar("R", bound=Record)

_README = """\
This is the folder of the distune study {name!r}. You can look at everything here with ls and cat.

study.json     what is searched; frozen
trials/        000017.1.jsonl                   waiting (trial 17, attempt 1)
               000017.1.jsonl.WORKER.taken      being trained by WORKER
               000017.1.jsonl.WORKER.done       finished, not yet counted
seen/000/      000017.1.jsonl.WORKER.seen       counted: history
               000017.1.jsonl.WORKER.lost       given up; 000017.2 is the next attempt
               000017.1.jsonl.WORKER.pruned     stopped by the master, counted
               000017.1.test.jsonl.WORKER.seen  the winner, evaluated on the test set
asked.jsonl    one line per configuration, written before its first trial is published
history.jsonl  one line per counted trial; a cache, rebuilt from seen/
workers/       heartbeats of the workers
artifacts/     what an objective wrote into trial.dir
quarantine/    files that distune could not make sense of
leaderboard.csv, best.json, finished.json       written when the study is over

Inside a trial's file: one JSON object a line (trial, claim, report..., result).
Delete the folder when no master and no worker runs, and the study is gone. Delete
nothing in it before that.
"""


@dataclass(frozen=True)
class Listing:
    """What lies in `trials/`: attempts, and names that are no attempt's."""

    attempts: tuple[AttemptName, ...]
    strangers: tuple[str, ...]


class Store:
    """One study on the share: `Store(Folder(Path("logs/mnist")))`.

    Attributes:
        tell: takes a line for people, about something that was set aside.
    """

    def __init__(self, folder: FolderLike) -> None:
        self.folder = folder
        self.tell: Callable[[str], None] = lambda line: None
        self._study: Study | None = None
        self._torn: set[str] = set()  # files whose last append may have left half a line
        self._made: set[str] = set()
        self._stuck: set[str] = set()  # what cannot be set aside
        self._unsynced = False

    # -- the study ---------------------------------------------------------------------

    def create(self, study: Study) -> Study:
        """Publish a new study, or find the one that is there already.

        `study.json` comes last: who sees it may rely on the rest.
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

    def load(self) -> Study:
        """The frozen study.

        Raises:
            FileNotFoundError: there is none here.
            BadRecord: `study.json` is not what it should be.
        """
        data = self.folder.read(protocol.STUDY, limit=records.LINE_LIMIT)
        self._study = records.decode_document(Study, data)
        return self._study

    def mend_folders(self) -> None:
        """See that the study's own folders are there, and are folders.

        Raises:
            NotAFolder: one is a symbolic link, and what it should hold may lie behind it.
        """
        for folder in protocol.FOLDERS:
            self._made.discard(folder)
            self._ensure_folder(folder)

    def is_finished(self) -> bool:
        """Whether a master has said so; garbage of that name says nothing."""
        try:
            return self.read_finished() is not None
        except BadRecord:
            return False

    def read_finished(self) -> Finished | None:
        """How the study ended; None if it has not.

        Raises:
            BadRecord: something is called so that no master of this study wrote.
        """
        if protocol.FINISHED not in self.folder.names(""):
            return None  # asked for by name, it might be missing long after it came
        try:
            data = self.folder.read(protocol.FINISHED, limit=records.LINE_LIMIT)
        except FileNotFoundError:
            return None
        finished = records.decode_document(Finished, data)
        self._check_study(finished.study)
        return finished

    def read_master(self) -> MasterBeat | None:
        """The master's heartbeat; None if there is none, or it is half written."""
        try:
            data = self.folder.read(protocol.MASTER, limit=records.LINE_LIMIT)
            beat = records.decode_document(MasterBeat, data)
            self._check_study(beat.study)
        except (FileNotFoundError, BadRecord):
            return None
        return beat

    def _check_study(self, study: str) -> None:
        if self._study is not None and study != self._study.id:
            raise BadRecord("it belongs to another study")

    def write_document(self, path: str, data: bytes) -> None:
        """A file that is read once it is complete."""
        self._insist(path, lambda: self.folder.replace(path, data))
        self._torn.discard(path)

    def reopen(self) -> None:
        """Take the mark of the end away: the study goes on."""
        try:
            self._insist(protocol.FINISHED, lambda: self.folder.remove(protocol.FINISHED))
        except FileNotFoundError:
            pass

    # -- attempts ----------------------------------------------------------------------

    def listing(self) -> Listing:
        """What lies in `trials/` now. A file renamed meanwhile may be missing from it:
        nothing is ever concluded from one absence.
        """
        attempts, strangers = [], []
        for name in self.folder.names(protocol.TRIALS):
            if f"{protocol.TRIALS}/{name}" in self._stuck:
                continue
            try:
                attempts.append(AttemptName.parse(name))
            except BadRecord:
                strangers.append(name)
        return Listing(tuple(attempts), tuple(strangers))

    def listing_for(self, worker: str) -> Listing:
        """Of what lies in `trials/`, what waits and what that worker has."""
        found = []
        for name in self.folder.names(protocol.TRIALS):
            if protocol.may_be_for(worker, name):
                try:
                    found.append(AttemptName.parse(name))
                except BadRecord:
                    continue
        return Listing(tuple(found), ())

    def read_attempt(self, name: AttemptName, *, seen: bool = False) -> records.AttemptFile:
        """What an attempt's file says.

        Raises:
            FileNotFoundError: it has moved on.
            BadRecord: it is not what its name says.
        """
        data = self.folder.read(name.seen_path if seen else name.live_path)
        file = records.parse_attempt(data)
        self._check_study(file.trial.study)
        if (file.trial.key, file.trial.attempt) != (name.key, name.attempt):
            raise BadRecord(f"it holds attempt {file.trial.attempt} of trial {file.trial.number}")
        if self._study is not None and not self._study.is_current:
            return replace(file, trial=file.trial.as_of_now(self._study.repeats))
        return file

    def read_ended(self, name: AttemptName, *, seen: bool = False) -> records.AttemptFile:
        """What the file of an attempt says that is over; a result counts if it is from the
        worker in the name, who had claimed the trial.

        Raises:
            FileNotFoundError: it has moved on.
            BadRecord: it is not what its name says.
        """
        file = self.read_attempt(name, seen=seen)
        if name.state in (State.DONE, State.SEEN):
            if file.result is None:
                raise BadRecord("there is no result in it")
            if file.claim is None:
                raise BadRecord("there is a result in it, but no claim")
            if file.claim.worker != name.worker:
                raise BadRecord(f"it was claimed by another worker, {shown(file.claim.worker)}")
            if file.claim.fingerprint not in ("", file.trial.fingerprint):
                raise BadRecord("its worker had read another setting under that name")
        return file

    def attempts_of(self, trial: int) -> list[tuple[AttemptName, records.AttemptFile]]:
        """All attempts at one trial, wherever they lie, in their order."""
        live = [n for n in self.listing().attempts if n.trial == trial]
        found = []
        for name, seen in [(n, False) for n in live] + [(n, True) for n in self.seen_of(trial)]:
            try:
                found.append((name, self.read_attempt(name, seen=seen)))
            except (FileNotFoundError, BadRecord):
                continue
        return sorted(found, key=lambda pair: (pair[0].purpose, pair[0].attempt))

    def read_counted(self, counted: Counted) -> records.AttemptFile:
        """The file of a counted trial: in `seen/`, or where its master still has it.

        Raises:
            FileNotFoundError: it is gone.
            BadRecord: it is not what it should be.
        """
        trial, pruned = counted.trial, counted.result.outcome is Outcome.PRUNED
        state = State.PRUNED if pruned else State.SEEN
        name = AttemptName(trial.number, trial.attempt, trial.purpose, counted.worker, state)
        AttemptName.parse(name.filename)  # the worker is any text that the history has
        try:
            return self.read_attempt(name, seen=True)
        except FileNotFoundError:
            for found, file in self.attempts_of(trial.number):
                if (found.key, found.attempt) == (name.key, name.attempt):
                    return file
            raise

    def read_artifact(self, trial: Trial, name: str, limit: int) -> bytes:
        """A file that an attempt's objective left in its folder.

        Raises:
            FileNotFoundError: it left none of that name.
            BadRecord: it is no file, or has more than `limit` bytes.
            NotAFolder: something else is where its folder should be.
        """
        path = protocol.artifact_path(trial.number, trial.attempt, name)
        return self.folder.read(path, limit=limit)

    def publish(self, trial: Trial) -> None:
        """Nothing -> waiting. That it is there already is as good. See `sync`."""
        self._unsynced = True
        try:
            self.folder.publish(AttemptName.waiting(trial).live_path, records.encode(trial))
        except FileExistsError:
            pass

    def publish_all(self, trials: Iterable[Trial], before: Callable[[Trial], None]) -> None:
        """Nothing -> waiting, for several: see `publish`. In their order, so that a crash leaves
        no gap.

        Args:
            trials: to be published.
            before: is told of each when it may be there from now on.

        Raises:
            ShareError: that of which `before` was told last may be there or not, those after it
                are not.
        """
        self._unsynced = True
        paths = {AttemptName.waiting(trial).live_path: trial for trial in trials}
        contents = {path: records.encode(trial) for path, trial in paths.items()}
        with self.folder.drafts(contents) as publish:
            for path, trial in paths.items():
                before(trial)
                try:
                    publish(path)
                except FileExistsError:
                    pass

    def sync(self) -> None:
        """Have what was published survive a power cut: once for all of a step's trials."""
        if self._unsynced:
            self.folder.sync(protocol.TRIALS)
            self._unsynced = False

    def rest(self) -> None:
        """Hold nothing open on the share until the next operation."""
        self.folder.rest()

    def claim(self, name: AttemptName, worker: str) -> AttemptName | None:
        """Waiting -> taken; None if another was faster, or so it seems: a claim that was made
        and whose answer got lost is found in one's next listing.
        """
        taken = name.moved(State.TAKEN, Actor.ANY_WORKER, worker)
        return taken if self._move(name.live_path, taken.live_path, look=False) else None

    def append(self, name: AttemptName, lines: Sequence[Record]) -> None:
        """Add to the file of an attempt one owns.

        Raises:
            FileNotFoundError: one does not own it any more (P7).
        """
        self.append_lines(name.live_path, map(records.encode, lines))

    def finish(self, name: AttemptName) -> bool:
        """Taken -> done; False if one has been evicted."""
        return self._move(name.live_path, name.moved(State.DONE, Actor.OWNER).live_path)

    def give_up(self, name: AttemptName, actor: Actor) -> bool:
        """Taken (or done) -> lost, still in `trials/`: the master has to see to a successor."""
        return self._move(name.live_path, name.moved(State.LOST, actor).live_path)

    def prune(self, name: AttemptName) -> AttemptName | None:
        """Taken -> pruned; None if it was faster."""
        pruned = name.moved(State.PRUNED, Actor.MASTER)
        folder = protocol.seen_folder(name.trial)
        moved = self._in_folder(folder, lambda: self._move(name.live_path, pruned.seen_path))
        return pruned if moved else None

    def withdraw(self, name: AttemptName) -> None:
        """Waiting -> nothing. A claim that is faster wins, and this does nothing."""
        try:
            self.read_attempt(name)
            self.folder.remove(name.live_path)
        except FileNotFoundError:
            pass
        except BadRecord as error:  # nothing of ours: somebody may want to see it
            self.set_aside(name.live_path, str(error))

    def settle(self, name: AttemptName) -> bool:
        """Done -> seen, or put a lost one away: nobody has to do anything about it any more."""
        settled = name if name.state is State.LOST else name.moved(State.SEEN, Actor.MASTER)
        folder = protocol.seen_folder(name.trial)
        return self._in_folder(folder, lambda: self._move(name.live_path, settled.seen_path))

    def quarantine(self, filename: str, why: str) -> None:
        """Set a file of `trials/` aside that makes no sense here (P10)."""
        self.set_aside(f"{protocol.TRIALS}/{filename}", why)

    def set_aside(self, path: str, why: str) -> None:
        """Move something that makes no sense into `quarantine/`, over nothing that is there,
        and say so. What cannot be moved is named once, and is then left alone.
        """
        if path in self._stuck:
            return
        target = ""

        def put_away() -> bool:
            nonlocal target
            target = self._free_name(path)
            return self._move(path, target)

        try:
            moved = self._in_folder(protocol.QUARANTINE, put_away)
        except ShareError as error:
            self._get_stuck(path, why, error)
        else:
            if moved:
                self.tell(f"{shown(path)} set aside as {shown(target)}: {why}")

    def _get_stuck(self, path: str, why: str, error: ShareError) -> None:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _FOR_EVER:
            raise error
        self._stuck.add(path)
        self.tell(f"{shown(path)} is left alone: {why}; {error}")

    def _free_name(self, path: str) -> str:
        """A name in `quarantine/` that nothing has."""
        there = set(self.folder.names(protocol.QUARANTINE))
        name = protocol.aside_name(path)
        while name in there:
            name = protocol.aside_name(path, secrets.token_hex(4))
        return f"{protocol.QUARANTINE}/{name}"

    def _insist(self, path: str, write: Callable[[], None]) -> None:
        """Write something of one's own, whatever somebody has put in its place.

        Raises:
            ShareError: that cannot be set aside.
        """
        try:
            write()
        except BadRecord as error:
            self.set_aside(path, str(error))
            try:
                write()
            except BadRecord as again:
                raise ShareError(f"cannot write {shown(path)}: {again}") from error

    def _move(self, source: str, target: str, *, look: bool = True) -> bool:
        """Rename, and find out whether it happened: believe the state, not the answer (P8).

        Every target is a name that only this mover would make, so finding it is proof. Without
        `look`, that the old name is gone is believed.

        Returns:
            True if the file has its new name; False if the old name was gone.

        Raises:
            ShareError: nobody knows; it may have happened. Do the same again later.
        """
        (folder, _, filename), (outer, _, before) = target.rpartition("/"), source.rpartition("/")
        try:
            try:
                self.folder.move(source, target)
            except BadRecord as error:
                self.set_aside(target, str(error))
                self.folder.move(source, target)
            return True
        except FileNotFoundError:
            if not look:
                return False  # on NFS this may mean: done, and the reply was lost
        except BadRecord as error:
            raise ShareError(f"cannot rename {shown(source)}: {error}") from error
        except ShareError:
            if filename in self._look_again(folder):
                return True
            raise
        names = self._look_again(folder)
        if filename in names:
            return True
        if folder == outer and before in names:  # in a folder that somebody has put in its place
            try:
                self.folder.move(source, target)
            except FileNotFoundError:
                return False  # an old listing
            except BadRecord as error:
                raise ShareError(f"cannot rename {shown(source)}: {error}") from error
            return True
        return False

    def _look_again(self, folder: str) -> list[str]:
        """A listing that is not this host's own old one."""
        self.folder.poke(folder)
        return self.folder.names(folder)

    def distrust_tail(self, path: str) -> None:
        """Whoever wrote this file before may have died in the middle of a line."""
        self._torn.add(path)

    def append_lines(self, path: str, lines: Iterable[bytes]) -> None:
        """Add encoded records to a file, on a line of their own, and have them on the disk.

        Raises:
            FileNotFoundError: there is no such file.
            BadRecord: there is something else of its name.
            ShareError: they may be there or not.
        """
        data = b"".join(lines)
        if not data:
            return
        if path in self._torn:
            data = b"\n" + data
        self._torn.add(path)
        self.folder.append(path, data)
        self._torn.discard(path)

    def _ensure_folder(self, folder: str) -> None:
        """Make a folder, once; a file in its place is set aside.

        Raises:
            NotAFolder: it is a symbolic link. What it should hold may lie behind it.
        """
        if folder in self._made:
            return
        outer = folder.rpartition("/")[0]
        if outer:
            self._ensure_folder(outer)
        try:
            self.folder.make_folder(folder)
        except NotAFolder as error:
            if error.path == protocol.QUARANTINE:
                aside = protocol.aside_name(error.path, secrets.token_hex(4))
                self._move(error.path, aside)
                self.tell(f"{shown(error.path)} renamed to {aside}: it is not a folder")
            elif error.link or error.path != folder:
                raise
            else:
                self.set_aside(folder, "it is not a folder")
            self.folder.make_folder(folder)
        self._made.add(folder)

    def _in_folder(self, folder: str, act: Callable[[], bool]) -> bool:
        """Do something that needs a folder, which somebody may have deleted since."""
        try:
            self._ensure_folder(folder)
            return act()
        except (FileNotFoundError, NotAFolder):
            self._made -= {folder, folder.rpartition("/")[0]}
            self._ensure_folder(folder)
            return act()

    # -- history -----------------------------------------------------------------------

    def seen(self, known: Container[int] = ()) -> Iterator[AttemptName]:
        """Everything in `seen/`. As long as the history: only for a start and for repairs.

        Args:
            known: trials that may be left out, but for their tests; most of a long history is,
                and need not be taken apart.
        """
        for name in self._names_in(protocol.SEEN):
            try:
                folder = protocol.parse_seen_folder(name)
            except BadRecord:
                continue
            yield from self._seen_in(folder, known)

    def seen_of(self, trial: int) -> list[AttemptName]:
        """What `seen/` has of one trial."""
        return [n for n in self._seen_in(protocol.seen_folder(trial)) if n.trial == trial]

    def _names_in(self, folder: str) -> list[str]:
        """A listing; nothing, if there is no folder."""
        try:
            return self.folder.names(folder)
        except FileNotFoundError:
            return []
        except NotAFolder as error:
            if error.link:
                raise
            return []

    def _seen_in(self, folder: str, known: Container[int] = ()) -> list[AttemptName]:
        found = []
        names = self._names_in(folder)
        if known != ():
            names = [name for name in names if protocol.trained_trial(name) not in known]
        for name in names:
            try:
                found.append(_parse_seen(folder, name))
            except BadRecord:
                continue
        return found

    def inspect_seen(self) -> Iterator[tuple[str, str | None]]:
        """Each path in `seen/`, and why it has no business there, if so. Reads every file:
        for going through a few at a time.
        """
        for name in self._names_in(protocol.SEEN):
            try:
                folder = protocol.parse_seen_folder(name)
                names = self.folder.names(folder)
            except (BadRecord, NotAFolder) as error:
                if isinstance(error, NotAFolder) and error.link:
                    raise
                yield f"{protocol.SEEN}/{name}", "it is not a folder of history"
                continue
            except FileNotFoundError:
                continue
            yield from self._inspect_seen_folder(folder, names)

    def _inspect_seen_folder(
        self, folder: str, names: Iterable[str]
    ) -> Iterator[tuple[str, str | None]]:
        attempts = []
        for name in names:
            try:
                attempts.append(_parse_seen(folder, name))
            except BadRecord as error:
                yield f"{folder}/{name}", str(error)
        ended: dict[tuple[Purpose, int], AttemptName] = {}
        for attempt in sorted(attempts):
            try:
                self.read_ended(attempt, seen=True)
                if attempt.state in COUNTED:
                    first = ended.setdefault(attempt.key, attempt)
                    if first != attempt:
                        raise BadRecord(f"{first.filename} has been counted for this trial")
            except FileNotFoundError:
                continue
            except BadRecord as error:
                yield attempt.seen_path, str(error)
            else:
                yield attempt.seen_path, None

    # -- heartbeats --------------------------------------------------------------------

    def beat(self, worker: str, record: Record) -> None:
        """Rewrite one's heartbeat in place, always the same length or longer."""
        path = protocol.beat_path(worker)

        def rewrite() -> bool:
            self._insist(path, lambda: self.folder.rewrite(path, _padded(record)))
            return True

        self._in_folder(protocol.WORKERS, rewrite)

    def beat_as_master(self, record: Record) -> None:
        self._insist(protocol.MASTER, lambda: self.folder.rewrite(protocol.MASTER, _padded(record)))

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


def _parse_seen(folder: str, filename: str) -> AttemptName:
    """The name of a file of history.

    Raises:
        BadRecord: it has no business in that folder.
    """
    name = AttemptName.parse(filename)
    if name.state in LIVE:
        raise BadRecord(f"what is {name.state} has no business in {protocol.SEEN}/")
    if protocol.seen_folder(name.trial) != folder:
        raise BadRecord(f"trial {name.trial} belongs into {protocol.seen_folder(name.trial)}/")
    return name


def _padded(record: Record) -> bytes:
    return records.encode_document(record).ljust(_BEAT_SIZE - 1) + b"\n"


def find_studies(logs: Path, only: str | None = None) -> dict[str, Store]:
    """The studies in a logs directory, by name; one that is a symbolic link is among them,
    and says so when it is loaded.

    Raises:
        ShareError: the directory cannot be listed now.
    """
    with answers("list", logs):
        try:
            names = sorted(os.listdir(logs))
        except FileNotFoundError:
            return {}
    found: dict[str, Store] = {}
    for name in names:
        if name.startswith(".") or (only is not None and name != only):
            continue
        folder = Folder(logs / name, network=True)
        try:
            if protocol.STUDY in folder.names(""):
                found[name] = Store(Folder(logs / name))
        except NotAFolder as error:
            if error.link:
                found[name] = Store(folder)
        except FileNotFoundError:
            continue  # gone again
        except ShareError as error:
            # A folder of somebody else's is not for us. Anything else must not look as if the
            # study had been deleted.
            if not isinstance(error.__cause__, PermissionError):
                raise
    return found


def open_study(logs: Path, name: str | None) -> Store:
    """The study of that name; without a name, the only one there is.

    Raises:
        UserError: there is none, or more than one to choose from, or it cannot be used.
    """
    studies = find_studies(logs, name)
    if name is None:
        studies = {one: store for one, store in studies.items() if not os.path.islink(logs / one)}
    elif name not in studies:
        there = ", ".join(find_studies(logs)) or "none"
        raise UserError(f"no study {name!r} in {logs} (there: {there}); check --logs and --study")
    if not studies:
        raise UserError(f"no study in {logs}; start one: distune master --space FILE --logs {logs}")
    if len(studies) > 1:
        raise UserError(
            f"{len(studies)} studies in {logs}: choose one with --study ({', '.join(studies)})"
        )
    ((found, store),) = studies.items()
    try:
        store.load()
    except BadRecord as error:
        raise UserError(
            f"{shown(f'{logs / found}/{protocol.STUDY}')} cannot be used: {error}"
        ) from None
    except NotAFolder as error:
        raise UserError(str(error)) from None
    return store
