"""Locations and addresses in the small cluster.

External addresses are from the documentation and benchmark ranges: the rules for public addresses
apply as on the real Internet, and no address can be confused with a real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Literal

Inside = Literal["ipv4", "ipv6"]
"""The family of everything in the tunnels: pod subnets, internal IPs, WireGuard IPs."""
Outside = Literal["ipv4", "ipv6", "dns"]
"""How endpoints are written; ``dns`` names have an address of both families."""

PORT = 51820
KEEPALIVE = 2
"""Seconds. Far below NAT's half minute, since tests do not want to wait for it."""


@dataclass(frozen=True)
class Addresses:
    """A node's addresses in one family."""

    pod_subnet: IPv4Network | IPv6Network
    pod: str
    """A pod on the node."""
    internal: IPv4Interface | IPv6Interface
    wireguard: IPv4Interface | IPv6Interface | None
    """A leader's address on the Kilo network, with that network's prefix; a follower has none."""

    @property
    def to_ping(self) -> tuple[str, ...]:
        """Every address by which the node has to be reached from all over the network."""
        own = [self.pod, str(self.internal.ip)]
        return (*own, str(self.wireguard.ip)) if self.wireguard else tuple(own)


@dataclass(frozen=True)
class NodePlan:
    """A node: where it is, and its addresses inside and outside."""

    name: str
    location: str
    leader: bool
    ipv4: Addresses
    ipv6: Addresses
    endpoints: dict[Outside, str]
    """What Kilo's agent would find out (or be told, for a DNS name)."""
    keepalive: int = 0

    def inside(self, family: Inside) -> Addresses:
        """Return the addresses of one family."""
        return self.ipv4 if family == "ipv4" else self.ipv6


@dataclass(frozen=True)
class Machine:
    """A machine outside of the cluster: a Peer, and the addresses it is to have inside."""

    name: str
    ipv4: str
    ipv6: str
    endpoints: dict[Outside, str] = field(default_factory=dict)
    """Where anybody can call it; none of a family that it has not, or behind NAT."""

    def inside(self, family: Inside) -> str:
        """Return its address of one family."""
        return self.ipv4 if family == "ipv4" else self.ipv6


def _addresses(number: int, internal: str, *, host: int, wireguard: int | None) -> Addresses:
    return Addresses(
        pod_subnet=IPv4Network(f"10.42.{number}.0/24"),
        pod=f"10.42.{number}.10",
        internal=IPv4Interface(f"{internal}.{host}/24"),
        wireguard=IPv4Interface(f"10.4.0.{wireguard}/16") if wireguard else None,
    )


def _addresses6(number: int, internal: str, *, host: int, wireguard: int | None) -> Addresses:
    return Addresses(
        pod_subnet=IPv6Network(f"fd10:42:0:{number}::/64"),
        pod=f"fd10:42:0:{number}::10",
        internal=IPv6Interface(f"{internal}::{host}/64"),
        wireguard=IPv6Interface(f"fd10:4::{wireguard}/64") if wireguard else None,
    )


# The segments' order is that of their locations, and so are the WireGuard IPs: ams, fra, home.
AMS_1 = NodePlan(
    name="ams-1",
    location="ams",
    leader=True,
    ipv4=_addresses(0, "10.10.0", host=1, wireguard=1),
    ipv6=_addresses6(0, "fd10:10", host=1, wireguard=1),
    endpoints={
        "ipv4": f"198.51.100.10:{PORT}",
        "ipv6": f"[2001:db8:10::10]:{PORT}",
        "dns": f"ams-1.kilo.example:{PORT}",
    },
)
AMS_2 = NodePlan(
    name="ams-2",
    location="ams",
    leader=False,
    ipv4=_addresses(1, "10.10.0", host=2, wireguard=None),
    ipv6=_addresses6(1, "fd10:10", host=2, wireguard=None),
    endpoints={
        "ipv4": f"10.10.0.2:{PORT}",
        "ipv6": f"[fd10:10::2]:{PORT}",
        "dns": f"10.10.0.2:{PORT}",
    },
)
FRA_1 = NodePlan(
    name="fra-1",
    location="fra",
    leader=True,
    ipv4=_addresses(2, "10.20.0", host=1, wireguard=2),
    ipv6=_addresses6(2, "fd10:20", host=1, wireguard=2),
    endpoints={
        "ipv4": f"203.0.113.20:{PORT}",
        "ipv6": f"[2001:db8:20::20]:{PORT}",
        "dns": f"fra-1.kilo.example:{PORT}",
    },
)
# Behind NAT: its endpoint is an address that nobody outside of its house can reach, so it has to
# call the others, and to keep calling. IPv6 is not translated there, but nothing comes in unasked.
HOME_1 = NodePlan(
    name="home-1",
    location="home",
    leader=True,
    ipv4=_addresses(3, "192.168.77", host=10, wireguard=3),
    ipv6=_addresses6(3, "fd10:77", host=10, wireguard=3),
    endpoints={
        "ipv4": f"192.168.77.10:{PORT}",
        "ipv6": f"[2001:db8:31::10]:{PORT}",
        "dns": f"192.168.77.10:{PORT}",
    },
    keepalive=KEEPALIVE,
)
NODES = (AMS_1, AMS_2, FRA_1, HOME_1)
LEADERS = tuple(node for node in NODES if node.leader)

LAPTOP = Machine("laptop", "10.5.0.1", "fd10:5::1")
"""In an office behind NAT, IPv4 only outside."""
PHONE = Machine("phone", "10.5.0.2", "fd10:5::2", {"ipv6": f"[2001:db8:50::50]:{PORT}"})
"""IPv6 only outside."""
SERVER = Machine(
    "server",
    "10.5.0.3",
    "fd10:5::3",
    {"ipv4": f"198.19.60.60:{PORT}", "ipv6": f"[2001:db8:60::60]:{PORT}"},
)
"""Anybody can call it."""
MACHINES = (LAPTOP, PHONE, SERVER)

OFFICE_IPV4 = "198.18.40.40"
"""What the laptop is seen as: its router."""

HOSTS = {
    "198.51.100.10": "ams-1.kilo.example",
    "2001:db8:10::10": "ams-1.kilo.example",
    "203.0.113.20": "fra-1.kilo.example",
    "2001:db8:20::20": "fra-1.kilo.example",
}
"""The DNS of this Internet."""

WEB_IPV4 = "192.0.2.80"
WEB_IPV6 = "2001:db8:80::80"
"""A web site: an address on the Internet that is no part of the cluster."""

INSIDE_IPV4 = "10.0.0.0/8"
INSIDE_IPV6 = "fd10::/16"
"""Everything that is inside: what a node masquerades when it sends it out to the Internet."""
