"""Relays: machines that forward packets between two machines that cannot call each other.

Everybody has a tunnel to a relay, which each machine can call. Of two machines that cannot call
each other, each has the other's addresses in the allowed IPs of their relay, which needs nothing
for it but forwarding. WireGuard takes packets of an address from one peer only, so the two must
agree on the relay ("Cryptokey Routing", wireguard.com):

* Of the relays in the location of one of the two, it is the first by name;
* if there is none, it is the first relay of all by name.

A machine sends the pools of addresses to the relay that it shares with most others, so that its
file stays as it is when a machine is added. The narrower networks of other tunnels win.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from kgctl.errors import InputError
from kgctl.mesh.cidr import Cidr
from kgctl.mesh.claims import Claim, Use
from kgctl.mesh.dialability import Dialled, is_dialable, is_dialable_from_elsewhere, scope_of
from kgctl.mesh.network import AUTO, MARKED, Relaying
from kgctl.mesh.owners import Place
from kgctl.mesh.peer import is_own_address
from kgctl.mesh.policy import Policy
from kgctl.mesh.text import bytewise, printable

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Limits
    from kgctl.mesh.topology import Segment, Topology


class Relay(NamedTuple):
    """A relay: the ``place`` of its tunnel, the name of the machine, and its location."""

    place: Place
    name: str
    location: str


class NoRelayError(InputError):
    """Nothing can relay, or not what is named; ``alternatives`` are names of machines that can."""


def relaying_through(topology: Topology, name: str, pools: Sequence[Cidr] = ()) -> Relaying:
    """Return how the peers of a network with nodes are relayed through ``name``.

    It is a node, whose leader relays, or a peer; ``node/NAME`` and ``peer/NAME`` distinguish the
    two. ``AUTO`` are all leaders that others can call. Machines send ``pools`` to a relay whole.

    Raises:
        NoRelayError: there is no such machine, or nobody can call it; or the network has relays of
            its own.
    """
    if topology.network is not None:
        raise NoRelayError(
            "relay is for a network with nodes; this one has relays of its own: mark the machine "
            "itself as a relay",
            field="relay",
        )
    if name == AUTO:
        found = Relaying(AUTO, tuple(pools))
        if not relays_of(topology._replace(relaying=found)):
            raise NoRelayError(
                "no leader can relay: none has an endpoint that can be called from elsewhere",
                field="relay",
            )
        return found
    kind, slash, rest = name.partition("/")
    kinds, own = ((kind,), rest) if slash and kind in ("node", "peer") else (("node", "peer"), name)
    segment = topology.segment_of(own) if "node" in kinds else None
    peer = topology.peer(own) if "peer" in kinds else None
    endpoint = segment.endpoint if segment is not None else peer and peer.endpoint
    if segment is None and peer is None:
        nodes = [node.name for one in topology.segments for node in one.nodes]
        raise NoRelayError(
            f'relay "{printable(name)}" is neither a node nor a peer of the network',
            field="relay",
            value=name,
            alternatives=(*nodes, *(one.name for one in topology.peers), AUTO),
        )
    if not is_dialable(endpoint):
        raise NoRelayError(
            f'relay "{printable(name)}" has no endpoint that others can call',
            field="relay",
            value=name,
        )
    place = Place(own, is_peer=True) if segment is None else Place(segment.name)
    return Relaying(MARKED, tuple(pools), place)


def is_called(peer: Peer) -> bool:
    """Return whether machines elsewhere can call a peer at the endpoint of its own object."""
    return is_dialable_from_elsewhere(peer.annotated_endpoint)


def can_meet(one: Peer, other: Peer) -> bool:
    """Return whether one of two peers can call the other.

    Machines of one location call each other at private endpoints, too.
    """
    return is_called(one) or is_called(other) or are_near(one, other)


def are_near(one: Peer, other: Peer) -> bool:
    """Return whether two peers of one location have a private endpoint between them."""
    where = one.settings.location
    return (
        bool(where) and where == other.settings.location and (_is_nearby(one) or _is_nearby(other))
    )


def _is_nearby(peer: Peer) -> bool:
    endpoint = peer.annotated_endpoint
    return endpoint is not None and scope_of(endpoint.host).dialled is Dialled.NEARBY


def relays_of(topology: Topology) -> tuple[Relay, ...]:
    """Return the relays of a topology, sorted by name: machines that others can call."""
    relaying = topology.relaying
    if relaying is None:
        return ()
    if relaying.only is not None:
        return tuple(one for one in _places(topology) if one.place == relaying.only)
    if topology.network is None:
        named = (one for one in _places(topology) if not one.place.is_peer)
        called = {
            Place(segment.name)
            for segment in topology.segments
            if is_dialable_from_elsewhere(segment.leader.endpoint)
        }
        return tuple(sorted((one for one in named if one.place in called), key=_by_name))
    return tuple(
        Relay(Place(peer.name, is_peer=True), peer.name, peer.settings.location)
        for peer in topology.peers
        if is_called(peer) and (relaying.mode == AUTO or peer.settings.relay)
    )


def _places(topology: Topology) -> Iterator[Relay]:
    for segment in topology.segments:
        yield Relay(Place(segment.name), segment.leader.name, segment.leader.location)
    for peer in topology.peers:
        yield Relay(Place(peer.name, is_peer=True), peer.name, peer.settings.location)


def _by_name(relay: Relay) -> bytes:
    return bytewise(relay.name)


Sent: TypeAlias = "Mapping[Place, tuple[Cidr, ...]]"
"""The networks that a machine sends to its relays."""


class _Carried(NamedTuple):
    """The networks of a machine that another one sends to a relay."""

    name: str
    networks: tuple[Cidr, ...]


class Relays:
    """The relays of a topology, and what each of its peers sends to them.

    ``limits`` are those of the machines: a pool that they do not grant to a relay whole is not
    used. Without ``pools``, none is. The work for a peer is that of its own tunnels.
    """

    def __init__(
        self, topology: Topology, limits: Limits | None = None, *, pools: bool = True
    ) -> None:
        self._relays = relays_of(topology)
        self._relaying = topology.relaying or Relaying()
        self._pools = self._usable_pools(topology) if pools else ()
        self._nested = _Networks(
            one
            for peer in topology.peers
            for one in peer.allowed_ips
            if one.host_bits and not is_own_address(one)
        )
        self._policy = Policy(limits)
        self._is_alone = topology.network is not None
        self._places = {relay.place: rank for rank, relay in enumerate(self._relays)}
        self._homes = {relay.location: relay for relay in reversed(self._relays) if relay.location}
        self._numbers = {peer.name: number for number, peer in enumerate(topology.peers)}
        self._called: list[Peer] = []
        self._groups: defaultdict[Relay | None, list[Peer]] = defaultdict(list)
        self._neighbours: defaultdict[str, list[Peer]] = defaultdict(list)
        self._with_private: defaultdict[str, list[Peer]] = defaultdict(list)
        self._private = frozenset(one.name for one in topology.peers if _is_nearby(one))
        self._dialable = frozenset(one.name for one in topology.peers if is_dialable(one.endpoint))
        for peer in topology.peers:
            if not self._is_hidden(peer):
                self._called.append(peer)
                continue
            self._groups[self.home(peer)].append(peer)
            if peer.settings.location:
                self._neighbours[peer.settings.location].append(peer)
                if peer.name in self._private:
                    self._with_private[peer.settings.location].append(peer)
        self._known: dict[Relay | None, dict[Relay, tuple[_Carried, ...]]] = {}
        self._granted: dict[Relay, tuple[Cidr, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._relays)

    def between(self, one: Peer, other: Peer) -> Relay | None:
        """Return the relay of two peers; None if one can call the other, or nothing relays."""
        if not (self._relays and self._is_hidden(one) and self._is_hidden(other)):
            return None
        return None if are_near(one, other) else self.shared(one, other)

    def shared(self, one: Peer, other: Peer) -> Relay:
        """Return the relay of two peers that cannot call each other; there must be one."""
        return self._shared(self.home(one), self.home(other))

    def home(self, peer: Peer) -> Relay | None:
        """Return the relay in the location of a peer, or None."""
        return self._homes.get(peer.settings.location)

    def carries(self, place: Place) -> bool:
        """Return whether a machine forwards for others.

        One with the mark, and one that is named, does before anything is sent to it.
        """
        return place in self._carriers

    @cached_property
    def _carriers(self) -> frozenset[Place]:
        if self._relaying.mode == MARKED or self._relaying.only is not None:
            return frozenset(self._places)
        homes = list(self._groups) if self._relays else []
        return frozenset(
            self._shared(one, other).place
            for one, other in combinations_with_replacement(homes, 2)
            if one != other or len(self._groups[one]) > 1
        )

    def seen_by(self, topology: Topology, peer: Peer, sent: Sent | None = None) -> Topology:
        """Return the network as ``peer`` configures it: with what it has ``sent`` to its relays.

        ``topology`` is the one of this object, or differs from it in the peer itself. Peers that
        are reached through a relay are left out. In a network without nodes and without relays, so
        are those to which no tunnel can come up, since neither has an endpoint.
        """
        if not (self._relays and self._is_hidden(peer)):
            return self._with_tunnels(topology, peer)
        added = self.sent(peer) if sent is None else sent
        shown = [*self._called, *self._near(peer)]
        shown.sort(key=lambda one: self._numbers[one.name])
        segments = topology.segments
        if any(not place.is_peer for place in added):
            segments = tuple(_also_to(one, added.get(Place(one.name), ())) for one in segments)
        return topology._replace(
            relaying=None,
            segments=segments,
            peers=tuple(_also_in(one, added.get(Place(one.name, is_peer=True))) for one in shown),
        )

    def sent(self, peer: Peer, only: Container[str] | None = None) -> Sent:
        """Return the networks that ``peer`` sends to its relays; ``only`` those of these peers."""
        if not (self._relays and self._is_hidden(peer)):
            return {}
        near = {peer.name, *(one.name for one in self._near(peer))}
        home = self.home(peer)
        usual = home or self._relays[0]
        found: dict[Place, tuple[Cidr, ...]] = {}
        for relay, carried in self._sent_from(home).items():
            networks = [*self._pools_of(relay)] if relay == usual else []
            for one in carried:
                if one.name not in near and (only is None or one.name in only):
                    networks += one.networks
            if networks:
                found[relay.place] = tuple(networks)
        return found

    def _with_tunnels(self, topology: Topology, peer: Peer) -> Topology:
        peers = topology.peers
        if self._is_alone and not self._relays and peer.name not in self._dialable:
            peers = tuple(one for one in peers if one.name in self._dialable)
        return topology._replace(relaying=None, peers=peers)

    def _near(self, peer: Peer) -> list[Peer]:
        """Return the peers that can meet this one in their location, and nowhere else."""
        where = peer.settings.location
        among = self._neighbours if peer.name in self._private else self._with_private
        return [one for one in among.get(where, ()) if one.name != peer.name]

    def _sent_from(self, home: Relay | None) -> dict[Relay, tuple[_Carried, ...]]:
        """Return what a peer sends to each relay if ``home`` is the one in its location.

        The networks within the pools are left out of those for the usual relay.
        """
        if home not in self._known:
            usual = home or self._relays[0]
            found: defaultdict[Relay, list[_Carried]] = defaultdict(list)
            found[usual] = []
            for other, peers in self._groups.items():
                relay = self._shared(home, other)
                pools = self._pools_of(relay) if relay == usual else ()
                for peer in peers:
                    outside = tuple(self._unpooled(peer.allowed_ips, pools))
                    if outside:
                        found[relay].append(_Carried(peer.name, outside))
            self._known[home] = {relay: tuple(carried) for relay, carried in found.items()}
        return self._known[home]

    def _usable_pools(self, topology: Topology) -> tuple[Cidr, ...]:
        """Return the pools, or none if one is the network of a machine: it cannot go elsewhere."""
        pools = self._relaying.pools
        taken = {one.number for peer in topology.peers for one in peer.allowed_ips}
        return () if any(pool.number in taken for pool in pools) else pools

    def _unpooled(self, networks: Iterable[Cidr], pools: Sequence[Cidr]) -> Iterator[Cidr]:
        """Yield the networks that the pools do not lead to the relay.

        Those are the networks in no pool, and those in the network behind a machine, which is
        narrower than the pool.
        """
        for network in networks:
            if self._nested.hold(network) or not any(
                pool.prefix <= network.prefix and pool.contains(network.address) for pool in pools
            ):
                yield network

    def _pools_of(self, relay: Relay) -> tuple[Cidr, ...]:
        """Return the pools if the relay is granted all of them, else none."""
        if not self._is_alone:  # a person asks for them
            return self._pools
        if relay not in self._granted:
            claims = [Claim(pool, Use.PEER, relay.name) for pool in self._pools]
            granted = self._policy.judge(claims).granted
            whole = granted == [(pool,) for pool in self._pools]
            self._granted[relay] = self._pools if whole else ()
        return self._granted[relay]

    def _is_hidden(self, peer: Peer) -> bool:
        return not is_called(peer) and Place(peer.name, is_peer=True) not in self._places

    def _shared(self, one: Relay | None, other: Relay | None) -> Relay:
        """Return the relay of two machines, with the relays in their locations."""
        homes = [relay for relay in (one, other) if relay is not None]
        return min(homes, key=lambda relay: self._places[relay.place], default=self._relays[0])


def as_configured(topology: Topology, peer: Peer) -> Topology:
    """Return the network as ``peer`` configures it: ``Relays.seen_by``, if anything relays.

    Without a relay, tunnels that cannot come up are kept: ``path`` says why they do not.
    """
    if topology.relaying is None:
        return topology
    relays = Relays(topology)
    return relays.seen_by(topology, peer) if relays else topology


def relayed_pairs(topology: Topology) -> Iterator[tuple[Peer, Peer, Relay]]:
    """Yield each two peers that reach each other through a relay, and the relay."""
    relays = Relays(topology)
    hidden = [peer for peer in topology.peers if not is_called(peer)] if relays else []
    for number, one in enumerate(hidden):
        for other in hidden[number + 1 :]:
            relay = relays.between(one, other)
            if relay is not None:
                yield one, other, relay


class _Networks:
    """Networks, indexed by their numbers."""

    def __init__(self, networks: Iterable[Cidr]) -> None:
        found = list(networks)
        self._numbers = {one.number for one in found}
        self._prefixes = {(one.version, one.prefix) for one in found}

    def hold(self, network: Cidr) -> bool:
        """Return whether one of them contains ``network`` and is wider."""
        version = network.version
        return any(
            Cidr(network.address, prefix).number in self._numbers
            for of, prefix in self._prefixes
            if of == version and prefix < network.prefix
        )


def _also_to(segment: Segment, networks: tuple[Cidr, ...]) -> Segment:
    if not networks:
        return segment
    return segment._replace(allowed_location_ips=(*segment.allowed_location_ips, *networks))


def _also_in(peer: Peer, networks: tuple[Cidr, ...] | None) -> Peer:
    return peer if not networks else peer._replace(allowed_ips=(*peer.allowed_ips, *networks))
