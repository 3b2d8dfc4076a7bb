"""The annotations by which a node announces itself, in the form of Kilo 0.7's agent.

Unlike that agent, ours announces what is in force now: an address that it detected is never read
back, and a forced one that somebody removed is gone.
"""

from __future__ import annotations

import json
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from kgctl.kilo import PREFIX
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import Endpoint, parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.agent.addresses import Chosen
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey

LAST_SEEN = f"{PREFIX}last-seen"

_WITHOUT_INTERNAL_IP = ("", "-")
_NAMES = (
    "cni-compatibility-ip",
    "discovered-endpoints",
    "endpoint",
    "granularity",
    "internal-ip",
    "key",
    "last-seen",
    "wireguard-ip",
)

WRITTEN = tuple(PREFIX + name for name in _NAMES)
"""The annotations that an agent writes, and removes when it leaves."""


class InForce(NamedTuple):
    """The endpoint and the internal IP of a node: those that people force, else the detected."""

    endpoint: Endpoint
    internal_ip: Cidr | None


def in_force(
    annotations: Mapping[str, str], chosen: Chosen, *, port: int, prioritise_private: bool
) -> InForce:
    """Return what a node announces: ``force-endpoint`` and ``force-internal-ip`` come first.

    ``port`` is that of a detected endpoint; with ``prioritise_private`` its address is the private
    one, if there is one.
    """
    endpoint = parse_endpoint(annotations.get(f"{PREFIX}force-endpoint", ""))
    if endpoint is None:
        private = chosen.private if prioritise_private else None
        endpoint = Endpoint(private.address if private else chosen.public, port)
    internal = chosen.private
    forced = annotations.get(f"{PREFIX}force-internal-ip")
    if forced in _WITHOUT_INTERNAL_IP:
        internal = None
    elif forced is not None:
        internal = parse_cidr(forced) or internal
    return InForce(endpoint, internal)


class Announcement(NamedTuple):
    """What a node announces, besides its heartbeat; None and empty mean that there is none.

    ``wireguard_ip`` has the prefix of the Kilo subnet. ``discovered`` are the endpoints of peers
    as the device sees them; None before it was read.
    """

    force: InForce
    key: PublicKey
    granularity: str
    wireguard_ip: Cidr | None = None
    discovered: Mapping[PublicKey, Endpoint] | None = None
    cni_compatibility_ip: Cidr | None = None

    def annotations(self, now: float) -> dict[str, str]:
        """Return all annotations, by full name, with a heartbeat at ``now`` (Unix seconds)."""
        values = {
            "cni-compatibility-ip": _text(self.cni_compatibility_ip),
            "discovered-endpoints": _discovered(self.discovered),
            "endpoint": str(self.force.endpoint),
            "granularity": self.granularity,
            "internal-ip": _text(self.force.internal_ip),
            "key": str(self.key),
            "last-seen": str(int(now)),
            "wireguard-ip": _text(self.wireguard_ip),
        }
        return {PREFIX + name: value for name, value in values.items()}


def _text(cidr: Cidr | None) -> str:
    return "" if cidr is None else str(cidr)


def _discovered(endpoints: Mapping[PublicKey, Endpoint] | None) -> str:
    """Return endpoints as Go encodes a map of its UDP addresses."""
    if endpoints is None:
        return ""
    found = {}
    for key, endpoint in endpoints.items():
        address = endpoint.address
        zone = (address.scope_id or "") if isinstance(address, IPv6Address) else ""
        text = str(address).partition("%")[0]
        found[str(key)] = {"IP": text, "Port": endpoint.port, "Zone": zone}
    return json.dumps(dict(sorted(found.items())), separators=(",", ":"))


def difference(wanted: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str | None]:
    """Return what to write so that ``present`` gets ``wanted``, without the heartbeat's value.

    Empty if only the heartbeat differs.
    """
    return {
        name: value
        for name, value in wanted.items()
        if name != LAST_SEEN and present.get(name) != value
    }


def removal() -> dict[str, str | None]:
    """Return the changes that take a node out of the network."""
    return dict.fromkeys(WRITTEN)
