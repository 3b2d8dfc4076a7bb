"""The walk of a packet from hop to hop, and of its reply back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.path.ends import tunnel_to
from kgctl.mesh.path.route import Reason, Way, dial, route_to
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.path.ends import End, Machine
    from kgctl.mesh.topology import Topology

Opened = tuple[tuple["PublicKey | None", "PublicKey | None"], ...]
"""The tunnels that an earlier packet opened, as pairs of keys: from and to."""

_MOST_HOPS = 8  # Kilo's longest path has 3: to the leader, through the tunnel, to the node


class Failure(NamedTuple):
    """The machine at which a packet fails, and the reason; ``why`` is printable.

    ``culprit`` is the machine whose object is at fault, if it is another one.
    """

    machine: Machine
    reason: Reason
    why: str
    culprit: Machine | None = None


class Hop(NamedTuple):
    """A step from one machine to the next, by ``route`` of the first.

    In a tunnel the packet is ``encrypted`` for ``key`` and sent to ``endpoint``. ``chosen_by`` is
    the allowed IP for the destination at this end, ``let_in_by`` the one for the source at the
    other end; ``how`` describes how the tunnel comes up.
    """

    start: Machine
    end: Machine
    route: Cidr | None
    encrypted: bool = False
    key: PublicKey | None = None
    endpoint: Endpoint | None = None
    chosen_by: Cidr | None = None
    let_in_by: Cidr | None = None
    how: str = ""


Step = Hop | Failure | None
"""The next hop of a packet, the failure, or None if it has arrived."""


class Walk(NamedTuple):
    """One direction: the hops of the packet, the last machine, and the failure there.

    An address is None if that end has none.
    """

    source: Address | None
    destination: Address | None
    hops: tuple[Hop, ...]
    last: Machine
    failure: Failure | None = None


class Path(NamedTuple):
    """Both directions; ``back`` is None if the packet does not arrive."""

    start: End
    target: End
    there: Walk
    back: Walk | None

    @property
    def reachable(self) -> bool:
        """Whether the packet and its reply arrive."""
        return self.back is not None and self.back.failure is None


def find_path(topology: Topology, start: End, target: End) -> Path:
    """Follow a packet from ``start``, which has a machine, to ``target``, and the reply back.

    Build the topology without a viewing node: the view of each machine is applied here.
    """

    def step(at: Machine, source: Address, destination: Address, up: Opened) -> Step:
        return next_hop(topology, at, source, destination, up)

    return follow(start, target, step)


def follow(
    start: End, target: End, step: Callable[[Machine, Address, Address, Opened], Step]
) -> Path:
    """Follow a packet there and back; ``step`` returns its next step at a machine.

    ``step`` gets the machine, the source, the destination, and the open tunnels.
    """
    assert start.machine is not None
    pair = next(
        ((one, other) for one in start.addresses for other in target.addresses
         if one.version == other.version), None,
    )  # fmt: skip
    if pair is None:
        return Path(start, target, _not_begun(start.machine, start, target), None)
    there = _walk(step, start.machine, *pair, up=())
    if target.named:
        there = _arrived(there, target)
    elif there.failure is None:
        target = target.where(there.last)
    if there.failure is not None:
        return Path(start, target, there, None)
    up = tuple((hop.end.key, hop.start.key) for hop in there.hops if hop.encrypted)
    source, destination = pair
    back = _walk(step, there.last, destination, source, up=up)
    return Path(start, target, there, _arrived(back, start))


def _not_begun(machine: Machine, start: End, target: End) -> Walk:
    """Return the walk of a packet without a source or a destination address."""
    failure = Failure(
        machine, Reason.NO_COMMON_FAMILY, "one end has IPv4 addresses only, the other IPv6"
    )
    for end in (start, target):
        if not end.addresses:
            why = f"{end.what} has no address: others claim all of its allowed IPs"
            failure = Failure(machine, Reason.NO_ADDRESS, why, culprit=end.machine)
    source, destination = (next(iter(end.addresses), None) for end in (start, target))
    return Walk(source, destination, (), machine, failure)


def _arrived(walk: Walk, end: End) -> Walk:
    """Turn an arrival at another machine than the end's into a failure."""
    if walk.failure is not None or end.is_at(walk.last):
        return walk
    why = f"{walk.destination} arrives at {printable(walk.last.full_name)}, which claims it as well"
    return walk._replace(failure=Failure(walk.last, Reason.ELSEWHERE, why))


