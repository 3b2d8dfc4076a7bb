"""What the firewall rules of an agent do to packets: they are one thing in each program."""

from __future__ import annotations

import socket
import struct
from contextlib import closing
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kgctl.host.firewall import FirewallRules
from kgctl.mesh.agent_plan import Chain, FirewallRule
from tests.network.inside import inside
from tests.network.namespace import Lab
from tests.network.test_node_firewall import PROGRAMS
from tests.network.wiring import assign, connect, default_routes, forward
from tests.support.recorded_agents import cidr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network.namespace import Namespace

POD = {4: "10.42.0.7", 6: "fd42::7"}
NODE = {4: "10.1.0.11", 6: "fd01::11"}
FAR = {4: "10.1.0.12", 6: "fd01::12"}
KNOWN = {4: "10.42.1.7", 6: "fd42:1::7"}
SECONDS = 10.0


class Machines(NamedTuple):
    """A pod, its node, and another machine, which has an address of a known network too."""

    pod: Namespace
    node: Namespace
    far: Namespace


@pytest.fixture
def machines() -> Iterator[Machines]:
    with Lab() as lab:
        made = Machines(*(lab.add(name) for name in Machines._fields))
        connect(made.pod, "eth0", made.node, "pod0")
        connect(made.node, "eth0", made.far, "eth0")
        assign(made.pod, "eth0", "10.42.0.7/24", "fd42::7/64")
        assign(made.node, "pod0", "10.42.0.1/24", "fd42::1/64")
        assign(made.node, "eth0", "10.1.0.11/24", "fd01::11/64")
        assign(made.far, "eth0", "10.1.0.12/24", "fd01::12/64", "10.42.1.7/32", "fd42:1::7/128")
        default_routes(made.pod, "10.42.0.1", "fd42::1")
        default_routes(made.node, FAR[4], FAR[6])
        default_routes(made.far, NODE[4], NODE[6])
        forward(made.node)
        yield made


def rules() -> FirewallRules:
    ordered: list[Chain | FirewallRule] = []
    first = []
    for version in (4, 6):
        pods, known = (
            cidr(f"{address}/{24 if version == 4 else 64}")
            for address in (POD[version], KNOWN[version])
        )
        ordered += [
            Chain(version, "filter", "KILO-IPIP"),
            FirewallRule(version, "filter", "INPUT", "KILO-IPIP", "Kilo: a", protocol="ipencap"),
            FirewallRule(version, "filter", "INPUT", "DROP", "Kilo: b", protocol="ipencap"),
            Chain(version, "nat", "KILO-NAT"),
            FirewallRule(version, "nat", "KILO-NAT", "MASQUERADE", "Kilo: c"),
        ]
        first += [
            FirewallRule(version, "nat", "POSTROUTING", "KILO-NAT", "Kilo: d", src=pods),
            FirewallRule(version, "nat", "KILO-NAT", "RETURN", "Kilo: e", dst=known),
            FirewallRule(version, "filter", "FORWARD", "ACCEPT", "Kilo: f", src=pods),
        ]
    first.append(
        FirewallRule(4, "filter", "KILO-IPIP", "ACCEPT", "Kilo: g", src=cidr(f"{FAR[4]}/32"))
    )
    return FirewallRules(tuple(ordered), tuple(first))


def seen_source(machines: Machines, version: int, target: str) -> str:
    """Return the source that the far machine sees of a packet from the pod."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with inside(machines.far):
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with inside(machines.pod):
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with closing(receiver), closing(sender):
        receiver.settimeout(SECONDS)
        receiver.bind((target, 9))
        sender.sendto(b"x", (target, 9))
        found = receiver.recvfrom(10)[1][0]
        return str(found)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_leaves_the_network_is_masqueraded(machines: Machines, program: str) -> None:
    for version in (4, 6):
        assert seen_source(machines, version, FAR[version]) == POD[version]
    with inside(machines.node):
        firewall = PROGRAMS[program]()
        firewall.apply(rules())
        for version in (4, 6):
            assert seen_source(machines, version, FAR[version]) == NODE[version]
            assert seen_source(machines, version, KNOWN[version]) == POD[version]
        firewall.clean_up()
        for version in (4, 6):
            assert seen_source(machines, version, FAR[version]) == POD[version]


def _ipip(source: str) -> bytes:
    """An IPv4 header alone, of a packet that has nothing inside."""
    addresses = ip_address(source).packed + ip_address(NODE[4]).packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 20, 1, 0, 64, 4, 0) + addresses


@pytest.mark.parametrize("program", PROGRAMS)
def test_ipip_comes_in_from_nodes_of_the_location_only(machines: Machines, program: str) -> None:
    with inside(machines.far):
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with inside(machines.node):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4)
    with inside(machines.node), closing(sender), closing(receiver):
        receiver.settimeout(SECONDS)
        sender.sendto(_ipip(KNOWN[4]), (NODE[4], 0))
        assert receiver.recvfrom(100)[1][0] == KNOWN[4]
        PROGRAMS[program]().apply(rules())
        sender.sendto(_ipip(KNOWN[4]), (NODE[4], 0))  # dropped: the next that comes is another
        sender.sendto(_ipip(FAR[4]), (NODE[4], 0))
        assert receiver.recvfrom(100)[1][0] == FAR[4]
