"""Where the state of a cluster comes from: an API server or manifest files."""
