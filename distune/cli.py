"""The command line. Thin: what a command needs is imported when it runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from distune import __version__
from distune.errors import DistuneError, UserError
from distune.study.durations import parse_duration

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console

    from distune.share.outages import Stall
    from distune.study.study import SpaceFile
    from distune.watch.screen import Mode
    from distune.watch.snapshot import Snapshot

app = typer.Typer(
    name="distune",
    help="Tune hyperparameters over nothing but a shared folder.\n\n"
    "On one machine:\n\n    distune master --space quickstart --workers 2\n\n"
    "On many, with a folder that all of them see:\n\n"
    "    distune master --space space.json --logs /shared/logs\n\n"
    "    distune worker --logs /shared/logs      (on as many hosts as you like)",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _jobs(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and 1 <= int(text) <= 1024:
        return int(text)
    raise typer.BadParameter(f"{text!r} is neither auto nor a number from 1 to 1024")


#: Parsed by hand: the command line would look at the path, and hang if the share does.
Logs = Annotated[
    Path,
    typer.Option(
        parser=Path, metavar="DIRECTORY", help="The shared folder that holds the studies."
    ),
]
LOGS: Path = "logs"  # type: ignore[assignment]  # parsed like what is given
OneStudy = Annotated[
    str | None, typer.Option("--study", help="Which study, if there is more than one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        parser=_duration, metavar="DURATION", help="Stop after this long: 90s, 2h, 1h30m."
    ),
]
Objectives = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        metavar="MODULE:FUNCTION",
        help="An objective of your own that may be run, also as path/to/file.py:function; "
        "can be given several times.",
    ),
]
AllowCommands = Annotated[
    bool,
    typer.Option(
        "--allow-commands",
        help="Run the commands that studies name. Whoever can write to the shared folder can "
        "then run programs here.",
    ),
]  # fmt: skip
AnyOwner = Annotated[
    bool,
    typer.Option(
        "--any-owner",
        help="Work on a study that another user has put where anyone may create files.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where data sets are, or shall be downloaded to. Else $DISTUNE_DATA, "
                 "else the cache."),
]  # fmt: skip


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distune {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


@app.command(
    short_help="Run one study and show its live leaderboard.",
    epilog="\b\nExample: distune master --space lab-scenario5 --logs /shared/logs --time-limit 2h",
)
def master(
    space: Annotated[
        str, typer.Option(metavar="FILE", help="A space file, or the name of a preset.")
    ],
    logs: Logs = LOGS,
    study: Annotated[
        str | None, typer.Option(help="The study's name; the space file's if not given.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many trials, repeats included.")
    ] = None,
    time_limit: TimeLimit = None,
    target: Annotated[
        float | None, typer.Option(help="Stop when the best metric is this good.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="For sampling and training.")] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION", help="Only so much of the epochs and of the data, for a first look."
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            max=1024,
            help="Also start so many workers on this machine, which share its cores and GPUs.",
        ),
    ] = 0,
    device: Annotated[str, typer.Option(help="For those workers; see distune worker.")] = "auto",
    objective: Objectives = None,
    allow_commands: AllowCommands = False,
    data_dir: DataDir = None,
    any_owner: AnyOwner = False,
    ignore_doctor: Annotated[
        bool,
        typer.Option("--ignore-doctor", help="Take no notice of what distune doctor has found."),
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Plain lines instead of the live view.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A snapshot as JSON every half second, a line each.")
    ] = False,
) -> None:
    """Run one study: publish its trials, repair what crashed, rank, show it live.

    Run the same command again and it goes on where it stopped.
    """
    from distune.master.options import MasterOptions
    from distune.master.run import run_master
    from distune.watch.screen import Screen

    file, source, name = _read_space(space)
    if scale is not None:
        file, name = _scaled(file, scale), f"{name}-x{scale:g}"
    changes: dict[str, Any] = {
        "trials": trials, "time_limit": time_limit, "target": target, "seed": seed
    }  # fmt: skip
    file = file.model_copy(update={k: v for k, v in changes.items() if v is not None})
    arguments = ["--device", device]
    for one in objective or []:
        arguments += ["--objective", one]
    if allow_commands:
        arguments.append("--allow-commands")
    if any_owner:
        arguments.append("--any-owner")
    if data_dir is not None:
        arguments += ["--data-dir", str(data_dir)]
    options = MasterOptions(
        space=file,
        source=source,
        name=_study_name(study or name),
        logs=logs,
        workers=workers,
        device=device,
        worker_arguments=arguments,
        any_owner=any_owner,
        ignore_doctor=ignore_doctor,
    )
    _leave(run_master(options, Screen(_console(), _mode(plain, as_json))))


@app.command(
    short_help="Claim trials, train, report, until none are left.",
    epilog="\b\nExample: distune worker --logs /shared/logs --device cuda --jobs 2",
)
def worker(
    logs: Logs = LOGS,
    study: Annotated[str | None, typer.Option(help="Work on this study only.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            parser=_jobs,
            metavar="auto|N",
            help="Trials trained at a time. auto, the default: one for each GPU, or one for each "
            "core as far as there is a gigabyte of memory for each.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            help="CPU threads of each training process; 1 if not given, but with --jobs auto "
            "the cores divided by the jobs.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:i]|mps", help="What to train on.")
    ] = "auto",
    objective: Objectives = None,
    allow_commands: AllowCommands = False,
    data_dir: DataDir = None,
    time_limit: TimeLimit = None,
    forever: Annotated[
        bool, typer.Option("--forever", help="Wait for more when every study is finished.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what objectives print.")
    ] = False,
    any_owner: AnyOwner = False,
) -> None:
    """Claim trials, train, report, until every study in the shared folder is finished.

    Start it before or after the master, on as many hosts as you like. Exit status: 0
    nothing left to do, 143 stopped by a signal, 2 a mistake in how it was started, 1
    anything else.
    """
    from distune.worker.run import WorkerOptions, run_worker

    options = WorkerOptions(
        logs=logs,
        study=study,
        jobs=jobs,
        threads=threads,
        device=device,
        objectives=objective or [],
        allow_commands=allow_commands,
        data_dir=data_dir,
        time_limit=time_limit,
        forever=forever,
        verbose=verbose,
        any_owner=any_owner,
    )
    _leave(run_worker(options, _say))


@app.command(
    short_help="Watch a study live, read-only, from anywhere.",
    epilog="\b\nExample: distune top --logs /shared/logs",
)
def top(
    logs: Logs = LOGS,
    study: OneStudy = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Plain lines instead of the live view.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A snapshot as JSON every second, a line each.")
    ] = False,
) -> None:
    """Watch a study live, read-only, from any machine that sees the shared folder."""
    from distune.share.store import open_study
    from distune.watch.observer import Observer
    from distune.watch.screen import Screen
    from distune.watch.viewing import run_viewer

    with _patiently():
        observer = Observer(open_study(logs, study))
    _leave(run_viewer(observer, Screen(_console(), _mode(plain, as_json))))


@app.command(
    short_help="How a study stands now, as text or JSON.",
    epilog="\b\nExample: distune status --logs /shared/logs --json | jq .trials",
)
def status(logs: Logs = LOGS, study: OneStudy = None, as_json: Json = False) -> None:
    """How a study stands now: progress, ranking, what is running, who works."""
    from distune.watch import display

    snapshot = _look(logs, study)
    if as_json:
        _print_json(display.as_json(snapshot, top=None))
    else:
        console = _console()
        console.print(display.status_text(snapshot, console.width))


@app.command(
    short_help="The best configuration so far.",
    epilog="\b\nExample: distune best --json > best.json; distune master --space best.json",
)
def best(logs: Logs = LOGS, study: OneStudy = None, as_json: Json = False) -> None:
    """The best configuration so far; as JSON it is a space file that trains it again."""
    from distune import export
    from distune.watch import display

    snapshot = _look(logs, study)
    text = export.best_space(snapshot.history)
    if text is None:
        raise DistuneError(f"no trial of {snapshot.study.name} has a result yet")
    if as_json:
        typer.echo(text, nl=False)
    else:
        console = _console()
        console.print(display.best_text(snapshot, console.width))


@app.command(
    short_help="The trials as a file for other programs.",
    epilog="\b\nExample: distune export --logs /shared/logs --format parquet --out trials.parquet\n"
    "         distune export --format optuna; optuna-dashboard sqlite:///mnist.db",
)
def export(
    logs: Logs = LOGS,
    study: OneStudy = None,
    format: Annotated[
        str,
        typer.Option(
            metavar="csv|parquet|jsonl|optuna|tensorboard",
            help="csv and parquet are tables, the others have the curves too.",
        ),
    ] = "csv",
    out: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Where to; - for standard output. For tensorboard a folder. For optuna the URL "
            "of a database, or a file: one that ends in .log (Optuna's journal) is written many "
            "times faster than another (SQLite). Else the study's name, in this directory.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the trials of the N best settings."),
    ] = None,
) -> None:
    """The trials that are over, for other programs: one row a trial.

    Columns: number, configuration (shared by repeats), rank, stage (if there are any), repeat,
    attempt, seed, outcome, value (of the metric), seconds (of training), elapsed (of the study),
    steps, worker, device, failure, then params.NAME, metrics.NAME (of the best step) and
    test.NAME (of the test set).

    A file that is there is replaced once the new one is complete; a study in an Optuna storage
    or a folder with something in it is not.
    """
    from distune.export.formats import export_history
    from distune.share.store import open_study
    from distune.watch.loaded import LoadedStudy

    stall = _stall()
    with stall.watched():
        store = open_study(logs, study)
    found = LoadedStudy(store, stall.watched)

    def tell(done: int) -> None:
        if done % 50 == 0:
            _tell(f"trial {done} of {len(found.trials)}")

    try:
        said = export_history(found.history, found.curves, format, out, tell, top)
    finally:
        _tell("")
    if found.curves.unreadable:
        numbers = ", ".join(map(str, found.curves.unreadable[:10]))
        more = ", ..." if len(found.curves.unreadable) > 10 else ""
        _warn(f"without the curves of trials whose files cannot be read: {numbers}{more}")
    if said:
        typer.echo(said)


@app.command(
    short_help="Everything about one trial.",
    epilog="\b\nExample: distune show 17 --logs /shared/logs",
)
def show(
    trial: Annotated[int, typer.Argument(min=0, help="The trial's number.")],
    logs: Logs = LOGS,
    study: OneStudy = None,
    as_json: Json = False,
) -> None:
    """Everything about one trial: its params, its attempts, curve, result, errors."""
    from distune.share.store import open_study
    from distune.watch import display
    from distune.watch.observer import Observer

    with _patiently():
        store = open_study(logs, study)
        files = store.attempts_of(trial)
        if not files:
            raise UserError(f"trial {trial} is not in {logs}; see which are: distune status")
        snapshot = None if as_json else Observer(store).look()
    if snapshot is None:
        _print_json(display.trial_json(files))
    else:
        console = _console()
        console.print(display.trial_detail(snapshot, files, console.width))


@app.command(
    short_help="Write an HTML page with the plots people look for.",
    epilog="\b\nExample: distune report --logs /shared/logs --study mnist --out mnist.html",
)
def report(
    logs: Logs = LOGS,
    study: OneStudy = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=Path,
            metavar="FILE",
            help="The file to write; NAME-report.html in the current directory if not given. "
            "One that is there is replaced.",
        ),
    ] = None,
    color_by: Annotated[
        str | None,
        typer.Option(
            metavar="PARAM",
            help='The parameter (or "stage") whose values first have colours in the learning '
            "curves; else the stage, if there are any, or the parameter that mattered most.",
        ),
    ] = None,
) -> None:
    """Write one HTML file about a study, with its ranking, learning curves and what mattered.

    It can be written while the study runs, needs no network to be read, and can be sent to
    somebody as it is.
    """
    from distune.report.writing import plotly_script, read, write_report
    from distune.share.store import open_study

    plotly = plotly_script()  # what is not installed is said before anything is read
    with _patiently():
        material = read(open_study(logs, study))
    written = write_report(material, plotly, out, color_by)
    typer.echo(f"wrote {written}; open it in a browser")


@app.command(
    short_help="Try whether a shared folder can be trusted.",
    epilog="\b\nExample: distune doctor --logs /shared/logs --peer     (on two hosts at once)",
)
def doctor(
    logs: Logs = LOGS,
    peer: Annotated[
        bool,
        typer.Option("--peer", help="Together with another host that runs the same command now."),
    ] = False,
    wait: Annotated[
        float,
        typer.Option(parser=_duration, metavar="DURATION", help="How long to wait for that host."),
    ] = "2m",  # type: ignore[assignment]
    timeout: Annotated[
        float,
        typer.Option(
            parser=_duration,
            metavar="DURATION",
            help="An operation that takes longer counts as one that never answers.",
        ),
    ] = "1m",  # type: ignore[assignment]
    as_json: Json = False,
) -> None:
    """Try what the protocol relies on in this very folder: whether to trust it, and with which
    lease, heartbeat and poll interval.

    Leaves doctor.json there, which distune master goes by. Everything is tried in a hidden
    folder of its own; studies that run there are not disturbed. Exit status: 0 fine, 1 a
    promise of the protocol does not hold, 2 a mistake in how it was started.
    """
    from distune.doctor.page import page
    from distune.doctor.visit import visit
    from distune.share import protocol

    note, left = visit(logs, peer=peer, wait=wait, patience=timeout, tell=_tell)
    if as_json:
        _print_json(note.model_dump(mode="json"))
    else:
        _console().print(page(note))
        if left == "written":
            does = "refuses because of it" if note.grade == "fail" else "goes by it"
            typer.echo(f"distune master --logs {logs} {does}: {logs / protocol.DOCTOR}")
        elif left:
            typer.echo(left)
        elif note.peer:
            typer.echo(f"the other host leaves all this in {protocol.DOCTOR}")
    _leave(1 if note.grade == "fail" else 0)


@app.command(
    short_help="Write a space file to start from.",
    epilog="\b\nExample: distune init space.json, edit it, distune check space.json",
)
def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("space.json"),
) -> None:
    """Write a space file to start from, with comments."""
    from distune.presets import STARTER

    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(STARTER)
    except FileExistsError:
        raise UserError(f"{file} is there already; choose another name or remove it") from None
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    typer.echo(f"wrote {file}; edit it, then: distune check {file}")


@app.command(
    short_help="Check a space file; show what it would try.",
    epilog="\b\nExample: distune check space.json",
)
def check(
    file: Annotated[str, typer.Argument(help="A space file, or the name of a preset.")],
    samples: Annotated[int, typer.Option(min=0, help="Print so many of its settings.")] = 3,
) -> None:
    """Check a space file without starting anything, and show what it would try."""
    from distune.master.planner import preview
    from distune.study.study import freeze, limits_of

    space, source, name = _read_space(file)
    study = freeze(space, name=_study_name(name), study_id="check", lease=1.0, created=0.0)
    for line in preview(study, limits_of(space), samples):
        typer.echo(line)
    typer.echo(f"{source} is fine; start it: distune master --space {file}")


@app.command(
    short_help="List the built-in studies.",
    epilog="\b\nExample: distune presets; distune master --space lab-scenario5",
)
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this one's space file.")] = None,
) -> None:
    """List the built-in studies."""
    from distune.presets import described, preset_names, read_preset

    if name is not None:
        if name not in preset_names():
            raise UserError(f"no preset {name!r}; there are {', '.join(preset_names())}")
        typer.echo(read_preset(name), nl=False)
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("preset", "2 cores", "GPU", "what it shows"):
        table.add_column(heading, no_wrap=heading != "what it shows")
    for one in preset_names():
        what, on_cores, on_gpu = described(one)
        table.add_row(one, on_cores, on_gpu, what)
    console = _console()
    console.print(table, markup=False, highlight=False)
    console.print(
        "\nThe times on two CPU cores are for two workers: "
        "distune master --space NAME --workers 2. Those on a GPU are estimates, not measured: "
        "one worker, half a millisecond for each training step. For a first look in a tenth of "
        "that or less, add --scale 0.1.",
        highlight=False,
    )


@app.command(
    short_help="Find or download a data set.",
    epilog="\b\nExample: distune data mnist --data-dir /shared/data",
)
def data(
    dataset: Annotated[
        str, typer.Argument(metavar="mnist|fashion-mnist|usps|cifar-10|house-prices|digits")
    ],
    data_dir: DataDir = None,
) -> None:
    """Find a data set, downloading it if need be, and print where it is.

    Useful before workers start on hosts that have no internet.
    """
    from distune.workloads.data import DATA_SETS
    from distune.workloads.data.folders import DataFolders

    wanted = {name: one for name, one in DATA_SETS.items() if one.can_be_fetched}
    if dataset not in wanted:
        raise UserError(f"no data set {dataset!r}; there are {', '.join(wanted)}")
    data_set, folders = wanted[dataset], DataFolders.of(data_dir)
    if data_set.bundled_with:
        typer.echo(f"{dataset} come with {data_set.bundled_with}: there is nothing to fetch")
        return
    if folders.locate(data_set) is None:
        typer.echo(folders.announcement(data_set), err=True)
    typer.echo(folders.fetch(data_set))


# -- helpers -------------------------------------------------------------------------------


def _read_space(space: str) -> tuple[SpaceFile, str, str]:
    """A checked space file, how to call it in messages, and the study's name it suggests."""
    from distune.presets import preset_names, read_preset
    from distune.study.study import parse_space_file

    if space in preset_names() and not Path(space).is_file():
        return parse_space_file(read_preset(space), f"preset {space}"), f"preset {space}", space
    try:
        text = Path(space).read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{space}: there is no such file, and no such preset ({', '.join(preset_names())})"
        ) from None
    except OSError as error:
        raise UserError(f"{space}: cannot be read: {error.strerror}") from None
    return parse_space_file(text, space), space, Path(space).stem


