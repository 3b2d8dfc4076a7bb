"""Whether a tunnel comes up between two machines: who can call whom, and who keeps it open."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.dialling import (
    is_behind_nat,
    is_dialable,
    is_dialable_from_elsewhere,
    scope_of,
)
from kgctl.mesh.path.reason import Reason
from kgctl.mesh.path.route import Way, route_to
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.node import Node
    from kgctl.mesh.path.machine import Machine
    from kgctl.mesh.topology import Topology


class Reach(Enum):
    """How far a call to an endpoint comes."""

    OPEN = auto()
    """It arrives."""
    MAPPED = auto()
    """It arrives through a NAT, while the other side keeps calling from behind it."""


class Dial(NamedTuple):
    """How the tunnel comes up, in words; or why it does not."""

    endpoint: Endpoint | None
    how: str
    failure: Reason | None = None


def dial(topology: Topology | None, caller: Machine, called: Machine) -> Dial:
    """Tell whether ``caller`` gets a packet to ``called`` with nothing sent between them before.

    Without a ``topology`` endpoints that are routed into the tunnel are not looked for: that takes
    a look at every route. DNS names and public endpoints are taken to be as good as they look: no
    state in the cluster tells of firewalls.
    """
    endpoint = caller.endpoint_of(called)
    there = _reach(topology, caller, called)
    back = _reach(topology, called, caller)
    name = printable(called.name)
    for one, whom, found in ((caller, called, there), (called, caller, back)):
        # that the other side can call does not help: WireGuard takes what comes through the
        # tunnel itself for a new endpoint, and from then on each packet goes round in it
        if found is Reason.ROUTING_LOOP:
            return Dial(endpoint, _why(one, whom, found), found)
    if there is Reach.OPEN:
        return Dial(endpoint, f"{printable(caller.name)} can call {name} at any time")
    if called.keepalive > 0 and back is Reach.OPEN:
        return Dial(endpoint, f"{name} keeps it open, every {called.keepalive} s")
    if there is Reach.MAPPED and back is Reach.MAPPED:
        return Dial(endpoint, "both call through their NATs, where nodes discovered them")
    if back is Reach.OPEN:
        return Dial(
            endpoint,
            f"{_why(caller, called, there)}; {name} could call, but has no persistent keepalive, "
            "so nothing keeps the tunnel open",
            Reason.NO_KEEPALIVE,
        )
    why = Reason.PRIVATE_ENDPOINT if isinstance(there, Reach) else there
    other = _why(called, caller, back)
    return Dial(endpoint, f"{_why(caller, called, there)}, nor the other way: {other}", why)


def _reach(topology: Topology | None, caller: Machine, called: Machine) -> Reach | Reason:
    endpoint = caller.endpoint_of(called)
    if endpoint is None:
        return Reason.NO_ENDPOINT
    address = endpoint.address
    if not is_dialable(endpoint):
        return Reason.UNDIALABLE
    near = _at_one_place(caller, called)
    if topology is not None and address is not None and _loops(topology, caller, address):
        return Reason.ROUTING_LOOP
    if not is_dialable_from_elsewhere(endpoint):
        return Reach.OPEN if near else Reason.PRIVATE_ENDPOINT
    if address is None or not is_behind_nat(called.annotated_endpoint, endpoint):
        return Reach.OPEN
    return Reason.SAME_NAT if near else Reach.MAPPED


def _loops(topology: Topology, caller: Machine, address: Address) -> bool:
    """Tell whether a node sends what carries the tunnel into a tunnel."""
    return caller.node is not None and route_to(topology, caller, address).way is Way.TUNNEL


def _at_one_place(one: Machine, other: Machine) -> bool:
    """Tell whether two machines share a private network: nodes of one location that are on one."""
    if one.node is None or other.node is None or one.node.location != other.node.location:
        return False
    return _is_on_one(one.node) and _is_on_one(other.node)


def _is_on_one(node: Node) -> bool:
    """Tell whether a node is on a private network, as its addresses have it."""
    hidden = node.endpoint is not None and not is_dialable_from_elsewhere(node.endpoint)
    return node.internal_ip is not None or hidden


def _why(caller: Machine, called: Machine, found: Reach | Reason) -> str:
    """Return in words why a call does not arrive."""
    who, whom = printable(caller.name), printable(called.name)
    endpoint = caller.endpoint_of(called)
    if endpoint is None:
        return f"{who} cannot call {whom}, which has no endpoint"
    if found is Reason.ROUTING_LOOP:
        return (
            f"{who} cannot call {whom}: its endpoint {endpoint} is inside a network that {who} "
            "sends into the tunnel"
        )
    if found is Reason.SAME_NAT:
        return f"{who} cannot call {whom} at {endpoint}: both are behind that NAT"
    if found is Reach.MAPPED:
        return (
            f"{who} cannot call {whom} at {endpoint}: it is behind a NAT, and does not call first"
        )
    words = scope_of(endpoint.host).words
    if found is Reason.UNDIALABLE:
        return f"{who} cannot call {whom}: nobody can dial its endpoint {endpoint}, {words}"
    return f"{who} cannot call {whom}: its endpoint {endpoint} is {words}"
