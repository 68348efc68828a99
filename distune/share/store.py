"""The attempts of a study: the only code that renames, appends to or lists trial files."""

import math
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby

from distune.errors import BadRecord, NotAFolder, ShareError
from distune.share import protocol, records
from distune.share.folder import FolderLike
from distune.share.protocol import Actor, AttemptName, Halt, State
from distune.share.shown_paths import shown
from distune.share.study_documents import StudyDocuments
from distune.study.trial import Counted, Outcome, Purpose, Record, Trial

LOCAL_LEASE = 20.0  # seconds
_MOST_ATTEMPTS = 1000  # at a trial, of which the files are read; a tenth of it would be many
_WEIGHTS_LIMIT = 2**28  # bytes of the winner's weights
NETWORK_LEASE = 120.0  # seconds; attribute caches live up to 60, see FILESYSTEMS in PROTOCOL.md


@dataclass(frozen=True)
class Listing:
    """What lies in `trials/`: attempts, names that are no attempt's, marks (`read_halts`), and what
    persons want tried (`read_wish`), or tried again (numbers of counted trials).
    """

    attempts: tuple[AttemptName, ...]
    strangers: tuple[str, ...]
    halts: tuple[Halt, ...] = ()
    wishes: tuple[str, ...] = ()
    retries: tuple[int, ...] = ()

    @property
    def is_wanted(self) -> bool:
        """Whether a person wants something that no master has asked for."""
        return bool(self.wishes or self.retries)


def as_attempt(name: AttemptName, file: records.AttemptFile) -> AttemptName:
    """A name that says which attempt it is and whose; that of what is counted does not."""
    if name.attempt:
        return name
    worker = file.claim.worker if file.claim else ""
    return name._replace(attempt=file.trial.attempt, worker=worker)


@dataclass(frozen=True)
class SeenFile:
    """Something that lies in `seen/`."""

    path: str
    name: AttemptName | None = None  # None if no file of history is called so
    file: records.AttemptFile | None = None  # None if it cannot be used
    problem: str = ""  # why it cannot


