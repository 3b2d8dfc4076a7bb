"""Changes to nodes and peers: enrol, change, rotate, remove, annotate."""
