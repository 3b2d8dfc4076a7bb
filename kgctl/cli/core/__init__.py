"""The command line itself: the table of options and commands, and what reads it."""
