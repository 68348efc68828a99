"""The attempts of a study: the only code that renames, appends to or lists trial files."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from distune.errors import BadRecord, NotAFolder
from distune.share import protocol, records
from distune.share.folder import FolderLike
from distune.share.open_folders import shown
from distune.share.protocol import COUNTED, LIVE, Actor, AttemptName, State
from distune.share.study_documents import StudyDocuments
from distune.study.trial import Counted, Outcome, Purpose, Record, Trial

LOCAL_LEASE = 20.0  # seconds
_MOST_ATTEMPTS = 1000  # at a trial, of which the files are read; a tenth of it would be many
NETWORK_LEASE = 120.0  # seconds; attribute caches live up to 60, see FILESYSTEMS in PROTOCOL.md


@dataclass(frozen=True)
class Listing:
    """What lies in `trials/`: attempts, and names that are no attempt's."""

    attempts: tuple[AttemptName, ...]
    strangers: tuple[str, ...]


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
        attempts, strangers = [], []
        for name in self._trial_names(viewer):
            if f"{protocol.TRIALS}/{name}" in self._stuck:
                continue
            try:
                attempts.append(AttemptName.parse(name))
            except BadRecord:
                strangers.append(name)
        return Listing(tuple(attempts), tuple(strangers))

    def _trial_names(self, viewer: bool) -> list[str]:
        try:
            return self.folder.names(protocol.TRIALS)
        except FileNotFoundError:
            if not viewer or protocol.STUDY not in self.folder.names(""):
                raise  # a master makes the folder again; a viewer waits for a share that is away
            return []

    def read_attempt(self, name: AttemptName, *, seen: bool = False) -> records.AttemptFile:
        """What an attempt's file says.

        Raises:
            FileNotFoundError: it has moved on.
            BadRecord: it is not what its name says.
        """
        waiting = name.state is State.WAITING  # one line
        limit = records.LINE_LIMIT if waiting else records.SIZE_LIMIT
        data = self.folder.read(name.seen_path if seen else name.live_path, limit=limit)
        self.bytes_read += len(data)
        file = records.parse_attempt(data)
        self._check_study(file.trial.study)
        if (file.trial.key, file.trial.attempt) != (name.key, name.attempt):
            raise BadRecord(f"it holds attempt {file.trial.attempt} of trial {file.trial.number}")
        if self._study is not None and not self._study.is_current:
            return replace(file, trial=file.trial.as_of_now(self._study.repeats))
        return file

    def read_ended(self, name: AttemptName, *, seen: bool = False) -> records.AttemptFile:
        """`read_attempt` of one that is over; its result must be of the worker in the name."""
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
        """All attempts at one trial, wherever they lie, in their order. Of so many, or such long
        ones, that they could fill the memory, the last ones.
        """
        live = [n for n in self.listing(viewer=True).attempts if n.trial == trial]
        there = [(n, False) for n in live] + [(n, True) for n in self.seen_of(trial)]
        there.sort(key=lambda pair: (pair[0].purpose, pair[0].attempt))
        found: list[tuple[AttemptName, records.AttemptFile]] = []
        room = records.Room()
        for name, seen in reversed(there[-_MOST_ATTEMPTS:]):
            try:
                file = self.read_attempt(name, seen=seen)
            except (FileNotFoundError, BadRecord):
                continue
            if not room.takes(file):
                break
            found.append((name, file))
        return found[::-1]

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
        folder = protocol.artifacts_folder(trial.number, trial.attempt)
        return self.folder.read(f"{folder}/{name}", limit=limit)

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

    def lose(self, name: AttemptName, actor: Actor) -> bool:
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
        except BadRecord as error:  # not distune's: its owner may want to see it
            self.set_aside(name.live_path, str(error))

    def settle(self, name: AttemptName) -> bool:
        """Done -> seen, or put a lost one away: there is nothing left to do about it."""
        settled = name if name.state is State.LOST else name.moved(State.SEEN, Actor.MASTER)
        folder = protocol.seen_folder(name.trial)
        return self._in_folder(folder, lambda: self._move(name.live_path, settled.seen_path))

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
                found.append(_parse_seen(folder, name))
            except BadRecord:
                continue
        return found

    def inspect_seen(self) -> Iterator[tuple[str, str | None]]:
        """Each path in `seen/`, and why it has no business there, if so. Reads every file."""
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


def _parse_seen(folder: str, filename: str) -> AttemptName:
    name = AttemptName.parse(filename)
    if name.state in LIVE:
        raise BadRecord(f"what is {name.state} has no business in {protocol.SEEN}/")
    if protocol.seen_folder(name.trial) != folder:
        raise BadRecord(f"trial {name.trial} belongs into {protocol.seen_folder(name.trial)}/")
    return name
