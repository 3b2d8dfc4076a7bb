"""The network as a web page: one file without external requests."""
