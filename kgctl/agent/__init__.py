"""The agent of a node: it announces the node, and sets the overlay up on it."""
