"""What people look at: a live leaderboard, tables, plain lines, JSON. Functions of a snapshot.

Nothing here reads a file or a clock. Whatever came from the share (parameters, hosts,
messages) goes through `text.clean` and into `rich.text.Text`, never into markup: it can neither
move the cursor nor pass for a style.
"""