class Store(StudyDocuments):
    """One study on the share: `Store(Folder(Path("logs/mnist")))`."""

    def __init__(self, folder: FolderLike) -> None:
        super().__init__(folder)
        #: Bytes of attempts' files, so far: what a look has read tells when it has read enough.
        self.bytes_read = 0
        self._unsynced = False

    def listing(self, *, viewer: bool = False) -> Listing:
        """What lies in `trials/` now. A file renamed meanwhile may be missing from it: nothing is
        ever concluded from one absence. A viewer takes a copy of a study that has lost its empty
        folders as it is.
        """
        attempts, strangers, halts = [], [], []
        wishes, retries = [], []
        for name in self._trial_names(viewer):
            if f"{protocol.TRIALS}/{name}" in self._stuck:
                continue
            try:
                attempts.append(AttemptName.parse(name))
            except BadRecord:
                if name in protocol.HALTS:
                    halts.append(protocol.HALTS[name])
                elif (wish := protocol.parse_wish(name)) is not None:
                    wishes.append(wish)
                elif (trial := protocol.parse_retry(name)) is not None:
                    retries.append(trial)
                else:
                    strangers.append(name)
        wanted = tuple(wishes), tuple(retries)
        return Listing(tuple(attempts), tuple(strangers), tuple(halts), *wanted)

    def _trial_names(self, viewer: bool) -> list[str]:
        try:
            return self.folder.names(protocol.TRIALS)
        except FileNotFoundError:
            if not viewer or protocol.STUDY not in self.folder.names(""):
                raise  # a master makes the folder again; a viewer waits for a share that is away
            return []

    def read_attempt(
        self, name: AttemptName, *, seen: bool = False, limit: int = records.SIZE_LIMIT
    ) -> records.AttemptFile:
        """What an attempt's file says.

        Raises:
            FileNotFoundError: it has moved on.
            BadRecord: it is not what its name says, or has more than `limit` bytes.
        """
        if name.state is State.WAITING:  # one line
            limit = records.LINE_LIMIT
        data = self.folder.read(name.seen_path if seen else name.live_path, limit=limit)
        self.bytes_read += len(data)
        file = records.parse_attempt(data)
        self._check_study(file.trial.study)
        if file.trial.key != name.key or name.attempt not in (0, file.trial.attempt):
            raise BadRecord(f"it holds attempt {file.trial.attempt} of trial {file.trial.number}")
        if self._study is not None and not self._study.is_current:
            return replace(file, trial=file.trial.as_of_now(self._study.repeats))
        return file

    def read_more(self, name: AttemptName, offset: int, limit: int) -> tuple[list[Record], int]:
        """What the file of an attempt that is trained has from an offset on, `limit` bytes at most,
        and the offset where what it will have begins.

        Raises:
            FileNotFoundError: it has moved on.
            BadRecord: it is no file, or a line of it does not end.
        """
        data = self.folder.read(name.live_path, offset, limit, part=True)
        self.bytes_read += len(data)
        end = data.rfind(b"\n") + 1
        if not end and len(data) > records.LINE_LIMIT:
            raise BadRecord("a line of it does not end")
        return list(records.decode_lines(data[:end])), offset + end

    def read_ended(self, name: AttemptName, *, seen: bool = False) -> records.AttemptFile:
        """`read_attempt` of one that is over; what counts must be of the worker in the name."""
        file = self.read_attempt(name, seen=seen)
        if name.state in (State.DONE, State.SEEN, State.PAUSED):
            if file.result is None:
                raise BadRecord("there is no result in it")
            if file.claim is None:
                raise BadRecord("there is a result in it, but no claim")
            if (file.result.outcome is Outcome.PAUSED) != (name.state is State.PAUSED):
                raise BadRecord(f"its result is {file.result.outcome}")
        if name.state is not State.LOST and file.claim is not None:
            if name.worker not in ("", file.claim.worker):
                raise BadRecord(f"it was claimed by another worker, {shown(file.claim.worker)}")
            if file.claim.fingerprint not in ("", file.trial.fingerprint):
                raise BadRecord("its worker had read another setting under that name")
        return file

    def attempts_of(self, trial: int) -> list[tuple[AttemptName, records.AttemptFile]]:
        """All attempts at one trial, wherever they lie, in their order. Of so many, or such long
        ones, that they could fill the memory, the last ones.
        """
        live = [n for n in self.listing(viewer=True).attempts if n.trial == trial]
        there = [(n, False) for n in live] + [(n, True) for n in self.seen_of(trial)]
        there.sort(key=lambda pair: (pair[0].purpose, pair[0].attempt or math.inf))
        found: list[tuple[AttemptName, records.AttemptFile]] = []
        room = records.Room()
        for name, seen in reversed(there[-_MOST_ATTEMPTS:]):
            try:
                file = self.read_attempt(name, seen=seen)
            except (FileNotFoundError, BadRecord):
                continue
            if not room.takes(file):
                break
            found.append((as_attempt(name, file), file))
        return sorted(found, key=lambda pair: (pair[0].purpose, pair[0].attempt))

    def read_counted(self, counted: Counted) -> records.AttemptFile:
        """The file of a counted trial.

        Raises:
            FileNotFoundError: it is gone.
            BadRecord: it is not what it should be.
        """
        if self._study is None or self._study.is_current:
            name = AttemptName.counted(counted.key)
            file = self.read_attempt(name, seen=True)
            found = as_attempt(name, file)
            if (found.attempt, found.worker) != (counted.trial.attempt, counted.worker):
                raise BadRecord("it is not the attempt that the history has")
            return file
        trial, pruned = counted.trial, counted.result.outcome is Outcome.PRUNED
        state = State.PRUNED if pruned else State.SEEN
        name = AttemptName(trial.number, trial.attempt, trial.purpose, counted.worker, state)
        AttemptName.parse(name.filename)  # the worker is any text that the history has
        return self.read_attempt(name, seen=True)

    def read_artifact(self, trial: Trial, name: str, limit: int) -> bytes:
        """A file that an attempt's objective left in its folder.

        Raises:
            FileNotFoundError: it left none of that name.
            BadRecord: it is no file, or has more than `limit` bytes.
            NotAFolder: something else is where its folder should be.
        """
        folder = protocol.artifacts_folder(trial.number, trial.attempt)
        return self.folder.read(f"{folder}/{name}", limit=limit)

    def artifacts_of(self, trial: int, attempt: int) -> dict[str, int]:
        """The files that an attempt's objective left in its folder, with their sizes in bytes."""
        try:
            return self.folder.sizes(protocol.artifacts_folder(trial, attempt))
        except (FileNotFoundError, NotAFolder):
            return {}

    def keep_weights(self, trial: Trial | None) -> None:
        """Copy what an attempt's test has left to where the winner's weights are; without, there
        are none.

        Raises:
            ShareError: they may be there or not; do it again.
        """
        try:
            if trial is not None:
                data = self.read_artifact(trial, protocol.WEIGHTS, _WEIGHTS_LIMIT)
                self.write_document(protocol.BEST_WEIGHTS, data)
                return
        except (FileNotFoundError, BadRecord, NotAFolder):
            pass  # the share did not take them
        try:
            self.folder.remove(protocol.BEST_WEIGHTS)
        except (FileNotFoundError, BadRecord):
            pass

    def checkpoints(self) -> list[str]:
        """The names of the files that trials have left to go on from, complete or not."""
        there = self._names_in(protocol.CHECKPOINTS)
        return [name for name in there if protocol.key_of_checkpoint(name) is not None]

    def remove_checkpoints(self, names: Iterable[str]) -> int:
        """Remove some of these; how many there were."""
        removed = 0
        for name in names:
            with suppress(FileNotFoundError, BadRecord):
                self.folder.remove(f"{protocol.CHECKPOINTS}/{name}")
                removed += 1
        return removed

    def publish(self, trial: Trial) -> None:
        """Nothing -> waiting. That it is there already is as good. See `sync`."""
        self.publish_all([trial], lambda _: None)

    def publish_all(self, trials: Iterable[Trial], before: Callable[[Trial], None]) -> None:
        """Nothing -> waiting, for several: see `publish`. In their order, so that a crash leaves
        no gap; `before` is called with each, which may be there from then on.

        Raises:
            ShareError: the last one that `before` had may be there or not, those after it are not.
        """
        self._unsynced = True
        paths = {AttemptName.waiting(trial).live_path: trial for trial in trials}
        files = {path: records.encode(trial) for path, trial in paths.items()}
        with self.folder.drafts(files) as publish:
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

    def pause(self, name: AttemptName) -> bool:
        """Taken -> paused; False if one has been evicted."""
        return self._move(name.live_path, name.moved(State.PAUSED, Actor.OWNER).live_path)

    def lose(self, name: AttemptName, actor: Actor) -> bool:
        """To lost, still in `trials/`: the master has to see to a successor."""
        return self._move(name.live_path, name.moved(State.LOST, actor).live_path)

    def prune(self, name: AttemptName) -> AttemptName | None:
        """Taken -> pruned, still in `trials/`, where no worker adds to it any more; None if it
        was faster.
        """
        pruned = name.moved(State.PRUNED, Actor.MASTER)
        return pruned if self._move(name.live_path, pruned.live_path) else None

    def withdraw(self, name: AttemptName) -> None:
        """Waiting -> nothing. A claim that is faster wins, and this does nothing."""
        try:
            self.read_attempt(name)
            self.folder.remove(name.live_path)
        except FileNotFoundError:
            pass
        except BadRecord as error:  # not distune's: its owner may want to see it
            self.set_aside(name.live_path, str(error))

    def put_away(self, name: AttemptName) -> None:
        """A lost one into `seen/`: there is nothing left to do about it."""
        folder = protocol.seen_folder(name.trial)
        self._in_folder(folder, lambda: self._move(name.live_path, name.seen_path))

    def count(self, name: AttemptName) -> bool:
        """Done -> seen: the one name of its trial, unless that is taken.

        Returns:
            Whether it has won that name. If not, the file that has it tells which attempt has:
            another one, or this one, where a reply was lost. Or the file to be counted is gone.

        Raises:
            ShareError: it may have won, or not. Do the same again later.
        """
        counted = name.moved(State.SEEN, Actor.MASTER)
        folder = protocol.seen_folder(name.trial)
        try:
            self._in_folder(folder, lambda: self.folder.move_new(name.live_path, counted.seen_path))
        except (FileExistsError, FileNotFoundError):
            return False
        except ShareError:
            if counted.filename in self._look_again(folder):
                return False
            raise
        return True

    def drop(self, name: AttemptName) -> None:
        """Done -> lost, as another file has the name of its trial; but what is only the first name
        of that very file (a crash came between the two) is removed.
        """
        try:
            same = self.folder.read(name.live_path) == self.folder.read(
                AttemptName.counted(name.key).seen_path
            )
            if same:
                self.folder.remove(name.live_path)
            else:
                self.lose(name, Actor.MASTER)
        except FileNotFoundError:
            pass  # it has moved on
        except BadRecord as error:
            self.set_aside(name.live_path, str(error))

    def count_as(self, key: tuple[Purpose, int], lines: Iterable[Record]) -> bool:
        """Nothing -> seen: a whole file of the master's own gets the one name of a trial, where
        the attempt's own is not to be counted as it is.

        Returns:
            Whether it has; if not, that name is taken.
        """
        counted = AttemptName.counted(key)
        data = b"".join(map(records.encode, lines))
        folder = protocol.seen_folder(counted.trial)
        try:
            self._in_folder(folder, lambda: self.folder.publish(counted.seen_path, data))
        except FileExistsError:
            return False
        return True

    def quarantine(self, filename: str, why: str) -> None:
        """Set a file of `trials/` aside that makes no sense here (P10)."""
        self.set_aside(f"{protocol.TRIALS}/{filename}", why)

    # -- history -----------------------------------------------------------------------

    def seen(self, known: Container[int] = ()) -> Iterator[AttemptName]:
        """Everything in `seen/`, as long as the history: only for a start and for repairs. Trials
        that are `known` may be left out, but for their tests.
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

    def _seen_in(self, folder: str, known: Container[int] = ()) -> list[AttemptName]:
        found = []
        names = self._names_in(folder)
        if known != ():
            names = [name for name in names if protocol.trained_trial(name) not in known]
        for name in names:
            try:
                found.append(self._parse_seen(folder, name))
            except BadRecord:
                continue
        return found

    @property
    def _is_earlier(self) -> bool:
        """Whether the study is one of the earlier layout."""
        return self._study is not None and not self._study.is_current

    def _parse_seen(self, folder: str, filename: str) -> AttemptName:
        name = AttemptName.parse(filename)
        if protocol.seen_folder(name.trial) != folder:
            raise BadRecord(f"trial {name.trial} belongs into {protocol.seen_folder(name.trial)}/")
        earlier = self._is_earlier
        counts = name.state is State.SEEN and (name.attempt > 0) == earlier
        if not (counts or name.state is State.LOST or (earlier and name.state is State.PRUNED)):
            raise BadRecord(f"such a name has no business in {protocol.SEEN}/")
        return name

    def lacking(self, keys: Iterable[tuple[Purpose, int]]) -> Iterator[tuple[Purpose, int]]:
        """Those of these trials and tests that have no counted file, by the names alone."""
        by_folder = sorted(keys, key=lambda key: key[1])
        for folder, some in groupby(by_folder, lambda key: protocol.seen_folder(key[1])):
            names = set(self._names_in(folder))
            if self._is_earlier:
                there = self._seen_in(folder)
                names = {
                    AttemptName.counted(n.key).filename for n in there if n.state is not State.LOST
                }
            yield from (key for key in some if AttemptName.counted(key).filename not in names)

    def inspect_seen(self) -> Iterator[SeenFile]:
        """Everything in `seen/`, what is of one trial together. Reads every file."""
        for name in self._names_in(protocol.SEEN):
            try:
                folder = protocol.parse_seen_folder(name)
                names = self.folder.names(folder)
            except (BadRecord, NotAFolder) as error:
                if isinstance(error, NotAFolder) and error.link:
                    raise
                path = f"{protocol.SEEN}/{name}"
                yield SeenFile(path, problem="it is not a folder of history")
            except FileNotFoundError:
                continue
            else:
                yield from self._inspect(folder, names)

    def inspect_counted(self, key: tuple[Purpose, int]) -> Iterator[SeenFile]:
        """What `seen/` has of a trial, or of a test, that is counted."""
        names = [AttemptName.counted(key)]
        if self._is_earlier:
            there = self.seen_of(key[1])
            names = [n for n in there if n.key == key and n.state is not State.LOST]
        return self._inspect(protocol.seen_folder(key[1]), [name.filename for name in names])

    def _inspect(self, folder: str, names: Iterable[str]) -> Iterator[SeenFile]:
        for filename in names:
            path, name = f"{folder}/{filename}", None
            try:
                name = self._parse_seen(folder, filename)
                yield SeenFile(path, name, self.read_ended(name, seen=True))
            except FileNotFoundError:
                continue
            except NotAFolder as error:
                if error.link:
                    raise
            except BadRecord as error:
                yield SeenFile(path, name, problem=str(error))
