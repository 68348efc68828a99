"""What file operations mean for a study's folder: a rename that is believed by what it has done,
an append after half a line, a folder that has been deleted, and what makes no sense set aside.
"""

import errno
import secrets
from collections.abc import Callable, Iterable
from typing import TypeVar

from distune.errors import BadRecord, NotAFolder, ShareError
from distune.share import protocol
from distune.share.folder import FolderLike
from distune.share.shown_paths import shown

#: Answers that will be the same later: such a thing cannot be set aside.
_FOR_EVER = {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV, errno.EINVAL, errno.EROFS}
T = TypeVar("T")


class StudyFiles:
    """The files of one study: `StudyFiles(Folder(Path("logs/mnist")))`."""

    def __init__(self, folder: FolderLike) -> None:
        self.folder = folder
        #: Takes a line for people, about something that was set aside.
        self.tell: Callable[[str], None] = lambda line: None
        self._torn: set[str] = set()  # files whose last append may have left half a line
        self._made: set[str] = set()
        self._stuck: set[str] = set()  # what cannot be set aside

    def write_document(self, path: str, data: bytes) -> None:
        """A file that is read once it is complete."""
        self._insist(path, lambda: self.folder.replace(path, data))
        self._torn.discard(path)

    def distrust_tail(self, path: str) -> None:
        """A writer before this one may have died in the middle of a line."""
        self._torn.add(path)

    def append_lines(self, path: str, lines: Iterable[bytes]) -> None:
        """Add encoded records to a file, on a line of their own, and have them on the disk.

        Raises:
            FileNotFoundError: there is no such file.
            BadRecord: there is something else of its name.
            ShareError: they may be there or not.
        """
        data = b"".join(lines)
        if not data:
            return
        if path in self._torn:
            data = b"\n" + data
        self._torn.add(path)
        self.folder.append(path, data)
        self._torn.discard(path)

    def set_aside(self, path: str, why: str) -> None:
        """Move something that makes no sense into `quarantine/`, over nothing that is there,
        and say so. What cannot be moved is named once, and is then left alone.
        """
        if path in self._stuck:
            return
        target = ""

        def put_away() -> bool:
            nonlocal target
            target = self._free_name(path)
            return self._move(path, target)

        try:
            moved = self._in_folder(protocol.QUARANTINE, put_away)
        except ShareError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in _FOR_EVER:
                raise
            self._stuck.add(path)
            self.tell(f"{shown(path)} is left alone: {why}; {error}")
        else:
            if moved:
                self.tell(f"{shown(path)} set aside as {shown(target)}: {why}")

    def _free_name(self, path: str) -> str:
        """A name in `quarantine/` that nothing has. Asked for by name, not listed: whoever fills
        the folders fills this one.
        """
        name = protocol.aside_name(path)
        while self._is_there(target := f"{protocol.QUARANTINE}/{name}"):
            name = protocol.aside_name(path, secrets.token_hex(4))
        return target

    def _is_there(self, path: str) -> bool:
        try:
            self.folder.read(path, limit=0, part=True)
        except FileNotFoundError:
            return False
        except BadRecord:
            pass  # no file, but something
        return True

    def _insist(self, path: str, write: Callable[[], None]) -> None:
        """Write a file of the study's own, whatever has been put in its place.

        Raises:
            ShareError: that cannot be set aside.
        """
        try:
            write()
        except BadRecord as error:
            self.set_aside(path, str(error))
            try:
                write()
            except BadRecord as again:
                raise ShareError(f"cannot write {shown(path)}: {again}") from error

    def _move(self, source: str, target: str, *, look: bool = True) -> bool:
        """Rename, and find out whether it happened: believe the state, not the answer (P8). Every
        target is a name that only this mover would make, so finding it is proof. Without `look`,
        that the old name is gone is believed.

        Returns:
            Whether the file has its new name; else the old name was gone.

        Raises:
            ShareError: it may have happened, or not. Do the same again later.
        """
        (folder, _, filename), (outer, _, before) = target.rpartition("/"), source.rpartition("/")
        try:
            try:
                self.folder.move(source, target)
            except BadRecord as error:
                self.set_aside(target, str(error))
                self.folder.move(source, target)
            return True
        except FileNotFoundError:
            if not look:
                return False  # on NFS this may mean: done, and the reply was lost
        except BadRecord as error:
            raise ShareError(f"cannot rename {shown(source)}: {error}") from error
        except ShareError:
            if filename in self._look_again(folder):
                return True
            raise
        names = self._look_again(folder)
        if filename in names:
            return True
        if folder == outer and before in names:  # in a folder that has been put in its place
            try:
                self.folder.move(source, target)
            except FileNotFoundError:
                return False  # an old listing
            except BadRecord as error:
                raise ShareError(f"cannot rename {shown(source)}: {error}") from error
            return True
        return False

    def _look_again(self, folder: str) -> list[str]:
        """A listing that is not this host's own old one."""
        self.folder.poke(folder)
        return self.folder.names(folder)

    def mend_folders(self) -> None:
        """See that the study's own folders are there, and are folders: see `_ensure_folder`."""
        for folder in protocol.FOLDERS:
            self._made.discard(folder)
            self._ensure_folder(folder)

    def _ensure_folder(self, folder: str) -> None:
        """Make a folder, once; a file in its place is set aside.

        Raises:
            NotAFolder: it is a symbolic link. What it should hold may lie behind it.
        """
        if folder in self._made:
            return
        outer = folder.rpartition("/")[0]
        if outer:
            self._ensure_folder(outer)
        try:
            self.folder.make_folder(folder)
        except NotAFolder as error:
            if error.path == protocol.QUARANTINE:
                aside = protocol.aside_name(error.path, secrets.token_hex(4))
                self._move(error.path, aside)
                self.tell(f"{shown(error.path)} renamed to {aside}: it is not a folder")
            elif error.link or error.path != folder:
                raise
            else:
                self.set_aside(folder, "it is not a folder")
            self.folder.make_folder(folder)
        self._made.add(folder)

    def _in_folder(self, folder: str, act: Callable[[], T]) -> T:
        """Do something that needs a folder, which may have been deleted since."""
        try:
            self._ensure_folder(folder)
            return act()
        except (FileNotFoundError, NotAFolder):
            self._made -= {folder, folder.rpartition("/")[0]}
            self._ensure_folder(folder)
            return act()

    def _names_in(self, folder: str) -> list[str]:
        """A listing; nothing, if there is no folder."""
        try:
            return self.folder.names(folder)
        except FileNotFoundError:
            return []
        except NotAFolder as error:
            if error.link:
                raise
            return []
