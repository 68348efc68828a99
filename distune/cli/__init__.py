"""The command line. What a command needs is imported when it runs."""

from distune.cli.app import main

__all__ = ["main"]
