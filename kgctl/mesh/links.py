"""Links between clusters: which Peer stands for which segment of another cluster.

A tunnel between two clusters needs a Peer on each side, with the public key of a segment's leader
on the other. So the key identifies a link, however it was made; a label identifies a link whose
key is out of date. Kilo's documentation ("Multi-cluster services") describes links without a
label: the Peer of a leader is printed in one cluster and applied to the other. If the key of such
a Peer is out of date, its networks identify it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from kgctl.mesh.cidr import single
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.link_rules import Member
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment

Owner = TypeVar("Owner")

Labels: TypeAlias = Mapping[tuple[str, str], str]
"""The cluster that the label of a Peer names, by member and name of the Peer.

It is the name of a member, or the label itself if it does not name one. A Peer without a label was
made by hand.
"""


class ClusterLink(NamedTuple):
    """The Peer of the member ``holder`` that stands for a segment of the member ``source``.

    ``segment`` is None if the link is stale: no segment there has the key. For a stale link,
    ``why`` describes its key, and ``home`` is the segment that it was made for, if known.
    ``label`` is the cluster that the Peer's label names, or None if it was made by hand.
    ``is_kept`` is true if that cluster is a member, so that linking keeps the link current.
    """

    holder: str
    peer: Peer
    source: str
    segment: Segment | None
    why: str = ""
    home: Segment | None = None
    label: str | None = None
    is_kept: bool = False

    @property
    def by_hand(self) -> bool:
        """Whether it was made by hand: kgctl labels its own."""
        return self.label is None


class Crossing(NamedTuple):
    """Two segments of two members, and the Peer of each side for the other.

    Without both Peers no tunnel comes up: WireGuard drops packets of an unknown key. ``by_hand``
    are the members whose Peer was made by hand.
    """

    first: str
    segment: Segment
    second: str
    other: Segment
    there: Peer | None
    back: Peer | None
    by_hand: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether both sides have a Peer for the other."""
        return self.there is not None and self.back is not None

    def missing(self) -> str:
        """Return which side lacks a Peer for the other, in words; empty if neither does."""
        if self.there is None:
            return f"{printable(self.first)} has no Peer for {printable(self.other.name)}"
        if self.back is None:
            return f"{printable(self.second)} has no Peer for {printable(self.segment.name)}"
        return ""


class Linked(NamedTuple):
    """Members, and the links between them in the order of members and peers."""

    members: tuple[Member, ...]
    links: tuple[ClusterLink, ...]

    @property
    def stale(self) -> tuple[ClusterLink, ...]:
        """The links without a segment."""
        return tuple(link for link in self.links if link.segment is None)

    def names_of(self, holder: str) -> frozenset[str]:
        """Return the names of a member's Peers that are links, including stale links."""
        return frozenset(link.peer.name for link in self.links if link.holder == holder)

    def known(self, holder: str, source: str) -> dict[str, Peer]:
        """Return the Peers of ``holder`` for segments of ``source``, by the segments' names."""
        return {name: link.peer for name, link in self._current(holder, source).items()}

    def made_by_hand(self, one: str, other: str) -> bool:
        """Return whether a link between two members was made by hand, or labelled for another."""
        both = {one, other}
        return any(not link.is_kept and {link.holder, link.source} == both for link in self.links)

    def _current(self, holder: str, source: str) -> dict[str, ClusterLink]:
        return {
            link.segment.name: link
            for link in reversed(self.links)
            if link.segment is not None and (link.holder, link.source) == (holder, source)
        }

    def crossings(self) -> Iterator[Crossing]:
        """Yield the pairs of segments where one side at least has a Peer for the other."""
        for number, first in enumerate(self.members):
            for second in self.members[number + 1 :]:
                ours = self._current(first.name, second.name)
                theirs = self._current(second.name, first.name)
                for segment in first.topology.segments:
                    back = theirs.get(segment.name)
                    for other in second.topology.segments:
                        there = ours.get(other.name)
                        if there is not None or back is not None:
                            ends = Crossing(first.name, segment, second.name, other, None, None)
                            yield _crossed(ends, there, back)

    def link_of(self, holder: str, peer_name: str) -> ClusterLink | None:
        """Return the link of a member with the Peer ``peer_name``, or None."""
        return next(
            (one for one in self.links if (one.holder, one.peer.name) == (holder, peer_name)),
            None,
        )


