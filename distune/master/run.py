"""The run of a master: `distune master`, until the study is over or the user stops it."""

import os
import secrets
import shlex
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from distune.errors import NotAFolder, ShareError, StudyFailed, UserError
from distune.master.local_workers import LocalWorkers
from distune.master.lock import Identity, only_master
from distune.master.master import Master
from distune.master.opening import MasterOptions, open_or_create
from distune.share import access
from distune.share.waiting import (
    LONGEST_WAIT,
    SHORTEST_WAIT,
    Interrupt,
    Outage,
    Stall,
    collect_seldom,
)
from distune.space_file.freeze import limits_of
from distune.space_file.remarks import remarks
from distune.study.study import Study
from distune.study.trial import FAILURES
from distune.training.code import Code, CurrentCode
from distune.training.offer import Offer
from distune.watch.screen import Screen
from distune.watch.snapshot import Snapshot

_EXPECTED_WITHIN = 60.0  # seconds in which a master looks out for the first worker
_FIRST_LOOKS = 0.25  # seconds between looks meanwhile, at most, over a network


def run_master(options: MasterOptions, screen: Screen) -> int:
    """Run a study to its end.

    Returns:
        The exit status: 0, or 128 + the signal that stopped it.

    Raises:
        UserError: the study cannot be started like this, or has another master.
        StudyFailed: it ended without a result.
    """
    interrupt = Interrupt()
    with Stall(screen.say, "nothing is lost").watched():
        folder, is_new = _make_folder(options)
        try:
            store, study = open_or_create(folder, options, screen.say)
        except UserError:
            if is_new:
                with suppress(OSError):  # something is in it
                    folder.rmdir()
            raise
    identity = Identity(socket.gethostname(), os.getpid(), secrets.token_hex(4))
    with only_master(folder, store, identity):
        try:
            store.freeze_anew(study)
            limits, code = limits_of(options.space), _code_of(study, options)
            master = Master(
                store, limits, identity, code=lambda: code.digest, wake=interrupt.event.set
            )
            master.announce()
            workers = LocalWorkers(options, folder)
        except NotAFolder as error:
            raise UserError(str(error)) from None
        if master.study.sampler_why:
            screen.say(f"sampler {master.study.sampler}: {master.study.sampler_why}")
        for remark in remarks(master.study, limits):
            screen.say(remark)
        if options.workers:
            some = f"{options.workers} local worker{'s' * (options.workers > 1)}"
            screen.say(f"{some}: {workers.parallelism.describe(options.workers)}")
        else:
            how = ["distune", "worker", "--logs", str(folder.parent), *master.study.offer]
            screen.say(f"workers can be started on any host: {shlex.join(how)}")
        loop = _MasterLoop(master, workers, interrupt, screen)
        try:
            with screen:
                loop.run()
        finally:
            workers.end(patience=0.0 if master.finished is None else 2 * LONGEST_WAIT)
            master.leave()
    if interrupt.signal is not None and master.finished is None:
        screen.say("stopped; the same command goes on from here")
        return 128 + interrupt.signal
    # No other look: the study is over, and the share may choose this moment to go.
    assert loop.snapshot is not None
    _show_end(loop.snapshot, master, options, screen, folder)
    return 0


def _code_of(study: Study, options: MasterOptions) -> CurrentCode:
    """The user's code that is to train a study, as far as this master was told of it."""
    offers = Offer.all_of(options.objectives, options.given, options.logs.resolve())
    wanted = [offer for offer in offers if offer.name == study.objective]
    return CurrentCode(lambda: Code.of_offer(wanted[0]) if wanted else Code("", ()))


def _make_folder(options: MasterOptions) -> tuple[Path, bool]:
    """The study's folder, and whether it was not there before."""
    folder = options.logs.resolve() / options.name
    is_new = not os.path.lexists(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}; check --logs") from None
    if not options.any_owner:
        access.check_owner(folder)
    return folder, is_new


def _show_end(
    snapshot: Snapshot, master: Master, options: MasterOptions, screen: Screen, folder: Path
) -> None:
    finished = master.finished
    assert finished is not None
    screen.final(replace(snapshot, elapsed=master.elapsed, finished=finished), folder)
    if finished.stopped:
        resume = shlex.join(["distune", "resume", options.name, "--logs", str(options.logs)])
        screen.say(f"stopped by distune stop; to go on: {resume}, and then this command again")
    failed = [one for one in snapshot.history.standing if one.result.outcome in FAILURES]
    if not failed:
        return
    where = f"--logs {options.logs}"
    look = f"distune show {failed[-1].trial.number} {where} --study {options.name}"
    again = f"distune retry {options.name} --failed {where}"
    if finished.failed:
        raise StudyFailed(
            f"study {options.name}: {finished.reason}; look at: {look}; when it is mended: "
            f"{again}, and then this command again"
        )
    screen.say(f"{len(failed)} failed: {look}; to train them again: {again}")


@dataclass(eq=False)
class _MasterLoop:
    """Step until the study is over or a signal comes."""

    _master: Master
    _workers: LocalWorkers
    _interrupt: Interrupt
    _screen: Screen
    snapshot: Snapshot | None = None  # what was seen last
    _outage: Outage = field(default_factory=Outage)

    def run(self) -> None:
        master, event = self._master, self._interrupt.event
        pause, began = SHORTEST_WAIT, time.monotonic()
        stall = Stall(self._say, "nothing is lost")
        collect_seldom()
        while True:
            event.clear()  # a sampler may have set it
            if self._interrupt.signal is not None:
                break
            looked = time.monotonic()
            try:
                with stall.watched():
                    self.snapshot = master.step(curves=self._screen.wants_curves())
            except (ShareError, FileNotFoundError) as error:
                self._cut_off(error)
                event.wait(self._outage.pause(since=looked))
                continue
            self._show(self.snapshot)
            if master.finished is not None:
                break
            lease = master.study.lease
            alone = all(view.silence >= lease for view in self.snapshot.workers)
            self._workers.look_after(master.observer, alone)
            if not master.active:
                master.store.folder.rest()
            pause = min(pause * 1.5, self._longest_pause(looked - began))
            pause = SHORTEST_WAIT if master.active else pause
            # Sooner if workers will have nothing left by then.
            event.wait(min(pause, master.pace.lasts / 2))

    def _longest_pause(self, elapsed: float) -> float:
        longest = self._master.study.longest_pause
        if (self.snapshot and self.snapshot.workers) or elapsed >= _EXPECTED_WITHIN:
            return longest
        return min(longest, _FIRST_LOOKS if self._master.store.folder.network else SHORTEST_WAIT)

    def _say(self, text: str) -> None:
        # Not as an event: nothing shows those while there is no snapshot.
        self._screen.say(f"{time.strftime('%H:%M:%S')} {text}")

    def _cut_off(self, error: ShareError | FileNotFoundError) -> None:
        observer = self._master.observer
        observer.blind()
        if self._outage.began is not None:
            return
        what = error if isinstance(error, ShareError) else f"{error.filename} is not there"
        text = f"{what}; nothing is lost, trying again"
        if self.snapshot is None:
            self._say(text)
        else:
            observer.add_event("trouble", text)
            self._screen.show(replace(self.snapshot, events=observer.events))

    def _show(self, snapshot: Snapshot) -> None:
        observer = self._master.observer
        lasted = self._outage.over()
        if lasted is not None:
            observer.add_event("trouble", f"the share is back after {lasted:.0f} s")
            self.snapshot = snapshot = replace(snapshot, events=observer.events)
        self._screen.show(snapshot)
