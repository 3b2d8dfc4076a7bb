"""``kgctl check --node-agent``: what was seen of an agent, from recorded states of a machine."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

import pytest

from kgctl.agent.inspection import Inspection
from kgctl.agent.recorded import Access, Recorded
from kgctl.cli.commands.check_node import node_agent
from kgctl.cli.commands.drift_node import inspection_lines
from kgctl.cli.commands.own_agent import Compared, OwnAgent
from kgctl.connect.rounds import known_refusals
from kgctl.diagnosis.node_agent import Kind, Lasting, Parameter
from kgctl.host.differences import Difference, Part
from kgctl.host.record import KnownPeer, KnownProblem, KnownRefusal, Record
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PublicKey
from kgctl.wireguard.drift import Drift
from kgctl.wireguard.drift import Kind as DriftKind
from tests.agent.machine import TIME, Machine, own_node, the_node
from tests.support.several import key, objects_of, peer

if TYPE_CHECKING:
    from kgctl.agent.rounds import Decided
    from kgctl.host.node_record import NodeRecordFile

FRA = the_node(2, "fra")
LAPTOP = peer("laptop", "10.5.0.1/32")
HOSTILE = "x\n\x1b[2J"


def public(name: str) -> PublicKey:
    found = PublicKey.parse(key(name))
    assert found is not None
    return found


DIFFERENCES = (
    Difference(Part.ROUTE, "10.42.2.0/24 dev kilo0", None),
    Difference(Part.RULE, None, "to 10.0.0.0/8 lookup 1107"),
    Difference(Part.FIREWALL, None, HOSTILE, "IPv4 nat KILO-NAT"),
    Difference(Part.MTU, "1420", "1300", "kilo0"),
    Difference(Part.STATE, "up", "down", "kilo0"),
    Difference(Part.PARAMETER, "1", "0", "net.ipv4.ip_forward"),
)
DRIFTS = (
    Drift(DriftKind.ALLOWED_IPS, public("fra-2"), "10.42.2.0/24", "none"),
    Drift(DriftKind.HANDSHAKE, public("fra-2"), "within 180s", "never"),
    Drift(DriftKind.ROAMED, public("fra-2"), "203.0.113.2:1", "203.0.113.2:2"),
)


def compared(**values: object) -> Compared:
    """Return what a machine was compared to, whose agent had run a round; its Node is announced."""
    machine = Machine()
    assert machine.round(own_node(), FRA, LAPTOP)
    decided = cast("Decided", machine.rounds.decided)
    found = Inspection(
        decided, names=machine.rounds.peer_names, device=machine.link.state, wanted_peers=2
    )
    agent = OwnAgent(cast("NodeRecordFile", None), Recorded(machine.settings, Access()))
    node = own_node(key=key("own"), last_seen=str(int(TIME) - 7))
    return Compared(agent, objects_of([node, FRA, LAPTOP]), found._replace(**values))  # type: ignore[arg-type]


def test_differences_are_sorted_by_kind_without_what_other_rules_say() -> None:
    found = node_agent(compared(differences=DIFFERENCES, drifts=DRIFTS), None, True, TIME)
    assert found.differences == {
        Kind.DEVICE: ["node fra-2: allowed IPs lack 10.42.2.0/24"],
        Kind.INTERFACE: ["kilo0: MTU 1300, should be 1420", "kilo0: down, should be up"],
        Kind.ROUTE: ["- route 10.42.2.0/24 dev kilo0: missing"],
        Kind.RULE: ["+ policy rule to 10.0.0.0/8 lookup 1107: unexpected"],
        Kind.FIREWALL: [r"+ IPv4 nat KILO-NAT: x\n\x1b[2J: unexpected"],
    }
    assert found.parameters == (Parameter("net.ipv4.ip_forward", "0", "1"),)
    assert (found.node, found.announced, found.heartbeat) == ("ams-1", True, 7.0)


def test_a_peer_without_a_session_has_the_reasons() -> None:
    found = node_agent(compared(), None, True, TIME)
    assert [(one.name, one.last) for one in found.silent] == [
        ("fra-2", "never"), ("laptop", "never"),
    ]  # fmt: skip
    reasons = {one.name: one.reasons for one in found.silent}
    assert reasons["laptop"][0] == "it has no endpoint: it must connect first"
    unresolved = KnownPeer(name="laptop", wanted_endpoint="a.example:1", problem="no such name")
    one = compared()
    (text,) = (text for text, name in one.inspection.names.items() if name == "laptop")
    record = Record(interface="kilo0", node="ams-1", peers={text: unresolved})
    reasons = {one.name: one.reasons for one in node_agent(one, record, True, TIME).silent}
    assert reasons["laptop"][0] == "its endpoint a.example:1 cannot be resolved: no such name"


def test_what_lasts_comes_from_the_record_of_an_agent_that_runs() -> None:
    machine = Machine()
    machine.round(own_node(), FRA, peer("bad", "203.0.113.0/24"))
    (refused,) = known_refusals(machine.rounds.refused)
    record = Record(
        interface="kilo0",
        node="ams-1",
        started=5,
        problems=(KnownProblem(message="no room", since=6),),
        refusals=(
            KnownRefusal(message=refused.message, since=7),
            KnownRefusal(message="over", since=8),
        ),
    )
    one = compared(problems=("no room", "new"), refused=machine.rounds.refused)
    found = node_agent(one, record, True, TIME)
    assert found.failing == (Lasting("no room", 6), Lasting("new"))
    assert (found.refused, found.started) == ((Lasting(refused.message, 7),), 5)
    assert node_agent(compared(), record, False, TIME).failing == ()  # it tries no more


@pytest.mark.parametrize("name", ["ams-1", "gone"])
def test_a_node_without_annotations_is_not_announced(name: str) -> None:
    one = compared()
    bare = own_node()
    bare["metadata"]["name"] = name
    found = node_agent(one._replace(objects=objects_of([bare])), None, False, TIME)
    assert (found.announced, found.heartbeat) == (False, None)


def test_an_endpoint_in_the_tunnel_is_one_line_of_drift() -> None:
    inside = {public("fra-2"): Endpoint(ip_address("10.42.2.9"), 51820)}
    one = compared(inside=inside)
    (line,) = inspection_lines(one.inspection, one.state())
    assert (line.kind, line.who, line.found) == ("endpoint", "node fra-2", "10.42.2.9:51820")
    assert node_agent(one, None, True, TIME).inside == {"fra-2": "10.42.2.9:51820"}
    dialled = (Drift(DriftKind.ENDPOINT, public("fra-2"), "none", "10.42.2.9:51820"),)
    assert len(inspection_lines(one.inspection._replace(drifts=dialled), one.state())) == 1
