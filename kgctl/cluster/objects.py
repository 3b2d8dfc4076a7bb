"""From Kubernetes objects to nodes and peers: the one place where what is hostile is parsed.

Nothing here raises, whatever an object holds: what does not parse counts as absent, as it does
for Kilo, and its text is kept aside to be shown to a person.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kgctl.mesh.cidr import Address, Cidr, parse_address, parse_cidr
from kgctl.mesh.endpoint import Endpoint, is_dns_name, parse_endpoint
from kgctl.mesh.key import NO_KEY, PresharedKey, PublicKey, decode_key
from kgctl.mesh.node import Node
from kgctl.mesh.peer import InvalidPeer, Peer
from kgctl.mesh.state import State
from kgctl.mesh.text import printable
from kgctl.mesh.topology import FULL, LOCATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kgctl.cluster.interface import NodeObject, Objects

PREFIX = "kilo.squat.ai/"
TOPOLOGY_LABEL = "topology.kubernetes.io/region"

_PREFIX_LENGTH = len(PREFIX)
_NO_INTERNAL_IP = object()
_NO_ENDPOINTS: Mapping[PublicKey, Endpoint] = MappingProxyType({})

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_INT64 = range(-(2**63), 2**63)
_PORTS = range(1, 65536)


def state_of(objects: Objects, *, topology_label: str = TOPOLOGY_LABEL) -> State:
    """Parse everything that was read. Of two objects of one name the later one counts."""
    nodes = {node.name: node for node in objects.nodes}
    peers = {peer_name(peer): peer for peer in objects.peers}
    parsed = [peer_of(peers[name]) for name in sorted(peers)]
    return State(
        nodes=tuple(node_of(nodes[name], topology_label=topology_label) for name in sorted(nodes)),
        peers=tuple(peer for peer in parsed if isinstance(peer, Peer)),
        invalid_peers=tuple(peer for peer in parsed if isinstance(peer, InvalidPeer)),
    )


def node_of(source: NodeObject, *, topology_label: str = TOPOLOGY_LABEL) -> Node:
    """Parse a Node object. What does not parse is absent, and stands in ``unreadable``."""
    unreadable: dict[str, str] = {}
    parsed: dict[str, Any] = {}
    for annotation, text in source.annotations.items():
        parse = _PARSERS.get(annotation)
        if parse is not None:
            name = annotation[_PREFIX_LENGTH:]
            value = parse(text)
            if value is None:
                unreadable[name] = text
            else:
                parsed[name] = value
    found = parsed.get
    subnet = parse_cidr(source.pod_cidr) if source.pod_cidr else None
    if source.pod_cidr and subnet is None:
        unreadable["podCIDR"] = source.pod_cidr
    location = found("location")
    return Node(
        name=source.name,
        subnet=subnet and subnet.masked(),
        endpoint=found("force-endpoint") or found("endpoint"),
        internal_ip=_internal_ip(parsed),
        key=found("key"),
        last_seen=found("last-seen", 0),
        leader="leader" in parsed,
        location=source.labels.get(topology_label, "") if location is None else location,
        persistent_keepalive=found("persistent-keepalive", 0),
        wireguard_ip=found("wireguard-ip"),
        discovered_endpoints=found("discovered-endpoints", _NO_ENDPOINTS),
        allowed_location_ips=_location_ips(found("allowed-location-ips"), unreadable),
        granularity=found("granularity", ""),
        cni_compatibility_ip=found("cni-compatibility-ip"),
        unreadable=unreadable,
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
    """Return the entries that parse, and put the others aside."""
    if not entries:
        return ()
    bad = [text for text, cidr in entries if cidr is None]
    if bad:
        unreadable["allowed-location-ips"] = ",".join(bad)
    return tuple(cidr for _, cidr in entries if cidr is not None)


def _forced_internal_ip(text: str) -> Cidr | object | None:
    """Parse as a CIDR; an empty text or a dash says that there is to be none at all."""
    return _NO_INTERNAL_IP if text in ("", "-") else parse_cidr(text)


def _split_location_ips(text: str) -> list[tuple[str, Cidr | None]]:
    """Split at commas alone, as Kilo does: a blank after a comma makes an entry unreadable."""
    return [(entry, parse_cidr(entry)) for entry in text.split(",")]


def _integer(text: str) -> int | None:
    """Parse as Go's ``strconv.ParseInt(text, 10, 64)`` does."""
    if _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number in _INT64 else None


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
        if key is not None and address is not None and port in _PORTS:
            endpoints[key] = Endpoint(address, port)
    return endpoints


