"""Differences between an interface and its wanted configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.overlap import OverlapIndex
from kgctl.mesh.owners import Present, holders_of
from kgctl.mesh.readiness import age
from kgctl.wireguard.device import SESSION_SECONDS, wanted_peers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.topology import Topology
    from kgctl.wireguard.conf import Configuration, PeerSection
    from kgctl.wireguard.dump import Device, DevicePeer


class Kind(StrEnum):
    """A kind of difference."""

    KEY = "key"
    PORT = "listen-port"
    MISSING = "missing"
    EXTRA = "extra"
    ALLOWED_IPS = "allowed-ips"
    ENDPOINT = "endpoint"
    ROAMED = "roamed"
    KEEPALIVE = "keepalive"
    PRESHARED_KEY = "preshared-key"
    HANDSHAKE = "handshake"
    OBFUSCATION = "obfuscation"
    BESIDES = "besides"


class Drift(NamedTuple):
    """One difference, of the interface (``key`` is None) or of the peer with that key.

    ``wanted`` and ``found`` hold no secret. ``found`` is None for a missing interface key. An
    endpoint that ``roamed`` works, and networks ``besides`` the cluster's are the machine's own
    choice: neither is a fault.
    """

    kind: Kind
    key: PublicKey | None
    wanted: str | None
    found: str | None

    @property
    def is_fault(self) -> bool:
        """Whether it needs repair."""
        return self.kind not in (Kind.ROAMED, Kind.BESIDES)


def drift(
    device: Device,
    configuration: Configuration,
    key: PublicKey | None,
    now: float,
    besides: Mapping[PublicKey, frozenset[Cidr]] | None = None,
) -> list[Drift]:
    """Compare ``device`` with the configuration of the machine with ``key``.

    ``now`` is when the device was read, in Unix seconds. ``besides`` are additional networks that
    its peers may have.
    """
    sections = {section.public_key: section for section in configuration.peers}
    wanted = wanted_peers(configuration.peers, {}, key)
    found = {peer.public_key: peer for peer in device.peers}
    differences = list(_of_interface(device, configuration, key))
    for one, peer in wanted.items():
        section, more = sections[one], (besides or {}).get(one, frozenset())
        if one in found:
            networks = peer.allowed_ips | more
            differences += _of_peer(found[one], section, networks, now)
            if more:
                differences.append(Drift(Kind.BESIDES, one, None, _sorted(more)))
        else:
            differences.append(Drift(Kind.MISSING, one, str(section.endpoint or "any"), None))
    for one, extra in found.items():
        if one not in wanted:
            allowed = ", ".join(map(str, extra.allowed_ips)) or "none"
            differences.append(Drift(Kind.EXTRA, one, None, allowed))
    return differences


def present_of(device: Device, topology: Topology) -> Present:
    """Return the current configuration of a machine, from its device.

    A device has no names. Of several machines with the same key, the device has the one that owns
    most of the networks it routes to that key; on a tie the key is left out.
    """
    networks = {cidr.masked(): one.public_key for one in device.peers for cidr in one.allowed_ips}
    names: dict[PublicKey, str] = {}
    most: dict[PublicKey, int] = {}
    for holder in holders_of(topology):
        key, theirs = holder.key, {cidr.masked() for cidr in holder.networks}
        count = sum(networks.get(one) == key for one in theirs)
        if count and count == most.get(key):
            names.pop(key, None)
        elif count > most.get(key, 0):
            names[key], most[key] = holder.name, count
    return Present(names, networks)


def beyond(
    device: Device, configuration: Configuration, claimed: Iterable[Cidr]
) -> dict[PublicKey, frozenset[Cidr]]:
    """Return the additional networks of ``device``, for peers that are in ``configuration``.

    The result has default routes, and networks that overlap nothing in ``claimed``, such as service
    networks: which of these a machine sends into a tunnel is its own choice.
    """
    wanted = wanted_peers(configuration.peers, {})
    more = {
        peer.public_key: {cidr.masked() for cidr in peer.allowed_ips}
        - wanted[peer.public_key].allowed_ips
        for peer in device.peers
        if peer.public_key in wanted
    }
    index = OverlapIndex(cidr for networks in more.values() for cidr in networks)
    for cidr in claimed:
        index.add(cidr.masked())
    kept = {
        key: frozenset(one for one in networks if not one.prefix or not index.intersects(one))
        for key, networks in more.items()
    }
    return {key: networks for key, networks in kept.items() if networks}


def _of_interface(
    device: Device, configuration: Configuration, key: PublicKey | None
) -> Iterator[Drift]:
    if device.keyless:
        yield Drift(Kind.KEY, None, str(key), None)
    elif device.public_key is not None and device.public_key != key:
        yield Drift(Kind.KEY, None, str(key), str(device.public_key))
    if device.obfuscation:
        yield Drift(Kind.OBFUSCATION, None, None, ", ".join(device.obfuscation))
    port = configuration.interface.listen_port if configuration.interface else None
    if port is not None and device.listen_port not in (None, port):
        yield Drift(Kind.PORT, None, str(port), str(device.listen_port))


def _of_peer(
    peer: DevicePeer, section: PeerSection, networks: frozenset[Cidr], now: float
) -> Iterator[Drift]:
    key, found = peer.public_key, {cidr.masked() for cidr in peer.allowed_ips}
    if found != networks:
        yield Drift(Kind.ALLOWED_IPS, key, _sorted(networks - found), _sorted(found - networks))
    yield from _endpoint(peer, section, now)
    if peer.keepalive != section.persistent_keepalive:
        wanted = str(section.persistent_keepalive)
        yield Drift(Kind.KEEPALIVE, key, wanted, str(peer.keepalive))
    words = _preshared(peer, section)
    if words is not None:
        yield Drift(Kind.PRESHARED_KEY, key, *words)
    if (
        peer.keepalive > 0
        and (peer.never_met or peer.age(now) is not None)
        and not _lives(peer, now)
    ):
        last = "never" if peer.never_met else f"{age(peer.age(now) or 0)} ago"
        yield Drift(Kind.HANDSHAKE, key, f"within {SESSION_SECONDS}s", last)


def _preshared(peer: DevicePeer, section: PeerSection) -> tuple[str, str] | None:
    """Return the wanted and the found preshared key in words, or None if they match."""
    wanted, found = section.preshared_key is not None, peer.preshared_key is not None
    if peer.hidden_key:
        return None if wanted else ("none", "one")
    if peer.preshared_key == section.preshared_key:
        return None
    if wanted and found:
        return "one", "another"
    return "one" if wanted else "none", "one" if found else "none"


def _endpoint(peer: DevicePeer, section: PeerSection, now: float) -> Iterator[Drift]:
    """Yield the difference of an endpoint; a DNS name matches any address."""
    wanted, found = section.endpoint, peer.endpoint
    named = wanted is not None and wanted.address is None and found is not None
    if wanted == found or named:
        return
    if _lives(peer, now):
        if wanted is not None:
            yield Drift(Kind.ROAMED, peer.public_key, str(wanted), str(found))
    elif wanted is not None or peer.never_met:
        texts = ["none" if one is None else str(one) for one in (wanted, found)]
        yield Drift(Kind.ENDPOINT, peer.public_key, *texts)


def _lives(peer: DevicePeer, now: float) -> bool:
    seconds = peer.age(now)
    return seconds is not None and seconds <= SESSION_SECONDS


def _sorted(networks: Iterable[Cidr]) -> str:
    ordered = sorted(networks, key=lambda one: (one.version, one.network_value, one.prefix))
    return ", ".join(map(str, ordered)) or "none"
