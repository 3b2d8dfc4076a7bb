"""One Kubernetes API server: access to it, requests, objects and watches; nothing of Kilo."""
