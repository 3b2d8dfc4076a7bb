"""Where nodes say that others are seen, and at which of these places to try to reach them.

Agents write down where they see others (``kilo.squat.ai/discovered-endpoints``), and any of them
may write what it likes. Kilo takes the first such word in place of what a node or peer says of
itself. Whoever need not do as Kilo does takes a public endpoint that one has of its own first, and
of what others say that which most of them do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.dialling import is_dialable, is_dialable_from_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology

MOST = 8
"""How many endpoints of one machine are tried in turn."""


class Sightings(NamedTuple):
    """Where one machine can be reached: as it says itself, and as nodes say, in names of nodes.

    ``seen`` is in the order in which Kilo believes them; empty where nobody may follow it, as
    without a keepalive.
    """

    annotated: Endpoint | None
    seen: Mapping[Endpoint, tuple[str, ...]]

    def candidates(self) -> tuple[Endpoint, ...]:
        """Return the endpoints to try, the best first; of many only the first few.

        One's own goes before what is said if others can dial it at all, else after that: it
        may be in the same place.
        """
        said = sorted(filter(is_dialable, self.seen), key=lambda one: -len(self.seen[one]))
        own = [] if self.annotated is None else [self.annotated]
        first = is_dialable_from_elsewhere(self.annotated)
        found = [*own, *said[: MOST - 1]] if first else [*said[: MOST - 1], *own]
        return tuple(dict.fromkeys(found))

    def contradicted(self) -> dict[Endpoint, tuple[str, ...]]:
        """Return what nodes say that cannot be so if the rest is: other addresses.

        A public address of one's own stands. Else it is what most nodes say, if there is such.
        Other ports are no contradiction: a router may give one to each that is called.
        """
        own = self.annotated
        if own is not None and own.address is not None and is_dialable_from_elsewhere(own):
            right: Address | None = own.address
        else:
            right = self._mostly_seen()
        return {one: names for one, names in self.seen.items() if one.address != right}

    def _mostly_seen(self) -> Address | None:
        """Return the address at which more nodes see it than at any other one."""
        counts: dict[Address | None, int] = {}
        for endpoint, names in self.seen.items():
            counts[endpoint.address] = counts.get(endpoint.address, 0) + len(names)
        order = sorted(counts, key=lambda address: -counts[address])
        if len(order) > 1 and counts[order[0]] == counts[order[1]]:
            return None
        return order[0] if order else None


def sightings(topology: Topology) -> dict[PublicKey, Sightings]:
    """Return where the leaders of segments, and the peers, can be reached, by key."""
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
    """Return the network with each endpoint the one to try first, whatever Kilo believes.

    A configuration file has one endpoint, and tries no other.
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


def _best_of(peer: Peer, best: Mapping[PublicKey, tuple[Endpoint, ...]]) -> Peer:
    key, annotated = peer.public_key, peer.annotated_endpoint
    found = best.get(key, ()) if key is not None else ()
    if not found or found[0] == peer.endpoint:
        return peer
    if found[0] == annotated:
        return peer._replace(endpoint=annotated, discovered=False, replaced_endpoint=None)
    return peer._replace(endpoint=found[0], discovered=True, replaced_endpoint=annotated)


def _words(topology: Topology) -> Iterator[tuple[str, PublicKey, Endpoint]]:
    """Yield which node says of which key that it is where; of itself none says anything."""
    for segment in topology.segments:
        for node in segment.nodes:
            for key, endpoint in node.discovered_endpoints.items():
                if key != node.key:
                    yield node.name, key, endpoint
