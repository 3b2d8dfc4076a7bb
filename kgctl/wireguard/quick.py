"""A complete file for ``wg-quick up``, with which an outside machine joins the network.

What Kilo's rules give a peer is not yet a file that works everywhere: the kernel lets the last
of two sections win that claim one network, and a route to a node's own endpoint into the tunnel
ends the tunnel. Both are mended here, and a comment in the file says where.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.dialling import is_dialable, is_dialable_from_elsewhere
from kgctl.mesh.guards import Reason
from kgctl.mesh.limiting import limited
from kgctl.mesh.owners import NOTHING, Present
from kgctl.mesh.peer import is_own_address
from kgctl.mesh.policy import Limits, summaries
from kgctl.mesh.routes import exclude
from kgctl.mesh.sightings import with_best_endpoints
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import (
    MADE_WITH,
    Configuration,
    Interface,
    PeerSection,
    peer_configuration,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.limiting import Limited
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Refusal
    from kgctl.mesh.topology import Segment, Topology
    from kgctl.wireguard.keys import PrivateKey

_COMMENT = 80
"""Characters of a line of a comment."""


class UnknownPlaceError(KgctlError):
    """No segment or peer goes by ``name``, which a field of the settings has; ``known`` ones do."""

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
    """The places that a file is limited to leave no segment that could carry the services."""

    def __init__(self, networks: Sequence[Cidr]) -> None:
        super().__init__(
            f"no segment is left to carry the services ({', '.join(map(str, networks))}): of what "
            "the file is limited to nothing is a node or a location; name one as well, or the "
            "node that carries them"
        )


class LeftOutError(KgctlError):
    """A place was named that is left out, since another machine keeps its public key."""

    def __init__(self, name: str, refusal: Refusal) -> None:
        super().__init__(
            f"{printable(name)} is left out: {refusal.why}; give one of the two a key of its own"
        )


class NobodyLeftError(KgctlError):
    """Everybody has the public key of the machine itself."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            f"nobody is left to connect to: {refusal.claimer} is left out, as {refusal.why}; give "
            "one of the two a key of its own"
        )


class QuickSettings(NamedTuple):
    """What the network does not say about the machine that joins it.

    ``mtu`` is in bytes, ``table`` is wg-quick's ``Table``. ``listen_port`` is by default that of
    the peer's endpoint, at which the others call it. ``service_cidrs`` go to the segment of
    the node ``via``; all traffic goes to that of the node ``gateway``; ``only`` names the nodes,
    locations and peers that the file is limited to, and ``limits`` what each may claim at all.
    ``present`` is what the machine is set up with already, which decides who keeps what two have.
    ``reader`` is what reads it, ``made_with`` how it is made, and ``key_hint`` how a private key
    gets into it that is not there yet, each for a comment.
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


class Section:
    """A ``[Peer]`` section in the making; the first of its comments says whose it is."""

    def __init__(self, base: PeerSection, title: str) -> None:
        self.base = base
        self.networks = [cidr.masked() for cidr in base.allowed_ips]
        self.comments = [title]
        self.refusals: list[Refusal] = []

    def refuse(self, refusals: Sequence[Refusal]) -> None:
        """Take down what whose section it is claims, and the file does not have."""
        self.refusals += refusals
        self.comments += (f"refused: {one}" for one in summaries(refusals))

    def done(self) -> PeerSection:
        """Return the section as it stands in the file."""
        return self.base._replace(allowed_ips=tuple(self.networks), comments=tuple(self.comments))


def quick_configuration(topology: Topology, peer: Peer, settings: QuickSettings) -> Configuration:
    """Return the file of ``peer``: its own addresses, the segments, and the other peers.

    Of the allowed IPs those are its addresses that can be one: a single address, or one with
    host bits; the rest are networks behind it.

    Raises:
        UnknownPlaceError: a node, location or peer that ``settings`` name is not there.
        NoWayError: no segment is left to carry the services.
    """
    return whole_file(peer, sections_of(topology, peer, settings), settings)


def sections_of(topology: Topology, peer: Peer, settings: QuickSettings) -> list[Section]:
    """Return the sections of the file of ``peer``, which may still claim one network twice.

    They have what the policy of claims grants (:mod:`kgctl.mesh.policy`), and what ``settings``
    send through. Endpoints are those that a machine has of its own, if others can dial them, and
    not what one node says of another.

    Raises:
        UnknownPlaceError: a node, location or peer that ``settings`` name is not there.
        LeftOutError: another machine keeps the public key of one of them.
        NobodyLeftError: all others have the public key of the machine itself.
        NoWayError: no segment is left to carry the services.
    """
    topology = with_best_endpoints(topology)
    found = limited(topology, settings.limits, beside=peer.name, present=settings.present)
    _refuse_left_out(topology, found, settings)
    sections = _sections(found, peer)
    _send_through(found.topology, sections, settings)
    return _limited(found.topology, peer, sections, settings)


def _refuse_left_out(topology: Topology, found: Limited, settings: QuickSettings) -> None:
    """Make sure that nothing is sent to who is left out, as another one keeps its key."""
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
    """Return the file of ``peer`` with these sections, which are changed on the way.

    No network is claimed twice in it, and no endpoint is routed into the tunnel.
    """
    claim_once(peer, sections)
    _keep_endpoints_out(peer, sections)
    interface = Interface(
        addresses=tuple(filter(is_own_address, peer.allowed_ips)),
        private_key=settings.private_key,
        listen_port=port_of(peer) if settings.listen_port is None else settings.listen_port,
        dns=settings.dns,
        mtu=settings.mtu,
        table=settings.table,
        comments=tuple(_comments(peer, settings)),
        made_with=MADE_WITH + settings.made_with if settings.made_with else "",
        key_hint=settings.key_hint if settings.private_key is None else "",
    )
    return Configuration(interface=interface, peers=tuple(section.done() for section in sections))


def port_of(peer: Peer) -> int | None:
    """Return the port that a peer has to listen on to be called at its endpoint; None is any."""
    endpoint = peer.annotated_endpoint  # not where a router makes it appear
    return None if endpoint is None else endpoint.port


def _sections(found: Limited, peer: Peer) -> list[Section]:
    """Return a section for each segment, then for each other peer, in the network's order."""
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
        sections[0].refuse(found.by_itself)  # there is no section of the machine itself
    return sections


