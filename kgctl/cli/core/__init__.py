"""Core of the command line: the table of options and commands, and its readers."""
