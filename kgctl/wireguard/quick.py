"""A complete file for ``wg-quick up``, with which an outside machine joins the network.

The configuration of a peer by Kilo's rules does not work everywhere: if two sections claim one
network, the last one gets it in the kernel, and a route to a node's endpoint through the tunnel
cuts the tunnel off. This module corrects both, and adds a comment to the file.
"""

from __future__ import annotations

from functools import cached_property
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.dialability import is_dialable, is_dialable_from_elsewhere
from kgctl.mesh.granted_beside import GrantedBeside
from kgctl.mesh.guards import Reason
from kgctl.mesh.owners import NOTHING, Place, Present
from kgctl.mesh.peer import is_own_address
from kgctl.mesh.policy import Limits, summaries
from kgctl.mesh.relays import Relays, relaying_through
from kgctl.mesh.routes import exclude
from kgctl.mesh.sightings import with_best_endpoints
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import (
    MADE_WITH,
    Configuration,
    Interface,
    PeerSection,
    peer_configuration,
    require_mtu,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.granted import Limited
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Refusal
    from kgctl.mesh.relays import Sent
    from kgctl.mesh.topology import Segment, Topology
    from kgctl.wireguard.forwarding import Forwarding
    from kgctl.wireguard.keys import PrivateKey

_RELAYS = "relay: forwards to machines that cannot be called"
_COMMENT = 80
"""Width of comments in characters."""


class UnknownPlaceError(KgctlError):
    """The name in a field of the settings does not exist; ``known`` are the names that do."""

    def __init__(self, field: str, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f'{field} "{printable(name)}" is in no segment of the network',
            field=field,
            value=name,
            alternatives=known,
        )
        self.name = name
        self.known = known


class NoWayError(KgctlError):
    """No segment is left to carry the services, because the file is limited to other places."""

    def __init__(self, networks: Sequence[Cidr]) -> None:
        super().__init__(
            f"no segment is left to carry the services ({', '.join(map(str, networks))}): the file "
            "is limited to places without a node; name a node or location as well, or the node "
            "that carries them"
        )


class LeftOutError(KgctlError):
    """A place in the settings is left out, because another machine owns its public key."""

    def __init__(self, name: str, refusal: Refusal) -> None:
        super().__init__(
            f"{printable(name)} is left out: {refusal.why}; give one of the two a key of its own"
        )


class NobodyLeftError(KgctlError):
    """All others have the public key of the machine itself."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            f"no machine is left to connect to: {refusal.claimer} is left out, since "
            f"{refusal.why}; give one of the two a key of its own"
        )


class QuickSettings(NamedTuple):
    """Settings of the joining machine that are not in the cluster.

    ``mtu`` is in bytes, ``table`` is wg-quick's ``Table``. ``listen_port`` defaults to the port of
    the peer's endpoint, which the others call. ``service_cidrs`` are routed to the segment of the
    node ``via``, all traffic to that of the node ``gateway``. ``only`` are the nodes, locations and
    peers that the file is limited to, and ``limits`` the networks that each may claim. ``present``
    is the machine's current configuration, which decides between claims to the same network.
    ``reader`` (the program that reads the file), ``made_with`` (how it was made) and ``key_hint``
    (how to add a missing private key) are for comments. ``forwarding`` is that of
    ``PeerFiles.forwarding``. ``key_on_machine``: the private key is put in on the machine. In a
    network with nodes, ``relay`` and ``relay_pools`` are those of
    :func:`kgctl.mesh.relays.relaying_through`.
    """

    private_key: PrivateKey | None = None
    dns: tuple[Address | str, ...] = ()
    mtu: int | None = None
    listen_port: int | None = None
    table: str | None = None
    service_cidrs: tuple[Cidr, ...] = ()
    via: str | None = None
    gateway: str | None = None
    only: tuple[str, ...] = ()
    limits: Limits = Limits()
    present: Present = NOTHING
    reader: str = "wg-quick up FILE"
    made_with: str = ""
    key_hint: str = ""
    forwarding: Forwarding | None = None
    key_on_machine: bool = False
    relay: str | None = None
    relay_pools: tuple[Cidr, ...] = ()


class Section:
    """A ``[Peer]`` section under construction; its first comment names its owner."""

    def __init__(self, base: PeerSection, title: str) -> None:
        self.base = base
        self.networks = [cidr.masked() for cidr in base.allowed_ips]
        self.comments = [title]
        self.refusals: list[Refusal] = []

    def refuse(self, refusals: Sequence[Refusal]) -> None:
        """Record refused claims of its owner, and add a comment for them."""
        if not refusals:
            return
        self.refusals += refusals
        self.comments += (f"refused: {one}" for one in summaries(refusals))

    def done(self) -> PeerSection:
        """Return the finished section."""
        return self.base._replace(allowed_ips=tuple(self.networks), comments=tuple(self.comments))


def quick_configuration(topology: Topology, peer: Peer, settings: QuickSettings) -> Configuration:
    """Return the file of ``peer``: its own addresses, the segments, and the other peers.

    Allowed IPs that are a single address, or have host bits, are its addresses; the others are
    networks behind it.

    Raises:
        UnknownPlaceError: a node, location or peer in ``settings`` does not exist.
        NoRelayError: the relay does not exist, or cannot be called.
        NoWayError: no segment is left to carry the services.
    """
    return PeerFiles(topology, settings).configuration(peer, settings)


def sections_of(topology: Topology, peer: Peer, settings: QuickSettings) -> list[Section]:
    """Return the sections of the file of ``peer``, as ``PeerFiles.sections``."""
    return PeerFiles(topology, settings).sections(peer, settings)


class PeerFiles:
    """The files of the peers of a topology; what they have in common is computed once.

    Of ``settings``, all files have the same limits, ``present``, ``only`` and relays.
    """

    def __init__(self, topology: Topology, settings: QuickSettings) -> None:
        if settings.relay is not None:
            relaying = relaying_through(topology, settings.relay, settings.relay_pools)
            topology = topology._replace(relaying=relaying)
        self._given = topology
        self._settings = settings
        self._within: list[tuple[str, Cidr]] | None = None

    @cached_property
    def _topology(self) -> Topology:
        return with_best_endpoints(self._given)

    @cached_property
    def _granted(self) -> GrantedBeside:
        return GrantedBeside(self._topology, self._settings.limits, self._settings.present)

    @cached_property
    def _all(self) -> Relays:
        """What is sent to relays, if the policy grants the same to each peer."""
        return self._relays(self._granted.all.topology, self._settings)

    @cached_property
    def _ungranted(self) -> Relays:
        return Relays(self._given)

    def plain(self, peer: Peer) -> Configuration:
        """Return the configuration of ``peer`` by Kilo's rules, without a policy."""
        return peer_configuration(self._ungranted.seen_by(self._given, peer), peer)

    def configuration(self, peer: Peer, settings: QuickSettings) -> Configuration:
        """Return the file of ``peer``.

        Raises:
            KgctlError: as for ``sections``.
            MtuError: the MTU is too small for an address of the peer.
        """
        sections = self.sections(peer, settings)
        return whole_file(peer, sections, settings._replace(forwarding=self.forwarding(peer)))

    def sections(self, peer: Peer, settings: QuickSettings) -> list[Section]:
        """Return the sections of the file of ``peer``, which may still claim one network twice.

        They contain the networks that the policy of claims grants (:mod:`kgctl.mesh.policy`), those
        that ``settings`` route through them, and those that go to a relay
        (:mod:`kgctl.mesh.relays`). A machine's own endpoint, if others can dial it, comes before
        endpoints that nodes report.

        Raises:
            UnknownPlaceError: a node, location or peer in ``settings`` does not exist.
            LeftOutError: another machine owns the public key of one of them.
            NobodyLeftError: all others have the public key of the machine itself.
            NoWayError: no segment is left to carry the services.
        """
        found = self._granted.beside(peer)
        _refuse_left_out(self._topology, found, settings)
        relays = self._all
        if not self._granted.is_apart(peer):
            relays = self._relays(found.topology, settings)
        sent = relays.sent(peer, settings.only or None)
        seen = relays.seen_by(found.topology, peer, sent)
        sections = _sections(found._replace(topology=seen), peer)
        _refuse_to_relays(found, relays, peer, seen, sections)
        for number, place in enumerate(_places(seen, peer)):
            if place in sent:
                sections[number].comments.append(_RELAYS)
        _send_through(seen, sections, settings)
        return _limited(found.topology, seen, peer, sections, settings, sent)

    def forwarding(self, peer: Peer) -> Forwarding | None:
        """Return what a peer forwards: between the networks behind it and the others, or as relay.

        Those are the pools, and the networks behind others. None is for a peer that does neither.
        """
        from kgctl.wireguard.forwarding import Forwarding

        network = self._topology.network
        behind = () if network is None else _networks_behind(peer)
        relays = self._ungranted.carries(Place(peer.name, is_peer=True))
        if not (behind or relays):
            return None
        pools = () if network is None else network.pools
        sources = (*pools, *self._networks_outside(pools, peer)) if behind else ()
        versions = {cidr.version for cidr in (pools or peer.allowed_ips)} if relays else ()
        found = Forwarding(behind, sources, tuple(sorted(versions)))
        return found if found.versions else None

    def _networks_outside(self, pools: Sequence[Cidr], peer: Peer) -> dict[Cidr, None]:
        """Return the networks of the other peers that lie in none of the pools."""
        if self._within is None:
            self._within = [
                (one.name, cidr.masked())
                for one in self._topology.peers
                for cidr in one.allowed_ips
                if cidr.prefix and not any(pool.contains(cidr.masked().address) for pool in pools)
            ]
        return dict.fromkeys(cidr for name, cidr in self._within if name != peer.name)

    def _relays(self, topology: Topology, settings: QuickSettings) -> Relays:
        return Relays(topology, settings.limits, pools=not settings.only)


def _refuse_left_out(topology: Topology, found: Limited, settings: QuickSettings) -> None:
    """Check that the settings name no machine that is left out because another owns its key."""
    lost = {
        one.claim.place or one.claim.name: one for one in found.refusals if one.reason is Reason.KEY
    }
    if not lost:
        return
    left = {name for segment in found.topology.segments for name in _names(segment)}
    left |= {other.name for other in found.topology.peers}
    gone = {
        name: lost[segment.name]
        for segment in topology.segments
        if segment.name in lost
        for name in _names(segment)
    }
    gone |= {other.name: lost[other.name] for other in topology.peers if other.name in lost}
    for name in (settings.via, settings.gateway, *settings.only):
        if name is not None and name in gone and name not in left:
            raise LeftOutError(name, gone[name])


def whole_file(peer: Peer, sections: Sequence[Section], settings: QuickSettings) -> Configuration:
    """Return the file of ``peer`` with these sections, which are modified.

    In the result no network is claimed twice, and no endpoint is routed into the tunnel.

    Raises:
        MtuError: the MTU is too small for an address of the peer.
    """
    claim_once(peer, sections)
    _keep_endpoints_out(peer, sections)
    addresses = tuple(filter(is_own_address, peer.allowed_ips))
    if settings.mtu is not None:
        require_mtu(settings.mtu, addresses)
    interface = Interface(
        addresses=addresses,
        private_key=settings.private_key,
        listen_port=port_of(peer) if settings.listen_port is None else settings.listen_port,
        dns=settings.dns,
        mtu=settings.mtu,
        table=settings.table,
        comments=tuple(_comments(peer, settings)),
        made_with=MADE_WITH + settings.made_with if settings.made_with else "",
        key_hint=settings.key_hint if settings.private_key is None else "",
        forwarding=settings.forwarding,
    )
    return Configuration(interface=interface, peers=tuple(section.done() for section in sections))


def _networks_behind(peer: Peer) -> tuple[Cidr, ...]:
    return tuple(cidr for cidr in peer.allowed_ips if not is_own_address(cidr) and cidr.prefix)


def port_of(peer: Peer) -> int | None:
    """Return the port of a peer's endpoint, which it must listen on; None means any."""
    endpoint = peer.annotated_endpoint  # not the discovered one, which a NAT may have changed
    return None if endpoint is None else endpoint.port


def _sections(found: Limited, peer: Peer) -> list[Section]:
    """Return a section for each segment, then for each other peer, in the topology's order."""
    topology = found.topology
    others = [other.name for other in topology.peers if other.name != peer.name]
    if found.by_itself and not (topology.segments or others):
        raise NobodyLeftError(found.by_itself[0])
    titles = [f"{segment.name}, led by {segment.leader.name}" for segment in topology.segments]
    titles += [f"peer {name}" for name in others]
    refused = [found.by_segment.get(segment.name, ()) for segment in topology.segments]
    refused += [found.by_peer.get(name, ()) for name in others]
    sections = []
    for base, title, refusals in zip(
        peer_configuration(topology, peer).peers, titles, refused, strict=True
    ):
        sections.append(Section(base, title))
        sections[-1].refuse(refusals)
    if found.by_itself:
        sections[0].refuse(found.by_itself)  # the machine itself has no section
    return sections


def _send_through(topology: Topology, sections: Sequence[Section], settings: QuickSettings) -> None:
    """Route the service networks, and all traffic if wanted, to their segments."""
    if settings.service_cidrs:
        number = _way_to_services(topology, settings)
        networks = [cidr.masked() for cidr in settings.service_cidrs]
        sections[number].networks += networks
        shown = ", ".join(map(str, networks))
        sections[number].comments.append(f"services ({shown}) are reached this way")
    if settings.gateway is not None:
        number = _segment_number(topology, "gateway", settings.gateway)
        sections[number].networks += _EVERYTHING
        sections[number].comments.append("all other traffic, IPv4 and IPv6, goes this way")


def _way_to_services(topology: Topology, settings: QuickSettings) -> int:
    """Return the segment of ``via``, else of ``gateway``, else the one that is easiest to dial.

    That is, among the segments in the file, the first with a public endpoint, else the first with
    a DNS name, else the first with any endpoint.
    """
    for field, name in (("via", settings.via), ("gateway", settings.gateway)):
        if name is not None:
            return _segment_number(topology, field, name)
    chosen = [
        number
        for number, segment in enumerate(topology.segments)
        if not settings.only or _is_named(segment, settings.only)
    ]
    if not chosen:
        raise NoWayError(settings.service_cidrs)
    return min(chosen, key=lambda number: _distance(topology.segments[number]))


def _distance(segment: Segment) -> int:
    """Rank how likely the segment can be dialled from elsewhere: 0 is best."""
    endpoint = segment.endpoint
    if not is_dialable(endpoint):
        return 3
    if not is_dialable_from_elsewhere(endpoint):
        return 2
    return 1 if endpoint is not None and endpoint.address is None else 0


def _segment_number(topology: Topology, field: str, name: str) -> int:
    for number, segment in enumerate(topology.segments):
        if any(node.name == name for node in segment.nodes):
            return number
    nodes = [node.name for segment in topology.segments for node in segment.nodes]
    raise UnknownPlaceError(field, name, nodes)


def _places(topology: Topology, peer: Peer) -> list[Place]:
    """Return the places of ``_sections``."""
    others = (other.name for other in topology.peers if other.name != peer.name)
    segments = (Place(segment.name) for segment in topology.segments)
    return [*segments, *(Place(name, is_peer=True) for name in others)]


def _refuse_to_relays(
    found: Limited, relays: Relays, peer: Peer, seen: Topology, sections: Sequence[Section]
) -> None:
    """Record what is refused to peers without a section with the relay that leads to them."""
    if not found.by_peer:
        return
    places = _places(seen, peer)
    for other in found.topology.peers:
        if other.name in found.by_peer and Place(other.name, is_peer=True) not in places:
            relay = relays.between(peer, other)
            if relay is not None:
                sections[places.index(relay.place)].refuse(found.by_peer[other.name])


def _limited(
    topology: Topology,
    seen: Topology,
    peer: Peer,
    sections: list[Section],
    settings: QuickSettings,
    sent: Sent,
) -> list[Section]:
    """Return the sections of ``only``, and those of ``via`` and ``gateway``.

    A relay that ``only`` does not name has what is ``sent`` to it.
    """
    if not settings.only:
        return sections
    others = [other.name for other in topology.peers if other.name != peer.name]
    known = [name for segment in topology.segments for name in _names(segment)] + others
    for name in settings.only:
        if name not in known:
            raise UnknownPlaceError("only", name, known)
    wanted = [_is_named(segment, settings.only) for segment in seen.segments]
    wanted += [other.name in settings.only for other in seen.peers if other.name != peer.name]
    for field, node in (("via", settings.via), ("gateway", settings.gateway)):
        if node is not None:
            wanted[_segment_number(topology, field, node)] = True
    kept = []
    for section, keep, place in zip(sections, wanted, _places(seen, peer), strict=True):
        if not keep and place in sent:
            section.networks = [cidr.masked() for cidr in sent[place]]
        if keep or place in sent:
            kept.append(section)
    return kept


def _names(segment: Segment) -> list[str]:
    return [name for node in segment.nodes for name in (node.name, node.location)]


def _is_named(segment: Segment, names: Sequence[str]) -> bool:
    return any(name in names for name in _names(segment))


def claim_once(peer: Peer, sections: Iterable[Section]) -> None:
    """Assign each network to the first section that claims it, or to the peer itself."""
    claimed = {cidr.number: "the machine itself" for cidr in peer.allowed_ips}
    for section in sections:
        kept: list[Cidr] = []
        for network in section.networks:
            owner = claimed.get(network.number)
            if owner is None:
                claimed[network.number] = section.comments[0]
                kept.append(network)
            elif owner != section.comments[0]:
                section.comments.append(f"without {network}: {owner} has it")
        section.networks = kept


def _keep_endpoints_out(peer: Peer, sections: Sequence[Section]) -> None:
    """Remove the address of each endpoint from the networks that are routed into the tunnel.

    Packets to an endpoint carry the tunnel; if they were routed into it, nothing would leave this
    machine. Default routes stay: wg-quick exempts the tunnel's own packets from them.
    """
    routes = {network: section for section in sections for network in section.networks}
    claimed = set(routes)
    prefixes = {network.prefix for network in routes} - {0}
    for section in sections:
        address = section.base.endpoint.address if section.base.endpoint else None
        if address is not None:
            _keep_out(routes, prefixes, address, section.comments[0])
    for section in sections:
        section.networks = []
    for network, section in routes.items():
        if network in claimed or not _is_of(peer, network):
            section.networks.append(network)


def _is_of(peer: Peer, network: Cidr) -> bool:
    """Return whether the peer has ``network`` itself, or as part of a network behind it."""
    return any(
        network == own.masked()
        or (
            not is_own_address(own)
            and own.prefix <= network.prefix
            and own.contains(network.address)
        )
        for own in peer.allowed_ips
    )


def _keep_out(
    routes: dict[Cidr, Section], prefixes: set[int], address: Address, owner: str
) -> None:
    """Replace each route that contains ``address`` by the rest of it, and add a comment."""
    for network, section in exclude(routes, address, prefixes=prefixes):
        section.comments.append(
            f"without {address}, which is in {network}: it is the endpoint of {owner}, and a "
            "route to it through the tunnel would cut the tunnel off"
        )


def _comments(peer: Peer, settings: QuickSettings) -> Iterator[str]:
    yield f"the peer {peer.name}, for: {settings.reader}"
    if settings.private_key is None and settings.key_on_machine:
        yield "its private key was made on this machine, and is nowhere else"
    elif settings.private_key is None:
        hint = f"{settings.key_hint}, or " if settings.key_hint else ""
        yield from wrap(
            "missing: the private key that belongs to the public key below; "
            f"{hint}put it here: PrivateKey = ...",
            _COMMENT,
        )
        yield f"its public key: {peer.public_key}"
    if not any(map(is_own_address, peer.allowed_ips)):
        yield "missing: the peer has no allowed IP that is an address of its own"


def _everything() -> list[Cidr]:
    networks = (parse_cidr(text) for text in ("0.0.0.0/0", "::/0"))
    return [network for network in networks if network is not None]


_EVERYTHING = _everything()
