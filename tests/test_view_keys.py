"""What a viewer sees who presses keys: other rows, failures, a trial, the keys that there are."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text

from distune.share.protocol import AttemptName, State
from distune.study.study import Limits
from distune.study.trial import Failure, Outcome
from distune.watch.display.best_so_far import best_lines, best_spark, line_plot, records, sampled
from distune.watch.display.events import last_events
from distune.watch.display.leaderboard import final_table
from distune.watch.display.live import last_first, render
from distune.watch.display.next_steps import next_steps
from distune.watch.display.page import help_page, rows_of, trial_page, trials_at
from distune.watch.display.wish import UNCHANGED, Order, Part, Wish
from distune.watch.keyboard import named
from distune.watch.places import place_of
from distune.watch.snapshot import Event, Snapshot
from tests.test_display import (
    SIZES,
    a_busy_snapshot,
    a_file,
    a_snapshot,
    a_study,
    a_view,
    counted,
    progress_of,
    screen_of,
    taken,
    text_of,
)

TRACEBACK = """Traceback (most recent call last):
  File "/home/ann/project/train.py", line 41, in train
    loss.backward()
  File "/home/ann/.venv/lib/python3.11/site-packages/torch/_tensor.py", line 525, in backward
    torch.autograd.backward(self)
RuntimeError: expected 3 channels, got 1
"""
FAILURE = Failure(message="RuntimeError: expected 3 channels, got 1", traceback=TRACEBACK)


def pressed(snapshot: Snapshot, *keys: str) -> Wish:
    """What is wished for after these keys."""
    wish = UNCHANGED
    for key in keys:
        if key == "enter":
            wish = wish.opening(trials_at(snapshot, wish))
        else:
            wish = wish.after(key, rows_of(snapshot, wish))
    return wish


def shown(
    snapshot: Snapshot, wish: Wish, width: int = 100, height: int = 30, **fields: Any
) -> list[str]:
    lines = text_of(render(snapshot, width, height, wish, **fields), width + 40).split("\n")
    return [line.rstrip() for line in lines[:-1]]


def marked(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("›")]


def failed(number: int, **fields: Any) -> Any:
    return counted(number, None, Outcome.FAILED, failure=FAILURE, **fields)


# -- keys ----------------------------------------------------------------------------------


def test_keys_are_told_apart_however_they_arrive() -> None:
    assert list(named("\x1b[Aj\x1bOB\x1b[6~q")) == ["up", "down", "down", "page down", "q"]
    assert list(named("\t\x1b[Z\r\x1b")) == ["tab", "back tab", "enter", "escape"]
    assert list(named("\x1b[")) == ["escape", "["]


def test_keys_move_the_mark_within_the_ends_of_the_list() -> None:
    wish = UNCHANGED
    for key, at in [("up", 0), ("page down", 10), ("down", 11), ("end", 24), ("down", 24),
                    ("page up", 14), ("x", 14), ("home", 0)]:  # fmt: skip
        wish = wish.after(key, 25)
        assert wish.at == at, key
    assert UNCHANGED.after("down", 25).at == 0
    assert UNCHANGED.after("down", 0).at == 0


def test_the_ranking_is_sorted_by_rank_by_age_and_by_time() -> None:
    history = [
        counted(i, v).replace(result=counted(i, v).result.replace(seconds=t))
        for i, (v, t) in enumerate([(0.7, 5.0), (0.9, 7.0), (0.8, 9.0)])
    ]
    snapshot, wish = a_snapshot(history=history), UNCHANGED
    for order, trials in [(Order.RANK, "120"), (Order.NEWEST, "210"), (Order.LONGEST, "210"),
                          (Order.RANK, "120")]:  # fmt: skip
        rows = [line.replace("★", " ").split() for line in shown(snapshot, wish)[5:8]]
        assert (wish.order, "".join(row[1] for row in rows)) == (order, trials)
        assert f"s sort ({order})" in shown(snapshot, wish)[-1]
        wish = wish.after("s", 3)


def test_scrolling_reaches_every_row_and_says_where_it_is() -> None:
    snapshot, seen = a_busy_snapshot(92), set()
    for at in range(92):
        wish = Wish(at=at)
        lines = shown(snapshot, wish, 80, 24)
        (row,) = marked(lines)
        seen.add(row.replace("★", " ").split()[2])
        where = re.search(r" (\d+)–(\d+) of 92 ─$", lines[3])
        assert where is not None
        assert int(where[1]) <= at + 1 <= int(where[2])
    assert seen == {str(number) for number in range(92)}


@pytest.mark.parametrize("part", [Part.RUNNING, Part.WORKERS, Part.EVENTS])
def test_tab_goes_to_the_other_lists_and_all_of_each_is_reached(part: Part) -> None:
    events = tuple(Event(60.0 * i, "complete", f"event {i}.") for i in range(70))
    snapshot = replace(a_busy_snapshot(12, 60, 60), events=events)
    wish = pressed(snapshot, *["tab"] * list(Part).index(part))
    total = rows_of(snapshot, wish)
    assert (wish.part, total >= 60) == (part, True)
    rows = {tuple(marked(shown(snapshot, replace(wish, at=at), 80, 24))) for at in range(total)}
    assert len(rows) == total
    assert marked(shown(snapshot, wish, 80, 24)), "a row is marked at once"
    assert pressed(snapshot, "tab", "back tab").part is Part.RANKING


def test_a_list_that_has_become_shorter_still_has_its_mark() -> None:
    for total in (1, 3):
        snapshot = a_busy_snapshot(total)
        assert len(marked(shown(snapshot, Wish(at=80), 80, 24))) == 1


def test_escape_leads_back_step_by_step() -> None:
    snapshot = a_busy_snapshot(12)
    wish = pressed(snapshot, "s", "f", "down", "enter", "?")
    assert wish.help
    wish = wish.after("escape", 1)
    assert (wish.help, bool(wish.opened)) == (False, True)
    wish = wish.after("escape", 1)
    assert (wish.opened, wish.failures, wish.at) == ((), True, 0)
    assert wish.after("escape", 1) == Wish(order=Order.NEWEST)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("keys", ["", "f", "end", "tab down", "f down", "?", "enter",
                                  "tab tab down", "tab tab tab up"])  # fmt: skip
def test_no_key_makes_the_view_too_large(keys: str, width: int, height: int) -> None:
    snapshot = a_busy_snapshot(120, 30, 30)
    wish = pressed(snapshot, *keys.split())
    page = help_page(width, False) if wish.help else []
    if wish.opened:
        file = a_file(wish.opened[0], [0.1] * 40, FAILURE_RESULT)
        page = trial_page(snapshot, [[(LOST, file)]], width)
    lines = shown(snapshot, wish, width, height, page=page, quits=False)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width


def test_the_last_line_has_the_keys_and_fits_eighty_columns() -> None:
    snapshot = a_busy_snapshot(12)
    for wish in (UNCHANGED, Wish(order=Order.LONGEST)):
        line = shown(snapshot, wish, 80, 24)[-1]
        assert line == (
            f" q quit · ↑ ↓ move · enter open · s sort ({wish.order}) · f failures · ? keys"
        )
        line = shown(snapshot, wish, 80, 24, quits=False)[-1]
        assert line.startswith(" Ctrl-C stop · ")
        assert line.endswith(" · ? keys")


def test_the_keys_are_explained_and_of_a_master_that_q_does_nothing() -> None:
    for quits, said in [
        (True, "q  leave"),
        (False, "Ctrl-C  stop this master"),
        (False, "q  nothing"),
    ]:
        lines = [re.sub("  +", "  ", line.plain) for line in help_page(80, quits)]
        assert sum(line.startswith(f" {said}") for line in lines) == 1
        assert "…" not in "".join(lines)


# -- a trial -------------------------------------------------------------------------------

LOST = AttemptName(7, 1, worker="gpu7-812-4f2a9c", state=State.LOST)
FAILURE_RESULT = failed(7).result


def test_enter_opens_the_marked_trial_wherever_the_mark_is() -> None:
    study = a_study(repeats=2)
    history = [counted(i, 0.5 + i / 10, params={"lr": i // 2 + 1}, repeat=i % 2) for i in range(4)]
    history.append(failed(4, params={"lr": 9.0}))
    names = (taken(5, "gpu7-812-4f2a9c"), taken(6, "gpu7-812-4f2a9c"))
    snapshot = a_snapshot(study, history, attempts=names, workers=(a_view("gpu7-812-4f2a9c"),))
    for keys, trials in [("", (2, 3)), ("down down", (0, 1)), ("f", (4,)), ("tab down", (6,)),
                         ("tab tab", ())]:  # fmt: skip
        assert pressed(snapshot, *keys.split(), "enter").opened == trials, keys


def test_an_opened_trial_is_shown_as_the_command_show_does_and_scrolls() -> None:
    snapshot = a_busy_snapshot(12)
    page = trial_page(snapshot, [[(LOST, a_file(7, [0.1, 0.5], FAILURE_RESULT))], []], 100)
    lines = shown(snapshot, Wish(opened=(7, 8)), 100, 40, page=page)
    text = "\n".join(lines)
    assert "Trial 7 of mnist" in lines[2]
    assert "Attempt 1  given up, failed, by gpu7-812-4f2a9c (cuda:0)" in text
    assert "train.py:41: RuntimeError: expected 3 channels, got 1" in text
    assert "val_accuracy  ▁█" in text
    assert "It has no file here." in text
    assert lines[0].startswith(" mnist")
    small = shown(snapshot, Wish(opened=(7, 8), first=3), 100, 12, page=page)
    assert f" 4–12 of {len(page)} ─" in small[1]
    assert small[2:11] == [line.plain.rstrip() for line in page[3:12]]
    wish = Wish(opened=(7, 8)).after("end", last_first(page, 12))
    last = shown(snapshot, wish, 100, 12, page=page)
    assert last[10] == page[-1].plain.rstrip()
    assert wish.first == len(page) - 9


# -- failures ------------------------------------------------------------------------------


def test_a_failure_has_its_place_in_the_user_s_code() -> None:
    assert place_of(TRACEBACK) == "train.py:41"
    chained = TRACEBACK + "\nDuring handling\n\n" + TRACEBACK.replace("line 41", "line 50")
    assert place_of(chained) == "train.py:50"
    assert place_of('  File "C:\\work\\my.py", line 3, in f\n') == "my.py:3"
    library = '  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode\n'
    assert place_of(library) == "decoder.py:355"
    assert place_of('  File "/home/ann/a.py", line 7, in f\n' + library) == "a.py:7"
    assert place_of("exit status 3") == ""


def test_f_shows_only_failures_the_last_first_each_with_place_message_and_settings() -> None:
    history = [counted(0, 0.9), failed(1), counted(2, 0.8), failed(3)]
    snapshot = a_snapshot(history=history)
    lines = shown(snapshot, pressed(snapshot, "f"), 160, 30)
    start = next(i for i, line in enumerate(lines) if line.startswith("Failures  2 trials"))
    rows = [" ".join(line.split()) for line in lines[start + 1 : start + 3]]
    for row, number in zip(rows, (3, 1), strict=True):
        assert row.startswith(f"✗ {number} ")
        assert "train.py:41 RuntimeError: expected 3 channels, got 1 lr 0." in row
    assert not any(line.startswith("Ranking") for line in lines)
    assert "f ranking" in lines[-1]
    nothing = a_snapshot(history=history[:1])
    assert "no trial has failed for good" in "\n".join(shown(nothing, pressed(nothing, "f")))


def test_failures_are_never_crowded_out_by_what_is_claimed_or_complete() -> None:
    kinds = ["failed", *["claimed", "complete"] * 20, "lost", *["claimed"] * 20]
    events = [Event(float(i), kind, str(i)) for i, kind in enumerate(kinds)]
    for rows in (2, 3, 8, 40):
        kept = last_events(events, rows)
        assert len(kept) == rows
        assert [one.at for one in kept] == sorted(one.at for one in kept)
        failing = [one.kind for one in kept if one.kind in ("failed", "lost")]
        assert failing == (["lost"] if rows == 2 else ["failed", "lost"])
        assert ("claimed" in {one.kind for one in kept}) == (rows > 22)
    assert last_events(events, 0) == []
    assert last_events([Event(0.0, "failed", "x")] * 9, 4) != []


def test_what_had_failed_before_the_view_was_opened_is_shown_until_something_does() -> None:
    snapshot = a_snapshot(history=[counted(0, 0.9), failed(1)])
    text = "\n".join(screen_of(snapshot, 100, 30))
    assert "✗ trial 1 failed: train.py:41: RuntimeError: expected 3 channels" in text
    later = replace(snapshot, events=(Event(0.0, "lost", "trial 2 lost"),))
    assert "trial 1 failed" not in "\n".join(screen_of(later, 100, 30))


# -- the best so far -----------------------------------------------------------------------


def test_the_best_so_far_has_the_trials_that_bettered_it() -> None:
    values = [0.5, 0.4, 0.7, math.nan, 0.6, 0.9, 0.8]
    history = a_snapshot(history=[counted(i, v) for i, v in enumerate(values)]).history
    assert records(history) == [(0, 0.5), (2, 0.7), (5, 0.9)]
    assert sampled(history, 7) == [0.5, 0.5, 0.7, 0.7, 0.7, 0.9, 0.9]
    down = a_study(direction="minimize")
    history = a_snapshot(down, [counted(i, v) for i, v in enumerate(values)]).history
    assert records(history) == [(0, 0.5), (1, 0.4)]
    assert records(a_snapshot().history) == []
    assert best_spark(a_snapshot().history, 8) == ""


def test_the_best_so_far_counts_only_configurations_with_all_their_repeats() -> None:
    study = a_study(repeats=2)
    history = [counted(0, 0.99, params={"lr": 1.0})]
    history += [counted(2 + i, 0.9, params={"lr": 2.0}, repeat=i) for i in range(2)]
    assert records(a_snapshot(study, history).history) == [(2, 0.9)]


def test_a_plot_is_one_line_from_edge_to_edge() -> None:
    assert line_plot([0.0, 0.0, 1.0, 1.0], 3) == ["  ╭─", "  │ ", "──╯ "]
    assert line_plot([1.0, 0.5, 0.0], 3) == ["─╮ ", " ╰╮", "  ╰"]
    assert line_plot([0.5], 1) == ["─"]


def test_what_is_off_the_scale_is_marked_and_only_where_there_are_many_trials() -> None:
    study = a_study(metric="loss", direction="minimize")
    values = [1e6, *(2.0 - i / 40 for i in range(39))]
    for count, label in [(40, ">1.9"), (10, "1000000")]:
        snapshot = a_snapshot(study, [counted(i, v) for i, v in enumerate(values[:count])])
        lines = [line.plain for line in best_lines(snapshot, 80, range(6))]
        assert lines[0].strip().startswith(label)
        assert lines[-2].strip().startswith(f"{values[count - 1]:.4f} ")
        assert lines[-1].split() == ["trial", "0", str(count - 1)]
        assert max(map(len, lines)) <= 80


def test_a_wide_view_has_the_plot_beside_the_ranking_and_a_high_one_below() -> None:
    snapshot = a_busy_snapshot(92)
    wide = screen_of(snapshot, 200, 60)
    assert wide[4].startswith("Ranking")
    assert "Best so far  val_accuracy 0.9897 since trial 50" in wide[4]
    assert sum("│" in line for line in wide) > 5
    high = screen_of(snapshot, 120, 40)
    assert any(line.startswith("Best so far  val_accuracy 0.9897") for line in high)
    low = screen_of(snapshot, 80, 24)
    assert not any("Best so far" in line for line in low)
    assert best_spark(snapshot.history, 16) in low[3]


def test_two_objectives_have_no_best_so_far() -> None:
    study = a_study(metric="m", objectives={"m": "maximize", "seconds": "minimize"})
    lines = screen_of(a_snapshot(study, [counted(i, 0.5 + i / 10) for i in range(4)]), 200, 60)
    assert not any("Best so far" in line for line in lines)


def test_a_ranked_row_shows_the_curve_that_the_history_has() -> None:
    curve = [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.1, 0.9, 0.5]]
    history = [counted(0, 0.9).replace(curve=curve), counted(1, 0.8)]
    lines = screen_of(a_snapshot(history=history), 120, 30)
    (best,) = [line for line in lines if "★" in line]
    assert "▁▇▅" in best
    assert "curve" in lines[5]
    assert "curve" not in screen_of(a_snapshot(history=history[1:]), 120, 30)[5]


# -- what words and colours mean -----------------------------------------------------------


def test_what_is_not_published_yet_is_still_to_come() -> None:
    names = [taken(8, "gpu7-812-4f2a9c"), *(AttemptName(9 + i, 1) for i in range(4))]
    history = [counted(i) for i in range(8)]
    snapshot = a_snapshot(history=history, attempts=tuple(names), limits=Limits(trials=24))
    assert (
        "8 complete · 1 running · 4 published · 11 still to come" in screen_of(snapshot, 100, 30)[2]
    )
    endless = replace(snapshot, limits=Limits())
    assert "to come" not in screen_of(endless, 100, 30)[2]


def test_how_many_wait_with_their_workers_is_said_apart() -> None:
    names = [taken(number, "gpu7-812-4f2a9c") for number in (3, 4, 5)]
    running = [progress_of(one, None, begun=one is names[2]) for one in names]
    snapshot = a_snapshot(
        attempts=tuple(names), workers=(a_view("gpu7-812-4f2a9c", running, jobs=1),)
    )
    assert "Running  1 trial, 2 queued" in "\n".join(screen_of(snapshot, 100, 30))


def colours(snapshot: Snapshot) -> dict[str, set[str]]:
    """The words that are drawn in each colour."""
    found: dict[str, set[str]] = {}
    group: Any = render(snapshot, 160, 45)
    for line in group.renderables:
        assert isinstance(line, Text)
        for span in line.spans:
            for colour in ("red", "yellow"):
                if colour in str(span.style):
                    found.setdefault(colour, set()).add(line.plain[span.start : span.end].strip())
    return found


def test_only_failures_are_red_and_only_what_needs_a_look_is_yellow() -> None:
    history = [
        counted(0, 0.9, attempt=3, failed_on=["w-1"]),
        counted(1, math.nan, Outcome.DIVERGED),
        counted(2, 0.5, Outcome.PRUNED),
    ]
    harmless = ("claimed", "complete", "diverged", "pruned", "released", "retried", "enqueued")
    events = tuple(Event(0.0, kind, f"{kind} text") for kind in harmless)
    snapshot = a_snapshot(history=history, events=events, workers=(a_view("gpu7-812-4f2a9c"),))
    assert colours(snapshot) == {}
    events = (*events, Event(0.0, "failed", "it failed"), Event(0.0, "lost", "it is lost"))
    snapshot = a_snapshot(
        history=[*history, failed(3)], events=events, workers=(a_view("gpu7-812-4f2a9c"),)
    )
    assert colours(snapshot) == {
        "red": {"1 failed", "failed", "✗", "it failed"},
        "yellow": {"?", "it is lost"},
    }


# -- the end -------------------------------------------------------------------------------


def test_the_end_says_what_one_may_do_next_and_where_the_winner_s_state_is() -> None:
    snapshot = a_snapshot(history=[counted(0, 0.8), counted(1, 0.9)])
    kept = ["artifacts/best.pt", "checkpoints/000000.1.1.checkpoint",
            "checkpoints/000001.1.2.checkpoint", "checkpoints/odd"]  # fmt: skip
    assert next_steps(snapshot, "my logs", kept) == [
        "next:",
        "  a space file of the best  distune best --logs 'my logs' --study mnist --json",
        "  all plots, in a file      distune report --logs 'my logs' --study mnist",
        "  all studies, live         distune dashboard --logs 'my logs'",
        "  weights of the best       my logs/mnist/artifacts/best.pt",
        "  last state of the best    my logs/mnist/checkpoints/000001.1.2.checkpoint",
    ]
    without = "\n".join(next_steps(a_snapshot(history=[failed(0)]), "logs", kept))
    assert "distune best" not in without
    assert "weights" not in without
    assert "distune report --logs logs --study mnist" in without


def test_the_end_of_a_study_is_as_wide_as_the_terminal() -> None:
    text = text_of(final_table(a_busy_snapshot(30), 80), 120)
    assert max(map(cell_len, (line.rstrip() for line in text.split("\n")))) <= 80
