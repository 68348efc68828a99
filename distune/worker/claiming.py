"""Claiming trials for free slots, and finding out which files are the worker's."""

from dataclasses import dataclass

from distune.errors import BadRecord
from distune.share import protocol
from distune.share.heartbeat import Progress
from distune.share.protocol import AttemptName
from distune.study.trial import Trial
from distune.training.messages import Assignment
from distune.worker.context import Trouble, WorkerContext
from distune.worker.open_study import Attempt, OpenStudy
from distune.worker.slots import Slots
from distune.worker.studies import Studies

_MOST_IN_VAIN = 20  # at a step: a flood of garbage must not delay the heartbeat


@dataclass(eq=False)
class Claiming:
    """What a worker does to have its slots train."""

    _context: WorkerContext
    _studies: Studies
    _slots: Slots
    _trouble: Trouble

    @property
    def has_rivals(self) -> bool:
        """Others have claimed what the worker was about to claim, not long ago."""
        now = self._context.monotonic()
        return any(study.candidates.have_rivals(now) for study in self._studies.open.values())

    @property
    def is_over(self) -> bool:
        """The worker's limits let it claim nothing more of any study here."""
        studies = self._studies.open.values()
        return bool(studies) and all(self._slots.why_none(study) for study in studies)

    def claim(self, *, listing: bool) -> None:
        """Claim as many trials as there are free slots; without `listing` only what is known."""
        studies = list(self._studies.open.values())
        self._context.rng.shuffle(studies)  # fair to all of them
        if not listing:
            del studies[1:]  # what happens to be known of one must not put it before the others
        for study in studies:
            self._say_once(study, self._slots.why_none(study))
            if self._slots.free_for(study) is None:
                if listing:
                    # Over, if another look has adopted the claim.
                    study.claim_backoff.succeeded()
            elif study.backoff.until is None:  # then it has a heartbeat
                self._trouble.try_to(study.claim_backoff, self._claim_from, study, listing)

    def _say_once(self, study: OpenStudy, why_none: str) -> None:
        if why_none and not study.said_why_none:
            study.said_why_none = True
            self._context.say(f"study {study.name}: no more is claimed: {why_none}")

    def _claim_from(self, study: OpenStudy, listing: bool) -> None:
        if study.health.ends_pause(self._context.monotonic()):
            study.next_beat = 0.0
        if not study.health.may_claim:
            return
        in_vain = 0  # claims of files that are no trials
        while in_vain < _MOST_IN_VAIN and (slot := self._slots.free_for(study)) is not None:
            if study.replaced:
                return
            if study.health.doubtful and self._slots.holding(study):
                return
            if not self._claim_one(study, listing):
                return
            in_vain += slot.free

    def _claim_one(self, study: OpenStudy, listing: bool) -> bool:
        now = self._context.monotonic()
        if listing and study.looks_finished(now=False):
            self._close(study)
            return False
        if study.candidates.are_fresh(now) and self._claim_known(study):
            return True
        if not listing or not study.candidates.may_be_listed(now, rivals=self.has_rivals):
            return False
        for name in self._compare(study, study.list_mine())[1]:
            self._adopt(study, name)
        if self._slots.free_for(study) is not None and self._claim_known(study):
            return True
        study.candidates.are_exhausted()
        if study.claimed_last:
            study.claimed_last = False
            if study.looks_finished(now=True):
                self._close(study)
        return False

    def _claim_known(self, study: OpenStudy) -> bool:
        claimed = study.claim_next()
        if claimed is not None:
            self._adopt(study, *claimed)
        return claimed is not None

    def _adopt(self, study: OpenStudy, name: AttemptName, trial: Trial | None = None) -> None:
        """Train an attempt whose file carries the worker's id; release it if that cannot be."""
        slot = self._slots.free_for(study)
        # What was published twice, as two masters may do, must not be trained twice under one
        # name: a file's name and what it says would not belong together any more (P8).
        if slot is None or name in study.begun:
            study.release(name)
            if slot is not None:
                study.look_for_another()
            return
        try:
            trial = trial or study.store.read_attempt(name).trial
        except (BadRecord, FileNotFoundError) as error:
            self._context.say(f"{name.filename} cannot be used ({error}); given back")
            study.release(name)
            study.look_for_another()
            return
        study.begun.add(name)
        now = self._context.monotonic()
        progress = Progress(file=name.filename, study=study.study.id, begun=False)
        folder = protocol.artifacts_folder(trial.number, trial.attempt)
        folder = self._context.path_of(study.name, folder)
        assignment = Assignment(
            study=study.study, trial=trial, folder=folder, checkpoints=study.checkpoints
        )
        claim = self._context.claim(trial, slot.device)
        self._slots.start(slot, Attempt(study, name, assignment, progress, [claim], now), now)
        self._context.say(f"trial {name.label}: claimed in {study.name}")

    def _close(self, study: OpenStudy) -> None:
        """The study is over: whatever is still held of it is released."""
        for name in self._held(study):
            study.release(name)
        self._slots.forget(study, "the study is finished")
        study.store.remove_beat(self._context.worker)
        self._studies.is_over(study)
        self._context.say(f"study {study.name} is finished")

    def check_ownership(self, study: OpenStudy) -> None:
        """Compare what the worker believes to own with a fresh listing."""
        if study.lists_when_idle and not self._held(study) and self._slots.free_for(study):
            return  # it looks for something to claim, which shows the same
        missing, found = self._compare(study, study.list_mine())
        if missing:  # never conclude from one listing: a rename nearby can hide a name
            study.store.folder.poke(protocol.TRIALS)
            missing -= study.list_mine()
        for slot, attempt in self._slots.holding(study):
            if attempt.name in missing:
                slot.evict("taken back by the master")
            else:
                study.remove_old_checkpoints(attempt)
        for attempt in list(study.ended):
            if attempt.name in missing:
                study.drop(attempt, "taken back by the master")
        for name in found:
            self._adopt(study, name)

    def _held(self, study: OpenStudy) -> list[AttemptName]:
        training = [attempt for _, attempt in self._slots.holding(study)]
        return [attempt.name for attempt in [*training, *study.ended]]

    def _compare(
        self, study: OpenStudy, listed: set[AttemptName]
    ) -> tuple[set[AttemptName], list[AttemptName]]:
        """What the worker holds and a listing has not, and what the listing has under its name
        and the worker does not hold: claims that seemed to have failed (P8).
        """
        held = set(self._held(study))
        # Of what has its result in it already, the rename that follows will tell.
        written = {attempt.name for attempt in study.ended if attempt.written}
        return held - written - listed, sorted(listed - held)
