"""What a change does to the relays of a network without nodes, and to the files of its machines."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.owners import Place
from kgctl.mesh.peer import is_own_address
from kgctl.mesh.relays import Relays, is_called

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.relays import Relay, Sent
    from kgctl.mesh.topology import Topology


class Moved(NamedTuple):
    """Peers of which some pairs have another relay now, and the names of the relays."""

    before: str
    after: str
    names: tuple[str, ...]


class RelayChanges(NamedTuple):
    """The peers that are left, by what becomes of the pairs among them that cannot call each other.

    Those in ``cut_off`` no longer reach each other, those in ``joined`` do now; ``moved`` have
    another relay. Peers of one location may still meet there.
    """

    cut_off: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cut_off or self.joined or self.moved)


NO_CHANGES = RelayChanges()


def relay_changes(before: Topology | None, after: Topology | None) -> RelayChanges:
    """Compare the relays of two topologies, for the peers that are in both."""
    if before is None or after is None or before.network is None or after.network is None:
        return NO_CHANGES
    was, becomes = Relays(before), Relays(after)
    known = {peer.name: peer for peer in before.peers if not is_called(peer)}
    both = [
        (known[peer.name], peer)
        for peer in after.peers
        if peer.name in known and not is_called(peer)
    ]
    names = tuple(peer.name for _, peer in both)
    if len(both) < 2 or bool(was) != bool(becomes):
        return NO_CHANGES if len(both) < 2 else _one_sided(names, lost=bool(was))
    return RelayChanges(moved=tuple(_moved(was, becomes, both))) if was else NO_CHANGES


def _one_sided(names: tuple[str, ...], *, lost: bool) -> RelayChanges:
    return RelayChanges(cut_off=names) if lost else RelayChanges(joined=names)


def _moved(was: Relays, becomes: Relays, both: list[tuple[Peer, Peer]]) -> Iterator[Moved]:
    """Yield the peers that change from one relay to another, relay by relay.

    Peers with the same relays in their locations are alike: two of them stand for all.
    """
    groups: defaultdict[tuple[Relay | None, Relay | None], list[tuple[Peer, Peer]]]
    groups = defaultdict(list)
    for old, new in both:
        groups[was.home(old), becomes.home(new)].append((old, new))
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for some, others in combinations_with_replacement(list(groups.values()), 2):
        if some is others and len(some) < 2:
            continue
        (old, new), (old_other, new_other) = some[0], others[-1]
        one, another = was.shared(old, old_other), becomes.shared(new, new_other)
        if one.place != another.place:
            found[one.name, another.name].update(peer.name for _, peer in (*some, *others))
    for (one_name, other_name), names in sorted(found.items()):
        yield Moved(one_name, other_name, tuple(sorted(names)))


def machines_with_new_files(before: Topology | None, after: Topology) -> Iterator[str]:
    """Yield the names of peers whose files change, in a network without nodes.

    A machine's file has its own addresses and keepalive, and the machines that it has a tunnel to.
    """
    if before is None or before.network is None or after.network is None:
        yield from (peer.name for peer in after.peers)
        return
    was, becomes = Relays(before), Relays(after)
    old = {peer.name: peer for peer in before.peers}
    new = {peer.name: peer for peer in after.peers}
    changed = {
        name
        for name in old.keys() | new.keys()
        if name not in old or name not in new or _section(old[name]) != _section(new[name])
    }
    outside = _outside_of_pools(before) ^ _outside_of_pools(after)
    everybody = _defaults(before) != _defaults(after)
    for peer in after.peers:
        known = old.get(peer.name)
        if everybody or known is None or _own(known) != _own(peer):
            yield peer.name
        elif _has_networks(peer) and any(name != peer.name for name, _ in outside):
            yield peer.name  # its firewall names them
        else:
            tunnels = _tunnels(becomes, after, peer)
            if tunnels != _tunnels(was, before, known) or not changed.isdisjoint(tunnels.names):
                yield peer.name


def _section(peer: Peer) -> tuple[object, ...]:
    return peer.public_key, peer.allowed_ips, peer.endpoint, peer.preshared_key


def _own(peer: Peer) -> tuple[object, ...]:
    return *_section(peer), peer.persistent_keepalive


def _defaults(topology: Topology) -> tuple[object, ...]:
    network = topology.network
    return () if network is None else (network.pools, network.dns, network.search_domains)


def _has_networks(peer: Peer) -> bool:
    return any(not is_own_address(cidr) for cidr in peer.allowed_ips)


def _outside_of_pools(topology: Topology) -> frozenset[tuple[str, Cidr]]:
    """Return the networks in none of the pools, with the names of their peers."""
    pools = () if topology.network is None else topology.network.pools
    return frozenset(
        (peer.name, cidr.masked())
        for peer in topology.peers
        for cidr in peer.allowed_ips
        if not any(pool.contains(cidr.masked().address) for pool in pools)
    )


class _Tunnels(NamedTuple):
    """The peers in the file of a machine, what it sends to relays, and whether it is one."""

    names: frozenset[str]
    sent: Sent
    relays: bool


def _tunnels(relays: Relays, topology: Topology, peer: Peer) -> _Tunnels:
    sent = relays.sent(peer)
    seen = relays.seen_by(topology, peer, sent).peers
    names = frozenset(one.name for one in seen if one.name != peer.name)
    return _Tunnels(names, sent, relays.carries(Place(peer.name, is_peer=True)))
