"""Where nodes and peers come from: an API server, manifests, the example."""
