"""What can go wrong, as types."""


class DistuneError(Exception):
    """Base of everything distune raises on purpose."""


class UserError(DistuneError):
    """A mistake of the user's; the message says what, where and what to do. Exit status 2."""


class SpaceError(UserError):
    """A space file that cannot be a study.

    Args:
        source: the file or preset, as the user named it.
        key: the key in it, dotted (`params.lr.low`); empty for the file as a whole.
        problem: what is wrong with it and what to write instead.
    """

    def __init__(self, source: str, key: str, problem: str) -> None:
        super().__init__(f"{source}: {key}: {problem}" if key else f"{source}: {problem}")
        self.source, self.key, self.problem = source, key, problem


class Infeasible(UserError):
    """A configuration that no worker can train, however often it is tried.

    An objective raises it; the message says what does not fit.
    """


class Mistake(UserError):
    """What an objective gives is none of what it may give: another attempt would give the same."""


class HasMaster(UserError):
    """What only a study's one master may do, and another one runs; the message says where."""


class StudyFailed(DistuneError):
    """The study cannot go on; the message says why and what to do. Exit status 1."""


class ShareError(DistuneError):
    """An operation on the share failed, or it is unknown whether it happened (P8): try again."""


class NotAFolder(ShareError):
    """Something else is where a folder of the study should be.

    Args:
        path: of it, in the study's folder; empty for that folder itself.
        shown: the same, for messages.
        link: whether it is a symbolic link, which distune does not follow.
    """

    def __init__(self, path: str, shown: str, link: bool) -> None:
        what = "is a symbolic link, which distune does not follow" if link else "is not a folder"
        super().__init__(f"{shown} {what}: remove it")
        self.path, self.link = path, link


class BadRecord(DistuneError):
    """A name or a line read from the share that is not what the protocol says (P10)."""


class Forbidden(BadRecord):
    """A file that this user may not open."""
