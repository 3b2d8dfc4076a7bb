"""The interface for packets within a location; veth stands for IP in IP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kgctl.agent.here import cni_address
from kgctl.host.encapsulation import EncapsulationLink, NoTunnelError
from kgctl.host.interfaces import read_interfaces
from kgctl.host.node_record import GivenAddress, MadeLink, NodeRecord, NodeRecordFile
from kgctl.mesh.agent_plan import Compatibility
from tests.network.inside import TUNNEL, node
from tests.support.recorded_agents import cidr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kgctl.errors import KgctlError
    from tests.network.namespace import Namespace


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with node() as made:
        yield made


@pytest.fixture
def record(machine: Namespace, tmp_path: Path) -> NodeRecordFile:
    assert machine
    return NodeRecordFile("kilo0", tmp_path)


def never(what: str, error: KgctlError) -> None:
    raise AssertionError(f"{what}: {error}")


ADDRESS = cidr("10.42.0.1/32")


def test_an_existing_link_is_taken_and_left(machine: Namespace, record: NodeRecordFile) -> None:
    machine.ip("link", "set", TUNNEL, "down")
    machine.ip("address", "add", "192.0.2.7/24", "dev", TUNNEL)
    device = EncapsulationLink(Compatibility.NONE, record)
    tunnel = device.open()
    assert (tunnel.link.name, tunnel.dressed) == (TUNNEL, True)
    assert device.dress(tunnel, address=ADDRESS, mtu=1480)
    assert not device.dress(tunnel, address=ADDRESS, mtu=1480)
    assert not device.dress(tunnel, address=None, mtu=1480)
    shown = machine.ip("-4", "-o", "address", "show", "dev", TUNNEL)
    assert "inet 10.42.0.1/32" in shown
    assert "192.0.2.7" not in shown
    link = machine.ip("link", "show", TUNNEL)
    assert "mtu 1480" in link
    assert ",UP" in link
    assert record.read().addresses == (GivenAddress(TUNNEL, ADDRESS),)
    assert record.read().links == ()
    device.clean_up(never)
    device.close()
    assert "inet 10" not in machine.ip("-4", "-o", "address", "show", "dev", TUNNEL)
    assert record.read() == NodeRecord(interface="kilo0")


def test_the_address_that_an_agent_without_a_record_gave_goes(
    machine: Namespace, record: NodeRecordFile
) -> None:
    machine.ip("address", "add", str(ADDRESS), "dev", TUNNEL)
    device = EncapsulationLink(Compatibility.NONE, record)
    assert not device.dress(device.open(), address=ADDRESS, mtu=1500)
    assert record.read().addresses == (GivenAddress(TUNNEL, ADDRESS),)
    device.clean_up(never)
    device.close()
    assert "inet 10" not in machine.ip("-4", "-o", "address", "show", "dev", TUNNEL)


def test_a_kernel_without_ipip_is_told(machine: Namespace, record: NodeRecordFile) -> None:
    machine.ip("link", "delete", TUNNEL)
    device = EncapsulationLink(Compatibility.NONE, record)
    with pytest.raises(NoTunnelError, match="this kernel has no IP in IP; load the module ipip"):
        device.open()
    assert record.read().links == ()
    device.close()


def test_a_link_that_a_killed_agent_made_goes(machine: Namespace, record: NodeRecordFile) -> None:
    number = int(machine.ip("-o", "link", "show", TUNNEL).split(":")[0])
    device = EncapsulationLink(Compatibility.NONE, record)
    record.write(NodeRecord(interface="kilo0", links=(MadeLink(TUNNEL, number + 100),)))
    device.clean_up(never)  # another link of that name
    assert TUNNEL in machine.ip("link")
    record.write(NodeRecord(interface="kilo0", links=(MadeLink(TUNNEL, number),)))
    device.clean_up(never)
    device.clean_up(never)
    device.close()
    assert TUNNEL not in machine.ip("link")


def test_flannels_is_waited_for_and_kept(machine: Namespace, record: NodeRecordFile) -> None:
    device = EncapsulationLink(Compatibility.FLANNEL, record)
    with pytest.raises(NoTunnelError, match=r"no interface flannel\.1: flannel creates it"):
        device.open()
    machine.ip("link", "add", "flannel.1", "type", "vxlan", "id", "1", "dstport", "8472")
    tunnel = device.open()
    assert (tunnel.link.name, tunnel.dressed) == ("flannel.1", False)
    assert not device.dress(tunnel, address=ADDRESS, mtu=1280)
    assert cni_address(read_interfaces(), Compatibility.FLANNEL) is None
    device.clean_up(never)
    device.close()
    assert "flannel.1" in machine.ip("link")


def test_ciliums_is_preferred(machine: Namespace, record: NodeRecordFile) -> None:
    device = EncapsulationLink(Compatibility.CILIUM, record)
    assert device.open().link.name == TUNNEL
    assert cni_address(read_interfaces(), Compatibility.CILIUM) is None
    for name in ("cilium_tunl", "cilium_host"):
        machine.ip("link", "add", "name", name, "type", "veth", "peer", "name", f"{name}2")
    machine.ip("address", "add", "10.0.0.7/32", "dev", "cilium_host")
    machine.ip("address", "add", "fd00::7/128", "dev", "cilium_host")
    tunnel = device.open()
    assert (tunnel.link.name, tunnel.dressed) == ("cilium_tunl", False)
    assert "UP" in machine.ip("link", "show", "cilium_tunl")
    assert cni_address(read_interfaces(), Compatibility.CILIUM) == cidr("10.0.0.7/32")
    machine.ip("address", "add", "192.0.2.7/32", "dev", "cilium_tunl")
    before = machine.ip("address", "show", "cilium_tunl")
    for address in (ADDRESS, cidr("10.42.9.1/32")):
        assert device.dress(tunnel, address=address, mtu=1280)
        assert not device.dress(tunnel, address=address, mtu=1280)
    found = machine.ip("-4", "-o", "address", "show", "dev", "cilium_tunl")
    assert [line.split()[3] for line in found.splitlines()] == ["192.0.2.7/32", "10.42.9.1/32"]
    device.clean_up(never)
    device.close()
    assert machine.ip("address", "show", "cilium_tunl") == before
