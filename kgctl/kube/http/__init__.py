"""HTTP requests to an API server: the client and its transports."""
