"""The network of WireGuard IPs: that of most nodes, never a LAN or a single address."""

from __future__ import annotations

import time
from random import Random

import pytest

from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.node import Node
from kgctl.mesh.subnets import kilo_subnet


def _cidr(text: str) -> Cidr:
    cidr = parse_cidr(text)
    assert cidr is not None
    return cidr


def _nodes(*wireguard_ips: str) -> list[Node]:
    return [
        Node(
            f"n{number}",
            subnet=_cidr(f"10.42.{number}.0/24"),
            internal_ip=_cidr(f"192.168.7.{number}/24"),
            wireguard_ip=_cidr(text) if text else None,
        )
        for number, text in enumerate(wireguard_ips, 1)
    ]


@pytest.mark.parametrize(
    ("wireguard_ips", "subnet"),
    [
        ((), "10.4.0.0/16"),
        (("", ""), "10.4.0.0/16"),
        (("10.9.0.1/31",), "10.9.0.0/31"),
        (("fd00:4::1/64", "fd00:4::2/64"), "fd00:4::/64"),
        # one is against many
        (("10.4.0.1/31", "10.4.0.2/16", "10.4.0.3/16"), "10.4.0.0/16"),
        (("10.4.0.1/32", "10.9.0.2/16"), "10.9.0.0/16"),
        (("0.0.0.1/0", "10.9.0.2/16"), "10.9.0.0/16"),
        (("::1/0", "fd00:4::2/64"), "fd00:4::/64"),
        (("192.168.7.9/24", "10.9.0.2/16"), "10.9.0.0/16"),
        (("10.42.0.1/16", "10.9.0.2/16"), "10.9.0.0/16"),
        (("10.7.0.1/16", "10.9.0.2/16", "10.9.0.3/16"), "10.9.0.0/16"),
        # equal ones: Kilo's default, else the first
        (("10.7.0.1/16", "10.4.0.2/16"), "10.4.0.0/16"),
        (("10.7.0.1/16", "10.9.0.2/16"), "10.7.0.0/16"),
        # all are bad: the most frequent one
        (("10.7.0.0/32", "10.9.0.2/32", "10.9.0.2/32"), "10.9.0.2/32"),
        # all name one: then it is that, whatever it is
        (("192.168.7.9/24", "192.168.7.8/24"), "192.168.7.0/24"),
    ],
)
def test_the_network(wireguard_ips: tuple[str, ...], subnet: str) -> None:
    assert str(kilo_subnet(_nodes(*wireguard_ips))) == subnet


def test_one_node_cannot_make_the_network_of_the_others_a_bad_one() -> None:
    nodes = _nodes("10.7.0.9/16", "10.9.0.1/16", "10.9.0.2/16", "10.9.0.3/16")
    nodes[0] = nodes[0]._replace(internal_ip=_cidr("10.9.0.77/16"))
    assert str(kilo_subnet(nodes)) == "10.9.0.0/16"


def test_many_networks_take_no_long_time() -> None:
    random = Random(7)
    nodes = [
        Node(f"n{n}", internal_ip=_cidr(f"10.{n >> 8}.{n & 255}.1/24"),
             wireguard_ip=Cidr(_cidr("10.0.0.0/8").address + random.randrange(1 << 24), 16))
        for n in range(5000)
    ]  # fmt: skip
    before = time.process_time()
    kilo_subnet(nodes)
    assert time.process_time() - before < 1
