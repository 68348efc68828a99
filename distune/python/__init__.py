"""distune from a script or a notebook: what stands in a space file, `run`, and `claim`."""
