"""The protocol's model: what two masters, two workers and a folder may do next. All of it is
explored by `protocol_model.py`.

A state is what lies in the folder and what each process remembers; a step is one operation on the
share by one process. Both masters run from the first step, and nothing but renames keeps them
apart: no lock, no heartbeat. A master acts on a listing as late as it likes, which is the same as
an old listing; and one listing without a trial does for three, so it replaces trials sooner than a
real one does. A process that is frozen is one to which nothing happens. A name that is published
twice can be trained twice, with another result. What costs one of the *mishaps*:

- a process is killed (a worker's successor has another id; the dead one's lease is over);
- a claim, or the move that counts, answers that it failed although it happened;
- the share is away, and a master drops the rest of its plan;
- a lease runs out although its worker lives;
- a training fails;
- a listing is torn: of the names that come and go while it is read it has any, and files that have
  gone by then cannot be read;
- a line of the history is lost, as where two hosts append to one file;
- a person pauses or stops the study (`distune resume` costs nothing, and may come at any moment).

Where trainings may pause, each may at any moment, and at each look of a master what has paused is
among the best at its rung, or is not.

Assumed, not shown: that a file gets its name when it is complete (P1), that a rename has one winner
(P2), that whoever has died is silent (P6). Files that make no sense are not in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from distune.share.protocol import LIVE, Actor, AttemptName, Halt, State

RESULT, ANOTHER_RESULT, FAILURE = "a result", "another result", "a failure"
_IN_A_FILE_OF_ITS_OWN = (State.PRUNED, State.PAUSED)
REPORTS, LATE_REPORT = "reports", "reports and a late one"

#: What can be broken on purpose, and what is then so.
BROKEN = {
    "history-first": "the line comes first, and then each attempt is counted under its own name",
    "replacing": "the move that counts replaces what has the name already",
    "own-line": "the line is made of what the master has read, whoever has the name",
    "trains-twice": "a worker trains again what it has begun before, under the same name",
    "no-look": "a move that counts is believed when it says that it failed",
    "pruned-in-place": "the very file that a worker was adding to is counted",
    "no-adoption": "a worker does not look for claims whose answer was lost",
    "no-lease": "no lease ever runs out",
    "no-replacement": "nothing is done about a trial that is in no listing",
    "one-id": "both workers have the same id",
    "heedless": "a worker claims although it has seen that the study is halted",
    "idle-when-halted": "a master does nothing at all in a halted study",
    "no-give-up": "what has paused, and is not promoted, is never counted",
}


# -- what there is -------------------------------------------------------------------------

Ids = Mapping[str, str]  # other names for workers


def _called(files: Iterable[File], ids: Ids) -> tuple[File, ...]:
    return tuple(sorted(file.called(ids) for file in files))


class File(NamedTuple):
    """An attempt's file in `trials/`; or as it is counted, or as a line of the history has it."""

    attempt: int
    state: State
    worker: str = ""
    content: str = ""

    @property
    def name(self) -> tuple[int, State, str]:
        return self[:3]

    def moved(self, to: State, actor: Actor, worker: str | None = None, content: str = "") -> File:
        """After a move, which the protocol's table must have."""
        name = AttemptName(0, self.attempt, worker=self.worker, state=self.state)
        name = name.moved(to, actor, worker)
        return File(name.attempt, name.state, name.worker, content)

    def is_same_attempt(self, other: File) -> bool:
        return (self.attempt, self.worker) == (other.attempt, other.worker)

    def called(self, ids: Ids) -> File:
        return self._replace(worker=ids.get(self.worker, self.worker))

    def __str__(self) -> str:
        owner = f" of {self.worker}" if self.worker else ""
        content = f" ({self.content})" if self.content else ""
        return f"attempt {self.attempt}{owner}, {self.state}{content}"


