"""The command line: reads options, calls the rest, prints."""