def _walk(
    step: Callable[[Machine, Address, Address, Opened], Step],
    start: Machine,
    source: Address,
    destination: Address,
    *,
    up: Opened,
) -> Walk:
    """Follow a packet; ``up`` are the tunnels that an earlier packet opened."""
    hops: list[Hop] = []
    at, failure = start, None
    while len(hops) < _MOST_HOPS:
        found = step(at, source, destination, up)
        if found is None or isinstance(found, Failure):
            failure = found
            break
        hops.append(found)
        at = found.end
    else:
        failure = Failure(at, Reason.LOOP, "the packet loops")
    return Walk(source, destination, tuple(hops), at, failure)


def next_hop(
    topology: Topology,
    at: Machine,
    source: Address,
    destination: Address,
    up: Opened,
    cross: Callable[[Hop], Step] | None = None,
) -> Step:
    """Return the next hop, the failure, or None if the packet has arrived.

    ``cross`` gets each hop through a tunnel first; it returns the step of a hop that leaves the
    network, and None for any other.
    """
    route = route_to(topology, at, destination)
    if route.way is Way.HERE:
        return None
    if route.way is Way.LOCATION:
        assert route.to is not None
        return Hop(at, route.to, route.network)
    entry = tunnel_to(topology, at, destination)
    if route.way is Way.OUTSIDE:
        return _outside(topology, at, destination, is_endpoint=entry is not None)
    if entry is None:
        why = f"{destination} is in nobody's allowed IPs, so WireGuard drops the packet"
        return Failure(at, Reason.NO_ALLOWED_IP, why)
    hop = Hop(at, entry.machine, route.network, chosen_by=entry.allowed_ip)
    crossed = None if cross is None else cross(hop)
    return _through(topology, hop, source, up) if crossed is None else crossed


def _outside(
    topology: Topology, at: Machine, destination: Address, *, is_endpoint: bool
) -> Failure:
    if is_endpoint:
        why = f"{destination} is the endpoint of a tunnel, so it is never routed into one"
        return Failure(at, Reason.OUTSIDE, f"{why}: it leaves the network there")
    why = f"{printable(at.name)} has no Kilo route to {destination}"
    if topology.network is not None:
        why = f"{printable(at.name)} sends {destination} into no tunnel"
    return Failure(at, Reason.NO_ROUTE, f"{why}: it leaves the network there")


def _through(topology: Topology, hop: Hop, source: Address, up: Opened) -> Hop | Failure:
    """Return the hop with the details of its tunnel, or the failure."""
    at, to = hop.start, hop.end
    tunnel = dial(topology, at, to)
    if tunnel.failure is not None and (at.key, to.key) not in up:
        return Failure(at, tunnel.failure, tunnel.how, culprit=to)
    entrance = tunnel_to(topology, to, source)
    if entrance is None:
        return _refused(at, to, source, None)
    if entrance.machine.key != at.key:
        owner = f"{entrance.allowed_ip} of {printable(entrance.machine.name)}"
        return _refused(at, to, source, owner)
    return hop._replace(
        encrypted=True,
        key=to.key,
        endpoint=tunnel.endpoint,
        let_in_by=entrance.allowed_ip,
        how="the packet before it opened the tunnel" if tunnel.failure else tunnel.how,
    )


def _refused(at: Machine, by: Machine, source: Address, owner: str | None) -> Failure:
    name, sender = printable(by.name), printable(at.name)
    if owner is None:
        why = f"{name} drops it: {source} is in nobody's allowed IPs there"
    else:
        why = f"{name} drops it: {source} may not come from {sender}, since {owner} has it"
    return Failure(by, Reason.SOURCE_REFUSED, why)
