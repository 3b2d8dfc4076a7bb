"""A client for one Kubernetes API server: access, requests, objects, watches; nothing of Kilo."""
