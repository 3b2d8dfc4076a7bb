"""The command line itself: its table, how it is read, and how it ends."""