def _scaled(file: SpaceFile, scale: float) -> SpaceFile:
    from distune.study.scaling import scaled

    if not 0 < scale <= 1:
        raise UserError(f"--scale {scale:g}: give a number above 0, and 1 at most")
    return scaled(file, scale)


def _study_name(name: str) -> str:
    import re

    from distune.study.study import STUDY_NAME

    if not re.fullmatch(STUDY_NAME, name):
        raise UserError(
            f"{name!r} cannot name a study: use letters, digits, '-', '_' and '.' (--study)"
        )
    return name


def _look(logs: Path, study: str | None) -> Snapshot:
    from distune.share.store import open_study
    from distune.watch.observer import Observer

    with _patiently():
        return Observer(open_study(logs, study)).look(curves=True)


def _patiently() -> AbstractContextManager[None]:
    """Around all that looks at the share: says so if that takes long."""
    return _stall().watched()


def _stall() -> Stall:
    """For more than one look at the share."""
    from distune.share.outages import Stall

    return Stall(_warn, "nothing is lost")


def _warn(line: str) -> None:
    print(f"distune: {line}", file=sys.stderr, flush=True)


def _console() -> Console:
    from rich.console import Console

    # Tables are cut to the terminal; in a file or a pipe nothing shall be cut.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(width=width)


