"""The network as a page for a browser: one file, which asks nothing of anybody."""
