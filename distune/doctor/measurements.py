"""What the doctor measures: frozen records. Pure.

`HostMeasurements` is what one host found alone, `PairMeasurements` what one of two hosts saw
of the other's doings. Seconds, unless said otherwise. None means: not measured.
"""

from __future__ import annotations

from distune.study.document import Document
from distune.study.trial import Count


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
        damaged: files whose content is not what any publisher wrote.
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


class HostMeasurements(Document):
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


class PairMeasurements(Document):
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
