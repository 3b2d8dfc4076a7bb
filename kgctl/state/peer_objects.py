"""Parsing of Peer objects into peers or lists of their problems, and hints for unknown fields.

An API server drops an unknown field, or ``kubectl apply`` refuses the object, by the schema of
Kilo's CustomResourceDefinition: https://kilo.squat.ai/docs/api
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kgctl.mesh.cidr import Address, Cidr, parse_address, parse_cidr
from kgctl.mesh.endpoint import PORTS, Endpoint, is_dns_name
from kgctl.mesh.key import NO_KEY, PresharedKey, PublicKey, decode_key
from kgctl.mesh.peer import KEEPALIVES, InvalidPeer, Peer
from kgctl.mesh.text import INT64, nearest, printable
from kgctl.state.peer_settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_SHOWN = 60  # characters of a value that does not parse


def peer_name(source: Mapping[str, Any]) -> str:
    """Return ``metadata.name`` of an object, or the empty string."""
    metadata = source.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def peer_of(source: Mapping[str, Any]) -> Peer | InvalidPeer:
    """Parse a Peer object; one that Kilo or WireGuard refuses is returned with its problems."""
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
        settings=settings_of(source),
    )
    if not name:
        reader.problems.append(_without_name(source))
    if reader.problems:
        accepted = reader.problems == reader.of_wireguard
        return InvalidPeer(name, tuple(reader.problems), peer.allowed_ips, accepted)
    return peer


class _PeerReader:
    """Reads the spec of one Peer field by field; ``problems`` are what makes it invalid.

    Those ``of_wireguard`` are values that Kilo accepts and WireGuard cannot hold.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
        self.problems: list[str] = []
        self.of_wireguard: list[str] = []

    def _wrong(self, field: str, value: object, why: str) -> None:
        self.problems.append(f'{field} "{shown_value(value)}" {why}')

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
                self._wrong("allowed IP", entry, "is not a CIDR (address/prefix)")
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
        value = _whole(value)
        if isinstance(value, str) and value.isdecimal():
            self._wrong("persistentKeepalive", value, "is text: write the number without quotes")
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or value not in INT64:
            self._wrong("persistentKeepalive", value, "is not a number of seconds")
            return 0
        if value < 0:
            self._wrong("persistentKeepalive", value, "is negative")
        elif value not in KEEPALIVES:
            most = KEEPALIVES[-1]
            self._wrong("persistentKeepalive", value, f"is more than WireGuard's {most} seconds")
            self.of_wireguard.append(self.problems[-1])
        return value

    def endpoint(self) -> Endpoint | None:
        value = self._spec.get("endpoint")
        if value is None:
            return None
        if not isinstance(value, dict):
            self._wrong("endpoint", value, "is not a mapping with dnsOrIP and port")
            return None
        endpoint = value
        host, port = self._host(endpoint.get("dnsOrIP")), self._port(endpoint.get("port"))
        return None if host is None or port is None else Endpoint(host, port)

    def _host(self, target: object) -> Address | str | None:
        """Read the host; a DNS name goes before an IP address, and both must be valid."""
        if isinstance(target, str):
            self._wrong("endpoint dnsOrIP", target, "is not a mapping with dns or ip")
            return None
        dns, ip = (self._target_member(target, name) for name in ("dns", "ip"))
        if not dns and not ip:
            self.problems.append("endpoint has neither dns nor ip")
            return None
        if dns and not is_dns_name(dns):
            self._wrong("endpoint dns", dns, "is not an RFC 1123 subdomain")
        address = parse_address(ip) if ip else None
        if ip and address is None:
            self._wrong("endpoint ip", ip, "is not an IP address")
        return dns or address

    def _target_member(self, target: object, name: str) -> str:
        value = target.get(name) if isinstance(target, dict) else None
        if value is None or isinstance(value, str):
            return value or ""
        self._wrong(f"endpoint {name}", value, "is not a string")
        return ""

    def _port(self, value: object) -> int | None:
        value = _whole(value)
        if isinstance(value, int) and not isinstance(value, bool) and value in PORTS:
            return value
        if isinstance(value, str) and value.isdecimal():
            self._wrong("endpoint port", value, "is text: write the number without quotes")
            return None
        shown = "missing" if value is None else shown_value(value)
        self.problems.append(f"endpoint port is {shown}, not 1 to 65535")
        return None


