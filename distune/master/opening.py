"""The beginning of a master's run: its options, and the study that it opens or creates."""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distune.doctor.diagnosis import Diagnosis
from distune.errors import BadRecord, NotAFolder, ShareError, UserError
from distune.search.staged import make_sampler
from distune.search.warm_start import warm_start
from distune.share import protocol, records
from distune.share.file_system import file_system_of, is_network
from distune.share.find_studies import open_study
from distune.share.folder import Folder
from distune.share.lines_file import study_in
from distune.share.shown_paths import shown
from distune.share.store import LOCAL_LEASE, NETWORK_LEASE, Store
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.model import SpaceFile
from distune.space_file.preview import check_it_can_start
from distune.study.study import Study, differences, with_its_sampler, with_more_settings
from distune.watch.observer import Observer


@dataclass(frozen=True)
class MasterOptions:
    """What to search, where, and which workers to start."""

    space: SpaceFile
    source: str  # of the space file, for people
    name: str
    logs: Path
    workers: int = 0  # to start on this machine; `worker_arguments` and `device` are theirs
    device: str = "auto"
    devices_per_trial: int | None = None  # theirs, too
    worker_arguments: Sequence[str] = ()
    objectives: Sequence[str] = ()  # of the user's own, to be trained
    given: bytes = b""  # an encoded `Offer`, of `distune.run`'s: its workers' standard input
    any_owner: bool = False
    ignore_doctor: bool = False
    warm_start: str | None = None  # another study whose results a new one begins with


def open_or_create(
    folder: Path, options: MasterOptions, say: Callable[[str], None]
) -> tuple[Store, Study]:
    """The study in a folder, made there if it is not; with more settings than it has there, if some
    were appended to the space file's list.

    Raises:
        UserError: the study cannot be started like this.
    """
    store = Store(Folder(folder))
    store.tell = say
    _refuse_earlier(store)
    diagnosis = None if options.ignore_doctor else _diagnosis(folder.parent, say)
    default = NETWORK_LEASE if store.folder.network else LOCAL_LEASE
    lease = options.space.lease or (diagnosis.lease if diagnosis else default)
    wanted = freeze(
        options.space,
        name=options.name,
        study_id=f"{options.name}-{secrets.token_hex(4)}",
        lease=lease,
        beat=diagnosis.heartbeat if diagnosis else None,
        poll=diagnosis.poll if diagnosis else None,
        created=time.time(),
    )
    check_it_can_start(wanted, limits_of(options.space))
    if options.warm_start is not None:
        wanted = _warmed(wanted, store, options.logs, options.warm_start, say)
    _refuse_anothers_trials(store, folder)
    try:
        study = store.create(wanted)
    except NotAFolder as error:
        raise UserError(str(error)) from None
    except BadRecord as error:
        raise UserError(
            f"{folder / protocol.STUDY} cannot be used: {error}; put the file back, "
            "choose another name with --study, or delete that folder"
        ) from None
    except ShareError as error:
        raise UserError(f"{error}; the master must be able to write there") from None
    wanted = with_its_sampler(study, wanted)
    known, study = study, with_more_settings(study, wanted)
    if more := len(study.settings or []) - len(known.settings or []):
        say(f"{options.source} has {more} more in its list of settings: tried after the others")
    different = differences(wanted, study)
    if "settings" in different and study.sampler == "list":
        raise UserError(
            f"{folder} holds another study: settings may be appended to its list, but the first "
            f"{len(known.settings or [])} must stay as they are; choose another name with --study"
        )
    if different:
        raise UserError(
            f"{folder} holds another study (it differs in {', '.join(different)}): "
            "choose another name with --study, or another --logs, or delete that folder"
        )
    if diagnosis is not None and study.id == wanted.id:
        source = f" ({options.source} says so)" if options.space.lease else ""
        say(
            f"lease {study.lease:g} s{source}, heartbeat every {study.beat_interval:g} s, a look "
            f"every {study.longest_pause:g} s, as {folder.parent / protocol.DOCTOR} advises"
        )
    return store, study


def _warmed(
    wanted: Study, store: Store, logs: Path, other: str, say: Callable[[str], None]
) -> Study:
    """A new study that begins with another's results; one that has begun has them, or not.

    Args:
        other: its name in this logs directory, or its folder.
    """
    try:
        if store.load().warm_start is None:
            raise UserError(
                f"--warm-start: {wanted.name} has begun without it: choose another name (--study)"
            )
        return wanted
    except FileNotFoundError:
        pass
    except (BadRecord, NotAFolder):
        return wanted  # `create` says what is wrong with it
    path = logs / other if os.sep not in other else Path(other).absolute()
    history = Observer(open_study(path.parent, path.name)).history
    found, lines = warm_start(wanted, make_sampler(wanted), history)
    for line in lines:
        say(line)
    return wanted.model_copy(update={"warm_start": found})


def _refuse_anothers_trials(store: Store, folder: Path) -> None:
    """See that the trials there are not another study's: `study.json` was deleted or replaced, and
    the master would set aside all that it does not name.
    """
    asked, counted = (study_in(store, path) for path in (protocol.ASKED, protocol.HISTORY))
    try:
        its_own = store.load().id
    except FileNotFoundError:
        its_own, other = None, asked or counted
    except (BadRecord, NotAFolder, ShareError):
        return  # `create` says what is wrong with it
    else:
        other = asked if asked == counted else None
    if other not in (None, its_own):
        raise UserError(
            f"{folder} has the trials of {shown(other)}, and not its {protocol.STUDY}: put that "
            "back, or choose another name with --study, or delete that folder"
        )


def _refuse_earlier(store: Store) -> None:
    try:
        store.load().refuse_earlier()
    except (FileNotFoundError, BadRecord, NotAFolder, ShareError):
        return  # there is none, or `create` says what is wrong with it


def _diagnosis(logs: Path, say: Callable[[str], None]) -> Diagnosis | None:
    """What `distune doctor` has found in this directory; None if that is nothing, or of no use."""
    path = logs / protocol.DOCTOR
    try:
        data = Folder(logs).read(protocol.DOCTOR, limit=records.LINE_LIMIT)
        diagnosis = records.decode_document(Diagnosis, data)
    except FileNotFoundError:
        return None
    except (BadRecord, ShareError) as error:
        say(f"{path} is ignored: {error}; write it anew with: distune doctor --logs {logs}")
        return None
    # A diagnosis made on the server's own disk says nothing about its clients.
    here = file_system_of(logs)
    if is_network(logs) and here not in diagnosis.file_systems:
        found = ", ".join(diagnosis.file_systems)
        say(f"{path} is ignored: it is about {found}, and this is {here}; run distune doctor here")
        return None
    if diagnosis.grade == "fail":
        raise UserError(
            f"{path} says: {diagnosis.summary}; run distune doctor --logs {logs} again, use "
            "another directory, or start with --ignore-doctor"
        )
    return diagnosis
