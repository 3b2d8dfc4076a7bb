"""Machines of the cluster from Node objects: Kilo's fields, and those about the platform."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.mesh.text import parse_integer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey


_NOTHING: Mapping[Any, Any] = MappingProxyType({})

READY_SECONDS = 60
"""A node whose last heartbeat is this many seconds old, or older, takes no part."""


class Node(NamedTuple):
    """The fields of a node that Kilo reads; None and the empty string mean absent.

    ``persistent_keepalive`` is one of ``kgctl.mesh.peer.KEEPALIVES``.

    ``unreadable`` has the text of the annotations (without their prefix; ``podCIDR`` for the
    spec's field) that do not parse and so count as absent. It is untrusted: show it only through
    :func:`kgctl.mesh.text.printable`.
    """

    name: str
    subnet: Cidr | None = None
    endpoint: Endpoint | None = None
    internal_ip: Cidr | None = None
    key: PublicKey | None = None
    last_seen: int = 0
    leader: bool = False
    location: str = ""
    persistent_keepalive: int = 0
    wireguard_ip: Cidr | None = None
    discovered_endpoints: Mapping[PublicKey, Endpoint] = _NOTHING
    allowed_location_ips: tuple[Cidr, ...] = ()
    granularity: str = ""
    cni_compatibility_ip: Cidr | None = None
    unreadable: Mapping[str, str] = _NOTHING

    @property
    def excessive_keepalive(self) -> int | None:
        """The annotated keepalive, in seconds, if Kilo accepts it but WireGuard cannot hold it."""
        text = self.unreadable.get("persistent-keepalive")
        return None if text is None else parse_integer(text)

    def is_ready(self, now: float) -> bool:
        """Return whether the node takes part in the network at ``now``, in Unix seconds.

        A ready node has an endpoint, a key and a subnet, and a heartbeat less than 60 seconds old.
        """
        return (
            self.endpoint is not None
            and self.key is not None
            and self.subnet is not None
            and now - self.last_seen < READY_SECONDS
        )


class Platform(NamedTuple):
    """Fields of a Node's ``spec`` that Kilo does not read: untrusted text.

    ``pod_cidrs`` is the whole list, which starts with ``podCIDR``; ``provider_id`` starts with the
    name of a cloud; ``taints`` are keys.
    """

    pod_cidrs: tuple[str, ...] = ()
    provider_id: str = ""
    taints: tuple[str, ...] = ()


NO_PLATFORM = Platform()
