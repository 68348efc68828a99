"""The image and the compose files: what can be checked by reading them, and one real run.

The real run builds the image and needs root, Podman and podman-compose. It is asked for
with `DISTUNE_TEST_CONTAINERS`, a folder with three commands: `pod ARGS...` (podman),
`compose.sh ARGS...` (podman-compose) and `build.sh TAG CONTEXT DOCKERFILE ARGS...`
(podman build, with an index that has PyTorch's CPU build).
"""

from __future__ import annotations

import csv
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distune.presets.catalogue import preset_names

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "compose.yaml"
CONTAINERS = os.environ.get("DISTUNE_TEST_CONTAINERS")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, as (name, arguments), continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    words = [line.split() for line in joined.splitlines() if line.strip()]
    return [(name, " ".join(rest)) for name, *rest in words]


def position(name: str, text: str) -> int:
    found = [i for i, (n, rest) in enumerate(instructions()) if n == name and text in rest]
    assert len(found) == 1, f"{len(found)} times {name} ... {text}"
    return found[0]


def copied_from_here() -> set[str]:
    """What `COPY` takes from the build context."""
    copies = [rest.split() for name, rest in instructions() if name == "COPY"]
    return {source for words in copies if "--from" not in words[0] for source in words[:-1]}


def read_pyproject() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert isinstance(project, dict)
    return project


# -- the Dockerfile ------------------------------------------------------------------------


def test_the_image_pins_what_constraints_pin_and_requires_what_the_package_requires(
    tmp_path: Path,
) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    command = instructions()[position("RUN", "tomllib")][1]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, env=env, check=True)

    pins = (tmp_path / "torch.txt").read_text().split()
    assert [pin.split("==")[0] for pin in pins] == ["torch"]
    assert set(pins) <= set((ROOT / "constraints.txt").read_text().split())
    required = (tmp_path / "requirements.txt").read_text().splitlines()
    of, extras = read_pyproject()["dependencies"], read_pyproject()["optional-dependencies"]
    assert required == [*of, *extras["workloads"]]
    assert "torch==" not in DOCKERFILE.read_text(), "a second place for the pin"


def test_the_image_s_python_is_one_the_package_allows() -> None:
    bases = {rest.split()[0] for name, rest in instructions() if name == "FROM"}
    assert bases == {"python:3.11-slim"}
    assert "Programming Language :: Python :: 3.11" in str(read_pyproject()["classifiers"])


def test_the_code_is_copied_after_torch_and_the_dependencies_are_installed() -> None:
    torch = position("RUN", "--requirement /usr/local/share/distune/torch.txt")
    dependencies = position("RUN", "--requirement /usr/local/share/distune/requirements.txt")
    assert torch < dependencies < position("COPY", "--from=wheel /wheel")


def test_the_image_runs_distune_under_tini_and_not_as_root() -> None:
    assert instructions()[position("ENTRYPOINT", "")][1] == '["tini", "--", "distune"]'
    assert instructions()[position("USER", "")][1] == "${UID}:${GID}"
    assert instructions()[position("ARG", "UID=")][1] == "UID=1000 GID=1000"


def test_only_what_the_image_is_made_of_goes_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "everything is kept out: .git, .venv, logs, data"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert let_in == copied_from_here()
    assert not [name for name in let_in if not (ROOT / name).exists()]
    assert rules[-3:] == ["**/__pycache__", "**/*.py[co]", "**/*.so"]


# -- the compose files ---------------------------------------------------------------------


def test_every_setting_of_the_compose_file_is_documented() -> None:
    text = COMPOSE.read_text()
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    readme = (ROOT / "docker" / "README.md").read_text()
    settings = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert settings == set(re.findall(r"^#     ([A-Z_]+)  ", comments, re.MULTILINE))
    assert not [name for name in settings if f"`{name}`" not in readme]


def test_the_compose_file_s_default_study_is_a_preset() -> None:
    match = re.search(r"\$\{SPACE:-([^}]+)\}", COMPOSE.read_text())
    assert match is not None
    assert match[1] in preset_names()


