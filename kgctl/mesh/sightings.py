"""Discovered endpoints of leaders and peers, and the order in which to dial them.

Agents record where they see others (``kilo.squat.ai/discovered-endpoints``), and an agent can
write any value there. Kilo lets the first such entry replace a machine's own endpoint. Code that
is free to choose prefers a machine's own public endpoint, then the one that most nodes report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.dialability import is_dialable, is_dialable_from_elsewhere
from kgctl.mesh.topology import FULL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology

MOST = 8
"""Maximum number of endpoints to try for one machine."""


class Sightings(NamedTuple):
    """The endpoints of one machine: its own, and those that nodes report.

    ``seen`` maps a reported endpoint to the names of those nodes, in Kilo's order of preference.
    It is empty for a machine without a keepalive, whose discovered endpoints Kilo ignores.
    """

    annotated: Endpoint | None
    seen: Mapping[Endpoint, tuple[str, ...]]

    def candidates(self) -> tuple[Endpoint, ...]:
        """Return at most ``MOST`` endpoints to try, the best first.

        The machine's own endpoint is first if machines elsewhere can dial it, else last: it may
        still work from the same place.
        """
        said = sorted(filter(is_dialable, self.seen), key=lambda one: -len(self.seen[one]))
        own = [] if self.annotated is None else [self.annotated]
        first = is_dialable_from_elsewhere(self.annotated)
        found = [*own, *said[: MOST - 1]] if first else [*said[: MOST - 1], *own]
        return tuple(dict.fromkeys(found))

    def contradicted(self) -> dict[Endpoint, tuple[str, ...]]:
        """Return the reported endpoints whose address contradicts the others.

        The machine's own public address is right; without one, the address that most nodes report,
        if there is one. A different port is not a contradiction: a NAT may map each destination to
        a different port.
        """
        own = self.annotated
        if own is not None and own.address is not None and is_dialable_from_elsewhere(own):
            right: Address | None = own.address
        else:
            right = self._mostly_seen()
        return {one: names for one, names in self.seen.items() if one.address != right}

    def _mostly_seen(self) -> Address | None:
        """Return the address that more nodes report than any other, or None on a tie."""
        counts: dict[Address | None, int] = {}
        for endpoint, names in self.seen.items():
            counts[endpoint.address] = counts.get(endpoint.address, 0) + len(names)
        order = sorted(counts, key=lambda address: -counts[address])
        if len(order) > 1 and counts[order[0]] == counts[order[1]]:
            return None
        return order[0] if order else None


def sightings(topology: Topology) -> dict[PublicKey, Sightings]:
    """Return the sightings of leaders and peers, by public key."""
    words: dict[PublicKey, dict[Endpoint, list[str]]] = {}
    for name, key, endpoint in _words(topology):
        words.setdefault(key, {}).setdefault(endpoint, []).append(name)
    seen = {
        key: {endpoint: tuple(names) for endpoint, names in by_endpoint.items()}
        for key, by_endpoint in words.items()
    }
    found = {}
    for segment in topology.segments:
        leader = segment.leader
        said = seen.get(segment.key, {}) if leader.persistent_keepalive > 0 else {}
        found[segment.key] = Sightings(leader.endpoint, said)
    for peer in topology.peers:
        if peer.public_key is not None:
            said = seen.get(peer.public_key, {}) if peer.persistent_keepalive > 0 else {}
            found[peer.public_key] = Sightings(peer.annotated_endpoint, said)
    return found


def with_best_endpoints(topology: Topology) -> Topology:
    """Return the network with each endpoint replaced by its best candidate.

    A configuration file holds one endpoint per peer, so nothing tries a second one.
    """
    best = {key: one.candidates()[:1] for key, one in sightings(topology).items() if one.seen}
    if not best:
        return topology
    return topology._replace(
        segments=tuple(
            one._replace(endpoint=best[one.key][0]) if best.get(one.key) else one
            for one in topology.segments
        ),
        peers=tuple(_best_of(one, best) for one in topology.peers),
    )


def with_near_endpoints(topology: Topology, node: Node) -> Topology:
    """Return the network with the endpoints by which ``node`` dials its neighbours.

    A leader of the same location, on the same private network, is dialled there, where Kilo's
    agent dials what others report: the outside of their router, which seldom sends packets back in.
    """
    network = node.internal_ip
    if network is None or not node.location or topology.granularity != FULL:
        return topology
    segments = tuple(
        one._replace(endpoint=one.leader.endpoint) if _is_near(one, node, network) else one
        for one in topology.segments
    )
    return topology._replace(segments=segments)


def _is_near(segment: Segment, node: Node, network: Cidr) -> bool:
    leader = segment.leader
    if segment.endpoint == leader.endpoint or leader.location != node.location:
        return False
    internal, endpoint = leader.internal_ip, leader.endpoint
    return (
        internal is not None
        and endpoint is not None
        and endpoint.address == internal.address
        and network.contains(internal.address)
    )


def without_strange_sightings(nodes: Sequence[Node], node: Node) -> tuple[Node, ...]:
    """Return nodes without what those of other locations report of their private networks.

    Neighbours see each other at private addresses, which are others' in other places.
    """

    def kept(one: Node) -> Node:
        if one.name == node.name or (node.location and one.location == node.location):
            return one
        seen = one.discovered_endpoints
        public = {key: where for key, where in seen.items() if is_dialable_from_elsewhere(where)}
        return one if len(public) == len(seen) else one._replace(discovered_endpoints=public)

    return tuple(kept(one) if one.discovered_endpoints else one for one in nodes)


def _best_of(peer: Peer, best: Mapping[PublicKey, tuple[Endpoint, ...]]) -> Peer:
    key, annotated = peer.public_key, peer.annotated_endpoint
    found = best.get(key, ()) if key is not None else ()
    if not found or found[0] == peer.endpoint:
        return peer
    if found[0] == annotated:
        return peer._replace(endpoint=annotated, discovered=False, replaced_endpoint=None)
    return peer._replace(endpoint=found[0], discovered=True, replaced_endpoint=annotated)


def _words(topology: Topology) -> Iterator[tuple[str, PublicKey, Endpoint]]:
    """Yield each report as node, key and endpoint, without reports of a node on itself."""
    for segment in topology.segments:
        for node in segment.nodes:
            for key, endpoint in node.discovered_endpoints.items():
                if key != node.key:
                    yield node.name, key, endpoint
