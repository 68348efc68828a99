"""A worker: it claims, beats and reports, and trains in other processes."""
