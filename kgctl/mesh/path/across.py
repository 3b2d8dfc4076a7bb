"""Paths through several clusters, which cross at Peers that stand for segments elsewhere.

Two allowed IPs decide at a crossing, as at any tunnel: one of the near side's link for the
destination, and one of the far side's link for the source. Each side dials the endpoint of its own
Peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.path.ends import Machine, find_end, leader_of, tunnel_to
from kgctl.mesh.path.route import Reason, dial
from kgctl.mesh.path.walk import Failure, Hop, Path, follow, next_hop
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.links import ClusterLink, Linked
    from kgctl.mesh.path.ends import End, Entry
    from kgctl.mesh.path.route import Dial
    from kgctl.mesh.path.walk import Opened, Step
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology


class Place(NamedTuple):
    """An end of a path, and its cluster."""

    cluster: str
    end: End


def find_places(linked: Linked, text: str) -> list[Place]:
    """Find the end ``text`` in each cluster: more than one place if it is ambiguous.

    ``CLUSTER/TEXT`` searches one cluster only. An address belongs to the cluster that has its
    network, not to one with a link to it; an address outside all clusters has no place.
    """
    head, slash, rest = text.partition("/")
    names = [member.name for member in linked.members]
    chosen, wanted = ([head], rest) if slash and head in names else (names, text)
    found = []
    for member in linked.members:
        if member.name in chosen:
            links = linked.names_of(member.name)
            peers = tuple(peer for peer in member.topology.peers if peer.name not in links)
            end = find_end(member.topology._replace(peers=peers), wanted)
            if end is not None and end.machine is not None:
                machine = end.machine._replace(cluster=member.name)
                what = f"{end.what} in {printable(member.name)}"
                found.append(Place(member.name, end._replace(machine=machine, what=what)))
    return found


def find_path_across(linked: Linked, start: End, target: End) -> Path:
    """Follow a packet from ``start``, which has a machine, to ``target``, and the reply back.

    Build the topologies without a viewing node: the view of each machine is applied here.
    """
    topologies = {member.name: member.topology for member in linked.members}

    def step(at: Machine, source: Address, destination: Address, up: Opened) -> Step:
        def cross(hop: Hop) -> Step:
            link = linked.link_of(at.cluster, hop.end.name) if hop.end.kind == "peer" else None
            return None if link is None else _crossed(topologies, link, hop, source, up)

        found = next_hop(topologies[at.cluster], at, source, destination, up, cross)
        if isinstance(found, Hop) and not found.end.cluster:
            return found._replace(end=found.end._replace(cluster=at.cluster))
        if isinstance(found, Failure) and not found.machine.cluster:
            return found._replace(machine=found.machine._replace(cluster=at.cluster))
        return found

    return follow(start, target, step)


def _crossed(
    topologies: dict[str, Topology], link: ClusterLink, hop: Hop, source: Address, up: Opened
) -> Hop | Failure:
    """Return the hop into another cluster, or the failure at the crossing."""
    at = hop.start
    if link.segment is None:
        why = (
            f"{printable(link.peer.name)} is a stale link to {printable(link.source)}: {link.why}, "
            "so nobody there can decrypt the packet"
        )
        return Failure(at, Reason.STALE_LINK, why, culprit=hop.end)
    there = leader_of(link.segment)._replace(cluster=link.source)
    topology = topologies[link.source]
    known = next((peer for peer in topology.peers if peer.public_key == at.key), None)
    entrance = tunnel_to(topology, there, source)
    if known is None or entrance is None or entrance.machine.key != at.key:
        return _refused(at, there, source, known, entrance)
    caller, called = _as_each_sees_the_other(at, there, link.peer, known)
    tunnel = dial(topologies[at.cluster], caller, called)
    if tunnel.failure is not None and (at.key, there.key) not in up:
        return Failure(at, tunnel.failure, tunnel.how, culprit=there)
    return hop._replace(
        end=there,
        encrypted=True,
        key=there.key,
        endpoint=tunnel.endpoint,
        let_in_by=entrance.allowed_ip,
        how=_how(tunnel, link),
    )


def _how(tunnel: Dial, link: ClusterLink) -> str:
    how = "the packet before it opened the tunnel" if tunnel.failure else tunnel.how
    peer = f"peer {printable(link.peer.name)} of {printable(link.holder)}"
    return f"{how}; {peer} was made by hand" if link.by_hand else how


def _as_each_sees_the_other(
    at: Machine, there: Machine, ours: Peer, theirs: Peer
) -> tuple[Machine, Machine]:
    """Return both machines with the endpoints of the Peers for them and their own keepalives."""
    called = ours._replace(name=there.full_name, persistent_keepalive=there.keepalive)
    if at.segment is not None:
        return at._replace(segment=at.segment._replace(endpoint=theirs.endpoint)), Machine(
            peer=called
        )
    assert at.peer is not None
    return Machine(peer=at.peer._replace(endpoint=theirs.endpoint)), Machine(peer=called)


def _refused(
    at: Machine, there: Machine, source: Address, known: Peer | None, entrance: Entry | None
) -> Failure:
    """Return why the other side drops a packet; ``known`` is its Peer for the sender."""
    name, sender = printable(there.full_name), printable(at.full_name)
    where = printable(there.cluster)
    if known is None:
        why = f"{name} drops it: {where} has no Peer with the key of {sender}, so no tunnel works"
        reason = Reason.ONE_SIDED_LINK if at.node is not None else Reason.SOURCE_REFUSED
        return Failure(there, reason, why)
    peer = printable(known.name)
    if entrance is None:
        why = (
            f"{name} drops it: {source} is not in the allowed IPs of {peer}, its Peer for {sender}"
        )
    else:
        owner = f"{entrance.allowed_ip} of {printable(entrance.machine.name)}"
        why = f"{name} drops it: {source} may not come from {sender}, since {owner} has it there"
    return Failure(there, Reason.LINK_REFUSES_SOURCE, why)