def _mode(plain: bool, as_json: bool) -> Mode:
    from distune.watch.screen import Mode

    if as_json:
        return Mode.JSON
    return Mode.PLAIN if plain or not sys.stdout.isatty() else Mode.LIVE


def _print_json(fields: Any) -> None:
    typer.echo(json.dumps(fields, indent=2, allow_nan=False))


def _say(line: str) -> None:
    import time

    # `print` would write the end of a line by itself where Python buffers nothing.
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {_harmless(line)}\n")
    sys.stdout.flush()


def _harmless(text: str) -> str:
    """Lines of the objective's, or of the share's: nothing in them steers the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _tell(line: str) -> None:
    """A passing word: on a terminal it is gone with the next one."""
    if not sys.stderr.isatty():
        if line.startswith("waiting"):
            print(f"distune: {line}", file=sys.stderr, flush=True)
        return
    print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _leave(status: int) -> NoReturn:
    raise typer.Exit(status)


#: Click's, which newer Typers carry inside themselves under a private name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main() -> None:
    """The console script: a mistake of the user's is one line and exit status 2."""
    try:
        sys.exit(app(standalone_mode=False, prog_name="distune"))
    except UserError as error:
        _fail(str(error), 2)
    except _UsageError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "distune")
        message = error.format_message()  # type: ignore[attr-defined]
        _fail(f"{message.rstrip('.')}; see {command} --help", 2)
    except DistuneError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone; do not complain
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, status: int) -> NoReturn:
    lines = "\n".join(map(_harmless, message.split("\n")))  # a traceback may be part of it
    print(f"distune: {lines}", file=sys.stderr)
    sys.exit(status)
