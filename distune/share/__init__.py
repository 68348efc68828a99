"""The shared folder: names, records, files, heartbeats."""