def _without_name(source: Mapping[str, Any]) -> str:
    metadata = source.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if name is None or name == "":
        return "metadata.name is missing"
    return f'metadata.name "{shown_value(name)}" is not a string: put it in quotes'


def _whole(value: object) -> object:
    """Return a float without a fraction as an integer, as Kubernetes does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown_value(value: object, most: int = _SHOWN) -> str:
    """Return a value safe to show, with at ``most`` that many characters of a text.

    Large values are shown by their type: a number may have more digits than Python prints, a list
    may contain itself or, with YAML's aliases, a billion others.
    """
    if isinstance(value, str):
        return printable(value, most)
    if isinstance(value, bool):
        return str(value).lower()
    small = isinstance(value, float) or (isinstance(value, int) and value in INT64)
    return str(value) if small else type(value).__name__


_METADATA: Final = frozenset({
    "annotations", "clusterName", "creationTimestamp", "deletionGracePeriodSeconds",
    "deletionTimestamp", "finalizers", "generateName", "generation", "labels",
    "managedFields", "name", "namespace", "ownerReferences", "resourceVersion",
    "selfLink", "uid",
})  # fmt: skip
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"apiVersion", "kind", "metadata", "spec", "status"}),
    "metadata": _METADATA,
    "spec": frozenset(
        {"allowedIPs", "endpoint", "persistentKeepalive", "presharedKey", "publicKey"}
    ),
    "spec.endpoint": frozenset({"dnsOrIP", "port"}),
    "spec.endpoint.dnsOrIP": frozenset({"dns", "ip"}),
}
"""The fields of each mapping in a Peer. Labels, annotations and such may have any key."""

_OTHER_WORDS: Final = {
    "address": "spec.allowedIPs",
    "addresses": "spec.allowedIPs",
    "host": "spec.endpoint.dnsOrIP.dns",
    "hostname": "spec.endpoint.dnsOrIP.dns",
    "keepalive": "spec.persistentKeepalive",
    "psk": "spec.presharedKey",
}
"""Other names that people use for fields."""

_MOST = 20  # unknown fields to name per Peer


def unknown_fields(peer: Mapping[str, Any]) -> list[str]:
    """Return a clause for each field that a Peer cannot have, with the field that was meant."""
    found = list(_unknown("", peer))
    if len(found) > _MOST:
        return [*found[:_MOST], f"{len(found) - _MOST} more fields are unknown"]
    return found


def _unknown(path: str, mapping: object) -> Iterator[str]:
    if not isinstance(mapping, dict):
        return
    known = _FIELDS[path]
    if not known.issuperset(mapping):
        for name in mapping:
            if name not in known:
                yield f"{_joined(path, printable(str(name), 60))} is unknown{_hint(path, name)}"
    for inner in _FIELDS:
        parent, _, name = inner.rpartition(".")
        if inner and parent == path and name in mapping:
            yield from _unknown(inner, mapping[name])


def _hint(path: str, name: str) -> str:
    """Suggest a field: one here, one elsewhere with that name, or a similar one here."""
    word = _plain(name)
    here = {_plain(one): _joined(path, one) for one in _FIELDS[path]}
    meant = here.get(word) or _PLACES.get(word)
    if meant is None and (near := nearest(word, here)):
        meant = here[near]
    return f": did you mean {meant}?" if meant else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_PLACES: Final = _OTHER_WORDS | {
    _plain(name): _joined(path, name) for path, names in _FIELDS.items() for name in names
}
"""The path of each field, by its plain name."""
