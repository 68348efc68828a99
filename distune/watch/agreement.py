"""Whether `seen/`, `history.jsonl` and `asked.jsonl` say the same of a trial; and where one of them
does not, what to do so that it does. What two of the three say stands. Pure.

A trial's file has what was trained and what came of it, and so has its line of history; its line
in `asked.jsonl` has what was to be trained. So a file and a line of history that are equal stand;
where only one of them can be read, or they differ, the one that has what was asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from distune.search.asked import asks_for, recovered_from
from distune.share import protocol, records
from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.share.shown_paths import shown
from distune.study.study import Study
from distune.study.trial import Asked, Counted, Purpose

Key = tuple[Purpose, int]


@dataclass(frozen=True)
class CountedFile:
    """A file in `seen/` that says that its trial is counted.

    Attributes:
        file: what it says; None if it cannot be used.
        problem: why it cannot, if so.
        counted: what the history would keep of it.
    """

    name: AttemptName
    file: AttemptFile | None = None
    problem: str = ""
    counted: Counted | None = None


@dataclass(frozen=True)
class Said:
    """What the three say of one trial, or of its test.

    Attributes:
        files: one, but in a study of the earlier layout that two masters have had.
        lines: those of `history.jsonl` that differ; the first one counts.
        asked: what was asked for.
    """

    key: Key
    files: Sequence[CountedFile] = ()
    lines: Sequence[Counted] = ()
    asked: Asked | None = None


class Mend:
    """Something to do so that the three agree."""


@dataclass(frozen=True)
class SetAside(Mend):
    """Put something into `quarantine/`."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{shown(self.path)} set aside"


@dataclass(frozen=True)
class WriteFile(Mend):
    """Make a trial's file anew, with what is sound of the one that it had, if there is any."""

    counted: Counted
    file: AttemptFile | None = None

    def __str__(self) -> str:
        if self.file is not None:
            return "its file written anew with the lines that are sound"
        lost = ", without its curve, which is lost" if self.counted.result.steps else ""
        return f"its file written anew from {protocol.HISTORY}{lost}"


@dataclass(frozen=True)
class WriteHistory(Mend):
    """Write `history.jsonl` anew, with this line in it, if there is one."""

    counted: Counted | None = None

    def __str__(self) -> str:
        source = ", with what its file says" if self.counted is not None else ""
        return f"{protocol.HISTORY} written anew{source}"


@dataclass(frozen=True)
class WriteAsked(Mend):
    """Write `asked.jsonl` anew, with this line in it, if there is one."""

    asked: Asked | None = None

    def __str__(self) -> str:
        source = f", with what its file and {protocol.HISTORY} say" if self.asked else ""
        return f"{protocol.ASKED} written anew{source}"