class Share(NamedTuple):
    """What the folder has of one trial."""

    files: tuple[File, ...] = ()  # in `trials/`
    counted: tuple[File, ...] = ()  # in `seen/`, under the trial's one name
    lines: tuple[File, ...] = ()  # in the history, those that differ
    put_away: int = 0  # the highest lost attempt in `seen/`
    begun: frozenset[tuple[str, int]] = frozenset()  # who remembers to have begun which attempt

    def find(self, attempt: int, state: State, worker: str = "") -> File | None:
        name = (attempt, state, worker)
        return next((file for file in self.files if file.name == name), None)

    def without(self, *names: File) -> Share:
        gone = {file.name for file in names}
        return self._replace(files=tuple(f for f in self.files if f.name not in gone))

    def renamed(self, before: File, after: File) -> Share:
        """With a file under its new name, in place of what had that."""
        rest = self.without(before, after).files
        return self._replace(files=tuple(sorted((*rest, after))))

    def waiting(self) -> int:
        """How many files wait for a worker."""
        return sum(file.state is State.WAITING for file in self.files)

    def lost(self, file: File, actor: Actor) -> Share:
        return self.renamed(file, file.moved(State.LOST, actor))

    def called(self, ids: Ids) -> Share:
        files, counted, lines = (_called(some, ids) for some in self[:3])
        begun = {(ids.get(worker, worker), attempt) for worker, attempt in self.begun}
        remembered = frozenset(one for one in begun if not one[0].startswith("dead"))
        return Share(files, counted, lines, self.put_away, remembered)

    def begins(self, worker: str, attempt: int) -> Share:
        return self._replace(begun=self.begun | {(worker, attempt)})


class Hold(NamedTuple):
    """The attempt that a worker believes to own."""

    trial: int
    attempt: int


class Op(NamedTuple):
    """Something that a master is about to do."""

    kind: str
    trial: int
    attempt: int = 0
    state: State = State.WAITING
    worker: str = ""
    content: str = ""  # of the file, as the master has read it

    @classmethod
    def on(cls, kind: str, trial: int, file: File) -> Op:
        return cls(kind, trial, *file)

    def called(self, ids: Ids) -> Op:
        return self._replace(worker=ids.get(self.worker, self.worker))

    def __str__(self) -> str:
        attempt = f", attempt {self.attempt}" if self.attempt else ""
        owner = f" of {self.worker}" if self.worker else ""
        return f"{self.kind}: trial {self.trial}{attempt}{owner}"


Listing = tuple[tuple[File, ...], ...]  # the files of each trial


class Master(NamedTuple):
    """What a master remembers, of each trial."""

    known: tuple[File | None, ...]  # what is counted; without content, if by hearsay alone
    last: tuple[int, ...]  # the highest attempt that it has met, while the trial is open
    plan: tuple[Op, ...] = ()
    torn: Listing | None = None  # the beginning of a listing that it is still reading

    def first(self, *ops: Op) -> Master:
        return self._replace(plan=(*ops, *self.plan))

    def writing(self, trial: int, content: str = "") -> Master:
        """To write what is counted, unless it has, when all is counted that is at this look."""
        if self.known[trial] is not None:
            return self
        op = Op("write", trial, content=content)
        counts = [i for i, planned in enumerate(self.plan) if planned.kind == "count"]
        place = max(counts, default=-1) + 1
        return self._replace(plan=(*self.plan[:place], op, *self.plan[place:]))

    def knowing(self, trial: int, counted: File) -> Master:
        known, last = list(self.known), list(self.last)
        known[trial], last[trial] = counted, 0
        plan = tuple(op for op in self.plan if (op.kind, op.trial) != ("write", trial))
        return Master(tuple(known), tuple(last), plan)

    def meeting(self, trial: int, attempt: int) -> Master:
        last = list(self.last)
        last[trial] = max(attempt, last[trial])
        return self._replace(last=tuple(last))

    def called(self, ids: Ids) -> Master:
        known = tuple(file and file.called(ids) for file in self.known)
        torn = self.torn and tuple(_called(files, ids) for files in self.torn)
        return Master(known, self.last, tuple(op.called(ids) for op in self.plan), torn)


class Wish(NamedTuple):
    """What is wanted of the study."""

    over: bool = False  # the time limit is
    halt: str = ""  # the mark that lies in `trials/`
    seen: tuple[tuple[str, str], ...] = ()  # workers that have seen a mark, and which

    def seen_by(self, worker: str) -> str:
        return dict(self.seen).get(worker, "")

    def looked(self, worker: str) -> Wish:
        """After a worker has listed `trials/`."""
        rest = self.forgotten(worker)
        seen = [*rest.seen, (worker, self.halt)] if self.halt else rest.seen
        return rest._replace(seen=tuple(sorted(seen)))

    def forgotten(self, worker: str) -> Wish:
        """Another worker has taken its place, which has seen nothing."""
        return self._replace(seen=tuple(one for one in self.seen if one[0] != worker))

    def called(self, ids: Ids) -> Wish:
        return self._replace(seen=tuple(sorted((ids.get(w, w), halt) for w, halt in self.seen)))


