"""A single configuration file for an outside machine that is a Peer of several clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.claims import claims_of_segment
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.links import own_networks
from kgctl.mesh.overlap import nested
from kgctl.mesh.policy import Refusal
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import Configuration
from kgctl.wireguard.quick import Section, claim_once, port_of, sections_of, whole_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.links import Linked
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment
    from kgctl.wireguard.quick import QuickSettings

_SHOWN = 5  # overlaps that are listed; the rest is counted


class JoinError(KgctlError):
    """One machine cannot join the clusters with one file; the message has the reason."""


class Joining(NamedTuple):
    """A cluster to join: the machine's Peer there, and the settings.

    ``settings`` is None if the file should contain nothing of the cluster.
    """

    cluster: str
    peer: Peer
    settings: QuickSettings | None


class JoinedFile(NamedTuple):
    """The machine with the addresses of all its Peers, its file, and the refusals."""

    peer: Peer
    configuration: Configuration
    refusals: tuple[Refusal, ...] = ()


class _Claim(NamedTuple):
    network: Cidr
    cluster: str
    owner: str
    key: PublicKey | None


def joined_file(linked: Linked, joinings: Sequence[Joining], settings: QuickSettings) -> JoinedFile:
    """Return the machine's file for all clusters, for ``wg-quick up`` and the like.

    Links between the clusters are left out: each network is reached through its own cluster.

    Raises:
        JoinError: the machine has several public keys or ports, or networks of two clusters
            overlap.
        UnknownPlaceError: a node, location or peer in the settings does not exist.
        NoWayError: the ``settings`` of a cluster leave no segment to carry its services.
    """
    peer, sections = _joined(linked, joinings)
    if settings.listen_port is None:
        settings = settings._replace(listen_port=_listen_port(joinings))
    return JoinedFile(peer, whole_file(peer, sections, settings), _refusals(sections))


def _refusals(sections: Sequence[Section]) -> tuple[Refusal, ...]:
    return tuple(one for section in sections for one in section.refusals)


def _listen_port(joinings: Sequence[Joining]) -> int | None:
    """Return the port at which the clusters call the machine; None if no cluster does.

    Raises:
        JoinError: they use several ports.
    """
    ports = {one.cluster: port for one in joinings if (port := port_of(one.peer)) is not None}
    if len(set(ports.values())) > 1:
        said = ", ".join(f"{printable(cluster)}: {port}" for cluster, port in ports.items())
        raise JoinError(
            f"the endpoints of the peer {printable(joinings[0].peer.name)} have several ports "
            f"({said}), but a machine listens on one only: give it",
            field="listen_port",
            alternatives=[str(port) for port in dict.fromkeys(ports.values())],
        )
    return next(iter(ports.values()), None)


def joined_sections(linked: Linked, joinings: Sequence[Joining]) -> JoinedFile:
    """Return only the ``[Peer]`` sections of the machine's file, for ``wg setconf``.

    No network occurs twice.

    Raises:
        JoinError: as for ``joined_file``.
    """
    peer, sections = _joined(linked, joinings)
    claim_once(peer, sections)
    plain = Configuration(peers=tuple(one.done()._replace(comments=()) for one in sections))
    return JoinedFile(peer, plain, _refusals(sections))


def _joined(linked: Linked, joinings: Sequence[Joining]) -> tuple[Peer, list[Section]]:
    first = joinings[0]
    for one in joinings:
        if one.peer.public_key != first.peer.public_key:
            raise JoinError(
                f"the peer {printable(first.peer.name)} has the public key "
                f"{first.peer.public_key} in {printable(first.cluster)} and {one.peer.public_key} "
                f"in {printable(one.cluster)}: a file has one key only; give both Peers the same"
            )
    found = _sections(linked, joinings)
    found = _one_leader_a_key(linked, found)
    _refuse_overlaps(found, joinings)
    own = tuple(dict.fromkeys(cidr for one in joinings for cidr in one.peer.allowed_ips))
    return first.peer._replace(allowed_ips=own), _one_a_key([section for _, section in found])


def _sections(linked: Linked, joinings: Sequence[Joining]) -> list[tuple[str, Section]]:
    """Return the sections of each cluster, without the links to the others."""
    found = []
    topologies = {member.name: member.topology for member in linked.members}
    for one in joinings:
        links = linked.names_of(one.cluster)
        topology = topologies[one.cluster]
        peers = tuple(peer for peer in topology.peers if peer.name not in links)
        if one.settings is not None:
            own = sections_of(topology._replace(peers=peers), one.peer, one.settings)
            for section in own:
                section.comments[0] = f"{one.cluster}: {section.comments[0]}"
            found += [(one.cluster, section) for section in own]
    _add_what_links_carry(linked, found)
    return found


def _add_what_links_carry(linked: Linked, found: Sequence[tuple[str, Section]]) -> None:
    """Add to a segment the further networks of a link to it, which are usually services."""
    claimed = {network for _, section in found for network in section.networks}
    by_key = {(cluster, section.base.public_key): section for cluster, section in found}
    for link in linked.links:
        if link.segment is None:
            continue
        section = by_key.get((link.source, link.segment.key))
        own = own_networks(link.segment)
        for cidr in link.peer.allowed_ips:
            network = cidr.masked()
            if section is not None and network not in own and network not in claimed:
                section.networks.append(network)
                section.comments.append(f"{network}: as {link.holder} has it in its link")
                claimed.add(network)


def _one_leader_a_key(
    linked: Linked, found: Sequence[tuple[str, Section]]
) -> list[tuple[str, Section]]:
    """Keep only the first of the leaders in different clusters that have the same key.

    Within a cluster :mod:`kgctl.mesh.owners` decides. If the two were merged, packets for the
    second would go to the endpoint of the first.
    """
    segments = {
        (member.name, one.key): one for member in linked.members for one in member.topology.segments
    }
    keepers: dict[PublicKey, tuple[str, Section]] = {}
    kept = []
    for cluster, section in found:
        segment = segments.get((cluster, section.base.public_key))
        if segment is None:
            kept.append((cluster, section))
            continue
        keeper = keepers.setdefault(segment.key, (cluster, section))
        if keeper[1] is section:
            kept.append((cluster, section))
        else:
            _take_down(keeper, cluster, segment)
    return kept


def _take_down(keeper: tuple[str, Section], cluster: str, segment: Segment) -> None:
    """Add the refusals of a segment that is left out to the section of the key's owner."""
    first, section = keeper
    words = f"{first} has the same public key in a leader"
    section.refuse(
        [
            Refusal(
                claim._replace(name=f"{cluster}/{claim.name}"),
                Reason.KEY,
                Guard(claim.network, Reason.KEY, printable(words)),
            )
            for claim in claims_of_segment(segment)
        ]
    )


