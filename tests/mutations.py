"""Whether anything sees it when the protocol's code is broken: one line of a copy is changed at
a time, and simulated histories, or the tests named, must go red.

    python -m tests.mutations                      # all, some minutes
    python -m tests.mutations --only "lists twice" # those with these words in their titles
    python -m tests.mutations --list
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_COPIED = ("distune", "scripts", "tests", "pyproject.toml")
_CACHES = shutil.ignore_patterns("__pycache__")
_SEEDS = "0:400"
_LONGEST = 240.0  # seconds; what hangs has been seen, too


class DoesNotApply(Exception):
    """The text to change is not in the package exactly once: the mutation wants renewing."""


@dataclass(frozen=True)
class Mutation:
    """A line of code that is broken.

    Args:
        title: what is wrong afterwards.
        where: the module or the folder of the package that has it.
        old, new: text that is there once, and what it becomes.
        seeds: of simulated histories of which at least one must be judged wrong,
        tests: or a test that must fail.
    """

    title: str
    where: str
    old: str
    new: str
    seeds: str = _SEEDS
    tests: str = ""

    def find(self, package: Path) -> Path:
        """The file of the package that it changes.

        Raises:
            DoesNotApply: there is none.
        """
        place = package / self.where
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        there = [file for file in files if file.is_file() and self.old in file.read_text()]
        if len(there) != 1 or there[0].read_text().count(self.old) != 1:
            times = sum(file.read_text().count(self.old) for file in there)
            raise DoesNotApply(f"{times} times in {self.where}: {self.old!r}")
        return there[0]

    def command(self) -> list[str]:
        if self.tests:
            return [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", self.tests]
        return [sys.executable, "-m", "tests.simulation", "--seeds", self.seeds]


_STORE = "tests/test_store.py"
_VERIFY = "tests/test_verify.py"
_MASTER = "tests/test_master.py"
_CHECKPOINTS = "tests/test_checkpoints.py"
_EXTEND = "tests/test_extend.py"
_WORKER = "tests/test_worker.py"
_HEARTBEAT = "tests/test_heartbeat.py"
_LONG = "tests/test_simulation.py::test_a_worker_that_trains_for_many_leases_is_not_silent"
_SIMULATION = "tests/test_simulation.py"
_INTERRUPTED = (
    f"{_SIMULATION}::test_what_is_interrupted_again_and_again_is_what_nobody_had_interrupted"
)
_SEEN_LATE = f"{_SIMULATION}::test_a_last_checkpoint_that_the_master_sees_late_is_not_missed"
_FAILS_NOW_AND_THEN = f"{_SIMULATION}::test_a_share_that_fails_now_and_then_costs_no_checkpoint"
_DAMAGED = (
    "tests/test_restores.py"
    "::test_a_checkpoint_cut_altered_or_deleted_loses_what_was_trained_since_the_one_before"
)
_LAST_STAY = f"{_SIMULATION}::test_of_what_is_trained_the_last_checkpoints_stay"
_HALTING = "tests/test_halting.py"
_OLD_LISTINGS = "tests/test_simulation.py::test_old_listings_alone_cost_no_attempt"

MUTATIONS = (
    # -- the store -----------------------------------------------------------------------
    Mutation(
        "a claim is believed although another was faster", "share/store", tests=_STORE,
        old="return taken if self._move(name.live_path, taken.live_path, look=False) else None",
        new="self._move(name.live_path, taken.live_path, look=False)\n        return taken",
    ),
    Mutation(
        "a rename that seems to have failed is not looked for", "share", tests=_STORE,
        old="            if filename in self._look_again(folder):\n                return True\n",
        new="",
    ),
    Mutation(
        "a rename whose old name is gone is taken for another's", "share", tests=_STORE,
        old="        if filename in names:\n            return True\n        if folder",
        new="        if folder",
    ),
    Mutation(
        "a line is written behind half of another", "share", tests=_STORE,
        old='            data = b"\\n" + data\n', new="            pass\n",
    ),
    Mutation(
        "a result counts although its worker had read another setting", "share/store",
        tests=_WORKER,
        old='if file.claim.fingerprint not in ("", file.trial.fingerprint):', new="if False:",
    ),
    Mutation(
        "lines that a file has lost are not missed", "share/lines_file", tests=_MASTER,
        old="if not self._has_known_lines():", new="if False:",
    ),
    # -- counting ------------------------------------------------------------------------
    Mutation(
        "the name of a trial replaces what has it", "share/folder", tests=_STORE,
        old="        self._between(source, target, self._rename_new)",
        new="        self.move(source, target)",
    ),
    Mutation(
        "whoever finds the name of a trial taken believes that he has it", "share/store",
        old="        except (FileExistsError, FileNotFoundError):\n            return False\n",
        new="        except (FileExistsError, FileNotFoundError):\n            return True\n",
    ),
    Mutation(
        "a name won with a reply that was lost is not looked for", "share/store", tests=_STORE,
        old="            if counted.filename in self._look_again(folder):\n"
        "                return False\n            raise\n",
        new="            raise\n",
    ),
    Mutation(
        "an attempt that comes second is left to be counted again", "master/counting",
        tests=_MASTER,
        old="            self._store.drop(name)\n", new="            pass\n",
    ),
    Mutation(
        "the first name of a file that has its second stays", "share/store", tests=_STORE,
        old="                self.folder.remove(name.live_path)\n",
        new="                pass\n",
    ),
    Mutation(
        "the history has the attempt that lost", "master/counting", tests=_MASTER,
        old="        if won:\n            self._won.append(counted)\n        elif not",
        new="        self._won.append(counted)\n        if not won and not",
    ),
    Mutation(
        "what has won but could not be written into the history is forgotten", "master",
        tests=_MASTER,
        old="        self._counting.write_won()\n", new="",
    ),
    Mutation(
        "a file that is counted in another stays among those to be counted", "master/counting",
        tests=_MASTER,
        old="        if in_its_own_file:\n            self._store.lose",
        new="        if False:\n            self._store.lose",
    ),
    Mutation(
        "an attempt is lost although what has its trial's name is garbage", "master/counting",
        tests=_MASTER,
        old="            return  # what took the name is none that counts, or not yet\n",
        new="            pass\n",
    ),
    Mutation(
        "a trial that another master has counted gets a second line", "master/counting",
        tests=_MASTER,
        old="        self._doubts.dropped(name.seen_path)\n        self._unsure = True\n",
        new="        self._doubts.dropped(name.seen_path)\n",
    ),
    Mutation(
        "what seen/ has and the history lacks stays uncounted", "watch/attempt_files",
        tests=_MASTER,
        old="            history.add(found[-1])\n", new="            found.pop()\n",
    ),
    Mutation(
        "a result without a claim counts", "share/store", tests="tests/test_garbage.py",
        old='                raise BadRecord("there is a result in it, but no claim")\n',
        new="                pass\n",
    ),
    # -- two masters ---------------------------------------------------------------------
    Mutation(
        "a master goes because of a dead one", "master/lock", tests=_MASTER,
        old="return lives and (beat.term", new="return (beat.term",
    ),
    Mutation(
        "both of two masters go", "master/lock", tests=_MASTER,
        old="return lives and (beat.term, beat.token) < (self.term, self.token)",
        new="return lives",
    ),
    Mutation(
        "neither of two masters goes", "master", tests=_MASTER,
        old="        if self._rivals.is_outranked_by(found):\n", new="        if False:\n",
    ),
    # -- the master ----------------------------------------------------------------------
    Mutation(
        "a master that starts lists trials/ once", "master", tests=_MASTER,
        old="listings = [self.store.listing(), self.store.listing()]",
        new="listings = [self.store.listing()]",
    ),
    Mutation(
        "what was asked for is published before it is remembered", "master",
        tests="tests/test_asked.py",
        old="self._asked.add([one.asked for one in plan if isinstance(one, actions.Ask)])",
        new="pass",
    ),
    Mutation(
        "a successor is published although it is under way", "master", tests=_MASTER,
        old="if trial.attempt > 1 and self._is_under_way(trial):", new="if False:",
    ),
    Mutation(
        "a vanished trial is published again without a look at seen/", "master",
        old="for name in self._store.seen_of(trial.number):\n            if name.purpose",
        new="for name in ():\n            if name.purpose",
    ),
    Mutation(
        "a vanished trial gets the name that it had", "master", tests=_MASTER,
        old="again = trial.replace(attempt=attempt + 1,", new="again = trial.replace(attempt=1,",
    ),
    Mutation(
        "a study ends although a trial is still under way", "master", tests=_MASTER,
        old="if wished or any(name.state not in stays for name in attempts):", new="if False:",
    ),
    Mutation(
        "what may have been appended to the history is appended again", "master", tests=_MASTER,
        old="        if self._unsure:\n            self._observer.catch_up()\n", new="",
    ),
    Mutation(
        "a new master writes behind half a line of the one before", "master", tests=_MASTER,
        old="        self._store.distrust_tail(protocol.HISTORY)\n", new="",
    ),
    # -- the planner ---------------------------------------------------------------------
    Mutation(
        "an attempt is counted although its trial has another", "master/attempts",
        tests="tests/test_planner.py",
        old="elif name.key in self._settled_now or (\n            counted is not None and not "
        "_same_attempt(counted, name)\n        ):",
        new="elif False:",
    ),
    Mutation(
        "a trial that is counted gets a successor", "master/attempts",
        tests="tests/test_planner.py",
        old="        if self._snapshot.history.get(name.key) is not None or name.key in "
        "self._settled_now:\n            return None\n",
        new="",
    ),
    Mutation(
        "what is lost is put away without a successor", "master/attempts",
        tests="tests/test_planner.py",
        old="        if successor is not None:\n            yield Publish(successor)\n"
        "        yield PutAway(name)",
        new="        yield PutAway(name)",
    ),
    Mutation(
        "no attempt is ever taken back", "master/attempts",
        old="elif counted is not None or silence.get(name.worker, 0.0) >= self._study.lease:",
        new="elif counted is not None:",
    ),
    Mutation(
        "more trials are published than were asked for", "master/publishing",
        old="while not self._known.wants(number, self._limit):", new="while False:",
    ),
    Mutation(
        "the study ends a trial early", "master/ending",
        old="enough = self._limit is not None and asked_for >= self._limit",
        new="enough = self._limit is not None and asked_for + 1 >= self._limit",
    ),
    Mutation(
        "the next attempt has the number of the one before", "master/attempts",
        tests="tests/test_planner.py",
        old="        return trial.replace(\n            attempt=name.attempt + 1,",
        new="        return trial.replace(\n            attempt=name.attempt,",
    ),
    Mutation(
        "an old copy of what was stopped is counted", "master/counting", seeds="209:210",
        old="        if is_old and not self._doubts.confirmed(name.live_path):",
        new="        if False:",
    ),
    Mutation(
        "a master that is killed takes the reason with it", "master/counting",
        tests="tests/test_pruning.py",
        old="        return self._judge.verdict(snapshot.history, curve, snapshot.curves)",
        new="        return None",
    ),
    Mutation(
        "what a person asked for is stopped", "search/pruning", tests="tests/test_pruners.py",
        old="    return trial.purpose is Purpose.TRAIN and is_by_search(trial)",
        new="    return trial.purpose is Purpose.TRAIN",
    ),
    Mutation(
        "two masters each keep what they have asked for", "master/asked",
        tests="tests/test_asked.py",
        old="        self._catch_up()  # what stands before them in the file comes first",
        new="        pass",
    ),
    Mutation(
        "a line that is read to compare the file is forgotten", "master/asked",
        tests="tests/test_asked.py",
        old="                self._take_in(one, line)  # maybe another master's",
        new="                pass #",
    ),
    Mutation(
        "what two masters' lines say of one number is believed", "search/asked",
        tests="tests/test_repeating.py",
        old="        if place == len(self._first) and self._is_late(asked):",
        new="        if False:",
    ),
    Mutation(
        "the repeats of what was stopped are trained on", "search/judge",
        tests="tests/test_pruners.py",
        old="        if other is not None:\n            return Stop(",
        new="        if False:\n            return Stop(",
    ),
    Mutation(
        "what failed is counted at once", "master/attempts", tests="tests/test_planner.py",
        old="return trial.failures + 1 < self._study.max_attempts", new="return False",
    ),
    Mutation(
        "a trial without a file is not missed", "watch/expected", tests=_MASTER,
        old="self.absent[key] = 0 if key in present else self.absent[key] + 1",
        new="self.absent[key] = 0",
    ),
    # -- what lies there -----------------------------------------------------------------
    Mutation(
        "a checksum that does not fit is believed", "share/records",
        tests="tests/test_records.py",
        old='        raise BadRecord("a line whose checksum does not match")\n',
        new="        pass\n",
    ),
    Mutation(
        "what is set aside replaces what was", "share/study_files", tests="tests/test_garbage.py",
        old='        while self._is_there(target := f"{protocol.QUARANTINE}/{name}"):\n',
        new='        target = f"{protocol.QUARANTINE}/{name}"\n        while False:\n',
    ),
    Mutation(
        "a symbolic link is followed", "share/folder", tests="tests/test_garbage.py",
        old="flags |= os.O_NOFOLLOW | os.O_NONBLOCK", new="flags |= os.O_NONBLOCK",
    ),
    Mutation(
        "a setting that nobody has asked for is trained", "master/asked", tests=_MASTER,
        old="return asked is None or not asks_for(self._study, asked, trial)",
        new="return False",
    ),
    # -- damage --------------------------------------------------------------------------
    Mutation(
        "an attempt's file is bad at the first sight", "watch/attempt_files",
        old="if self.doubts.confirmed(name.live_path):", new="if True:",
    ),
    Mutation(
        "a counted file is bad at the first sight of the patrol", "master/checking",
        old="if not self._doubts.confirmed(one.path):", new="if False:",
    ),
    Mutation(
        "a counted file is bad at the first sight of a check", "master/mending",
        old="if not all(map(self._doubts.confirmed, _set_aside(again))):",
        new="if False:",
    ),
    Mutation(
        "the winner of a name is bad at the first sight", "master/counting",
        old="if self._doubts.confirmed(name.seen_path):", new="if True:",
    ),
    Mutation(
        "a study ends without a look at its files", "master/applying", tests=_VERIFY,
        old="if not self._checking.go_on() or len(history) > known:", new="if False:",
    ),
    Mutation(
        "a start makes no file again", "master/master", tests=_VERIFY,
        old="        checking.restore_files()\n", new="",
    ),
    Mutation(
        "a damaged file keeps the name of the new one", "master/mending", tests=_VERIFY,
        old="                self._store.set_aside(path, why)\n", new="",
    ),
    # -- heartbeats ----------------------------------------------------------------------
    Mutation(
        "a heartbeat that has changed does not end a silence", "share/heartbeat", tests=_LONG,
        old="if worker not in self._silence or beat != self._beats[worker]:",
        new="if worker not in self._silence:",
    ),
    Mutation(
        "time in which the watcher could not look is a silence", "share/heartbeat",
        tests=_HEARTBEAT,
        old="min(max(now - self._last, 0.0), self._longest_step)", new="max(now - self._last, 0.0)",
    ),
    Mutation(
        "an outage is a silence", "share/heartbeat", tests=_HEARTBEAT,
        old='        """The share could not be read."""\n        self._last = None',
        new='        """The share could not be read."""',
    ),
    # -- a pause, a stop -----------------------------------------------------------------
    Mutation(
        "a paused study publishes", "master/planner", tests=_HALTING,
        old="        if self._snapshot.halt is Halt.PAUSE:\n", new="        if False:\n",
    ),
    Mutation(
        "a worker claims in a pause", "worker/claims", tests=_HALTING,
        old="    return halt is None or", new="    return halt is not Halt.STOP or",
    ),
    Mutation(
        "what is trained is cut off by a stop that waits", "master/ending", tests=_HALTING,
        old="        if not ending.stopped:\n", new="        if True:\n",
    ),
    Mutation(
        "what waits is withdrawn when a study is stopped", "master/applying", tests=_HALTING,
        old=" if not action.stopped else ():", new=":",
    ),
    Mutation(
        "a worker does not give back at once", "worker", tests=_HALTING,
        old="        if study.halt is Halt.NOW:\n", new="        if False:\n",
    ),
    Mutation(
        "a pause uses up the time limit", "master/master", tests=_HALTING,
        old="        if self._halt is not Halt.PAUSE:\n", new="        if True:\n",
    ),
    Mutation(
        "the weakest mark holds", "share/study_documents", tests=_HALTING,
        old="sorted(listed, key=list(Halt).index)",
        new="sorted(listed, key=list(Halt).index, reverse=True)",
    ),
    Mutation(
        "a mark of another study counts", "share/study_documents", tests=_HALTING,
        old="self._check_study(records.decode_document(Mark, data).study)",
        new="records.decode_document(Mark, data)",
    ),
    # -- the worker ----------------------------------------------------------------------
    Mutation(
        "a worker trains one attempt twice", "worker/claiming", tests=_WORKER,
        old="if slot is None or name in study.begun:", new="if slot is None:",
    ),
    Mutation(
        "a worker believes one listing without its file", "worker", tests=_OLD_LISTINGS,
        old="            missing -= study.list_mine()\n", new="",
    ),
    Mutation(
        "a claim that seemed to fail is never found", "worker",
        old="sorted(listed - held)", new="[]",
    ),
    Mutation(
        "a worker's heartbeat does not change", "worker", tests=_LONG,
        old="        self._beats += 1\n", new="        self._beats = 2\n",
    ),
    Mutation(
        "a worker lets go of a file without its result", "worker",
        old="            if not attempt.written:\n                why = self.append(attempt)",
        new="            if attempt.written:\n                why = self.append(attempt)",
    ),
    Mutation(
        "what could not be written is forgotten", "worker", tests=_WORKER,
        old="            self.store.append(attempt.name, attempt.unwritten)\n",
        new="            lines = attempt.unwritten[:]\n            attempt.unwritten.clear()\n"
        "            self.store.append(attempt.name, lines)\n",
    ),
    Mutation(
        "a file that cannot be opened is dropped although it is listed", "worker", tests=_WORKER,
        old="            if attempt.name in self.list_mine():\n", new="            if False:\n",
    ),
    Mutation(
        "a worker keeps what it holds when its study is over", "worker", tests=_WORKER,
        old="        for name in self._held(study):\n            study.release(name)\n", new="",
    ),
    Mutation(
        "a damaged checkpoint is gone on from", "training",
        tests=f"{_CHECKPOINTS}::test_a_damaged_checkpoint_falls_back_to_the_one_before",
        old="len(data) != checkpoint.size or hashlib.sha256(data).hexdigest() != checkpoint.sha256",
        new="len(data) < 0",
    ),
    Mutation(
        "the next attempt is not told of checkpoints", "master",
        tests="tests/test_planner.py",
        old="checkpoints=file.checkpoints_for_the_next(failed=failed),", new="checkpoints=[],",
    ),
    Mutation(
        "what an attempt failed to go on from is tried again", "share",
        tests=f"{_CHECKPOINTS}::test_what_an_attempt_failed_to_go_on_from_is_not_tried_again",
        old="(before[1:] if began_badly else before)", new="before",
    ),
    Mutation(
        "what is extended is counted as searched", "master",
        tests=f"{_EXTEND}::test_the_search_goes_on_as_if_nothing_had_been_extended",
        old="asked_for = history.over - history.on_top", new="asked_for = history.over",
    ),
    Mutation(
        "what is being extended loses its checkpoint", "master",
        tests=f"{_EXTEND}::test_what_is_being_extended_is_kept_as_long_as_that_takes",
        old="needed = {(Purpose.TRAIN, number) for number in self._asked.extending().values()}",
        new="needed: set[Key] = set()",
    ),
    Mutation(
        "what an extended trial has made superfluous is kept", "search",
        tests=f"{_EXTEND}::test_what_was_trained_further_makes_room",
        old="if not extended.issuperset(", new="if not set().issuperset(",
    ),
    Mutation(
        "the last state is not saved", "training",
        tests=f"{_EXTEND}::test_the_last_state_is_saved_of_a_training_that_has_saved_one",
        old="wants_last = ends and self.saves_last", new="wants_last = False",
    ),
    Mutation(
        "a checkpoint is told of after its training is over", "training",
        tests=f"{_CHECKPOINTS}::test_nobody_is_told_of_a_checkpoint_after_the_end_of_its_training",
        old="if checkpoint is not None and not self._closed:", new="if checkpoint is not None:",
    ),
    Mutation(
        "a training goes on at the beginning of its epoch", "workloads/trainer",
        tests=f"{_CHECKPOINTS}::test_a_training_that_is_stopped_at_any_steps_is_the_one_that_never_was",
        old="self._params.batch_size)[self._batches :]:", new="self._params.batch_size):",
    ),
    Mutation(
        "a training in an epoch saves the order of the next one", "workloads/trainer",
        tests=f"{_CHECKPOINTS}::test_from_any_checkpoint_a_training_goes_on_bit_for_bit",
        old='"shuffle": self._shuffled_from,', new='"shuffle": self._shuffle.get_state(),',
    ),
    Mutation(
        "what max_seconds ends is not saved", "workloads/trainer",
        tests=f"{_CHECKPOINTS}::test_before_max_seconds_ends_a_training_its_state_is_saved_from_which_it_could_go_on",
        old="if self._seconds >= self._max_seconds and self._trial.saves_last:", new="if False:",
    ),
    Mutation(
        "a training is not asked to save when its worker ends", "worker",
        tests=_WORKER,
        old="if self._slots.save_all() else 0.0", new="if False else 0.0",
    ),
    # -- what clusters do ----------------------------------------------------------------
    Mutation(
        "all trials are given the same GPUs", "worker/host",
        tests="tests/test_devices.py::test_visible_gpus_are_divided_and_each_trial_sees_its_own_only",
        old='",".join(gpus[first : first + per_trial])', new='",".join(gpus[:per_trial])',
    ),
    Mutation(
        "a training process that is asked to end saves no last state", "training/executor",
        tests="tests/test_requests.py::test_a_training_saves_its_last_state_before_it_follows_a_signal",
        old=" or self._requests.signal", new="",
    ),
    Mutation(
        "a self-test goes on when its study is stopped at once", "worker/worker", tests=_WORKER,
        old='"the study was stopped"\n        self._slots.end_self_tests(study)\n',
        new='"the study was stopped"\n',
    ),
    Mutation(
        "a checkpoint is told of before its file is complete", "training", tests=_INTERRUPTED,
        old="        self._files.write(self._name(checkpoint), data)\n        return checkpoint\n",
        new="        self._keep(checkpoint)\n"
        "        self._files.write(self._name(checkpoint), data)\n        return checkpoint\n",
    ),
    Mutation(
        "what was reported before a checkpoint is forgotten", "training", tests=_INTERRUPTED,
        old="                self.reports += self._loaded.described.reports\n", new="",
    ),
    Mutation(
        "the last checkpoint but one is what is gone on from", "share", tests=_INTERRUPTED,
        old="own, before = self.checkpoints[::-1],", new="own, before = list(self.checkpoints),",
    ),
    Mutation(
        "checkpoints are removed before their trial is counted", "master", tests=_INTERRUPTED,
        old="if key is not None and self._history.has(key):", new="if key is not None:",
    ),
    Mutation(
        "checkpoints stay when the study is over", "master", tests=_INTERRUPTED,
        old="        self._keeping.clear()\n", new="",
    ),
    Mutation(
        "the checkpoint before the last one is removed", "worker", tests=_DAMAGED,
        old="while len(attempt.checkpoints) > MOST_CHECKPOINTS:",
        new="while len(attempt.checkpoints) > 1:",
    ),
    Mutation(
        "old checkpoints of what is trained stay", "worker", tests=_LAST_STAY,
        old="while len(attempt.checkpoints) > MOST_CHECKPOINTS:", new="while False:",
    ),
    Mutation(
        "what was given back is believed before its last lines are seen", "watch", tests=_SEEN_LATE,
        old="        sure = name.state is not State.LOST or file.result is not None\n",
        new="        sure = True\n",
    ),
    Mutation(
        "a share that fails once costs a checkpoint", "training", tests=_FAILS_NOW_AND_THEN,
        old="if waited >= (_AWAY_FOR if away else _LATE_FOR):", new="if True:",
    ),
)  # fmt: skip


# -- trying them ---------------------------------------------------------------------------


def look(mutation: Mutation | None, command: Sequence[str]) -> str | None:
    """Break a copy and run a command in it: what it says is wrong, or None if nothing is.

    Raises:
        DoesNotApply: it cannot be broken so, or the command cannot tell.
    """
    with tempfile.TemporaryDirectory(prefix="distune-mutation-") as name:
        folder = Path(name)
        for part in _COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, folder / part, ignore=_CACHES)
            else:
                shutil.copy(ROOT / part, folder)
        if mutation is not None:
            file = mutation.find(folder / "distune")
            file.write_text(file.read_text().replace(mutation.old, mutation.new))
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=_LONGEST,
            )
        except subprocess.TimeoutExpired:
            return f"it hangs for {_LONGEST:g} s"
    said = done.stdout + done.stderr
    if done.returncode not in (0, 1):
        raise DoesNotApply(f"{shlex.join(command)} cannot be run: {said[-500:]}")
    errors = [line.strip() for line in said.splitlines() if "Error" in line]
    return None if done.returncode == 0 else (errors or ["it fails"])[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--only", default="", help="those with these words in their titles")
    parser.add_argument("--lanes", type=int, default=os.cpu_count(), help="so many at a time")
    parser.add_argument("--list", action="store_true", help="print their titles")
    options = parser.parse_args()
    chosen = [one for one in MUTATIONS if options.only in one.title]
    if options.list:
        print("\n".join(f"{one.where}: {one.title}" for one in chosen))
        return 0
    wrong = 0
    with ThreadPoolExecutor(options.lanes) as threads:
        commands = sorted({tuple(one.command()) for one in chosen})
        for command, verdict in zip(commands, threads.map(_sound, commands), strict=True):
            if verdict is not None:
                wrong += 1
                print(f"WRONG without any mutation: {shlex.join(command)}: {verdict}", flush=True)
        for one, (seen, line) in zip(chosen, threads.map(_judge, chosen), strict=True):
            wrong += not seen
            print(f"{line} ({one.where}: {one.title})", flush=True)
    print(f"{wrong} of {len(chosen)} went wrong" if wrong else f"all {len(chosen)} were seen")
    return 1 if wrong else 0


def _sound(command: Sequence[str]) -> str | None:
    try:
        return look(None, command)
    except DoesNotApply as error:
        return str(error)


def _judge(mutation: Mutation) -> tuple[bool, str]:
    """Whether a mutation was seen, and a line that says it."""
    try:
        found = look(mutation, mutation.command())
    except DoesNotApply as error:
        return False, f"RENEW     {error}"
    return (False, "SURVIVED ") if found is None else (True, f"seen      {found[:60]}")


if __name__ == "__main__":
    sys.exit(main())
