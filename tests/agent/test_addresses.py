"""The addresses that a node announces, as Kilo's agent chose them on such machines."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from kgctl.agent.addresses import Chosen, LinkAddress, Machine, choose
from kgctl.errors import HostError
from tests.wireguard.test_device import cidr


def machine(*addresses: tuple[str, str], default: str | None = None, named: str = "") -> Machine:
    found = tuple(LinkAddress(link, cidr(text)) for link, text in addresses)
    return Machine(found, default, frozenset(map(ip_address, named.split())))


AMS_1 = (("lo", "127.0.0.1/8"), ("eth0", "198.51.100.11/24"), ("eth1", "10.1.0.11/24"))


@pytest.mark.parametrize(
    ("found", "public", "private", "link"),
    [
        (machine(*AMS_1, default="eth0"), "198.51.100.11", "10.1.0.11/24", "eth1"),
        (machine(("eth0", "10.1.0.12/24"), default="eth0"), "10.1.0.12", "10.1.0.12/24", "eth0"),
        (machine(("eth0", "203.0.113.7/24"), default="eth0"), "203.0.113.7", None, None),
        # what the hostname resolves to comes first, then the link of the default route
        (
            machine(*AMS_1, ("eth2", "10.9.0.1/16"), named="10.9.0.1 192.0.2.1"),
            "198.51.100.11", "10.9.0.1/16", "eth2",
        ),
        (
            machine(("eth0", "10.7.0.1/24"), ("eth1", "10.1.0.1/24"), default="eth0"),
            "10.7.0.1", "10.7.0.1/24", "eth0",
        ),
        # IPv4 comes before IPv6, then the text decides
        (
            machine(("a", "fd00::1/64"), ("b", "10.10.0.1/24"), ("c", "10.2.0.1/24")),
            "10.10.0.1", "10.10.0.1/24", "b",
        ),
        # only fd00::/16 of the unique local addresses counts as private
        (machine(("a", "fd12:3::1/64"), ("b", "fd00:3::1/64")), "fd12:3::1", "fd00:3::1/64", "b"),
        # of Kilo's own links nothing counts, also where another link has the same address
        (
            machine(("kilo0", "10.4.0.1/16"), ("kube-bridge", "10.42.0.1/24"),
                    ("eth0", "10.42.0.1/32"), ("eth0", "192.168.7.10/24")),
            "192.168.7.10", "192.168.7.10/24", "eth0",
        ),
    ],
)  # fmt: skip
def test_addresses_are_chosen(
    found: Machine, public: str, private: str | None, link: str | None
) -> None:
    chosen = choose(found, left_out=("kilo0", "kube-bridge", "tunl0"))
    wanted = None if private is None else cidr(private)
    assert chosen == Chosen(ip_address(public), wanted, link)


def test_an_internal_ip_is_in_the_networks_that_are_named() -> None:
    found = machine(*AMS_1, ("eth2", "192.168.7.1/24"), default="eth0")
    chosen = choose(found, left_out=(), internal=[cidr("192.168.0.0/16")])
    assert chosen.private == cidr("192.168.7.1/24")
    assert choose(found, left_out=(), internal=[cidr("172.16.0.0/12")]).private is None


def test_a_machine_without_an_address_of_its_own_is_told() -> None:
    with pytest.raises(HostError, match="no usable address"):
        choose(machine(("lo", "127.0.0.1/8"), ("e", "fe80::1/64")), left_out=())
