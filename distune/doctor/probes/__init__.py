"""What one host can find out alone: each probe tries one thing and counts what went wrong.

Trials are published, claimed, written and finished by `Store`, so that what is tried is
what a study does. The few operations beside it are on files that no study ever has.
"""
