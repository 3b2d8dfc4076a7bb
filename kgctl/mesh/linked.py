"""Clusters that are linked, as one picture: which Peer stands for which segment elsewhere.

A tunnel between two clusters takes a Peer on each side, with the public key of a segment's leader
on the other. So a link is recognised by its key, however it was made; a label tells only of one
whose key has gone out of date.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.linking import Member
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment

Owner = TypeVar("Owner")

Labels: TypeAlias = Mapping[tuple[str, str], str]
"""By a member and the name of a Peer of it: the member that the Peer's label names."""


class Link(NamedTuple):
    """The Peer of the member ``holder`` that stands for a segment of the member ``source``.

    ``segment`` is None where it is stale: no segment there has the key. ``why`` says of a stale
    one what is known of its key.
    """

    holder: str
    peer: Peer
    source: str
    segment: Segment | None
    why: str = ""


class Crossing(NamedTuple):
    """Two segments of two members, and the Peers by which each side knows the other.

    Without both Peers no tunnel comes up: who does not know a key drops what it encrypts.
    """

    first: str
    segment: Segment
    second: str
    other: Segment
    there: Peer | None
    back: Peer | None

    @property
    def works(self) -> bool:
        """Whether both sides know one another."""
        return self.there is not None and self.back is not None

    def missing(self) -> str:
        """Return in words which side lacks the other; empty where none does."""
        if self.there is None:
            return f"{printable(self.first)} has no Peer for {printable(self.other.name)}"
        if self.back is None:
            return f"{printable(self.second)} has no Peer for {printable(self.segment.name)}"
        return ""


class Linked(NamedTuple):
    """Members, and the links between them in the order of members and peers."""

    members: tuple[Member, ...]
    links: tuple[Link, ...]

    @property
    def stale(self) -> tuple[Link, ...]:
        """The links that stand for no segment."""
        return tuple(link for link in self.links if link.segment is None)

    def names_of(self, holder: str) -> frozenset[str]:
        """Return the names of the Peers of a member that are links, stale ones as well."""
        return frozenset(link.peer.name for link in self.links if link.holder == holder)

    def known(self, holder: str, source: str) -> dict[str, Peer]:
        """Return the Peers of ``holder`` for segments of ``source``, by the segments' names."""
        return {
            link.segment.name: link.peer
            for link in reversed(self.links)
            if link.segment is not None and (link.holder, link.source) == (holder, source)
        }

    def crossings(self) -> Iterator[Crossing]:
        """Yield the pairs of segments of which one side at least knows the other, in order."""
        for number, first in enumerate(self.members):
            for second in self.members[number + 1 :]:
                ours = self.known(first.name, second.name)
                theirs = self.known(second.name, first.name)
                for segment in first.topology.segments:
                    back = theirs.get(segment.name)
                    for other in second.topology.segments:
                        there = ours.get(other.name)
                        if there is not None or back is not None:
                            yield Crossing(first.name, segment, second.name, other, there, back)

    def link_of(self, holder: str, peer_name: str) -> Link | None:
        """Return the link that a Peer of a member is, or None."""
        return next(
            (one for one in self.links if (one.holder, one.peer.name) == (holder, peer_name)),
            None,
        )


def linked(members: Sequence[Member], labels: Labels | None = None) -> Linked:
    """Return the members with the links between them.

    A Peer is a link if another member's segment has its key; a stale one if a node there has it
    that leads no segment, or if its label names another of the members.
    """
    owners: dict[PublicKey, list[tuple[str, Segment]]] = {}
    nodes: dict[PublicKey, list[tuple[str, str]]] = {}
    for member in members:
        for segment in member.topology.segments:
            owners.setdefault(segment.key, []).append((member.name, segment))
        for node in member.state.nodes:
            if node.key is not None:
                nodes.setdefault(node.key, []).append((member.name, node.name))
    links = []
    for member in members:
        for peer in member.topology.peers:
            assert peer.public_key is not None  # a peer of a topology is ready
            found = _others(member.name, owners.get(peer.public_key, ()))
            former = _others(member.name, nodes.get(peer.public_key, ()))
            label = (labels or {}).get((member.name, peer.name))
            if found is not None:
                links.append(Link(member.name, peer, *found))
            elif former is not None:
                why = f"its key is that of {printable(former[1])}, which leads no segment"
                links.append(Link(member.name, peer, former[0], None, why))
            elif label is not None and label != member.name:
                links.append(Link(member.name, peer, label, None, "no node there has its key"))
    return Linked(tuple(members), tuple(links))


def _others(own: str, found: Sequence[tuple[str, Owner]]) -> tuple[str, Owner] | None:
    return next((one for one in found if one[0] != own), None)


def own_networks(segment: Segment) -> frozenset[Cidr]:
    """Return the networks that a Peer for the segment is to have: its allowed IPs, masked."""
    return frozenset(cidr.masked() for cidr in segment.allowed_ips)
