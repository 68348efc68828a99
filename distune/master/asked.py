"""What the master has asked its sampler for: in memory, and in `asked.jsonl`."""

from collections.abc import Iterable, Sequence, Sized
from itertools import chain

from distune.errors import BadRecord, UserError
from distune.search.asked import AskedSoFar, asks_for, recovered_from
from distune.search.ranking import History
from distune.search.sampler import Question, Sampler, Suggestion
from distune.share import protocol, records
from distune.share.lines_file import LinesFile
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.study.study import Study
from distune.study.trial import Asked, Purpose, Trial

_MOST_AHEAD = 1000  # trials: a master publishes no more before the first of them is counted
#: Trials that lost lines have asked for, at most: what is missing is asked for anew, one by one.
_MOST_MISSING = 100_000


class Remembered:
    """`Remembered(store, study).so_far` has what all masters have asked for, once it is read."""

    def __init__(self, store: Store, study: Study) -> None:
        self.so_far = AskedSoFar(study)
        self._store = store
        self._study = study
        self.file = LinesFile(store, protocol.ASKED, Asked, study)
        self._history: Sized = ()
        #: What an append has failed to write, or may have: it is not known yet.
        self.unwritten: list[Asked] = []
        self._recovered = 0
        self._lacks_lines = False
        self._is_read = False

    def read(self, history: History) -> None:
        """Read what earlier masters have asked for, if that was not done before."""
        if self._is_read:
            return
        self._is_read = True
        self._history = history
        self.so_far = AskedSoFar(self._study, history)
        self._store.distrust_tail(protocol.ASKED)
        self._catch_up()
        # A trial is published after its line is whole: half a line says that more is missing.
        self._lacks_lines = self.file.torn or not len(self.so_far)

    def _catch_up(self) -> None:
        """Take in what the file has and is not known."""
        try:
            for asked, line in self.file.read():
                self._take_in(asked, line)
        except BadRecord as error:
            self.file.problem = str(error)  # what is known stands

    def _take_in(self, asked: Asked, line: bytes) -> None:
        if self._may_have_asked(asked):
            self.so_far.add(asked, line)
        else:
            self.file.problem = "a line in it asks for trials far beyond all others"

    def hears_of_more(self) -> bool:
        """Whether the file has more than is known: where locks lie, another master has asked."""
        known = self.so_far.trials
        self._catch_up()
        return self.so_far.trials > known

    def read_again(self) -> AskedSoFar:
        """All lines that the file has now, and those that it should have of what is not over."""
        asked = AskedSoFar(self._study)
        try:
            for one, line in self.file.read_again():
                asked.add(one, line)
                self._take_in(one, line)  # maybe another master's: it is not read any more
        except BadRecord as error:
            self.file.problem = str(error)
        lost = sum(asked.add(one) for one in self.so_far.not_over())
        if lost:
            self.file.write_anew(asked.lines())
        return asked

    def _may_have_asked(self, asked: Asked) -> bool:
        """Whether a master of this study may have, given how many trials there are."""
        known = max(self.so_far.trials, len(self._history))
        near = asked.trial <= known + _MOST_MISSING
        return near and asked.repeats <= self._study.repeats

    def add(self, new: Sequence[Asked] = ()) -> bool:
        """Remember configurations that were asked for now; all of them are on the disk after it.

        Returns:
            False if, where locks lie, another master has asked for others under one of their
            numbers: the line that comes first in the file stands for both of them.

        Raises:
            ShareError: they may be there or not, and are not known; `add()` writes them again,
                before anything else is asked for.
        """
        self.unwritten += new
        if not self.unwritten:
            return True
        lines = list(map(records.encode, self.unwritten))
        self.file.append(lines, chain(self.so_far.lines(), lines))
        self._catch_up()  # what stands before them in the file comes first
        pairs, known = zip(self.unwritten, lines, strict=True), self.so_far
        stand = [known.add(one, line) or known.of(one.trial) == one for one, line in pairs]
        self.unwritten.clear()
        return all(stand)

    def refuses(self, trial: Trial) -> bool:
        """Whether no master has asked for such a trial."""
        asked = self.so_far.of(trial.number)
        if asked is None:
            self._catch_up()  # where locks lie, a second master may have
            asked = self.so_far.of(trial.number)
        return asked is None or not asks_for(self._study, asked, trial)

    def recover(self, trials: Iterable[Trial], history: History) -> None:
        """Make lines that were lost again, from trials that they have asked for. Where nothing says
        that the file lacks lines, a trial that it does not name is a stranger.
        """
        self._lacks_lines |= self.file.problem is not None or self._has_less_than(history)
        for trial in trials if self._lacks_lines else ():
            asked = recovered_from(self._study, trial)
            known = max(self.so_far.next_trial, history.highest)
            if asked is None or asked.trial > known + _MOST_AHEAD:
                continue
            if self._may_have_asked(asked):
                self._recovered += self.so_far.add(asked)

    def _has_less_than(self, history: History) -> bool:
        """Whether trials are counted, or were published before others, that no line asks for."""
        return history.highest >= self.so_far.next_trial or self.so_far.has_gaps()

    def recover_all(self, names: Iterable[AttemptName], history: History) -> None:
        """See that everything is known that was asked for: where lines are lost, trials tell of
        it, those that are counted and those in `trials/`.
        """
        if self._has_less_than(history):
            self.recover((counted.trial for counted in history.trials), history)
        for name in sorted(names):
            if name.purpose is Purpose.TRAIN and self.so_far.of(name.trial) is None:
                try:
                    self.recover([self._store.read_attempt(name).trial], history)
                except (FileNotFoundError, BadRecord):
                    continue

    def mend(self, sampler: Sampler, history: History) -> str | None:
        """Make the file say what is known, now that all trials have been looked at. What no trial
        tells of is asked for anew. Returns a line for people, if anything was lost.

        Raises:
            UserError: the sampler has nothing in the place of what was lost.
        """
        for gap in self.so_far.gaps():
            number = gap.configuration - self.so_far.wishes_before(gap.configuration)
            found = sampler.ask(Question(number, history))
            if not isinstance(found, Suggestion):
                raise UserError(
                    f"{protocol.ASKED} has lost trial {gap.trial}, and the sampler has "
                    f"{found.value}: put a copy of the file back, or begin another study"
                )
            asked = gap.replace(params=found.params, stage=found.stage, state=found.state)
            self._recovered += self.so_far.add(asked)
        lost, self._recovered = self._recovered, 0
        if not lost and self.file.problem is None:
            return None
        why = self.file.problem
        self.file.write_anew(self.so_far.lines())
        return (
            f"{protocol.ASKED}: {why or 'it lacked some lines'}; written anew with all "
            f"{len(self.so_far)} configurations, {lost} of them made again from their trials"
        )

    def keep(self) -> str | None:
        """Write all of it anew if the file has lost lines; a line for people, if so."""
        self.so_far.forget_what_is_over()
        if not self.file.has_lost_lines():
            return None
        self._catch_up()  # where locks lie, a second master may have written
        self.file.write_anew(self.so_far.lines())
        return f"{protocol.ASKED} had lost lines; all {len(self.so_far)} written anew"
