"""The configuration files of ``wg setconf`` and ``wg-quick``, and those of nodes and peers.

Format: wg(8), "CONFIGURATION FILE FORMAT", and wg-quick(8), "CONFIGURATION". The text contains
parsed values only (addresses, keys, numbers, checked DNS names), so the annotations of a node and
the spec of a peer cannot add lines to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import InputError
from kgctl.mesh.relays import as_configured
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PresharedKey, PublicKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology
    from kgctl.wireguard.forwarding import Forwarding
    from kgctl.wireguard.keys import PrivateKey


MADE_WITH = "made with: "
"""The prefix of the comment with the options that a file was made with."""


MTUS = range(576, 1 << 16)
"""The MTUs that kgctl sets, in bytes: every IPv4 host takes packets of 576 (RFC 791), and none has
more than 65535."""


IPV6_MTU = 1280
"""The smallest MTU of a link with IPv6, in bytes (RFC 8200, section 5)."""


class MtuError(InputError):
    """The MTU is too small for an IPv6 address."""


def require_mtu(mtu: int, addresses: Iterable[Cidr]) -> None:
    """Check that an interface with this MTU, in bytes, can have these addresses.

    Raises:
        MtuError: one is an IPv6 address, which Linux removes from an interface with such an MTU.
    """
    six = next((cidr for cidr in addresses if cidr.version == 6), None)
    if six is not None and mtu < IPV6_MTU:
        raise MtuError(
            f"an MTU of {mtu} is too small for the address {six}: Linux removes IPv6 from an "
            f"interface below {IPV6_MTU}; give at least {IPV6_MTU}",
            field="mtu",
            value=mtu,
        )


class Interface(NamedTuple):
    """The ``[Interface]`` section. ``listen_port`` is a UDP port, ``mtu`` is in bytes.

    ``addresses``, ``dns`` (servers and search domains), ``mtu`` and ``table`` are keys of wg-quick,
    which ``wg setconf`` rejects. ``comments`` are printed as single lines, and so is ``made_with``,
    which records how the file was made (``MADE_WITH``), for a later comparison. ``key_hint``
    describes how to add a missing private key. ``forwarding`` is what the machine forwards.
    """

    addresses: tuple[Cidr, ...] = ()
    private_key: PrivateKey | None = None
    listen_port: int | None = None
    dns: tuple[Address | str, ...] = ()
    mtu: int | None = None
    table: str | None = None
    comments: tuple[str, ...] = ()
    made_with: str = ""
    key_hint: str = ""
    forwarding: Forwarding | None = None


class PeerSection(NamedTuple):
    """A ``[Peer]`` section. ``persistent_keepalive`` is in seconds; 0 disables it."""

    public_key: PublicKey
    allowed_ips: tuple[Cidr, ...] = ()
    endpoint: Endpoint | None = None
    persistent_keepalive: int = 0
    preshared_key: PresharedKey | None = None
    comments: tuple[str, ...] = ()


class Configuration(NamedTuple):
    """A whole file: at most one ``[Interface]``, and any number of ``[Peer]`` sections."""

    interface: Interface | None = None
    peers: tuple[PeerSection, ...] = ()

    def __str__(self) -> str:
        """Return the text, which includes the private key and preshared keys, if any."""
        sections = [] if self.interface is None else ["\n".join(_interface(self.interface))]
        sections += ["\n".join(_peer(peer)) for peer in self.peers]
        return "\n\n".join(sections) + "\n" if sections else ""


def _comments(lines: tuple[str, ...]) -> Iterator[str]:
    for line in lines:
        yield f"# {printable(line, 400)}"


def _interface(interface: Interface) -> Iterator[str]:
    yield "[Interface]"
    yield from _comments(interface.comments)
    if interface.made_with:
        yield f"# {printable(interface.made_with, 4000)}"
    if interface.addresses:
        yield f"Address = {', '.join(map(str, interface.addresses))}"
    if interface.private_key is not None:
        yield f"PrivateKey = {interface.private_key.reveal()}"
    numbers = (("ListenPort", interface.listen_port), ("MTU", interface.mtu))
    if interface.dns:
        yield f"DNS = {', '.join(map(str, interface.dns))}"
    for key, value in (*numbers, ("Table", interface.table)):
        if value is not None:
            yield f"{key} = {value}"
    if interface.forwarding is not None:
        from kgctl.wireguard.forwarding import hooks

        yield f"# {interface.forwarding.in_words}:"
        yield from hooks(interface.forwarding)


def _peer(peer: PeerSection) -> Iterator[str]:
    """Yield the lines in the reference's order of keys."""
    yield "[Peer]"
    yield from _comments(peer.comments)
    if peer.allowed_ips:
        yield f"AllowedIPs = {', '.join(map(str, peer.allowed_ips))}"
    if peer.endpoint is not None:
        yield f"Endpoint = {peer.endpoint}"
    yield f"PersistentKeepalive = {peer.persistent_keepalive}"
    if peer.preshared_key is not None:
        yield f"PresharedKey = {peer.preshared_key.reveal()}"
    yield f"PublicKey = {peer.public_key}"


