"""Which code an objective is, and that no study is trained by another's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from distune.errors import UserError
from distune.training.code import Code, CurrentCode
from distune.training.offer import Offer
from tests.conftest import Lab, wait_until

FILES = {
    "mine.py": "import helper\nfrom part.inner import half\nimport json\ndef train(p): return 1\n",
    "helper.py": "def f():\n    import lazily\n",
    "lazily.py": "x = 1\n",
    "part/__init__.py": "",
    "part/inner.py": "from .beside import half\nfrom . import also\n",
    "part/beside.py": "def half(x): return x / 2\n",
    "part/also.py": "",
    "part/other.py": "not imported",
    "unused.py": "not imported",
}
IMPORTED = [name for name, text in FILES.items() if text != "not imported"]


def write(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "mine.py"


def digest(path: Path) -> str:
    return Code.of_offer(Offer.parse(f"{path}:train", Path("/nowhere"))).digest


@pytest.mark.parametrize("changed", IMPORTED)
def test_a_change_in_any_file_that_is_imported_is_another_code(
    tmp_path: Path, changed: str
) -> None:
    before = digest(write(tmp_path))
    with (tmp_path / changed).open("a") as file:
        file.write("# changed\n")
    assert digest(tmp_path / "mine.py") != before


def test_the_same_files_elsewhere_are_the_same_code(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one"), write(tmp_path / "other")
    for name in ("unused.py", "part/other.py"):
        (tmp_path / "other" / name).write_text("changed")
    (tmp_path / "other" / "helper.py").write_bytes(
        FILES["helper.py"].replace("\n", "\r\n").encode()
    )
    assert digest(one) == digest(other) != ""


def test_a_module_is_the_same_code_as_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert Code.of_offer(Offer.parse("mine:train", Path("/nowhere"))).digest == digest(path)
    assert Code.of_offer(Offer.parse("no_such_module:train", Path("/nowhere"))).digest == ""
    assert Code.of_offer(Offer.parse("json.decoder:JSONDecoder", Path("/nowhere"))).digest != ""


def test_code_that_cannot_be_parsed_has_a_digest_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def train(:\n")
    before = digest(path)
    path.write_text("def train(::\n")
    assert digest(path) != before != ""


def test_a_program_is_the_files_that_its_command_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    command = ["python", "mine.py", "--lr", "{lr}", "nothing.py"]
    current = CurrentCode(lambda: Code.of_command(command))
    before = current.digest
    assert before == current.digest != ""
    (tmp_path / "lazily.py").write_text("x = 2_000\n")
    assert current.digest != before
    assert Code.of_command(["python", "--version"]).digest == ""


def test_two_objectives_of_one_name_are_refused(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one"), write(tmp_path / "other")
    nowhere = Path("/nowhere")
    both = [f"{one}:train", f"{other}:train"]
    with pytest.raises(UserError, match="are both called 'mine:train': rename one of the files"):
        Offer.parse_all(both, nowhere)
    assert len(Offer.parse_all([both[0], both[0]], nowhere)) == 1


# -- through real processes ----------------------------------------------------------------------


def other(lab: Lab, value: str) -> str:
    """A file with another `train:train`."""
    folder = lab.folder / value
    folder.mkdir()
    (folder / "train.py").write_text(f"def train(params):\n    return params['x'] + {value}\n")
    return f"{folder / 'train.py'}:train"


@pytest.mark.long
def test_no_study_is_trained_by_the_code_of_another_of_the_same_name(lab: Lab) -> None:
    lab.write_space(metric="value")
    one, two = other(lab, "100"), other(lab, "200")
    masters = {
        name: lab.master("--study", name, "--objective", code, "--plain")
        for name, code in (("one", one), ("two", two))
    }
    wait_until(lambda: lab.names("", "two") and lab.names("", "one"), what="both are there")
    for name in masters:
        wait_until(lambda name=name: "master.beat" in lab.names("", name), what="they beat")  # type: ignore[misc]
    worker = lab.start("worker", "--objective", one)
    assert masters["one"].wait(60) == 0, lab.log_of(masters["one"])
    assert worker.wait(60) == 2
    assert "its master was started with another train:train than this worker" in lab.log_of(worker)
    assert lab.counted("two") == []
    assert lab.run("worker", "--objective", two).returncode == 0
    assert masters["two"].wait(60) == 0
    assert all(row["value"] < 102 for row in lab.status("one")["ranking"])
    assert all(row["value"] > 199 for row in lab.status("two")["ranking"])


@pytest.mark.long
def test_a_file_that_is_changed_is_trained_by_a_fresh_process_and_the_study_says_so(
    lab: Lab,
) -> None:
    code = lab.folder / "mine.py"
    text = "import time\ndef train(params):\n    time.sleep(0.2)\n    return {}\n"
    code.write_text(text.format(1))
    lab.write_space(objective="mine:train", metric="value", trials=10_000)
    master = lab.master("--objective", "mine.py:train", "--plain")
    worker = lab.start("worker", "--objective", "mine.py:train", "--jobs", "1", "--forever")
    wait_until(lab.counted, what="one is counted")
    code.write_text(text.format(22))

    def values() -> set[float]:
        return {row["value"] for row in lab.status()["ranking"]}

    wait_until(lambda: values() == {1.0, 22.0}, what="both were trained")
    lab.wait_for_words(worker, "mine:train has changed: a fresh process trains it")
    assert "2 versions of its code" in lab.run("status").stdout
    versions = lab.status()["trials"]["versions"]
    assert len(versions) == 2
    lab.wait_for_words(master, "2 versions of its code")
    page = lab.folder / "page.html"
    assert lab.run("report", "--out", str(page)).returncode == 0
    assert "They were not trained by the same code" in page.read_text()
    last = max(lab.counted())
    attempts = json.loads(lab.run("show", str(last), "--json").stdout)["attempts"]
    assert attempts[-1]["claim"]["code"] in versions
    master.terminate()
    assert master.wait(60) == 143
    # The worker that comes before the next master waits for it, and then goes on with the new code.
    os.utime(code)
    code.write_text(text.format(333))
    second = lab.start("worker", "--objective", "mine.py:train", "--jobs", "1")
    lab.wait_for_words(second, "study space waits for its master")
    lab.master("--objective", "mine.py:train", "--plain")
    wait_until(lambda: 333.0 in values(), what="it goes on")
