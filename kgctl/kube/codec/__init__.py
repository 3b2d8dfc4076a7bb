"""The formats of Kubernetes objects: protobuf, JSON and YAML."""
