"""The space file: reading it, checking it, and the study that it describes."""
