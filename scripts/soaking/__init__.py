"""Real studies on real file systems under faults; see scripts/soak."""
