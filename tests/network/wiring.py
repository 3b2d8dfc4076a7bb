"""Cables, addresses, routers and NAT between namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.network.namespace import Namespace

Firewall = Literal["nftables", "iptables"]


def connect(left: Namespace, left_device: str, right: Namespace, right_device: str) -> None:
    """Lay a cable between two namespaces, both ends up."""
    peer = ("peer", "name", right_device, "netns", right.name)
    left.ip("link", "add", left_device, "type", "veth", *peer)
    left.ip("link", "set", left_device, "up")
    right.ip("link", "set", right_device, "up")


def bridge(namespace: Namespace, device: str, *addresses: str) -> None:
    """Add a bridge with addresses: what a CNI plugin makes of a node's pod subnet."""
    namespace.ip("link", "add", device, "type", "bridge")
    namespace.ip("link", "set", device, "up")
    assign(namespace, device, *addresses)


def assign(namespace: Namespace, device: str, *addresses: str) -> None:
    """Give a device addresses, usable at once: nobody else can have them (no DAD)."""
    for address in addresses:
        nodad = ["nodad"] if ":" in address else []
        namespace.ip("address", "add", address, "dev", device, *nodad)


def default_routes(namespace: Namespace, *gateways: str) -> None:
    """Send all that has no other way to the gateways, at most one a family."""
    for gateway in gateways:
        namespace.ip("route", "add", "default", "via", gateway)


def forward(namespace: Namespace) -> None:
    """Make a router of a namespace, for IPv4 and IPv6."""
    namespace.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)


def home_router(namespace: Namespace, wan: str, firewall: Firewall) -> None:
    """Masquerade IPv4 that leaves by ``wan``; let nothing in, of either family, unasked.

    That packets from outside are dropped, and not answered, is what makes two such routers
    let a WireGuard handshake through when both sides start it.
    """
    forward(namespace)
    if firewall == "nftables":
        namespace.run("nft", "-f", "-", stdin=_NFTABLES_ROUTER.format(wan=wan))
        return
    unasked = ("-i", wan, "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP")
    for iptables in ("iptables", "ip6tables"):
        for chain in ("INPUT", "FORWARD"):
            namespace.run(iptables, "-A", chain, *unasked)
    namespace.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", wan, "-j", "MASQUERADE")


def masquerade(namespace: Namespace, wan: str, *sources: str) -> None:
    """Hide ``sources`` (networks) behind the namespace's own addresses when they leave by ``wan``.

    Kilo's agent does so for what pods and peers send out of the cluster.
    """
    rules = "".join(
        f'oifname "{wan}" {"ip6" if ":" in source else "ip"} saddr {source} masquerade\n'
        for source in sources
    )
    namespace.run("nft", "-f", "-", stdin=_NFTABLES_MASQUERADE.format(rules=rules))


_NFTABLES_ROUTER = """
table inet router {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        meta nfproto ipv4 oifname "{wan}" masquerade
    }}
    chain input {{
        type filter hook input priority filter
        iifname "{wan}" ct state new drop
    }}
    chain forward {{
        type filter hook forward priority filter
        iifname "{wan}" ct state new drop
    }}
}}
"""

_NFTABLES_MASQUERADE = """
table inet kilo {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        {rules}
    }}
}}
"""