def _is_udp_address(value: object) -> bool:
    """Tell whether Go would decode ``value`` into a UDP address; if not, none of them counts."""
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
    "last-seen": _integer,
    "leader": str,
    "location": str,
    "persistent-keepalive": _integer,
    "wireguard-ip": parse_cidr,
    "discovered-endpoints": _discovered_endpoints,
    "allowed-location-ips": _split_location_ips,
    "granularity": _granularity,
    "cni-compatibility-ip": parse_cidr,
}
_PARSERS = {PREFIX + name: parse for name, parse in _FIELDS.items()}
"""How each annotation is parsed; None is for what does not parse."""


def peer_name(source: Mapping[str, Any]) -> str:
    """Return ``metadata.name`` of an object, or the empty string."""
    metadata = source.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def peer_of(source: Mapping[str, Any]) -> Peer | InvalidPeer:
    """Parse a Peer object; one that Kilo would leave out comes back with what is wrong with it."""
    spec = source.get("spec")
    reader = _PeerReader(spec if isinstance(spec, dict) else {})
    name = peer_name(source)
    peer = Peer(
        name=name,
        allowed_ips=reader.allowed_ips(),
        public_key=reader.public_key(),
        preshared_key=reader.preshared_key(),
        persistent_keepalive=reader.keepalive(),
        endpoint=reader.endpoint(),
    )
    if not name:
        reader.problems.append("metadata.name is missing")
    return InvalidPeer(name, tuple(reader.problems)) if reader.problems else peer


class _PeerReader:
    """The spec of one Peer, read field by field; ``problems`` says what makes it invalid."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
        self.problems: list[str] = []

    def _wrong(self, field: str, value: object, why: str) -> None:
        shown = printable(value, 60) if isinstance(value, str) else type(value).__name__
        self.problems.append(f'{field} "{shown}" {why}')

    def allowed_ips(self) -> tuple[Cidr, ...]:
        value = self._spec.get("allowedIPs")
        if value is None:
            return ()
        if not isinstance(value, list):
            self._wrong("allowedIPs", value, "is not a list")
            return ()
        found = []
        for entry in value:
            cidr = parse_cidr(entry) if isinstance(entry, str) else None
            if cidr is None:
                self._wrong("allowed IP", entry, "is no CIDR (address/prefix)")
            else:
                found.append(cidr)
        return tuple(found)

    def public_key(self) -> PublicKey | None:
        value = self._spec.get("publicKey")
        if value is None or value == "":
            self.problems.append("publicKey is missing")
            return None
        raw = decode_key(value) if isinstance(value, str) else None
        if raw is None:
            self._wrong("publicKey", value, "is not base64 of 32 bytes")
        return None if raw is None or raw == NO_KEY else PublicKey(raw)

    def preshared_key(self) -> PresharedKey | None:
        value = self._spec.get("presharedKey")
        return PresharedKey.parse(value) if isinstance(value, str) else None

    def keepalive(self) -> int:
        value = self._spec.get("persistentKeepalive")
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool):
            self._wrong("persistentKeepalive", value, "is no number of seconds")
            return 0
        if value < 0:
            self._wrong("persistentKeepalive", str(value), "is negative")
        return value

    def endpoint(self) -> Endpoint | None:
        value = self._spec.get("endpoint")
        if value is None:
            return None
        endpoint = value if isinstance(value, dict) else {}
        host, port = self._host(endpoint.get("dnsOrIP")), self._port(endpoint.get("port"))
        return None if host is None or port is None else Endpoint(host, port)

    def _host(self, target: object) -> Address | str | None:
        """Read the host; a DNS name wins over an IP address, and both have to be valid."""
        dns, ip = (_text_member(target, name) for name in ("dns", "ip"))
        if not dns and not ip:
            self.problems.append("endpoint has neither dns nor ip")
            return None
        if dns and not is_dns_name(dns):
            self._wrong("endpoint dns", dns, "is no RFC 1123 subdomain")
        address = parse_address(ip) if ip else None
        if ip and address is None:
            self._wrong("endpoint ip", ip, "is no IP address")
        return dns or address

    def _port(self, value: object) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and value in _PORTS:
            return value
        shown = "missing" if value is None else printable(str(value), 20)
        self.problems.append(f"endpoint port is {shown}, not 1 to 65535")
        return None


def _text_member(target: object, name: str) -> str:
    value = target.get(name) if isinstance(target, dict) else None
    return value if isinstance(value, str) else "" if value is None else repr(value)