class View(NamedTuple):
    """What a master decides upon."""

    files: Listing
    unread: Listing  # those that had gone when the master wanted to read them
    known: tuple[File | None, ...]
    last: tuple[int, ...]
    silent: frozenset[str]  # workers whose lease is over
    stop: bool  # the time limit is over
    halt: str = ""  # the mark
    promotes: bool = False  # what has paused is among the best at its rung

    def called(self, ids: Ids) -> View:
        known = tuple(file and file.called(ids) for file in self.known)
        files, unread = (tuple(_called(some, ids) for some in of) for of in self[:2])
        silent = frozenset(ids.get(worker, worker) for worker in self.silent)
        return self._replace(files=files, unread=unread, known=known, silent=silent)

    def paused(self) -> bool:
        """Whether anything has paused in it."""
        return any(file.state is State.PAUSED for files in self.files for file in files)

    def met(self) -> View:
        """With the attempts that it shows among those that the master has met."""
        last = tuple(
            0 if known is not None else max([before, *(file.attempt for file in files)])
            for before, known, files in zip(self.last, self.known, self.files, strict=True)
        )
        return self._replace(last=last)

    def orders(self) -> Iterator[tuple[View, Ids]]:
        """The same in all orders that workers' ids may have: a master goes by the names of files.
        And what they are called again.
        """
        ids = sorted({file.worker for files in self.files for file in files} - {""})
        for others in itertools.permutations(ids):
            ids_of, back = zip(ids, others, strict=True), zip(others, ids, strict=True)
            yield self.called(dict(ids_of)), dict(back)


# -- what a master decides ---------------------------------------------------------------


def decide(view: View) -> list[Op]:
    """What a master does about what it sees, in the order in which it does it."""
    listed = [
        (trial, file)
        for trial, files in enumerate(view.files)
        for file in sorted(files, key=lambda file: (file.attempt, file.worker, file.state))
    ]
    read = [(trial, file) for trial, file in listed if file not in view.unread[trial]]
    live = [max((f.attempt for f in files if f.state in LIVE), default=0) for files in view.files]
    settled = {trial for trial, known in enumerate(view.known) if known is not None}
    counts: dict[int, Op] = {}
    rest: list[Op] = []
    for trial, file in read:
        if file.state in (State.DONE, State.PRUNED):
            if trial not in counts and _counts(file, view.known[trial]):
                counts[trial] = Op.on("count", trial, file)
            else:
                rest.append(Op.on("lose", trial, file))
    for trial, file in read:
        if file.state is State.LOST:
            if trial not in settled | counts.keys() and live[trial] <= file.attempt:
                rest.append(Op("succeed", trial, file.attempt + 1))
            rest.append(Op.on("put away", trial, file))
    resting = []
    for trial, file in read:
        if file.state is State.PAUSED:
            if trial in settled | counts.keys() or live[trial] > file.attempt:
                rest.append(Op.on("lose", trial, file))
            else:
                resting.append((trial, file))
    for trial, file in listed:
        if file.state is State.TAKEN:
            known = view.known[trial]
            if known is not None and known.is_same_attempt(file):
                rest.append(Op.on("prune", trial, file))
            elif known is not None or file.worker in view.silent:
                rest.append(Op.on("lose", trial, file))
    over = view.stop or len(settled) == len(view.known)
    if view.halt in (Halt.PAUSE, Halt.NOW) or (view.halt and not over):
        return [*counts.values(), *rest]
    given_up = [Op.on("count", trial, file) for trial, file in resting]
    if over:
        return [*counts.values(), *given_up, *rest, *_ending(view, listed)]
    new, gone = _missing(view)
    promoted = [Op.on("promote", trial, file) for trial, file in resting if view.promotes]
    if promoted or new or gone or len(resting) < len(listed):  # something goes on
        given_up = []
    return [*counts.values(), *given_up, *new, *rest, *gone, *promoted]


