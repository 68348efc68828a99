"""`doctor.json`: what the doctor has measured, and what it concludes. Pure.

Seconds, unless said otherwise. None means: not measured.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from distune.study.trial import Count, Document

Grade = Literal["ok", "warn", "fail"]
#: The promises that a directory can break, as PROTOCOL.md has them.
PROMISES = {
    "P1": "A published file is complete.",
    "P2": "A file has at most one owner at any instant.",
    "P3": "Every trial ends in the ranking exactly once.",
    "P6": "A worker is lost when its heartbeat has not changed for the length of the lease",
    "P7": "A worker that lost its file learns it at its next heartbeat or append",
    "P8": "An ambiguous answer is resolved by looking for one's own unique name.",
    "P9": "The share may vanish or be full",
}


#: What has happened so often, the promise that this breaks (None: a warning), advice.
Fault: TypeAlias = tuple[str, str | None, str]
_COPIES = "a rename must move, at one instant: this copies"
CACHE_ADVICE = (
    "a cache answers instead of the server; mount sshfs with -o dir_cache=no, "
    "NFS without nocto and with a smaller acdirmax"
)


class Tally(Document):
    """Something tried as often as its first field says.

    Attributes:
        GOOD: what to say of it if nothing went wrong.
        FAULTS: by the field that counts them, the worst first.
    """

    GOOD: ClassVar[str]
    FAULTS: ClassVar[dict[str, Fault]]


class Renames(Tally):
    """Files renamed one by one while another thread looked on."""

    GOOD = "{tries} of {tries}: old name gone, new name there, content whole"
    FAULTS = {
        "source_left": ("left the old name there", "P2", _COPIES),
        "target_missing": ("did not make the new name", "P2", _COPIES),
        "damaged": ("showed half a file or other content", "P1", _COPIES),
    }
    tries: Count
    source_left: Count = 0
    target_missing: Count = 0
    damaged: Count = 0


class Claims(Tally):
    """Many claimers rename the same files, each to a name of its own. `lost_replies`: renames
    that reported failure and had happened.
    """

    GOOD = "{files} files, {claimers} claimers: one owner each"
    FAULTS = {
        "two_owners": ("files had two owners", "P2",
                       "two renames of one name both win here: no study can run on it"),
        "gone": ("files vanished while being claimed", "P3",
                 "a renamed file must be in a fresh listing under its new name"),
        "damaged": ("files changed content while being claimed", "P1",
                    "a rename must leave the content alone"),
        "misjudged": ("claims ended otherwise than believed", "P8", "the listing does not show "
                      "what a rename did, even after changing the directory"),
    }  # fmt: skip
    files: Count
    claimers: Count
    two_owners: Count = 0
    gone: Count = 0
    damaged: Count = 0
    misjudged: Count = 0
    lost_replies: Count = 0


class Publishing(Tally):
    """Complete files given a name that may be taken. `two_winners`: names of which more than one
    publisher thinks to have given it.
    """

    GOOD = "{tries} of {tries} whole, none over a name that was taken"
    FAULTS = {
        "replaced": ("went over a name that was taken", "P1", "a file that is there must stay: "
                     "link() must fail on a name that exists"),
        "damaged": ("files are not what was published", "P1",
                    "a file must be whole when its name appears"),
        "two_winners": ("names had two winners", "P1", "link() must be exclusive"),
    }  # fmt: skip
    tries: Count
    replaced: Count = 0
    damaged: Count = 0
    two_winners: Count = 0


class Lines(Tally):
    """Lines appended and fsynced, read back by a reader that opens the file anew."""

    GOOD = "{lines} of {lines} fsynced lines read back as written"
    FAULTS = {
        "wrong": ("lines did not read back as written", "P3",
                  "what was appended and fsynced must be there: a result would be lost"),
    }  # fmt: skip
    lines: Count
    wrong: Count = 0
    slowest: float = 0.0


class Rewrites(Tally):
    """A heartbeat rewritten in place, read by open and read."""

    GOOD = "{tries} of {tries} rewritten files show their new content"
    FAULTS = {
        "stale": ("rewritten files still showed old content to their writer", "P6",
                  "a heartbeat that cannot be read kills healthy workers"),
    }  # fmt: skip
    tries: Count
    stale: Count = 0


class OwnListing(Tally):
    """Listings right after a change of one's own, and again after this host was made to forget
    its cache.
    """

    GOOD = "{tries} of {tries} show this host's own change at once"
    FAULTS = {
        "stubborn": ("did not show this host's own change", "P8",
                     f"a claim whose reply was lost would not be noticed; {CACHE_ADVICE}"),
        "stale": ("showed this host's own change only after another one", None,
                  f"distune makes that other change itself; {CACHE_ADVICE}"),
    }  # fmt: skip
    tries: Count
    stale: Count = 0
    stubborn: Count = 0


class Names(Document):
    """What a name may be. `longest`: bytes that worked, of the `needed` ones."""

    needed: Count
    longest: Count
    case_sensitive: bool
    changed: bool = False  # a name comes back other than it was written


class FreeSpace(Document):
    """Free bytes and inodes; None where the file system does not count inodes."""

    bytes_free: int
    inodes_free: int | None


class HostMeasurements(Document):
    """What one host found.

    Attributes:
        device: of the mount, as this host numbers it; with `boot`, tells two hosts from
            one that looks twice.
        default_lease: what a study gets here without a doctor.
        speed: the median for each operation, one after the other.
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
    space: FreeSpace | None = None
    clock: float | None = None  # how far the one that stamps files is ahead of this host's
    speed: dict[str, float] | None = None
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

    @property
    def news(self) -> float:
        """The longest that anything took to be seen that a lease depends on."""
        # A worker whose heartbeat is in no listing yet is as silent as one that is dead.
        delays = (self.new_file, self.appended, self.evicted)
        return max([delay.worst for delay in delays if delay is not None], default=0.0)

    @property
    def lateness(self) -> float:
        """How much later than made a heartbeat was seen."""
        if self.beat_gap is None or self.beat_every is None:
            return 0.0
        return max(0.0, self.beat_gap - self.beat_every)


class CheckResult(Document):
    """How one thing that was tried turned out. `value`: what was measured, for people; `promise`:
    of the protocol, that it breaks (`P2`).
    """

    name: str
    grade: Grade
    value: str
    promise: str | None = None
    advice: str = ""


Seconds = Annotated[float, Field(ge=0.05, le=86400.0, allow_inf_nan=False)]


class Diagnosis(Document):
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
    checks: list[CheckResult]
    hosts: list[HostMeasurements]
    pairs: list[PairMeasurements] = []
    created: float = 0.0
