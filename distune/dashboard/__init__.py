"""`distune dashboard`: the studies of a folder in a browser, from a small server on this host."""