def _crossed(ends: Crossing, there: ClusterLink | None, back: ClusterLink | None) -> Crossing:
    return ends._replace(
        there=there and there.peer,
        back=back and back.peer,
        by_hand=tuple(one.holder for one in (there, back) if one is not None and one.by_hand),
    )


def linked(members: Sequence[Member], labels: Labels | None = None) -> Linked:
    """Return the members with the links between them.

    A Peer is a link if a segment of another member has its key. It is a stale link if a node there
    that is not a leader has its key, if its label names another member, or if it has the WireGuard
    IP and a pod subnet of a segment there.
    """
    known = _Known(members)
    found = (
        link
        for member in members
        for peer in member.topology.peers
        if (link := known.link(member.name, peer, (labels or {}).get((member.name, peer.name))))
    )
    return Linked(tuple(members), tuple(found))


class _Known:
    """Segments and nodes of all members, indexed by what a Peer can name."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._names = {member.name for member in members}
        self._leaders: dict[PublicKey, list[tuple[str, Segment]]] = {}
        self._nodes: dict[PublicKey, list[tuple[str, Node]]] = {}
        self._homes: dict[tuple[str, str], Segment] = {}
        self._addresses: dict[Cidr, list[tuple[str, Segment]]] = {}
        for member in members:
            for node in member.state.nodes:
                if node.key is not None:
                    self._nodes.setdefault(node.key, []).append((member.name, node))
            for segment in member.topology.segments:
                place = member.name, segment
                self._leaders.setdefault(segment.key, []).append(place)
                self._addresses.setdefault(single(segment.wireguard_ip), []).append(place)
                self._homes.update({(member.name, node.name): segment for node in segment.nodes})

    def link(self, holder: str, peer: Peer, label: str | None) -> ClusterLink | None:
        """Return the link that ``peer`` of the member ``holder`` is, or None."""
        assert peer.public_key is not None  # a peer of a topology is ready
        found = _others(holder, self._leaders.get(peer.public_key, ()))
        if found is not None:
            return ClusterLink(holder, peer, *found, "", found[1], label, label in self._names)
        former = _others(holder, self._nodes.get(peer.public_key, ()))
        if former is not None:
            source, node = former
            why = f"its key is that of {printable(node.name)}, which leads no segment"
            home = self._homes.get((source, node.name))
            return ClusterLink(holder, peer, source, None, why, home, label, label in self._names)
        if label is not None and label != holder and label in self._names:
            why = "no node there has its key"
            return ClusterLink(holder, peer, label, None, why, None, label, True)
        if label is None and peer.public_key not in self._nodes:
            return self._by_networks(holder, peer)
        return None

    def _by_networks(self, holder: str, peer: Peer) -> ClusterLink | None:
        """Return the stale link whose networks identify it, if no node has its key, or None."""
        networks = dict.fromkeys(cidr.masked() for cidr in peer.allowed_ips)
        for network in networks:
            for source, segment in self._addresses.get(network, ()):
                if source != holder and any(node.subnet in networks for node in segment.nodes):
                    why = f"no node there has its key, but its networks are of {segment.name}"
                    return ClusterLink(holder, peer, source, None, printable(why), segment)
        return None


def _others(own: str, found: Sequence[tuple[str, Owner]]) -> tuple[str, Owner] | None:
    return next((one for one in found if one[0] != own), None)


def own_networks(segment: Segment) -> frozenset[Cidr]:
    """Return the networks of a Peer for the segment: the segment's allowed IPs, masked."""
    return frozenset(cidr.masked() for cidr in segment.allowed_ips)
