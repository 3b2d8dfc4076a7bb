"""The topology as a naive implementation of the rules, for comparison with kgctl's."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer

_PRIVATE = [ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_PRIVATE6 = ip_network("fd00::/16")


class Expected(NamedTuple):
    """A segment: its name, nodes, leader, WireGuard IP, allowed IPs and allowed location IPs."""

    name: str
    nodes: list[str]
    leader: str
    wireguard_ip: str
    allowed_ips: list[str]
    location_ips: list[str]


def segments(
    nodes: Sequence[Node], peers: Sequence[Peer], granularity: str, subnet: str
) -> list[Expected]:
    """Return the segments that the rules give, in order."""
    groups: dict[str, list[Node]] = {}
    for node in sorted(nodes, key=lambda node: node.name.encode()):
        if granularity == "full" or node.internal_ip is None:
            groups[f"node:{node.name}"] = [node]
        else:
            groups.setdefault(f"location:{node.location}", []).append(node)
    order = sorted(groups, key=str.encode)
    own = {name: _allowed(groups[name]) for name in order}
    locations = {name: _location_ips(groups[name]) for name in order}
    peer_ips = [str(cidr) for peer in peers for cidr in peer.allowed_ips]
    first = int(ip_network(subnet).network_address)
    result = []
    for number, name in enumerate(order):
        address = str(ip_address(first + number + 1))
        own[name] = [*own[name], f"{address}/32"]
        others = [cidr for other in order if other != name for cidr in locations[other]]
        everyones = [cidr for cidrs in own.values() for cidr in cidrs]
        locations[name] = [
            cidr
            for cidr in locations[name]
            if not any(_intersect(cidr, other) for other in [*others, *peer_ips])
            and not any(_contains(other, cidr) for other in everyones)
        ]
        result.append((name, address))
    return [
        Expected(
            name,
            [node.name for node in groups[name]],
            _leader(groups[name]).name,
            address,
            own[name],
            locations[name],
        )
        for name, address in result
    ]


def peers(given: Sequence[Peer]) -> list[tuple[str, list[str]]]:
    """Return the name and the allowed IPs of each peer, in order."""
    result: list[tuple[str, list[str]]] = []
    for peer in sorted(given, key=lambda peer: peer.name.encode()):
        claimed = [cidr for _, cidrs in result for cidr in cidrs]
        own: list[str] = []
        for cidr in map(str, peer.allowed_ips):
            if cidr not in claimed and cidr not in own:
                own.append(cidr)
        result.append((peer.name, own))
    return result


def endpoint(
    key: PublicKey | None, keepalive: int, annotated: Endpoint | None, nodes: Sequence[Node]
) -> str:
    """Return the endpoint of whoever has the key; ``nodes`` in the order in which they count."""
    for node in nodes if keepalive > 0 else ():
        for known, found in node.discovered_endpoints.items():
            if known == key:
                return str(found)
    return str(annotated)


def _allowed(nodes: list[Node]) -> list[str]:
    result = []
    for node in nodes:
        result.append(str(node.subnet))
        if node.internal_ip is not None:
            address = node.internal_ip.address
            result.append(f"{address}/{address.max_prefixlen}")
    return result


def _location_ips(nodes: list[Node]) -> list[str]:
    return sorted({str(cidr) for node in nodes for cidr in node.allowed_location_ips})


def _leader(nodes: list[Node]) -> Node:
    flagged = [node for node in nodes if node.leader]
    public = [node for node in nodes if _is_public(node)]
    both = [node for node in flagged if node in public]
    return [*both, *flagged, *public, *nodes][0]


def _is_public(node: Node) -> bool:
    host = node.endpoint and node.endpoint.host
    if host is None or isinstance(host, str):
        return False
    if host.version == 6:
        return host not in _PRIVATE6
    return not any(host in network for network in _PRIVATE)


def _contains(network: str, cidr: str) -> bool:
    return ip_interface(cidr).ip in ip_network(network, strict=False)


def _intersect(one: str, other: str) -> bool:
    return _contains(one, other) or _contains(other, one)