@pytest.mark.parametrize("command", ["master", "worker"])
def test_the_compose_file_s_commands_have_the_options_they_are_given(command: str) -> None:
    match = re.search(rf"exec distune {command} (.*)", COMPOSE.read_text())
    assert match is not None
    options = re.findall(r"--[a-z-]+", match[1])
    done = subprocess.run(
        [sys.executable, "-m", "distune", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert options
    assert not [option for option in options if option not in done.stdout]


# -- for real ------------------------------------------------------------------------------


def until(condition: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


def pip_constraints() -> list[Path]:
    """The files of constraints that pip is configured to keep to on this machine."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    settings = re.findall(r"^[^=]*\.constraint='(.*)'$", done.stdout, re.MULTILINE)
    return [Path(file) for setting in settings for file in setting.split()]


@dataclass(frozen=True)
class Rig:
    """Podman and podman-compose for one compose project of this test's own."""

    folder: Path
    project: str
    context: Path

    def run(self, command: str, *arguments: str, seconds: float = 120.0) -> str:
        done = subprocess.run(
            [self.folder / command, *arguments],
            env={
                **os.environ,
                "IMAGE": self.project,
                "SPACE": "quickstart-digits",
                "MASTER_OPTIONS": "--trials 6",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{command} {arguments}: {done.stdout}"
        return done.stdout.strip()

    def pod(self, *arguments: str) -> str:
        return self.run("pod", *arguments)

    def compose(self, *arguments: str) -> str:
        file = self.context / "docker" / "compose.yaml"
        return self.run("compose.sh", "-f", str(file), "-p", self.project, *arguments)

    def build(self) -> list[str]:
        """Build the image; its layers, the base's first."""
        dockerfile = self.context / "docker" / "Dockerfile"
        arguments = [self.project, str(self.context), str(dockerfile)]
        # An empty index is the one that pip is configured for.
        arguments += ["--layers", "--build-arg", "TORCH_INDEX="]
        # The rig lends pip's configuration, not the constraints that it may name.
        for file in pip_constraints():
            arguments += ["--volume", f"{file}:{file}:ro"]
        self.run("build.sh", *arguments, seconds=600)
        layers = "{{range .RootFS.Layers}}{{.}} {{end}}"
        return self.pod("image", "inspect", self.project, "--format", layers).split()

    def container(self, name: str) -> str:
        return f"{self.project}_{name}"

    def volume(self, name: str) -> Path:
        full = f"{self.project}_{name}"
        return Path(self.pod("volume", "inspect", full, "--format", "{{.Mountpoint}}"))

    def remove(self) -> None:
        label = f"label=io.podman.compose.project={self.project}"
        for one in self.pod("ps", "-aq", "--filter", label).split():
            self.pod("rm", "-f", "-t", "1", one)
        self.compose("down", "-v")
        self.pod("image", "rm", "-f", self.project)


@contextmanager
def rig_in(folder: Path) -> Iterator[Rig]:
    """One that builds from a copy of this repository."""
    if not CONTAINERS:
        pytest.skip(
            "DISTUNE_TEST_CONTAINERS does not name a folder with build.sh, compose.sh and pod, "
            "which run Podman as root"
        )
    context = folder / "context"
    shutil.copytree(ROOT / "docker", context / "docker")
    shutil.copy(ROOT / ".dockerignore", context)
    for name in copied_from_here():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name)
        else:
            shutil.copy(ROOT / name, context)
    rig = Rig(Path(CONTAINERS), f"distune-test-{secrets.token_hex(3)}", context)
    yield rig
    rig.remove()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as one:
        yield one


def test_a_worker_container_is_stopped_mid_trial_and_the_study_still_ends_whole(rig: Rig) -> None:
    layers = rig.build()
    with (rig.context / "distune" / "worker" / "run.py").open("a") as code:
        code.write("# changed\n")
    with (rig.context / "pyproject.toml").open("a") as settings:
        settings.write("# changed\n")
    again = rig.build()
    assert again != layers
    assert again[:-2] == layers[:-2], "a change of the code installs no dependency anew"

    rig.compose("up", "--no-build", "-d", "--scale", "worker=2")
    master, stopped, other = map(rig.container, ("master_1", "worker_1", "worker_2"))
    assert rig.pod("exec", stopped, "cat", "/proc/1/comm") == "tini"
    assert rig.pod("exec", stopped, "id", "-u") == "1000"
    compiled = "from distune.workloads.kernels import compiled; print(bool(compiled.widths()))"
    assert rig.pod("exec", stopped, "python", "-c", compiled) == "True"

    study = rig.volume("logs") / "quickstart-digits"
    host = rig.pod("exec", stopped, "hostname")
    taken = f"trials/*.jsonl.{host}-*.taken"
    until(lambda: any(study.glob(taken)), "the worker takes a trial")
    number = next(study.glob(taken)).name[:6]
    start = time.monotonic()
    rig.pod("stop", stopped)
    assert time.monotonic() - start < 5.0
    assert rig.pod("inspect", stopped, "--format", "{{.State.ExitCode}}") == "143"

    until((study / "finished.json").exists, "the study ends", 120.0)
    assert rig.pod("wait", master, other).split() == ["0", "0"]
    assert list(study.glob(f"seen/000/{number}.1.jsonl.{host}-*.lost")), "it was given back"
    counted = (study / "seen" / "000" / f"{number}.jsonl").read_text()
    assert json.loads(counted.splitlines()[0])["attempt"] == 2, "and trained by the other"
    with (study / "leaderboard.csv").open() as table:
        ranked = [row["trials"] for row in csv.DictReader(table)]
    assert sorted(ranked) == ["0", "1", "2", "3", "4", "5"]
    assert {path.stat().st_uid for path in study.rglob("*")} == {1000}
