"""What this user may do in a study's folder, found out by doing it before there is anything to
lose: mode bits say little on NFS (root squash), SMB and sshfs (one owner for all).
"""

import errno
import os
import pwd
import secrets
import stat
from pathlib import Path

from distune.errors import ShareError, UserError
from distune.share import protocol

#: Answers that mean: not you.
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def check_owner(study: Path) -> None:
    """Refuse a study that another user may have planted: its folder, or the logs directory
    it is in, belongs to another user, in a place where every user may create things.

    Raises:
        UserError: so it is.
        ShareError: the share did not answer.
    """
    for folder in (study, study.parent):
        try:
            there, around = os.stat(folder), os.stat(folder.parent)
            if not around.st_mode & stat.S_IWOTH or there.st_uid in (0, os.geteuid()):
                continue
            # On NFS with root squash, or SMB, what we create ourselves has another owner.
            if there.st_uid == _owner_of_new_file(folder.parent):
                continue
        except FileNotFoundError:
            continue  # nothing is there to be afraid of
        except OSError as error:
            raise ShareError(f"cannot look at {folder}: {error.strerror}") from error
        raise UserError(
            f"{folder} belongs to {_user(there.st_uid)}, and anyone may create files in "
            f"{folder.parent}: it may be there to misuse your machine. If you trust it, say so "
            "with --any-owner; else use another --logs"
        )


def check_writable(study: Path) -> None:
    """See that a worker could do its work: create and rename in the study's folders, and add
    lines to files that the master has made.

    Raises:
        UserError: it could not; says where, as which user and what to do.
        ShareError: the share did not answer.
    """
    for folder in (study, study / protocol.TRIALS, study / protocol.WORKERS):
        try:
            _owner_of_new_file(folder)
        except OSError as error:
            if error.errno not in DENIED:
                raise ShareError(f"cannot write in {folder}: {error.strerror}") from error
            raise UserError(
                f"no write access to {folder} ({error.strerror}; {_as_whom(folder)}); make it "
                "writable for this user or for a group of hers: chmod g+ws, and umask 002 where "
                "the master runs"
            ) from None
    # The master's files are all made alike; this one has been there from the start.
    frozen = study / protocol.STUDY
    if not os.access(frozen, os.W_OK):
        raise UserError(
            f"files in {study} cannot be written to ({_as_whom(frozen)}), and a worker writes its "
            "results into the master's files: start the master with umask 002, so that its group "
            "may write, or as this user"
        )


def _owner_of_new_file(folder: Path) -> int:
    """The uid that a file we create there gets; leaves nothing behind."""
    path = folder / f".access.{secrets.token_hex(6)}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        return os.fstat(fd).st_uid
    finally:
        os.close(fd)
        os.unlink(path)


def _as_whom(path: Path) -> str:
    status = os.stat(path)
    mode = stat.filemode(status.st_mode)
    return f"it is {mode} of {_user(status.st_uid)}, this is {_user(os.geteuid())}"


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
