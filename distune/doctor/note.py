"""What the doctor measures, and the note it leaves: frozen records. Pure.

`HostFacts` is what one host found alone, `PairFacts` what one of two hosts saw of the
other's doings, `Note` the verdict on all of it (`doctor.json`). Seconds, unless said
otherwise. None means: not measured.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from distune.study.document import Count, Document

Grade = Literal["ok", "warn", "fail"]


class Renames(Document):
    """Files renamed one by one while another thread looked on."""

    tries: Count
    source_left: Count = 0
    target_missing: Count = 0
    damaged: Count = 0  # other content than before, or half of it, was seen


class Claims(Document):
    """Many claimers rename the same files, each to a name of its own.

    Attributes:
        two_owners: files that more than one got.
        gone: files of which nothing is left.
        damaged: files that say something else than before.
        misjudged: renames that happened and were not believed, or the other way round.
        lost_replies: renames that reported failure and had happened.
    """

    files: Count
    claimers: Count
    two_owners: Count = 0
    gone: Count = 0
    damaged: Count = 0
    misjudged: Count = 0
    lost_replies: Count = 0


class Publishing(Document):
    """Complete files given a name that may be taken.

    Attributes:
        replaced: names that were taken and got other content all the same.
        damaged: files whose content is not what anybody published.
        two_winners: names of which more than one publisher thinks to have given it.
    """

    tries: Count
    replaced: Count = 0
    damaged: Count = 0
    two_winners: Count = 0


class Lines(Document):
    """Lines appended and fsynced, read back by a reader that opens the file anew."""

    lines: Count
    wrong: Count = 0
    slowest: float = 0.0


class Rewrites(Document):
    """A heartbeat rewritten in place, read by open and read."""

    tries: Count
    stale: Count = 0


class OwnListing(Document):
    """Listings right after a change of one's own.

    Attributes:
        stale: that did not show it.
        stubborn: that did not show it after the host was made to forget its cache either.
    """

    tries: Count
    stale: Count = 0
    stubborn: Count = 0


class Names(Document):
    """What a name may be. `longest`: bytes that worked, of the `needed` ones."""

    needed: Count
    longest: Count
    case_sensitive: bool
    changed: bool = False  # a name comes back other than it was written


class Space(Document):
    """Free bytes and inodes; None where the file system does not count inodes."""

    bytes_free: int
    inodes_free: int | None


class Times(Document):
    """Stamps of files. `ahead`: the server's clock before this host's."""

    granularity: float
    ahead: float


class Speed(Document):
    """Medians for one operation after the other."""

    publish: float
    rename: float
    list: float
    read: float
    append: float
    rewrite: float


class HostFacts(Document):
    """What one host found.

    Attributes:
        device: of the mount, as this host numbers it; with `boot`, tells two hosts from
            one that looks twice.
        default_lease: what a study gets here without a doctor.
        troubles: probes that could not be carried out, and why.
        repeated: operations that failed and then worked, and the last error.
        hang: the operation that did not answer, and for how long it was waited for.
    """

    host: str
    boot: str = ""
    device: int = 0
    file_system: str = "unknown"
    network: bool = True
    default_lease: float = 120.0
    renames: Renames | None = None
    claims: Claims | None = None
    publishing: Publishing | None = None
    appending: Lines | None = None
    rewriting: Rewrites | None = None
    own_listing: OwnListing | None = None
    names: Names | None = None
    links: bool | None = None
    flock: bool | None = None  # a second lock on a locked file is refused
    space: Space | None = None
    times: Times | None = None
    speed: Speed | None = None
    troubles: dict[str, str] = {}
    repeated: Count = 0
    last_error: str = ""
    hang: tuple[str, float] | None = None
    lonely: str | None = None  # why the other host could not be examined with this one


class Delay(Document):
    """How long it took until a change by the other host was seen, each time.

    Attributes:
        seconds: of those that were seen; too long by what a message takes (tenths).
        never: changes that were not seen within `limit`.
    """

    seconds: list[float] = []
    never: Count = 0
    limit: float = 0.0

    @property
    def worst(self) -> float:
        return max([*self.seconds, *([self.limit] if self.never else [])], default=0.0)


class PairFacts(Document):
    """What `host` saw of the doings of `other`.

    Attributes:
        one_mount: both are one host that looks twice through one mount.
        new_file, new_file_poked: in a fresh listing; in one after changing the directory.
        missed_name: by opening a name that was not there before.
        appended: appended and fsynced bytes, by open and read.
        evicted: until it no longer listed a file that the other had renamed away.
        beat_gap: longest time between two changes seen of a heartbeat made every
            `beat_every`; None if none was seen.
        handed_over: files published here, claimed and written by the other, read here.
        shared_kept: lines still whole of `shared_lines` that both appended to one file.
        flock, lockf: a lock of the other's keeps one from locking; None: no such lock.
        clock_ahead: the other's clock before this one's, give or take `clock_within`.
    """

    host: str
    other: str
    one_mount: bool = False
    new_file: Delay | None = None
    new_file_poked: Delay | None = None
    missed_name: Delay | None = None
    appended: Delay | None = None
    evicted: Delay | None = None
    beat_every: float | None = None
    beat_gap: float | None = None
    claims: Claims | None = None
    publishing: Publishing | None = None
    handed_over: Lines | None = None
    shared_lines: Count = 0
    shared_kept: Count = 0
    flock: bool | None = None
    lockf: bool | None = None
    clock_ahead: float | None = None
    clock_within: float = 0.0


class Check(Document):
    """One thing that was tried.

    Attributes:
        value: what was measured, for people.
        promise: of the protocol, that it breaks (`P2`).
        advice: what to do about it.
    """

    name: str
    grade: Grade
    value: str
    promise: str | None = None
    advice: str = ""


Seconds = Annotated[float, Field(ge=0.05, le=86400.0, allow_inf_nan=False)]


class Note(Document):
    """`doctor.json`: what a doctor found in a directory, and what it advises.

    Attributes:
        grade: of the worst check; `fail` means that the protocol would be wrong here.
        lease, heartbeat, poll: for studies that are made here from now on.
        reason: for these three.
        file_systems: as the hosts see them.
        created: by the clock of the host that wrote it, for people.
    """

    format: Literal[1] = 1
    distune: str = ""
    grade: Grade
    summary: str
    lease: Seconds
    heartbeat: Seconds
    poll: Seconds
    reason: str
    file_systems: list[str]
    network: bool
    peer: bool
    checks: list[Check]
    hosts: list[HostFacts]
    pairs: list[PairFacts] = []
    created: float = 0.0

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.grade == "fail"]