def _one_a_key(sections: Sequence[Section]) -> list[Section]:
    """Merge the sections with the same key, which are a machine that is a peer of both clusters."""
    found: dict[PublicKey, Section] = {}
    for section in sections:
        first = found.setdefault(section.base.public_key, section)
        if first is not section:
            first.networks += section.networks
            first.comments += section.comments[1:]
            first.refusals += section.refusals
            if first.base.endpoint is None:
                first.base = first.base._replace(endpoint=section.base.endpoint)
    return list(found.values())


def _refuse_overlaps(found: Sequence[tuple[str, Section]], joinings: Sequence[Joining]) -> None:
    """Check that no network of one cluster lies in a network of another.

    Raises:
        JoinError: one does.
    """
    claims = {
        _Claim(network, cluster, section.comments[0], section.base.public_key)
        for cluster, section in found
        for network in section.networks
        if network.prefix  # a default route takes nothing from the others
    }
    claims |= {
        _Claim(cidr.masked(), one.cluster, f"{one.cluster}: {one.peer.name} itself", None)
        for one in joinings
        for cidr in one.peer.allowed_ips
    }
    texts = [
        f"{inner.network} of {printable(inner.owner)} lies in {outer.network} of "
        f"{printable(outer.owner)}"
        for inner, around in nested(claims, lambda one: one.network, lambda one: one[1:3])
        for outer in around
        if outer.cluster != inner.cluster and outer.key != inner.key
    ]
    if texts:
        more = f", and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
        raise JoinError(
            f"networks of the clusters overlap: {'; '.join(texts[:_SHOWN])}{more}. One machine "
            "cannot reach both: renumber one of them, or leave it out",
            field="only",
        )
