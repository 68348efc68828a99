"""A file a command: `distune master` is the function `master` in the module `master`."""