def _send_through(topology: Topology, sections: Sequence[Section], settings: QuickSettings) -> None:
    """Give the service networks, or all traffic, to the segment that is to carry them."""
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
    """Return the segment of ``via``, else of ``gateway``, else the one that is dialled best.

    Of those that the file is limited to, the first with a public endpoint is, else the first with
    a DNS name, else with any endpoint.
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
    """Return how unlikely it is that the segment can be dialled from elsewhere: 0 is best."""
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


def _limited(
    topology: Topology, peer: Peer, sections: list[Section], settings: QuickSettings
) -> list[Section]:
    """Return the sections that ``only`` leaves, and those that carry what was sent through."""
    if not settings.only:
        return sections
    others = [other.name for other in topology.peers if other.name != peer.name]
    known = [name for segment in topology.segments for name in _names(segment)] + others
    for name in settings.only:
        if name not in known:
            raise UnknownPlaceError("only", name, known)
    wanted = [_is_named(segment, settings.only) for segment in topology.segments]
    wanted += [name in settings.only for name in others]
    for field, node in (("via", settings.via), ("gateway", settings.gateway)):
        if node is not None:
            wanted[_segment_number(topology, field, node)] = True
    return [section for section, keep in zip(sections, wanted, strict=True) if keep]


def _names(segment: Segment) -> list[str]:
    return [name for node in segment.nodes for name in (node.name, node.location)]


def _is_named(segment: Segment, names: Sequence[str]) -> bool:
    return any(name in names for name in _names(segment))


def claim_once(peer: Peer, sections: Iterable[Section]) -> None:
    """Leave each network to the first section that claims it, and the peer its own addresses."""
    claimed = {cidr.masked(): "the machine itself" for cidr in peer.allowed_ips}
    for section in sections:
        kept: list[Cidr] = []
        for network in section.networks:
            if network not in claimed:
                kept.append(network)
            elif claimed[network] != section.comments[0]:
                section.comments.append(f"without {network}: {claimed[network]} has it")
            claimed.setdefault(network, section.comments[0])
        section.networks = kept


def _keep_endpoints_out(peer: Peer, sections: Sequence[Section]) -> None:
    """Take each endpoint's address out of what is routed into the tunnel.

    Packets to an endpoint carry the tunnel; were they routed into it, nothing would leave this
    machine. A default route is no danger: wg-quick exempts the tunnel's own packets from it.
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
    """Tell whether the peer has ``network`` itself, or it is part of what is behind the peer."""
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
    """Replace each route that contains ``address`` by what is around it, and say so."""
    for network, section in exclude(routes, address, prefixes=prefixes):
        section.comments.append(
            f"without {address}, which is in {network}: it is the endpoint of {owner}, and a "
            "route to it through the tunnel would cut the tunnel off"
        )


def _comments(peer: Peer, settings: QuickSettings) -> Iterator[str]:
    yield f"the peer {peer.name}, for: {settings.reader}"
    if settings.private_key is None:
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
