"""What an agent sets up on its node: addresses, routes, policy rules and firewall rules.

The rules are those of Kilo 0.7's agent, whose decisions for 22 clusters tests/golden/agent holds.
Everything here is a pure function of a topology, a node and the agent's options. The WireGuard
device is in ``kgctl.wireguard.conf``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import MeshError
from kgctl.mesh.cidr import Cidr, single
from kgctl.mesh.topology import FULL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.node import Node
    from kgctl.mesh.topology import Segment, Topology

TABLE = 1107
"""The routing table for packets that pass the leader's tunnel to nodes of its own location."""

STATIC = 4
"""The protocol number of the reference's routes: RTPROT_STATIC of Linux."""

NAT_CHAIN = "KILO-NAT"
IPIP_CHAIN = "KILO-IPIP"


class Encapsulation(StrEnum):
    """When packets between nodes of one location are encapsulated."""

    ALWAYS = "always"
    CROSS_SUBNET = "crosssubnet"
    NEVER = "never"


class Compatibility(StrEnum):
    """The network plugin whose tunnels an agent uses within a location."""

    NONE = ""
    FLANNEL = "flannel"
    CILIUM = "cilium"


class Device(StrEnum):
    """A network interface of a plan, by its role; the agent knows their names."""

    WIREGUARD = "wireguard"
    PRIVATE = "private"
    """The interface with the node's internal IP."""
    TUNNEL = "tunnel"
    """The encapsulation's interface."""


class AgentOptions(NamedTuple):
    """The options of an agent that affect its plan, with the reference's defaults.

    ``local``: handle routes within the own location. ``cni``: the node's pods use the agent's
    network plugin. ``forward_rules``: accept forwarded packets in the firewall. ``service_cidrs``
    are never masqueraded.
    """

    encapsulation: Encapsulation = Encapsulation.ALWAYS
    compatibility: Compatibility = Compatibility.NONE
    local: bool = True
    cni: bool = True
    forward_rules: bool = False
    service_cidrs: tuple[Cidr, ...] = ()


class Route(NamedTuple):
    """A route; ``via`` is a gateway that counts as on the link. ``table`` None is the main one."""

    dst: Cidr
    device: Device
    via: Address | None = None
    src: Address | None = None
    table: int | None = None


class PolicyRule(NamedTuple):
    """A rule that looks packets up in ``TABLE``: by source or incoming interface, and target."""

    dst: Cidr
    src: Cidr | None = None
    iif: Device | None = None


class FirewallRule(NamedTuple):
    """A rule of iptables' ``table`` and ``chain`` that jumps to ``target``.

    ``protocol`` is a name of iptables'. A rule without source, destination and protocol matches all
    packets of ``version`` 4 or 6.
    """

    version: int
    table: str
    chain: str
    target: str
    comment: str
    src: Cidr | None = None
    dst: Cidr | None = None
    protocol: str | None = None


class Chain(NamedTuple):
    """A chain of the agent's own, which exists, and is empty at first."""

    version: int
    table: str
    name: str


class AgentPlan(NamedTuple):
    """Everything that an agent sets on its node, except the WireGuard device.

    ``wireguard_address`` is that of the WireGuard interface; None on nodes that do not lead, which
    have no tunnel. ``tunnel_address`` is that of the encapsulation's interface, or None; unless
    ``tunnels``, a node without an internal IP, there is no such interface. ``ordered`` are firewall
    chains and rules in their order; ``first`` rules stand before those, in any order.
    """

    segment: Segment
    leads: bool
    wireguard_address: Cidr | None
    tunnel_address: Cidr | None
    tunnels: bool
    routes: tuple[Route, ...]
    rules: tuple[PolicyRule, ...]
    ordered: tuple[Chain | FirewallRule, ...]
    first: tuple[FirewallRule, ...]


class NotInNetworkError(MeshError):
    """The node takes no part in the network, so its agent changes nothing."""


def agent_plan(topology: Topology, node: Node, options: AgentOptions) -> AgentPlan:
    """Return what the agent of ``node`` sets up; its order depends on the topology's order alone.

    Raises:
        NotInNetworkError: the node is not in the topology: it is not ready.
    """
    segment = topology.segment_of(node.name)
    if segment is None or node.subnet is None:
        raise NotInNetworkError("the node is not ready")
    return _Planner(topology, segment, node, options).plan()