def node_configuration(topology: Topology, node: Node, *, listen_port: int) -> Configuration:
    """Return the interface configuration of the leader ``node``: all other segments, all peers.

    It has no private key, which never leaves the node.
    """
    keepalive = node.persistent_keepalive
    segments = [
        _segment_section(segment, keepalive)
        for segment in topology.segments
        if segment.leader.name != node.name
    ]
    peers = [_peer_section(peer, keepalive, peer.preshared_key) for peer in topology.peers]
    return Configuration(interface=Interface(listen_port=listen_port), peers=(*segments, *peers))


def peer_configuration(topology: Topology, peer: Peer) -> Configuration:
    """Return the interface configuration of ``peer``: all segments, all other peers.

    Peers behind a relay have no section: their networks are in that of the relay
    (:mod:`kgctl.mesh.relays`).
    """
    topology = as_configured(topology, peer)
    keepalive = peer.persistent_keepalive
    segments = [
        _segment_section(segment, keepalive, peer.preshared_key) for segment in topology.segments
    ]
    others = [
        _peer_section(other, keepalive) for other in topology.peers if other.name != peer.name
    ]
    return Configuration(peers=(*segments, *others))


def segment_as_peer(segment: Segment, extra: Iterable[Cidr]) -> PeerSection:
    """Return a segment as another machine's ``[Peer]``, with ``extra`` allowed IPs.

    It has no allowed location IPs, and the annotated endpoint, not a discovered one.
    """
    return PeerSection(
        public_key=segment.key,
        allowed_ips=_unique((*segment.allowed_ips, *extra)),
        endpoint=segment.leader.endpoint,
    )


def peer_as_peer(peer: Peer, extra: Iterable[Cidr]) -> PeerSection:
    """Return a peer as another machine's ``[Peer]``, with ``extra`` allowed IPs."""
    section = _peer_section(peer, peer.persistent_keepalive, peer.preshared_key)
    return section._replace(allowed_ips=_unique((*section.allowed_ips, *extra)))


def _segment_section(
    segment: Segment, keepalive: int, preshared_key: PresharedKey | None = None
) -> PeerSection:
    return PeerSection(
        public_key=segment.key,
        allowed_ips=segment.allowed_ips + segment.allowed_location_ips,
        endpoint=segment.endpoint,
        persistent_keepalive=keepalive,
        preshared_key=preshared_key,
    )


def _peer_section(
    peer: Peer, keepalive: int, preshared_key: PresharedKey | None = None
) -> PeerSection:
    assert peer.public_key is not None  # a peer of a topology is ready
    return PeerSection(
        public_key=peer.public_key,
        allowed_ips=peer.allowed_ips,
        endpoint=peer.endpoint,
        persistent_keepalive=keepalive,
        preshared_key=preshared_key,
    )


def _unique(cidrs: Iterable[Cidr]) -> tuple[Cidr, ...]:
    return tuple({str(cidr): cidr for cidr in cidrs}.values())