def _counts(file: File, known: File | None) -> bool:
    """Whether an attempt that is over ends its trial; a failed one is tried again."""
    if known is not None:
        return known.is_same_attempt(file)  # it has not lost its first name yet
    return file.content != FAILURE


def _ending(view: View, listed: Sequence[tuple[int, File]]) -> Iterator[Op]:
    for trial, file in listed:
        if file.state is State.WAITING:
            yield Op.on("withdraw", trial, file)
    for trial, file in listed:
        if file.state is State.TAKEN and view.known[trial] is None:
            yield Op.on("prune", trial, file)


def _missing(view: View) -> tuple[list[Op], list[Op]]:
    """First attempts at trials that are new to the master; and trials whose files are gone."""
    met = [trial for trial, last in enumerate(view.last) if last or view.known[trial]]
    next_number = max(met, default=-1) + 1
    absent = [t for t, files in enumerate(view.files) if not files and not view.known[t]]
    new = [Op("publish", trial, 1) for trial in absent if trial >= next_number]
    return new, [Op("replace", trial) for trial in absent if trial < next_number]


# -- the steps ---------------------------------------------------------------------------


class Work(NamedTuple):
    """A step of a worker: what it holds, and what the folder has of a trial, afterwards."""

    hold: Hold | None
    share: Share
    text: str
    mishaps: int = 0


class Act(NamedTuple):
    """A step of a master, likewise."""

    master: Master
    share: Share
    text: str
    mishaps: int = 0


class Beyond(Exception):
    """A master would publish an attempt that is not explored any more."""