class _Planner:
    def __init__(
        self, topology: Topology, segment: Segment, node: Node, options: AgentOptions
    ) -> None:
        assert node.subnet is not None  # it is ready
        self.topology = topology
        self.segment = segment
        self.node = node
        self.options = options
        self.pods = node.subnet
        self.address = None if node.internal_ip is None else node.internal_ip.address
        self.leads = segment.leader.name == node.name
        # a node without an internal IP has no neighbours, and no way to encapsulate
        self.encapsulates = (
            self.address is not None and options.encapsulation is not Encapsulation.NEVER
        )
        self.others = [one for one in topology.segments if one is not segment]
        self.neighbours = [one for one in segment.nodes if one.name != node.name]

    def plan(self) -> AgentPlan:
        topology, segment = self.topology, self.segment
        routes = [*(self._leader_routes() if self.leads else self._follower_routes())]
        rules: list[PolicyRule] = []
        if self.address is not None:
            self._add_local(routes, rules)
        address = Cidr(segment.wireguard_ip, topology.subnet.prefix) if self.leads else None
        tunnel = None
        if self.options.encapsulation is not Encapsulation.NEVER and self.options.local:
            tunnel = single(type(self.pods.address)(self.pods.network_value + 1))
        return AgentPlan(
            segment=segment,
            leads=self.leads,
            wireguard_address=address,
            tunnel_address=tunnel,
            tunnels=self.encapsulates,
            routes=tuple(routes),
            rules=tuple(rules),
            ordered=tuple(self._ordered()),
            first=tuple(self._first()),
        )

    def _gateway(self, other: Node) -> Address:
        """Return the address by which the encapsulation reaches a node of the own location."""
        assert other.internal_ip is not None
        if self.address is None or not self.encapsulates:
            return other.internal_ip.address
        if self.options.compatibility is Compatibility.CILIUM and other.cni_compatibility_ip:
            return other.cni_compatibility_ip.address
        if self.options.compatibility is Compatibility.NONE or other.subnet is None:
            return other.internal_ip.address
        return other.subnet.masked().address

    def _wraps(self, other: Node) -> bool:
        """Return whether packets to a node of the own location are encapsulated."""
        if not self.encapsulates:
            return False
        own, its = self.node.internal_ip, other.internal_ip
        assert own is not None
        assert its is not None
        return self.options.encapsulation is Encapsulation.ALWAYS or not own.contains(its.address)

    def _leader_routes(self) -> Iterator[Route]:
        for other in self.others:
            via = other.wireguard_ip
            endpoint = other.endpoint.address if other.endpoint else None
            for node in other.nodes:
                if node.subnet is not None:
                    yield Route(node.subnet, Device.WIREGUARD, via, self.address)
                internal = node.internal_ip
                # WireGuard's own packets go to the endpoint: they must bypass the tunnel
                if internal is not None and internal.address != endpoint:
                    yield Route(single(internal.address), Device.WIREGUARD, via, self.address)
            for cidr in other.allowed_location_ips:
                yield Route(cidr, Device.WIREGUARD, via, self.address)
        for peer in self.topology.peers:
            for cidr in peer.allowed_ips:
                yield Route(cidr, Device.WIREGUARD, None, self.address)

    def _follower_routes(self) -> Iterator[Route]:
        leader = self.segment.leader
        wraps, via = self._wraps(leader), self._gateway(leader)
        device = Device.TUNNEL if wraps else Device.PRIVATE
        src = self.address if wraps else None
        for segment in self.topology.segments:
            yield Route(single(segment.wireguard_ip), device, via, src)
            if segment is self.segment:
                continue
            for node in segment.nodes:
                if node.subnet is not None:
                    yield Route(node.subnet, device, via, src)
                if node.internal_ip is not None:
                    yield Route(single(node.internal_ip.address), device, via, src)
            for cidr in segment.allowed_location_ips:
                yield Route(cidr, device, via, src)
        for peer in self.topology.peers:
            for cidr in peer.allowed_ips:
                yield Route(cidr, device, via, src)

    def _add_local(self, routes: list[Route], rules: list[PolicyRule]) -> None:
        """Add what leads to the neighbours: the other nodes of the own segment."""
        for other in self.neighbours:
            assert other.internal_ip is not None  # else it would be alone in its segment
            wraps, via = self._wraps(other), self._gateway(other)
            internal = single(other.internal_ip.address)
            if self.options.local:
                if other.subnet is not None:
                    device = Device.TUNNEL if wraps else Device.PRIVATE
                    routes.append(Route(other.subnet, device, via, self.address if wraps else None))
                if wraps:
                    routes.append(Route(internal, Device.TUNNEL, via, self.address, TABLE))
                    rules.append(PolicyRule(internal, src=self.pods))
                    if self.leads:
                        rules.append(PolicyRule(internal, iif=Device.WIREGUARD))
            elif wraps and self.leads and via != internal.address:
                routes.append(Route(internal, Device.TUNNEL, via, None, TABLE))
                rules.append(PolicyRule(internal, iif=Device.WIREGUARD))

    def _ordered(self) -> Iterator[Chain | FirewallRule]:
        if self._filters_ipip:
            for version in (4, 6):
                yield Chain(version, "filter", IPIP_CHAIN)
            for version in (4, 6):
                yield _ipip(version, IPIP_CHAIN, "Kilo: jump to IPIP chain")
            for version in (4, 6):
                yield _ipip(version, "DROP", "Kilo: reject other IPIP traffic")
        for version in (4, 6):
            yield Chain(version, "nat", NAT_CHAIN)
        for cidr in self.options.service_cidrs:
            yield _no_nat(cidr, "Kilo: do not NAT packets destined for service CIDRs")
        for version in (4, 6):
            comment = "Kilo: NAT remaining packets"
            yield FirewallRule(version, "nat", NAT_CHAIN, "MASQUERADE", comment)

    @property
    def _filters_ipip(self) -> bool:
        flannel = self.options.compatibility is Compatibility.FLANNEL
        return self.encapsulates and self.options.local and not flannel

    def _first(self) -> Iterator[FirewallRule]:
        if self._filters_ipip and self.topology.granularity != FULL:
            for node in self.segment.nodes:
                if node.internal_ip is not None:
                    own = single(node.internal_ip.address)
                    comment = "Kilo: allow IPIP traffic"
                    yield _rule("filter", IPIP_CHAIN, "ACCEPT", comment, src=own)
        if self.options.cni:
            comment = "Kilo: jump to KILO-NAT chain"
            yield _rule("nat", "POSTROUTING", NAT_CHAIN, comment, src=self.pods)
        yield from self._known_networks()
        for cidr in self.segment.allowed_location_ips:
            yield _rule("nat", "POSTROUTING", NAT_CHAIN, "Kilo: jump to NAT chain", dst=cidr)
        if self.options.cni and self.options.forward_rules:
            yield from self._forwards()

    def _known_networks(self) -> Iterator[FirewallRule]:
        """Yield the rules for what knows the network: it sees the sources of packets."""
        for segment in self.topology.segments:
            comment = "Kilo: do not NAT packets destined for WireGuared IPs"
            yield _no_nat(single(segment.wireguard_ip), comment)
            for cidr in segment.allowed_ips:
                yield _no_nat(cidr, "Kilo: do not NAT packets destined for known IPs")
        for peer in self.topology.peers:
            for cidr in peer.allowed_ips:
                yield _rule("nat", "POSTROUTING", NAT_CHAIN, "Kilo: jump to NAT chain", src=cidr)
                yield _no_nat(cidr, "Kilo: do not NAT packets destined for peers")

    def _forwards(self) -> Iterator[FirewallRule]:
        if not self.leads:
            yield from _forward([self.pods], "the node's pod subnet")
            return
        segment = self.segment
        yield from _forward([one.subnet for one in segment.nodes if one.subnet], "the pod subnet")
        yield from _forward(segment.allowed_location_ips, "allowed location IPs")
        internal = [one.internal_ip for one in segment.nodes if one.internal_ip]
        yield from _forward([single(one.address) for one in internal], "private IPs")


def _forward(networks: Sequence[Cidr], name: str) -> Iterator[FirewallRule]:
    for cidr in networks:
        comment = f"Kilo: forward packets from {name}"
        yield _rule("filter", "FORWARD", "ACCEPT", comment, src=cidr)
        yield _rule("filter", "FORWARD", "ACCEPT", f"Kilo: forward packets to {name}", dst=cidr)


def _ipip(version: int, target: str, comment: str) -> FirewallRule:
    return FirewallRule(version, "filter", "INPUT", target, comment, protocol="ipencap")


def _no_nat(cidr: Cidr, comment: str) -> FirewallRule:
    return _rule("nat", NAT_CHAIN, "RETURN", comment, dst=cidr)


def _rule(
    table: str,
    chain: str,
    target: str,
    comment: str,
    *,
    src: Cidr | None = None,
    dst: Cidr | None = None,
) -> FirewallRule:
    cidr = src or dst
    assert cidr is not None
    return FirewallRule(cidr.version, table, chain, target, comment, src, dst)
