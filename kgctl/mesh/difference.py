"""The difference between two topologies: segments, leaders, addresses, peers and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.path.ends import Machine, leader_of
from kgctl.mesh.path.route import dial
from kgctl.mesh.relay_changes import NO_CHANGES, machines_with_new_files, relay_changes
from kgctl.mesh.relays import relays_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kgctl.mesh.relay_changes import RelayChanges
    from kgctl.mesh.topology import Segment, Topology

_MOST_PAIRS = 100_000
"""The limit for comparing links, which takes a pair for each changed end and each other end."""

NETWORK, SEGMENT, NODE, PEER = "network", "segment", "node", "peer"
PRESHARED_KEY = "preshared key"

Facts = dict[tuple[str, str], dict[str, str]]
"""The fields of each object, by its kind and name."""


class Change(NamedTuple):
    """One difference. ``field`` is empty if the whole object was added or removed.

    ``before`` and ``after`` are texts, untrusted if they contain a name; None if absent.
    """

    kind: str
    name: str
    field: str
    before: str | None
    after: str | None


class Link(NamedTuple):
    """A tunnel between two segments or peers that at least one of its sides can bring up."""

    one: str
    other: str


class Difference(NamedTuple):
    """All differences. ``configured_anew`` are the leaders and peers that need new files.

    ``links_compared`` is False if too much differs to compare the links. ``relays`` is what becomes
    of the peers that reach each other through a relay.
    """

    changes: tuple[Change, ...]
    lost: tuple[Link, ...]
    gained: tuple[Link, ...]
    configured_anew: tuple[str, ...]
    links_compared: bool = True
    relays: RelayChanges = NO_CHANGES

    def __bool__(self) -> bool:
        return bool(self.changes)


def difference(before: Topology | None, after: Topology | None) -> Difference:
    """Compare two topologies; None is a cluster without a ready node."""
    old, new = _facts(before), _facts(after)
    changes = tuple(_changes(old, new, _secrets_changed(before, after)))
    lost, gained, compared = _links(before, after)
    relays = relay_changes(before, after)
    if after is not None and after.network is not None:
        anew = tuple(f"peer {name}" for name in machines_with_new_files(before, after))
    else:
        anew = tuple(_configured_anew(changes, after))
    return Difference(changes, lost, gained, anew, compared, relays)


def _facts(topology: Topology | None) -> Facts:
    if topology is None:
        return {}
    facts: Facts = {
        (NETWORK, ""): {"granularity": topology.granularity, "subnet": str(topology.subnet)}
    }
    for segment in topology.segments:
        facts[SEGMENT, segment.name] = _segment_facts(segment)
        for node in segment.nodes:
            facts[NODE, node.name] = {
                "segment": segment.name,
                "pod subnet": _text(node.subnet),
                "internal IP": _text(node.internal_ip and node.internal_ip.address),
                "keepalive": str(node.persistent_keepalive),
            }
    for peer in topology.peers:
        facts[PEER, peer.name] = {
            "allowed IPs": _texts(peer.allowed_ips),
            "endpoint": _text(peer.endpoint),
            "key": _text(peer.public_key),
            "keepalive": str(peer.persistent_keepalive),
            PRESHARED_KEY: "none" if peer.preshared_key is None else "one",
        }
    if topology.network is not None:
        facts[NETWORK, ""]["relays"] = topology.network.relays
        relays = {relay.name for relay in relays_of(topology)}
        for peer in topology.peers:
            own = facts[PEER, peer.name]
            own["location"] = peer.location or "none"
            own["relay"] = "yes" if peer.name in relays else "none"
    return facts


def _segment_facts(segment: Segment) -> dict[str, str]:
    return {
        "nodes": ", ".join(node.name for node in segment.nodes),
        "leader": segment.leader.name,
        "WireGuard IP": str(segment.wireguard_ip),
        "endpoint": _text(segment.endpoint),
        "key": str(segment.key),
        "allowed location IPs": _texts(segment.allowed_location_ips),
    }


def _text(value: object) -> str:
    return "none" if value is None else str(value)


def _texts(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "none"


def _changes(old: Facts, new: Facts, secrets: set[str]) -> Iterator[Change]:
    order = {NETWORK: 0, SEGMENT: 1, NODE: 2, PEER: 3}
    for kind, name in sorted({**old, **new}, key=lambda one: (order[one[0]], one[1])):
        before, after = old.get((kind, name)), new.get((kind, name))
        if before is None or after is None:
            yield Change(kind, name, "", _summary(before), _summary(after))
            continue
        for field, value in after.items():
            was = before.get(field, "none")
            if was != value:
                yield Change(kind, name, field, was, value)
            elif field == PRESHARED_KEY and name in secrets:
                yield Change(kind, name, field, "one", "another")


def _summary(facts: Mapping[str, str] | None) -> str | None:
    if facts is None:
        return None
    return "; ".join(f"{field} {value}" for field, value in facts.items() if value != "none")


def _secrets_changed(before: Topology | None, after: Topology | None) -> set[str]:
    """Return the peers with another preshared key; the keys themselves stay secret."""
    known = {peer.name: peer.preshared_key for peer in (before.peers if before else ())}
    return {
        peer.name
        for peer in (after.peers if after else ())
        if peer.name in known and known[peer.name] != peer.preshared_key
    }


def _configured_anew(changes: Iterable[Change], after: Topology | None) -> Iterator[str]:
    """Yield the leaders and peers whose configuration changed.

    Every file contains all segments and peers; a node's keepalive is only in its own file.
    """
    if after is None:
        return
    own = {change.name for change in changes if change.kind == NODE and change.field == "keepalive"}
    everybody = any(
        change.kind in (SEGMENT, PEER)
        or (change.kind == NODE and change.field in ("pod subnet", "internal IP"))
        for change in changes
    )
    for segment in after.segments:
        if everybody or segment.leader.name in own:
            yield segment.leader.name
    if everybody:
        yield from (f"peer {peer.name}" for peer in after.peers)


def _links(
    before: Topology | None, after: Topology | None
) -> tuple[tuple[Link, ...], tuple[Link, ...], bool]:
    old, new = _ends(before), _ends(after)
    names = sorted({*old, *new})
    changed = [name for name in names if not _same(old.get(name), new.get(name))]
    if len(changed) * len(names) > _MOST_PAIRS:
        return (), (), False
    pairs = {Link(*sorted((one, other))) for one in changed for other in names if one != other}
    lost, gained = [], []
    for pair in sorted(pairs):
        was, becomes = _connects(old, pair), _connects(new, pair)
        if was and not becomes:
            lost.append(pair)
        elif becomes and not was:
            gained.append(pair)
    return tuple(lost), tuple(gained), True


def _ends(topology: Topology | None) -> dict[str, Machine]:
    if topology is None:
        return {}
    ends = {segment.name: leader_of(segment) for segment in topology.segments}
    return {**ends, **{f"peer {peer.name}": Machine(peer=peer) for peer in topology.peers}}


def _same(one: Machine | None, other: Machine | None) -> bool:
    """Return whether two machines dial, and can be dialled, in the same way."""
    if one is None or other is None:
        return one is other
    return _calling(one) == _calling(other)


def _calling(machine: Machine) -> tuple[object, ...]:
    node, segment = machine.node, machine.segment
    placed = None if node is None else (node.location, node.internal_ip, node.discovered_endpoints)
    called = segment.endpoint if segment is not None else machine.peer and machine.peer.endpoint
    place = machine.peer.location if machine.peer is not None else ""
    return machine.key, machine.keepalive, machine.annotated_endpoint, called, placed, place


def _connects(ends: Mapping[str, Machine], pair: Link) -> bool:
    one, other = ends.get(pair.one), ends.get(pair.other)
    if one is None or other is None:
        return False
    return dial(None, one, other).failure is None or dial(None, other, one).failure is None
