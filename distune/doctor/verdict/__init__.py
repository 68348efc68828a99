"""What the measurements mean: which promise of PROTOCOL.md fails here, and which lease,
heartbeat and poll interval to use. Pure.
"""