@dataclass(frozen=True)
class Rules:
    """How processes move, if attempts end with this one, and one of `BROKEN` is so."""

    attempts: int
    broken: str = ""
    pauses: bool = False  # trainings may pause

    # -- a worker ----------------------------------------------------------------------

    def work(
        self, worker: str, hold: Hold | None, trial: int, share: Share, halt: str = ""
    ) -> Iterator[Work]:
        """What a worker that has seen such a mark, or none, may do next about one trial."""
        own = [f for f in share.files if f.state is State.TAKEN and f.worker == worker]
        if self.broken != "no-adoption":
            for file in own:
                if hold is None and self._may_begin(worker, file, share):
                    begun = share.begins(worker, file.attempt)
                    yield Work(Hold(trial, file.attempt), begun, f"finds out that it has {file}")
                elif hold != (trial, file.attempt):
                    lost = share.lost(file, Actor.OWNER)
                    yield Work(hold, lost, f"finds out that it has {file}, too; gives it back")
        if hold is not None:
            if hold.trial == trial:
                yield from self._train(worker, hold, share)
                taken = share.find(hold.attempt, State.TAKEN, worker)
                if halt == Halt.NOW and taken is not None:
                    yield Work(None, share.lost(taken, Actor.OWNER), f"gives {taken} back")
            return
        if halt and self.broken != "heedless":
            return
        for file in share.files:
            if file.state is State.WAITING:
                taken = file.moved(State.TAKEN, Actor.ANY_WORKER, worker)
                said, claimed = f"claims trial {trial}, {file}", share.renamed(file, taken)
                if self._may_begin(worker, file, share):
                    begun = claimed.begins(worker, file.attempt)
                    yield Work(Hold(trial, file.attempt), begun, said)
                else:
                    yield Work(None, claimed, f"{said}, which it has begun before")
                yield Work(None, claimed, f"{said}, and is told that this failed", 1)

    def _may_begin(self, worker: str, file: File, share: Share) -> bool:
        begun = (worker, file.attempt) in share.begun
        return not begun or self.broken in ("trains-twice", "one-id")

    def _train(self, worker: str, hold: Hold, share: Share) -> Iterator[Work]:
        what = f"attempt {hold.attempt} at trial {hold.trial}"
        late = self._with_late_report(share, hold.attempt, worker)
        if late != share:
            yield Work(None, late, f"adds a report to {what}, which it has lost")
        taken = share.find(hold.attempt, State.TAKEN, worker)
        if taken is not None:
            for content, mishaps in ((_fresh_result(share, taken), 0), (FAILURE, 1)):
                done = taken.moved(State.DONE, Actor.OWNER, content=content)
                yield Work(None, share.renamed(taken, done), f"ends {what}: {content}", mishaps)
            if self.pauses:
                paused = taken.moved(State.PAUSED, Actor.OWNER, content=REPORTS)
                yield Work(None, share.renamed(taken, paused), f"pauses {what}")

    def still_holds(self, worker: str, hold: Hold, share: Share) -> bool:
        """Whether it makes a difference that a worker believes to own a file. Once that is lost,
        it makes none: the worker is as good as idle, and slow to claim.
        """
        taken = share.find(hold.attempt, State.TAKEN, worker) is not None
        return taken or self._with_late_report(share, hold.attempt, worker) != share

    def _with_late_report(self, share: Share, attempt: int, worker: str) -> Share:
        """What a worker appends arrives wherever its file is by then."""
        pruned = File(attempt, State.PRUNED, worker, REPORTS)
        late = pruned._replace(content=LATE_REPORT)
        if pruned in share.files:
            return share.renamed(pruned, late)
        if self.broken == "pruned-in-place" and share.counted == (pruned,):
            return share._replace(counted=(late,))
        return share

    # -- a master ----------------------------------------------------------------------

    def start(self, shares: Sequence[Share]) -> Master:
        """A master reads the history, compares it with `seen/`, and lists `trials/`."""
        known = tuple(share.lines[0] if share.lines else None for share in shares)
        last = tuple(
            max((file.attempt for file in share.files), default=0) if not share.lines else 0
            for share in shares
        )
        recovered = [t for t, share in enumerate(shares) if share.counted and not share.lines]
        return Master(known, last, tuple(Op("write", trial) for trial in recovered))

    def decided(self, view: View) -> Master:
        """A master that has looked, and knows what to do."""
        ops = [op if op.kind == "count" else op._replace(content="") for op in decide(view)]
        if self.broken == "idle-when-halted" and view.halt:
            ops = []
        if self.broken == "no-replacement":
            ops = [op for op in ops if op.kind != "replace"]
        if self.broken == "no-give-up":
            ops = [op for op in ops if (op.kind, op.state) != ("count", State.PAUSED)]
        return Master(view.known, view.last, tuple(ops))

    def act(self, master: Master, share: Share) -> Iterator[Act]:
        """What may come of the next thing that a master wants to do.

        Raises:
            Beyond: that is one attempt too many.
        """
        op, *later = master.plan
        idle = master._replace(plan=tuple(later))
        file = share.find(op.attempt, op.state, op.worker)
        match op.kind:
            case "publish":
                if op.attempt > self.attempts:
                    raise Beyond
                new = File(op.attempt, State.WAITING)
                published = share if new in share.files else share.renamed(new, new)
                yield Act(idle.meeting(op.trial, op.attempt), published, str(op))
            case "succeed":
                publish = op._replace(kind="publish")
                under_way = any(other.attempt == op.attempt for other in share.files)
                yield Act(idle if under_way else idle.first(publish), share, f"{op}: looks again")
            case "replace":
                attempt = max(share.put_away + 1, master.last[op.trial]) + 1
                publishing = idle.first(Op("replace by", op.trial, attempt))
                then = idle.writing(op.trial) if share.counted else publishing
                yield Act(then, share, f"{op}: looks into seen/")
            case "replace by":
                publish = op._replace(kind="publish")
                yield Act(idle if share.files else idle.first(publish), share, f"{op}: looks again")
            case "count":
                yield from self._count(idle, op, file, share)
            case "write":
                yield from self._write(idle, op, share)
            case _ if file is None:
                yield Act(idle, share, f"{op}: it is gone")
            case "promote":
                succeed = Op("succeed", op.trial, file.attempt + 1)
                yield Act(idle.first(succeed), share.lost(file, Actor.MASTER), str(op))
            case "lose":
                yield Act(idle, share.lost(file, Actor.MASTER), str(op))
            case "put away":
                away = max(share.put_away, file.attempt)
                yield Act(idle, share.without(file)._replace(put_away=away), str(op))
            case "drop" if file not in share.counted:  # it is not the first name of what is counted
                yield Act(idle, share.lost(file, Actor.MASTER), str(op))
            case "drop" | "unlink" | "withdraw":
                yield Act(idle, share.without(file), str(op))
            case "prune":
                yield from self._prune(idle, op, file, share)
            case "name":  # history-first
                named = share.without(file)._replace(counted=(*share.counted, file))
                yield Act(idle, named, str(op))

    def _count(self, idle: Master, op: Op, file: File | None, share: Share) -> Iterator[Act]:
        """Give a file its trial's one name, unless another has it."""
        if file is not None and self.broken == "history-first":
            written = _with_line(share, file) if idle.known[op.trial] is None else share
            known = idle.knowing(op.trial, file).first(_then("name", op))
            yield Act(known, written, f"{op}: writes a line")
        elif share.counted and self.broken != "replacing":
            yield self._not_counted(idle, op, share, f"{op}: the name is taken")
        elif file is None:
            yield Act(idle, share, f"{op}: it is gone")
        elif op.state in _IN_A_FILE_OF_ITS_OWN:  # the master makes one, of what it has read
            named = share._replace(counted=(file._replace(content=op.content),))
            won = idle.writing(op.trial, op.content).first(_then("lose", op))
            yield Act(won, named, f"{op}: in a file of its own")
        else:
            named = share._replace(counted=(file,))
            won = idle.writing(op.trial, op.content)
            # Where no rename refuses to replace, the file has two names for a moment.
            yield Act(won.first(_then("unlink", op)), named, str(op))
            yield self._not_counted(idle, op, named, f"{op}, and is told that this failed", 1)

    def _not_counted(self, idle: Master, op: Op, share: Share, text: str, mishaps: int = 0) -> Act:
        """The name is taken, or so it seems: it is looked up by what."""
        if self.broken == "no-look":
            hearsay = share.counted[0]._replace(content="")
            believing = idle.knowing(op.trial, hearsay).first(_then("lose", op))
            return Act(believing, share, text, mishaps)
        then = _then("lose" if op.state in _IN_A_FILE_OF_ITS_OWN else "drop", op)
        read = op.content if self.broken == "own-line" else ""
        return Act(idle.writing(op.trial, read).first(then), share, text, mishaps)

    def _write(self, idle: Master, op: Op, share: Share) -> Iterator[Act]:
        """Add what is counted of a trial to the history."""
        line = share.counted[0]
        if op.content:  # of what the master has moved, or made, itself
            line = line._replace(content=op.content)
        knowing = idle.knowing(op.trial, line)
        yield Act(knowing, _with_line(share, line), f"writes a line: trial {op.trial}, {line}")
        yield Act(knowing, share, f"writes a line that is lost: trial {op.trial}, {line}", 1)

    def _prune(self, idle: Master, op: Op, file: File, share: Share) -> Iterator[Act]:
        pruned = file.moved(State.PRUNED, Actor.MASTER, content=REPORTS)
        if self.broken == "pruned-in-place" and not share.counted:
            counted = share.without(file)._replace(counted=(pruned,))
            yield Act(idle.writing(op.trial), counted, str(op))
        else:
            yield Act(idle, share.renamed(file, pruned), str(op))


