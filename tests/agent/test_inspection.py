"""What an agent would change on a machine in memory, and the settings that its record keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.agent.inspection import Inspection, inspection_of, without_handshakes
from kgctl.agent.interface import Firewall, Settings
from kgctl.agent.recorded import Access, Recorded, from_record, to_record
from kgctl.errors import HostError
from kgctl.host.differences import Difference, Part
from kgctl.host.record import KnownProblem, KnownRefusal, Record
from kgctl.mesh.agent_plan import AgentOptions, Compatibility, Encapsulation
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.policy import Limits
from kgctl.wireguard.device import DeviceState
from kgctl.wireguard.drift import Kind
from tests.agent.machine import KEY, TIME, Link, Machine, own_node, the_node
from tests.support.several import key, peer
from tests.wireguard.test_device import cidr

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.wireguard.device import DeviceChange

FRA = the_node(2, "fra")
ROUTE = Difference(Part.ROUTE, "10.42.2.0/24", None)


class Looking(Link):
    """An ``InspectedLink`` of a machine in memory."""

    name = "kilo0"
    exists = True

    def __init__(self, state: DeviceState) -> None:
        super().__init__()
        self.state = state
        self.differences: dict[Part, Difference] = {}

    @property
    def device(self) -> Looking:
        return self

    def apply(self, change: DeviceChange) -> None: ...


class Network:
    differences = (ROUTE,)
    failures = (HostError("iptables is not installed"),)


def inspected(change: Callable[[DeviceState], DeviceState], *objects: dict[str, Any]) -> Inspection:
    """Return the inspection of a machine whose device was set by an agent, and changed then."""
    agent = Machine()
    assert agent.round(*objects)
    link = Looking(change(agent.link.state))
    looking = Machine(link=link)
    for _ in range(2):
        looking.round(*objects, whole=True)
    return inspection_of(looking.rounds, link, Network(), KEY, TIME)  # type: ignore[arg-type]


def with_peer(state: DeviceState, name: str, **values: object) -> DeviceState:
    found = PublicKey.parse(key(name))
    assert found is not None
    changed = replace(state.peers[found], **values)  # type: ignore[arg-type]
    return replace(state, peers={**state.peers, found: changed})


LAPTOP = peer("laptop", "10.5.0.1/32")


def test_a_machine_as_its_agent_left_it_has_no_differences() -> None:
    found = inspected(lambda state: state, own_node(), FRA, LAPTOP)
    assert found.drifts == ()
    assert found.differences == (ROUTE,)
    assert (found.wanted_peers, found.problems) == (2, ())
    assert found.unread == ("iptables is not installed",)
    assert found.names[key("fra-2")] == "fra-2"


def test_each_change_of_the_device_is_a_difference() -> None:
    def change(state: DeviceState) -> DeviceState:
        state = with_peer(state, "fra-2", allowed_ips=frozenset({cidr("10.97.0.0/16")}))
        return replace(state, listen_port=1)

    found = inspected(change, own_node(), FRA, LAPTOP)
    assert [one.kind for one in found.drifts] == [Kind.PORT, Kind.ALLOWED_IPS]
    assert without_handshakes(found.drifts) == list(found.drifts)
    found = inspected(lambda _: DeviceState(), own_node(), FRA)
    assert [one.kind for one in found.drifts] == [Kind.KEY, Kind.PORT, Kind.MISSING]


def test_the_peers_of_a_node_that_does_not_lead_are_unexpected() -> None:
    leader = the_node(3, "ams", leader="true", internal_ip="10.1.0.13/24")
    peers = inspected(lambda state: state, own_node(), FRA).device
    assert peers is not None
    found = inspected(lambda _: peers, own_node(), FRA, leader)
    assert [one.kind for one in found.drifts] == [Kind.EXTRA]
    assert found.wanted_peers == 0


def test_an_endpoint_in_the_tunnel_is_found() -> None:
    inside = Endpoint(ip_address("10.42.2.9"), 51820)
    found = inspected(lambda state: with_peer(state, "fra-2", endpoint=inside), own_node(), FRA)
    assert list(found.inside.values()) == [inside]


def test_a_node_that_takes_no_part_has_the_reason() -> None:
    link = Looking(DeviceState())
    looking = Machine(link=link)
    looking.round(FRA)
    found = inspection_of(looking.rounds, link, Network(), KEY, TIME)  # type: ignore[arg-type]
    assert found == Inspection(None, ('there is no Node "ams-1": waiting for it',))


SETTINGS = Settings(
    hostname="ams-1",
    granularity="full",
    topology_label="label",
    port=51821,
    subnet=cidr("10.4.0.0/16"),
    interface="kilo7",
    plan=AgentOptions(
        Encapsulation.CROSS_SUBNET,
        Compatibility.CILIUM,
        local=False,
        cni=False,
        forward_rules=True,
        service_cidrs=(cidr("10.43.0.0/16"),),
    ),
    mtu=1400,
    internal_cidrs=(cidr("10.1.0.0/16"),),
    prioritise_private=True,
    cni_file=None,
    key_file=Path("/key"),
    firewall=Firewall.NFTABLES,
    limits=Limits((cidr("10.0.0.0/8"),), (cidr("10.9.0.0/16"),), {"*": (cidr("1.2.3.0/24"),)}),
)


def test_settings_come_back_from_a_record() -> None:
    access = Access("/etc/kubeconfig", None, "https://127.0.0.1")
    for settings in (SETTINGS, replace(SETTINGS, mtu=None, limits=Limits())):
        written = json.loads(json.dumps(to_record(settings, access)))
        assert from_record(written) == Recorded(settings, access)


@pytest.mark.parametrize("name", to_record(SETTINGS))
@pytest.mark.parametrize("value", [None, 7.5, ["x"], {"x": 1}])
def test_a_record_of_other_types_has_no_settings(name: str, value: object) -> None:
    written = {**to_record(SETTINGS), name: value}
    found = from_record(written)
    assert found is None or (name, value) == ("mtu", None)
    assert from_record({}) is None


class Records(list[Record]):
    """Keeps what was recorded."""

    def __call__(self, record: Record) -> None:
        self.append(record)


def test_a_record_has_since_when_a_problem_and_a_refusal_last() -> None:
    """An agent that was killed began what its successor finds still there."""
    kept = KnownRefusal(message="unknown", since=3)
    text = "there is no room"
    earlier = Record(
        interface="kilo0",
        node="ams-1",
        problems=(KnownProblem(message=text, since=5),),
        refusals=(kept,),
    )
    for record, since in ((earlier, 5), (None, int(TIME)), (replace(earlier, node="x"), int(TIME))):
        records = Records()
        machine = Machine(earlier=record, record=records)
        machine.installed.errors = [HostError(text)]
        bad = peer("bad", "203.0.113.0/24")
        assert not machine.round(own_node(), FRA, bad)
        (problem,) = records[-1].problems
        assert (problem.message, problem.since) == (text, since)
        assert [one.since for one in records[-1].refusals] == [int(TIME)]
        assert (records[-1].node, records[-1].started) == ("ams-1", int(TIME))
        machine.round(own_node(), FRA, bad)
        assert records[-1].problems == ()


def test_why_a_node_takes_no_part_is_recorded_once() -> None:
    records = Records()
    machine = Machine(record=records)
    machine.round(FRA)
    machine.round(FRA)
    ((problem,),) = [one.problems for one in records]
    assert problem.message == 'there is no Node "ams-1": waiting for it'
    machine.round(own_node(), FRA)
    assert records[-1].problems == ()
