"""Paths of the share in messages, whatever somebody has named them. Pure."""


def shown(path: str) -> str:
    """A path as part of one line for people, whatever is in its name."""
    text = path if path.isprintable() and " " not in path else ascii(path)
    return text if len(text) <= 120 else f"{text[:100]}...{text[-16:]}"
