"""The probes that one host carries out alone, in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from distune.doctor.measurements import HostMeasurements
from distune.doctor.probes.claims import probe_claims
from distune.doctor.probes.lines import probe_appending, probe_rewriting
from distune.doctor.probes.listings import probe_own_listing
from distune.doctor.probes.locks import probe_flock
from distune.doctor.probes.names import probe_links, probe_names
from distune.doctor.probes.publishing import probe_publishing
from distune.doctor.probes.renames import probe_renames
from distune.doctor.probes.space import probe_space
from distune.doctor.probes.speed import probe_speed
from distune.doctor.probes.times import probe_times
from distune.doctor.sandbox import Sandbox
from distune.study.document import Document

Probe: TypeAlias = Callable[[Sandbox], Document | bool | None]

#: By the name of what they find in `HostMeasurements`.
PROBES: dict[str, Probe] = {
    "space": probe_space,
    "speed": probe_speed,
    "publishing": probe_publishing,
    "renames": probe_renames,
    "claims": probe_claims,
    "appending": probe_appending,
    "rewriting": probe_rewriting,
    "own_listing": probe_own_listing,
    "names": probe_names,
    "links": probe_links,
    "flock": probe_flock,
    "times": probe_times,
}
assert PROBES.keys() <= HostMeasurements.model_fields.keys()
