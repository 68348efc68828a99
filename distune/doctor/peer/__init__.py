"""Two hosts at once: how two doctors find each other, talk, and what they try together.

Everything goes through the directory under examination. Each doctor writes only files of
its own: a heartbeat that says that it is here, and messages, each a new file. A reader of
messages changes the directory before each listing, which makes every file system that was
measured show what is new; what is *tried* is looked at as a study would, without that.

Clocks: the host that measures a delay says so and takes its own time; the other acts when it
hears that. So a delay is too long by what one message takes, and never too short.
"""
