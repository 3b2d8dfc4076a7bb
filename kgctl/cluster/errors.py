"""Why cluster state could not be read or written."""

from __future__ import annotations

from kgctl.mesh.errors import KgctlError


class ClusterError(KgctlError):
    """The cluster, or the files that stand for it, could not be read or written."""


class ManifestError(ClusterError):
    """A manifest file cannot be read, or is no YAML or JSON of Kubernetes objects."""
