"""The master of a study."""
