"""Packets between pods arrive by the plans of all agents, whatever their options."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.agent_plan import (
    TABLE,
    AgentOptions,
    AgentPlan,
    Compatibility,
    Device,
    Encapsulation,
    NotInNetworkError,
    Route,
    agent_plan,
)
from kgctl.mesh.cidr import Cidr, parse_cidr, single
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.node import Node
from kgctl.mesh.peer import Peer
from kgctl.mesh.topology import FULL, LOCATION, Topology, build_topology

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address

SUBNET = Cidr(IPv4Address("10.4.0.0"), 16)


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def node(number: int, location: str, *, internal: bool = True, far: bool = False) -> Node:
    """A node of a location; a ``far`` one is in another subnet than its neighbours."""
    net = 1 if far else 0
    return Node(
        name=f"node-{number}",
        subnet=cidr(f"10.42.{number}.0/24"),
        endpoint=Endpoint(IPv4Address(f"198.51.100.{number + 1}"), 51820),
        internal_ip=cidr(f"10.{10 + net}.0.{number + 1}/24") if internal else None,
        key=PublicKey(bytes([number + 1]) * 32),
        location=location,
        leader=False,
        cni_compatibility_ip=cidr(f"10.42.{number}.7/32"),
    )


nodes = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), min_size=1, max_size=7
).map(
    lambda rows: [
        node(number, location, internal=internal, far=far)
        for number, (location, internal, far) in enumerate(rows)
    ]
)
options = st.builds(
    AgentOptions,
    encapsulation=st.sampled_from(Encapsulation),
    compatibility=st.sampled_from(Compatibility),
    local=st.booleans(),
    cni=st.booleans(),
    forward_rules=st.booleans(),
)
granularities = st.sampled_from([LOCATION, FULL])


class Network(NamedTuple):
    """A network with the plan of every agent, which all have the same options."""

    topology: Topology
    nodes: dict[str, Node]
    plans: dict[str, AgentPlan]
    options: AgentOptions

    @classmethod
    def of(
        cls, nodes: list[Node], options: AgentOptions, granularity: str, *peers: Peer
    ) -> Network:
        topology = build_topology(nodes, peers, granularity=granularity, subnet=SUBNET)
        plans = {one.name: agent_plan(topology, one, options) for one in nodes}
        return cls(topology, {one.name: one for one in nodes}, plans, options)

    def carries(self, origin: str, source: Address, target: Address) -> str:
        """Return the node that a packet arrives at: its pods, or it itself, hold ``target``.

        Raises:
            AssertionError: it does not arrive.
        """
        at, incoming = origin, None
        for _ in range(6):
            if subnet(self.nodes[at]).contains(target) or internal(self.nodes[at]) == target:
                return at
            if not self.options.local and self._beside(at, target):
                return next(n for n, one in self.nodes.items() if subnet(one).contains(target))
            route = self._route(at, source, target, incoming)
            if route is None:
                return self._by_lan(at, target)
            if route.device is Device.WIREGUARD:
                at = self._through_tunnel(at, source, target)
            else:
                at = self._neighbour(at, route)
            incoming = route.device
        raise AssertionError(f"a loop at {at}")

    def _beside(self, at: str, target: Address) -> bool:
        """Whether the network plugin carries it: both are in one segment, without ``--local``."""
        own = self.topology.segment_of(at)
        assert own is not None
        return any(subnet(one).contains(target) for one in own.nodes)

    def _route(
        self, at: str, source: Address, target: Address, incoming: Device | None
    ) -> Route | None:
        plan = self.plans[at]
        for rule in plan.rules:
            fits = rule.src is None or rule.src.contains(source)
            if rule.dst.contains(target) and fits and rule.iif in (None, incoming):
                found = longest([one for one in plan.routes if one.table == TABLE], target)
                if found is not None:
                    return found
        return longest([one for one in plan.routes if one.table is None], target)

    def _by_lan(self, at: str, target: Address) -> str:
        own = self.topology.segment_of(at)
        assert own is not None
        (found,) = (one.name for one in own.nodes if internal(one) == target)
        return found

    def _through_tunnel(self, at: str, source: Address, target: Address) -> str:
        """WireGuard chooses the peer by the target, and the peer checks the source."""
        assert self.plans[at].leads
        (there,) = (
            one
            for one in self.topology.segments
            if any(own.contains(target) for own in one.allowed_ips)
        )
        here = self.topology.segment_of(at)
        assert here is not None
        assert there is not here
        assert any(own.contains(source) for own in here.allowed_ips)
        return there.leader.name

    def _neighbour(self, at: str, route: Route) -> str:
        own = self.topology.segment_of(at)
        assert own is not None
        for one in own.nodes:
            ways = {internal(one)}
            if route.device is Device.TUNNEL:
                ways |= {subnet(one).address, one.cni_compatibility_ip and cni(one).address}
            if self.options.compatibility is not Compatibility.NONE:
                ways |= {subnet(one).address, cni(one).address}
            if route.via in ways:
                return one.name
        raise AssertionError(f"{at}: nobody is {route.via}")


def subnet(one: Node) -> Cidr:
    assert one.subnet is not None
    return one.subnet


def internal(one: Node) -> Address | None:
    return None if one.internal_ip is None else one.internal_ip.address


def cni(one: Node) -> Cidr:
    assert one.cni_compatibility_ip is not None
    return one.cni_compatibility_ip


def longest(routes: list[Route], target: Address) -> Route | None:
    fitting = [route for route in routes if route.dst.contains(target)]
    return max(fitting, key=lambda route: route.dst.prefix, default=None)


def pod(one: Node) -> Address:
    return subnet(one).address + 9


@given(nodes, options, granularities)
def test_every_pod_reaches_every_pod(
    nodes: list[Node], options: AgentOptions, granularity: str
) -> None:
    network = Network.of(nodes, options, granularity)
    for one in nodes:
        for other in nodes:
            assert network.carries(one.name, pod(one), pod(other)) == other.name


@given(nodes, options, granularities)
def test_every_pod_reaches_every_internal_ip(
    nodes: list[Node], options: AgentOptions, granularity: str
) -> None:
    network = Network.of(nodes, options, granularity)
    for one in nodes:
        for other in nodes:
            target = internal(other)
            if target is not None:
                assert network.carries(one.name, pod(one), target) == other.name


def test_packets_from_the_tunnel_to_a_neighbour_are_encapsulated() -> None:
    """The LAN of a cloud drops packets of pods: so they go inside of IPIP."""
    nodes = [node(0, "a"), node(1, "a"), node(2, "b")]
    network = Network.of(nodes, AgentOptions(), LOCATION)
    leader = network.plans["node-0"]
    target = internal(nodes[1])
    assert target is not None
    tabled = [route for route in leader.routes if route.table == TABLE]
    assert [(route.dst, route.device) for route in tabled] == [(single(target), Device.TUNNEL)]
    assert {(rule.dst, rule.iif) for rule in leader.rules} == {
        (single(target), None),
        (single(target), Device.WIREGUARD),
    }


@given(nodes, options, granularities)
def test_nothing_is_claimed_twice(
    nodes: list[Node], options: AgentOptions, granularity: str
) -> None:
    peer = Peer("laptop", (cidr("10.5.0.1/32"), cidr("192.168.9.0/24")), PublicKey(b"p" * 32))
    for plan in Network.of(nodes, options, granularity, peer).plans.values():
        targets = [(route.dst, route.table) for route in plan.routes]
        assert len(targets) == len(set(targets))
        assert len(plan.rules) == len(set(plan.rules))
        inserted = [rule for rule in plan.first if rule.comment[-9:] != "known IPs"]
        assert len(inserted) == len(set(inserted))


@given(nodes, options, granularities, st.randoms(use_true_random=False))
def test_the_order_of_nodes_does_not_matter(
    nodes: list[Node], options: AgentOptions, granularity: str, random: object
) -> None:
    shuffled = nodes[::-1]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert (
        Network.of(shuffled, options, granularity).plans
        == Network.of(nodes, options, granularity).plans
    )


@given(nodes, options, granularities)
def test_an_endpoint_is_never_routed_into_its_tunnel(
    nodes: list[Node], options: AgentOptions, granularity: str
) -> None:
    behind = [one._replace(endpoint=Endpoint(one.internal_ip.address, 51820)) if one.internal_ip
              else one for one in nodes]  # fmt: skip
    network = Network.of(behind, options, granularity)
    for plan in network.plans.values():
        if plan.leads:
            into = {route.dst for route in plan.routes if route.device is Device.WIREGUARD}
            for segment in network.topology.segments:
                assert segment.endpoint is not None
                assert segment.endpoint.address is not None
                assert single(segment.endpoint.address) not in into


def test_a_node_that_is_not_ready_has_no_plan() -> None:
    one = node(0, "a")
    topology = build_topology([one], [], granularity=LOCATION, subnet=SUBNET)
    with pytest.raises(NotInNetworkError):
        agent_plan(topology, node(1, "a"), AgentOptions())
