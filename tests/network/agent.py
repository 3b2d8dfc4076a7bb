"""An imitation of Kilo's agent on a node: device, routes and masquerading.

It follows the agent's code (Kilo, pkg/mesh/routes.go) step by step, independently of kgctl's model:
the kernel selects among the routes.
"""

from __future__ import annotations

from ipaddress import ip_interface
from typing import TYPE_CHECKING

from kgctl.wireguard.conf import node_configuration
from tests.network import tunnel
from tests.network.commands import run
from tests.network.plan import PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.node import Node
    from kgctl.mesh.topology import Segment, Topology
    from tests.network.namespace import Namespace

LAN = "lan"


def set_up(namespace: Namespace, private_key: str, topology: Topology, node: Node) -> None:
    """Set up a node as its agent would; ``topology`` is seen from the node's side."""
    segment = topology.segment_of(node.name)
    assert segment is not None
    if segment.leader.name == node.name:
        address = ip_interface(f"{segment.wireguard_ip}/{topology.subnet.prefix}")
        config = str(node_configuration(topology, node, listen_port=PORT))
        tunnel.set_device(namespace, config, private_key, address)
        routes = list(_leader_routes(topology, segment, node))
    else:
        routes = list(_follower_routes(topology, segment, node))
    batch = "".join(f"route replace {route} proto static\n" for route in routes)
    run(["ip", "-n", namespace.name, "-batch", "-"], stdin=batch)
    _masquerade(namespace, segment)


def rewrite(namespace: Namespace) -> None:
    """Set the device of a leader as its agent does after any change: all peers are replaced.

    They are the same ones, but each session of the leader ends, and nobody is told.
    """
    same = namespace.run("wg", "showconf", tunnel.KILO).stdout
    namespace.run("wg", "setconf", tunnel.KILO, "/dev/stdin", stdin=same)


def _at_home(segment: Segment, node: Node) -> Iterator[str]:
    for other in segment.nodes:
        if other.name != node.name and other.internal_ip is not None:
            yield f"{other.subnet} via {other.internal_ip.address} dev {LAN} onlink"


def _leader_routes(topology: Topology, own: Segment, node: Node) -> Iterator[str]:
    for segment in topology.segments:
        if segment.name == own.name:
            yield from _at_home(segment, node)
            continue
        via = f"via {segment.wireguard_ip} dev {tunnel.KILO} onlink"
        for other in segment.nodes:
            yield f"{other.subnet} {via}"
            internal = other.internal_ip and other.internal_ip.address
            called = segment.endpoint and segment.endpoint.address
            if internal is not None and internal != called:
                yield f"{internal}/32 {via}"
        for network in segment.allowed_location_ips:
            yield f"{network.masked()} {via}"
    for peer in topology.peers:
        for network in peer.allowed_ips:
            yield f"{network.masked()} dev {tunnel.KILO}"


def _follower_routes(topology: Topology, own: Segment, node: Node) -> Iterator[str]:
    gateway = own.leader.internal_ip
    assert gateway is not None
    via = f"via {gateway.address} dev {LAN} onlink"
    for segment in topology.segments:
        yield f"{segment.wireguard_ip}/32 {via}"
        if segment.name == own.name:
            yield from _at_home(segment, node)
            continue
        for other in segment.nodes:
            yield f"{other.subnet} {via}"
            if other.internal_ip is not None:
                yield f"{other.internal_ip.address}/32 {via}"
        for network in segment.allowed_location_ips:
            yield f"{network.masked()} {via}"
    for peer in topology.peers:
        for network in peer.allowed_ips:
            yield f"{network.masked()} {via}"


def _masquerade(namespace: Namespace, segment: Segment) -> None:
    """Hide who asks hosts in the location's network, but not from its nodes."""
    known = [str(node.internal_ip.address) for node in segment.nodes if node.internal_ip]
    rules = "".join(
        f"ip daddr {network.masked()} ip daddr != {{ {', '.join(known)} }} masquerade\n"
        for network in segment.allowed_location_ips
    )
    if rules:
        chain = f"chain post {{\ntype nat hook postrouting priority srcnat\n{rules}}}\n"
        namespace.run("nft", "-f", "-", stdin=f"table ip kilonat {{\n{chain}}}\n")


def hide_strangers(namespace: Namespace, topology: Topology) -> None:
    """Masquerade what peers send to where neither nodes nor peers are, as the agent does."""
    known = [network for segment in topology.segments for network in segment.allowed_ips]
    peers = [network for peer in topology.peers for network in peer.allowed_ips]
    jumps = "".join(f"ip saddr {one.masked()} jump kilo\n" for one in peers)
    returns = "".join(f"ip daddr {one.masked()} return\n" for one in (*known, *peers))
    namespace.run(
        "nft",
        "-f",
        "-",
        stdin=f"""
table ip kilopeers {{
    chain kilo {{
        {returns} masquerade
    }}
    chain post {{
        type nat hook postrouting priority srcnat
        {jumps}
    }}
}}
""",
    )
