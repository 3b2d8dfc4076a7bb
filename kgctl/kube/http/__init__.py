"""Requests to an API server."""
