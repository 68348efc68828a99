"""The promises that a directory can break, as PROTOCOL.md has them."""

from __future__ import annotations

PROMISES = {
    "P1": "A published file is complete.",
    "P2": "A file has at most one owner at any instant.",
    "P3": "Every trial ends in the ranking exactly once.",
    "P6": "A worker is lost when its heartbeat has not changed for the length of the lease",
    "P7": "A worker that lost its file learns it at its next heartbeat or append",
    "P8": "An ambiguous answer is resolved by looking for one's own unique name.",
    "P9": "The share may vanish or be full",
}
