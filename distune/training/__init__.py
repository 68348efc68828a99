"""The process that trains, and how a worker talks to it."""