@dataclass(frozen=True)
class WriteDropped(Mend):
    """Write `dropped.jsonl` anew, with the lines that can be read."""

    def __str__(self) -> str:
        return f"{protocol.DROPPED} written anew, with what can be read; drop again what is ranked"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        subject: a trial, or a file.
        problem: what is wrong with it.
        mends: what makes it right; nothing if no two of the three agree.
        key: of the trial, if it is one.
    """

    subject: str
    problem: str
    mends: Sequence[Mend] = field(default=())
    key: Key | None = None

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}"


def judge(study: Study, said: Said) -> list[Finding]:
    """What is wrong with one trial; nothing, if the three agree."""
    return list(_Judgement(study, said).findings())


def what_stands(study: Study, said: Said) -> Counted | None:
    """What a trial is that has been counted; None if no two of the three agree on that."""
    of_files = [file.counted for file in said.files if file.counted is not None]
    agreed = [line for line in said.lines if any(is_same(line, one) for one in of_files)]
    if agreed:
        return max(agreed, key=lambda line: _fits(study, said, line))
    lines = [line for line in said.lines if _fits(study, said, line)]
    of_files = [one for one in of_files if _fits(study, said, one)]
    if lines and of_files:
        return None
    return next(iter(lines or of_files), None)


def is_same(a: Counted, b: Counted) -> bool:
    """Whether two say the same of a trial; when it was counted only one of them may know."""
    # A file that was made anew from the history has lost its curve.
    a, b = (one.replace(elapsed=None, curve=UNSET) for one in (a, b))
    return a == b or records.encode(a) == records.encode(b)  # NaN equals nothing


def _fits(study: Study, said: Said, counted: Counted) -> bool:
    return said.asked is not None and asks_for(study, said.asked, counted.trial)


class _Judgement:
    def __init__(self, study: Study, said: Said) -> None:
        self.study = study
        self.said = said
        self.stands = what_stands(study, said)

    def findings(self) -> Iterator[Finding]:
        if not self.said.files and not self.said.lines:
            return
        if self.stands is None:
            yield self._finding(self._why_nothing_stands())
            return
        yield from self._about_files(self.stands)
        yield from self._about_lines(self.stands)
        yield from self._about_asked(self.stands)

    def _finding(self, problem: str, *mends: Mend) -> Finding:
        purpose, number = self.said.key
        test = " test" if purpose is Purpose.TEST else ""
        return Finding(f"trial {number}{test}", problem, mends, self.said.key)

    def _why_nothing_stands(self) -> str:
        files, lines = self.said.files, self.said.lines
        unreadable = [file.problem for file in files if file.counted is None]
        if files and len(unreadable) == len(files):
            why = f"its file cannot be read ({unreadable[0]})"
            known = "lacks it" if not lines else f"does not agree with {protocol.ASKED}"
            return f"{why}, and {protocol.HISTORY} {known}"
        if files and lines:
            return f"its file and {protocol.HISTORY} differ, and both have what was asked for"
        source = "its file" if files else protocol.HISTORY
        said = "says otherwise" if self.said.asked is not None else "lacks it"
        return f"only {source} has its result, and {protocol.ASKED} {said}"

    def _about_files(self, stands: Counted) -> Iterator[Finding]:
        anew = WriteFile(stands)
        if not self.said.files:
            yield self._finding(f"it has no file in {protocol.SEEN}/", anew)
        keeps = next((f for f in self.said.files if f.counted and is_same(f.counted, stands)), None)
        for file in self.said.files:
            if file is not keeps:
                problem = f"its file cannot be read ({file.problem})"
                if file.counted is not None:
                    problem = "its file is not what was counted"
                aside = SetAside(file.name.seen_path, file.problem or problem)
                yield self._finding(problem, aside, *([anew] if keeps is None else []))
            elif file.file is not None and file.file.altered:
                problem = f"{altered_lines(file.file.altered)} in its file"
                aside = SetAside(file.name.seen_path, problem)
                yield self._finding(problem, aside, WriteFile(stands, file.file))

    def _about_lines(self, stands: Counted) -> Iterator[Finding]:
        mend = WriteHistory(stands)
        if not self.said.lines:
            yield self._finding(f"{protocol.HISTORY} lacks it", mend)
        elif len(self.said.lines) > 1:
            yield self._finding(f"{protocol.HISTORY} has it twice, and not the same", mend)
        elif not is_same(self.said.lines[0], stands):
            yield self._finding(f"{protocol.HISTORY} says otherwise than its file", mend)

    def _about_asked(self, stands: Counted) -> Iterator[Finding]:
        of_train = self.said.key[0] is Purpose.TRAIN
        if not of_train or not self.study.is_current or _fits(self.study, self.said, stands):
            return
        trial, had = stands.trial, self.said.asked
        problem, asked = "lacks it", recovered_from(self.study, trial)
        if had is not None:
            problem = f"says otherwise than its file and {protocol.HISTORY}"
            asked = had.replace(
                configuration=trial.configuration, params=trial.params, origin="recovered", state={}
            )
        makes_it = asked is not None and asks_for(self.study, asked, trial)
        yield self._finding(f"{protocol.ASKED} {problem}", *[WriteAsked(asked)] * makes_it)


def altered_lines(count: int) -> str:
    """How many lines there are whose checksum does not match."""
    return f"{count} line{'s' * (count > 1)} with a wrong checksum"
