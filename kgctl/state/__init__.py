"""Sources of nodes and peers: an API server, manifests, the example; and their parsing."""
