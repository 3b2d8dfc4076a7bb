"""Parsing of Kubernetes objects into nodes and peers; ``peer_objects.py`` parses a single Peer.

Nothing in either module raises, for any object: a value that does not parse counts as absent, as
for Kilo, and its text is kept to be shown to a person.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kgctl.kilo import PREFIX, TOPOLOGY_LABEL
from kgctl.kube.objects import NodeObject
from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr
from kgctl.mesh.endpoint import PORTS, Endpoint, parse_endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.node import READY_SECONDS, Node
from kgctl.mesh.peer import KEEPALIVES, InvalidPeer, Peer
from kgctl.mesh.state import State
from kgctl.mesh.text import parse_integer
from kgctl.mesh.topology import FULL, LOCATION
from kgctl.state.peer_objects import peer_name, peer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kgctl.state.interface import Objects

_HEARTBEAT = f"{PREFIX}last-seen"
_NO_INTERNAL_IP = object()
_NO_ENDPOINTS: Mapping[PublicKey, Endpoint] = MappingProxyType({})

_WRITTEN_EMPTY = frozenset(
    ("cni-compatibility-ip", "discovered-endpoints", "granularity", "internal-ip", "wireguard-ip")
)
"""The annotations that Kilo's agent writes empty if it has no value: empty means absent."""


def heartbeat(before: NodeObject, after: NodeObject, now: float) -> NodeObject | None:
    """Return the node after a change that is a heartbeat alone, of a node that is ready at ``now``.

    It shares all but the heartbeat with the node ``before``, so that a large cluster's heartbeats
    do not replace every text that kgctl holds. Any other change is None. ``now`` is in Unix
    seconds. A node whose heartbeats stopped comes back with one: that is more than a heartbeat.
    """
    text = after.annotations.get(_HEARTBEAT, "")
    old, new = parse_integer(before.annotations.get(_HEARTBEAT, "")), parse_integer(text)
    if old is None or new is None or max(now - old, now - new) >= READY_SECONDS:
        return None
    annotations = {**before.annotations, _HEARTBEAT: text}
    shared = NodeObject(before.name, before.pod_cidr, before.labels, annotations, before.platform)
    return shared if shared == after else None


def with_heartbeat(node: Node, before: NodeObject, after: NodeObject) -> Node | None:
    """Return the node ``after`` a heartbeat alone, if ``node`` was parsed from ``before``.

    It is None if more differs, or if a heartbeat does not parse.
    """
    text = after.annotations.get(_HEARTBEAT, "")
    seen = parse_integer(text)
    if seen is None or parse_integer(before.annotations.get(_HEARTBEAT, "")) is None:
        return None
    if after != before._replace(annotations={**before.annotations, _HEARTBEAT: text}):
        return None
    return node._replace(last_seen=seen)


def state_of(objects: Objects, *, topology_label: str = TOPOLOGY_LABEL) -> State:
    """Parse all objects. Of two objects with the same name, the later one counts."""
    return state_from(objects, partial(node_of, topology_label=topology_label), peer_of)


def state_from(
    objects: Objects,
    parse_node: Callable[[NodeObject], Node],
    parse_peer: Callable[[Mapping[str, Any]], Peer | InvalidPeer],
) -> State:
    """Return the state of objects, parsed by functions such as ``node_of`` and ``peer_of``."""
    nodes = {node.name: node for node in objects.nodes}
    peers = {peer_name(peer): peer for peer in objects.peers}
    parsed = [parse_peer(peers[name]) for name in sorted(peers)]
    return State(
        nodes=tuple(parse_node(nodes[name]) for name in sorted(nodes)),
        peers=tuple(peer for peer in parsed if isinstance(peer, Peer)),
        invalid_peers=tuple(peer for peer in parsed if isinstance(peer, InvalidPeer)),
        network=objects.network,
    )