def _then(kind: str, op: Op) -> Op:
    return op._replace(kind=kind, content="")


def _fresh_result(share: Share, taken: File) -> str:
    """A training that comes twice under one name says something else the second time."""
    others = (*share.files, *share.counted, *share.lines)
    used = any(other.is_same_attempt(taken) and other.content == RESULT for other in others)
    return ANOTHER_RESULT if used else RESULT


def _with_line(share: Share, line: File) -> Share:
    return share._replace(lines=tuple(sorted({*share.lines, line})))


# -- what must be true -------------------------------------------------------------------


def wrong_step(before: Share, after: Share) -> str:
    """What is wrong about a trial after a step (P3); empty if nothing is."""
    if len(after.counted) > 1:
        return "a trial is counted twice"
    if before.counted and after.counted != before.counted:
        return "what was counted has changed"
    if len(after.lines) > 1:
        return "the history has two lines that differ"
    if after.counted and after.lines and after.lines != after.counted:
        return "the history says something else than what is counted"
    return ""


def wrong_end(share: Share, stop: bool) -> str:
    """What is wrong about a trial when nothing more happens."""
    if share.files:
        return "a file is left in trials/"
    if not share.counted and not stop:
        return "a trial is not counted"
    if share.lines != share.counted:
        return "the history lacks a trial"
    return ""


def wrong_rest(share: Share) -> str:
    """What is wrong about a trial of a halted study in which nothing more happens."""
    if any(file.state not in (State.WAITING, State.PAUSED) for file in share.files):
        return "in a halted study more is left than what waits"
    return ""
