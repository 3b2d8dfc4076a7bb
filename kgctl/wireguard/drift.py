"""How an interface differs from what the cluster says that it should be."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.readiness import age
from kgctl.wireguard.device import SESSION_SECONDS, wanted_peers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.wireguard.conf import Configuration, PeerSection
    from kgctl.wireguard.dump import Device, DevicePeer


class Kind(StrEnum):
    """What differs."""

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


class Drift(NamedTuple):
    """One difference, at the interface (``key`` is None) or at the peer with that key.

    ``wanted`` and ``found`` hold no secret. What ``roamed`` works, and is no fault.
    """

    kind: Kind
    key: PublicKey | None
    wanted: str | None
    found: str | None

    @property
    def is_fault(self) -> bool:
        """Whether it has to be mended."""
        return self.kind is not Kind.ROAMED


def drift(
    device: Device, configuration: Configuration, key: PublicKey | None, now: float
) -> list[Drift]:
    """Return how ``device`` differs from the configuration of the machine with ``key``.

    ``now`` is when the device was looked at, in Unix seconds.
    """
    sections = {section.public_key: section for section in configuration.peers}
    wanted = wanted_peers(configuration.peers, {}, key)
    found = {peer.public_key: peer for peer in device.peers}
    differences = list(_of_interface(device, configuration, key))
    for one, peer in wanted.items():
        section = sections[one]
        if one in found:
            differences += _of_peer(found[one], section, peer.allowed_ips, now)
        else:
            differences.append(Drift(Kind.MISSING, one, str(section.endpoint or "any"), None))
    for one, extra in found.items():
        if one not in wanted:
            allowed = ", ".join(map(str, extra.allowed_ips)) or "none"
            differences.append(Drift(Kind.EXTRA, one, None, allowed))
    return differences


def _of_interface(
    device: Device, configuration: Configuration, key: PublicKey | None
) -> Iterator[Drift]:
    if device.public_key is not None and device.public_key != key:
        yield Drift(Kind.KEY, None, str(key), str(device.public_key))
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
    if peer.preshared_key != section.preshared_key:
        words = ["none" if one is None else "one" for one in (section.preshared_key,
                                                              peer.preshared_key)]  # fmt: skip
        if words == ["one", "one"]:
            words[1] = "another"
        yield Drift(Kind.PRESHARED_KEY, key, *words)
    if peer.keepalive > 0 and peer.latest_handshake is not None and not _lives(peer, now):
        last = f"{age(now - peer.latest_handshake)} ago" if peer.latest_handshake else "never"
        yield Drift(Kind.HANDSHAKE, key, f"within {SESSION_SECONDS}s", last)


def _endpoint(peer: DevicePeer, section: PeerSection, now: float) -> Iterator[Drift]:
    """Yield what is wrong with an endpoint; a name may stand for whatever is there."""
    wanted, found = section.endpoint, peer.endpoint
    named = wanted is not None and wanted.address is None and found is not None
    if wanted == found or named:
        return
    if _lives(peer, now):
        if wanted is not None:
            yield Drift(Kind.ROAMED, peer.public_key, str(wanted), str(found))
    elif wanted is not None or peer.latest_handshake == 0:
        texts = ["none" if one is None else str(one) for one in (wanted, found)]
        yield Drift(Kind.ENDPOINT, peer.public_key, *texts)


def _lives(peer: DevicePeer, now: float) -> bool:
    return bool(peer.latest_handshake) and now - (peer.latest_handshake or 0) <= SESSION_SECONDS


def _sorted(networks: Iterable[Cidr]) -> str:
    ordered = sorted(networks, key=lambda one: (one.version, one.network_value, one.prefix))
    return ", ".join(map(str, ordered)) or "none"