def node_of(source: NodeObject, *, topology_label: str = TOPOLOGY_LABEL) -> Node:
    """Parse a Node object. A value that does not parse is absent, and kept in ``unreadable``."""
    parsed: dict[str, Any] = {}
    unreadable: dict[str, str] = {}
    parsers = _PARSERS
    for annotation, text in source.annotations.items():
        if annotation in parsers:
            name, parse = parsers[annotation]
            value = parse(text)
            if value is not None:
                parsed[name] = value
            elif text or name not in _WRITTEN_EMPTY:
                unreadable[name] = text
    subnet = parse_cidr(source.pod_cidr) if source.pod_cidr else None
    if source.pod_cidr and subnet is None:
        unreadable["podCIDR"] = source.pod_cidr
    found = parsed.get
    location = found("location")
    return Node(  # by position, which is faster: in the order of Node's fields
        source.name,
        subnet and subnet.masked(),
        found("force-endpoint") or found("endpoint"),
        _internal_ip(parsed),
        found("key"),
        found("last-seen", 0),
        "leader" in parsed,
        source.labels.get(topology_label, "") if location is None else location,
        found("persistent-keepalive", 0),
        found("wireguard-ip"),
        found("discovered-endpoints", _NO_ENDPOINTS),
        _location_ips(found("allowed-location-ips"), unreadable),
        found("granularity", ""),
        found("cni-compatibility-ip"),
        unreadable,
    )


def _internal_ip(parsed: Mapping[str, Any]) -> Cidr | None:
    forced = parsed.get("force-internal-ip")
    if forced is _NO_INTERNAL_IP:
        return None
    internal_ip: Cidr | None = forced or parsed.get("internal-ip")
    return internal_ip


def _location_ips(
    entries: Sequence[tuple[str, Cidr | None]] | None, unreadable: dict[str, str]
) -> tuple[Cidr, ...]:
    """Return the entries that parse, and add the others to ``unreadable``."""
    if not entries:
        return ()
    bad = [text for text, cidr in entries if cidr is None]
    if bad:
        unreadable["allowed-location-ips"] = ",".join(bad)
    return tuple(cidr for _, cidr in entries if cidr is not None)


def _forced_internal_ip(text: str) -> Cidr | object | None:
    """Parse as a CIDR; an empty text or a dash means that the node has no internal IP."""
    return _NO_INTERNAL_IP if text in ("", "-") else parse_cidr(text)


def _split_location_ips(text: str) -> list[tuple[str, Cidr | None]]:
    """Split only at commas, as Kilo does: a blank after a comma makes an entry unreadable."""
    return [(entry, parse_cidr(entry)) for entry in text.split(",")]


def _keepalive(text: str) -> int | None:
    """Parse a number of seconds that WireGuard holds; Kilo accepts any number."""
    seconds = parse_integer(text)
    return seconds if seconds is not None and seconds in KEEPALIVES else None


def _granularity(text: str) -> str | None:
    return text if text in (LOCATION, FULL) else None


def _discovered_endpoints(text: str) -> dict[PublicKey, Endpoint] | None:
    if text == "{}":
        return {}
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if found is None:
        return {}
    if not isinstance(found, dict):
        return None
    endpoints: dict[PublicKey, Endpoint] = {}
    for key_text, value in found.items():
        if not _is_udp_address(value):
            return None
        key = PublicKey.parse(key_text)
        address = parse_address(value.get("IP", ""))
        port = value.get("Port", 0)
        if key is not None and address is not None and port in PORTS:
            endpoints[key] = Endpoint(address, port)
    return endpoints


def _is_udp_address(value: object) -> bool:
    """Return whether Go would decode ``value`` into a UDP address; if not, no endpoint counts."""
    if not isinstance(value, dict):
        return False
    ip, port, zone = value.get("IP", ""), value.get("Port", 0), value.get("Zone", "")
    return (
        isinstance(ip, str)
        and (ip == "" or parse_address(ip) is not None)
        and isinstance(port, int)
        and not isinstance(port, bool)
        and isinstance(zone, str)
    )


_FIELDS: dict[str, Callable[[str], Any]] = {
    "force-endpoint": parse_endpoint,
    "endpoint": parse_endpoint,
    "force-internal-ip": _forced_internal_ip,
    "internal-ip": parse_cidr,
    "key": PublicKey.parse,
    "last-seen": parse_integer,
    "leader": str,
    "location": str,
    "persistent-keepalive": _keepalive,
    "wireguard-ip": parse_cidr,
    "discovered-endpoints": _discovered_endpoints,
    "allowed-location-ips": _split_location_ips,
    "granularity": _granularity,
    "cni-compatibility-ip": parse_cidr,
}
_PARSERS = {PREFIX + name: (name, parse) for name, parse in _FIELDS.items()}
"""The short name and the parser of each annotation; a parser returns None for invalid text."""
