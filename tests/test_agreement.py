"""What is made of what a trial's file, its line of history and its line of `asked.jsonl` say."""

from __future__ import annotations

import math

import pytest

from distune.search.asked import trial_of
from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.study.trial import Asked, Claim, Counted, Outcome, Purpose, Result, Trial
from distune.watch.agreement import (
    CountedFile,
    Mend,
    Said,
    SetAside,
    WriteAsked,
    WriteFile,
    WriteHistory,
    judge,
    what_stands,
)
from tests.histories import WORKER, make_study, reports

STUDY, _ = make_study()
KEY = (Purpose.TRAIN, 3)
ASKED = Asked(study=STUDY.id, configuration=3, trial=3, repeats=1, params={"x": 0.25})
LINE = Counted(
    trial=trial_of(STUDY, ASKED, 3),
    worker=WORKER,
    device="cpu",
    result=Result(outcome=Outcome.COMPLETE, value=0.5, metrics={"y": 0.5}, steps=2),
    elapsed=12.5,
)
NAN = LINE.replace(result=Result(outcome=Outcome.DIVERGED, value=math.nan))
WORSE = LINE.replace(result=LINE.result.replace(value=0.25))
STRANGE = LINE.replace(trial=LINE.trial.replace(params={"x": 0.75}))
OTHERS = ASKED.replace(params={"x": 0.5})


def file(counted: Counted = LINE, altered: int = 0, trial: Trial | None = None) -> CountedFile:
    """A counted file that says this."""
    claim = Claim(worker=counted.worker, host="gpu7", device=counted.device, time=0.0)
    curve = tuple(reports({"y": 0.25}, {"y": 0.5}))
    found = AttemptFile(trial or counted.trial, claim, curve, counted.result, altered)
    return CountedFile(AttemptName.counted(KEY), found, "", counted.replace(elapsed=None))


UNREADABLE = CountedFile(AttemptName.counted(KEY), problem="no trial in it")
FILE_ANEW: list[type[Mend]] = [SetAside, WriteFile]


def kinds(said: Said) -> list[type[Mend]]:
    return [type(mend) for found in judge(STUDY, said) for mend in found.mends]


@pytest.mark.parametrize("counted", [LINE, NAN])
def test_three_that_agree_are_sound(counted: Counted) -> None:
    assert judge(STUDY, Said(KEY, [file(counted)], [counted], ASKED)) == []


@pytest.mark.parametrize(
    ("said", "mends"),
    [
        (Said(KEY, [UNREADABLE], [LINE], ASKED), FILE_ANEW),
        (Said(KEY, [file(STRANGE)], [LINE], ASKED), FILE_ANEW),
        (Said(KEY, [], [LINE], ASKED), [WriteFile]),
        (Said(KEY, [file(altered=1)], [LINE], ASKED), FILE_ANEW),
        (Said(KEY, [file()], [], ASKED), [WriteHistory]),
        (Said(KEY, [file()], [STRANGE], ASKED), [WriteHistory]),
        (Said(KEY, [file()], [WORSE, LINE], ASKED), [WriteHistory]),
        (Said(KEY, [file()], [LINE], None), [WriteAsked]),
        (Said(KEY, [file()], [LINE], OTHERS), [WriteAsked]),
        (Said(KEY, [file(WORSE), file()], [LINE], ASKED), [SetAside]),
    ],
)
def test_what_two_say_mends_the_third(said: Said, mends: list[type[Mend]]) -> None:
    stands = what_stands(STUDY, said)
    assert stands is not None
    assert stands.replace(elapsed=None) == LINE.replace(elapsed=None)
    assert kinds(said) == mends


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (Said(KEY, [UNREADABLE], [], ASKED), "cannot be read (no trial in it), and history.jsonl"),
        (Said(KEY, [UNREADABLE], [LINE], None), "does not agree with asked.jsonl"),
        (Said(KEY, [file()], [], None), "only its file has its result, and asked.jsonl lacks it"),
        (Said(KEY, [], [LINE], OTHERS), "only history.jsonl has its result, and asked.jsonl says"),
        (Said(KEY, [file()], [WORSE], ASKED), "its file and history.jsonl differ"),
    ],
)
def test_what_no_two_agree_on_is_named_and_left(said: Said, problem: str) -> None:
    (found,) = judge(STUDY, said)
    assert problem in found.problem
    assert list(found.mends) == []


def test_a_file_made_anew_keeps_the_curve_that_is_sound_and_else_says_that_it_is_lost() -> None:
    (altered,) = judge(STUDY, Said(KEY, [file(altered=2)], [LINE], ASKED))
    assert "2 lines with a wrong checksum" in altered.problem
    kept = altered.mends[1]
    assert isinstance(kept, WriteFile)
    assert kept.file is not None
    assert len(kept.file.reports) == 2
    (unreadable,) = judge(STUDY, Said(KEY, [UNREADABLE], [LINE], ASKED))
    assert "without its curve" in str(unreadable.mends[1])


def test_a_line_of_what_was_asked_for_that_is_made_anew_says_so() -> None:
    (found,) = judge(STUDY, Said(KEY, [file()], [LINE], OTHERS.replace(stage="one")))
    (mend,) = found.mends
    assert mend == WriteAsked(ASKED.replace(stage="one", origin="recovered"))


def test_a_test_is_judged_by_what_its_trial_was_asked_for() -> None:
    test = LINE.replace(trial=LINE.trial.replace(purpose=Purpose.TEST))
    key = (Purpose.TEST, 3)
    found = judge(STUDY, Said(key, [], [test], ASKED))
    assert [(one.subject, [type(m) for m in one.mends]) for one in found] == [
        ("trial 3 test", [WriteFile])
    ]
    assert judge(STUDY, Said(key, [file(test)], [test], None)) == []


def test_of_the_earlier_layout_which_remembered_nothing_two_are_enough() -> None:
    earlier = STUDY.model_copy(update={"format": 1})
    assert judge(earlier, Said(KEY, [file()], [LINE])) == []
    assert judge(earlier, Said(KEY, [], [LINE])) != []
