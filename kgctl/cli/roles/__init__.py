"""RBAC roles that kgctl's commands need: their manifests, and the role that grants a right.

The manifests are files in this package, so that every installation has them. ``docs/rbac*.yaml``
are copies.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kgctl.errors import ForbiddenError

ROLES = MappingProxyType(
    {
        "read": "every command that reads: list nodes and peers",
        "watch": "--watch and serve: follow nodes and peers as they change",
        "peers": "kgctl peer: create, change and delete Peers",
        "nodes": "kgctl node set: annotate nodes",
        "agent": "kgctl agent: follow the network, and annotate the node",
        "connect": "kgctl connect: follow the network, and keep the Peer of this host",
        "link": "kgctl link: write the Peers of other clusters, read the service network",
        "link-secrets": "kgctl link -f with preshared keys: keep them in Secrets",
        "link-services": "kgctl link --mirror: read services, write those of other clusters",
    }
)
"""The purpose of each role, by the name of its manifest."""

_GRANTED = {
    "nodes": {"list": "read", "watch": "watch", "get": "nodes", "patch": "nodes"},
    "peers": {
        "list": "read",
        "watch": "watch",
        "get": "peers",
        "create": "peers",
        "update": "peers",
        "delete": "peers",
        "patch": "link",
    },
    "secrets": dict.fromkeys(("get", "create", "update", "delete"), "link-secrets"),
    "namespaces": {"get": "link-services"},
    "services": dict.fromkeys(
        ("get", "list", "watch", "create", "patch", "update", "delete"), "link-services"
    ),
    "endpointslices": dict.fromkeys(
        ("get", "list", "watch", "create", "patch", "update", "delete"), "link-services"
    ),
    "servicecidrs": {"list": "link"},
    "configmaps": {"get": "link"},
}


def role_for(verb: str, resource: str) -> str | None:
    """Return the name of the smallest role that lets a user ``verb`` a resource, or None."""
    return _GRANTED.get(resource, {}).get(verb)


def remedy(error: ForbiddenError) -> str:
    """Return the advice for a user who lacks a right."""
    role = role_for(error.verb, error.resource)
    if role is None:
        return "ask who runs the cluster for it"
    return f"kgctl help rbac {role} prints a role that grants it"


def manifest(role: str) -> str:
    """Return the manifest of one of ``ROLES``, in YAML."""
    from importlib.resources import files

    return files(__name__).joinpath(f"{role}.yaml").read_text(encoding="utf-8")
