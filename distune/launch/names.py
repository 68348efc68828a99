"""What engines call a study."""

import re


def object_name(study: str) -> str:
    """A name that every engine allows: lower case, digits and hyphens, and not too long."""
    return "distune-" + re.sub(r"[^a-z0-9]+", "-", study.lower())[:40].strip("-")
