"""Other machines, over the system's ssh."""
