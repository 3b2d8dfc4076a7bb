"""Whole plans of recorded agents on a machine: set, kept, mended and removed."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import HostError, KgctlError
from kgctl.host.host_routes import HostRoute
from kgctl.host.iptables import Iptables
from kgctl.host.nftables import Nftables
from kgctl.host.node import Installed, NodeNetwork
from kgctl.host.node_record import NodeRecord, NodeRecordFile
from tests.network.inside import PRIVATE, TUNNEL, WIREGUARD, node
from tests.support.recorded_agents import RECORDINGS, cidr, load, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kgctl.host.differences import Difference
    from kgctl.host.firewall import FirewallProgram, FirewallRules, Operation
    from kgctl.mesh.agent_plan import AgentPlan
    from tests.network.namespace import Namespace


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with node() as made:
        yield made


def agent(place: Path, firewall: FirewallProgram | None = None) -> NodeNetwork:
    return NodeNetwork(
        wireguard=WIREGUARD,
        tunnel=TUNNEL,
        private=PRIVATE,
        firewall=firewall or Iptables(),
        record=NodeRecordFile(WIREGUARD, place),
    )


def plans(recording: Path, place: Path, most: int = 3) -> list[AgentPlan]:
    cluster, cases = load(recording)
    manifest = place / "cluster.json"
    manifest.write_text(json.dumps(cluster))
    return [plan_of(manifest, case)[0] for case in cases if "error" not in case][:most]


def send_from(machine: Namespace, plan: AgentPlan) -> None:
    """Give the node the address that its routes send from."""
    for src in {route.src for route in plan.routes if route.src is not None}:
        length = 32 if src.version == 4 else 128
        nodad = ["nodad"] if src.version == 6 else []
        machine.run("ip", "address", "add", f"{src}/{length}", "dev", PRIVATE, *nodad, check=False)


def state(machine: Namespace) -> str:
    texts = [machine.ip(f"-{version}", "rule") for version in (4, 6)]
    texts += [machine.ip(f"-{version}", "route", "show", "table", "all") for version in (4, 6)]
    texts += [machine.run(f"{name}-save").stdout for name in ("iptables", "ip6tables")]
    texts.append(machine.run("nft", "list", "table", "inet", "kgctl", check=False).stdout)
    lines = [line.strip() for text in texts for line in text.splitlines()]
    lines = [line for line in lines if not line.startswith(("#", ":INPUT", ":OUTPUT"))]
    # an address of the test's own is no matter of the agent's
    return "\n".join(line for line in lines if "table local" not in line and "fe80" not in line)


def never(what: str, error: KgctlError) -> None:
    raise AssertionError(f"{what}: {error}")


@pytest.mark.parametrize("recording", RECORDINGS[2::4], ids=lambda path: path.stem)
@pytest.mark.parametrize("program", [Iptables, Nftables])
def test_what_is_planned_is_set_and_removed(
    machine: Namespace, recording: Path, program: type[FirewallProgram], tmp_path: Path
) -> None:
    wanted = plans(recording, tmp_path)
    for plan in wanted:
        send_from(machine, plan)
    for name in ("iptables", "ip6tables"):
        machine.run(name, "-t", "nat", "-A", "POSTROUTING", "-j", "ACCEPT")
        machine.run(name, "-A", "FORWARD", "-j", "DROP")
    machine.ip("route", "add", "192.0.2.0/24", "dev", PRIVATE, "proto", "static")
    before = state(machine)
    first = agent(tmp_path, program())
    for plan in wanted:
        done = first.apply(plan, whole=False)
        assert done.failures == []
        assert {one.reason for one in done.refused} <= TUNNEL_REASONS
        assert first.apply(plan, whole=True) == Installed(
            refused=done.refused, refused_rules=done.refused_rules
        )
    plan = wanted[-1]
    first.close()  # as after kill -9
    second = agent(tmp_path, program())
    done = second.apply(plan, whole=False)
    assert done == Installed(
        firewall_written=program is Nftables, refused=done.refused, refused_rules=done.refused_rules
    )
    second.clean_up(never)
    second.close()
    assert state(machine) == before
    assert NodeRecordFile(WIREGUARD, tmp_path).read() == NodeRecord(interface=WIREGUARD)


def refusing(done: Installed, *, written: bool = False) -> Installed:
    """A round that changes nothing, and reports the same again."""
    return Installed(
        refused=done.refused, refused_rules=done.refused_rules, firewall_written=written
    )


TUNNEL_REASONS = {
    # IPv6 takes no gateway that counts as on the link, and has a route by another interface
    "Invalid argument (Nexthop has invalid gateway or device mismatch)",
    "Invalid argument (Gateway can not be a local address)",
    "the network has another route there already",
}


def follower(tmp_path: Path) -> AgentPlan:
    """A plan with routes on the private interface."""
    for recording in RECORDINGS:
        for plan in plans(recording, tmp_path, most=20):
            if not plan.leads and plan.routes and not plan.rules:
                return plan
    raise AssertionError


def test_routes_of_a_killed_agent_are_swept(machine: Namespace, tmp_path: Path) -> None:
    plan = follower(tmp_path)
    send_from(machine, plan)
    machine.ip("route", "add", "192.0.2.0/24", "dev", PRIVATE, "proto", "static")
    machine.ip("route", "add", "192.0.3.0/24", "via", "198.51.100.9", "dev", PRIVATE, "onlink")
    onlink = ("via", "198.51.100.9", "dev", PRIVATE, "onlink", "proto", "static")
    machine.ip("route", "add", "192.0.4.0/24", *onlink)  # as the agent's, and not recorded
    before = machine.ip("route")
    killed = agent(tmp_path)
    set_routes = killed.apply(plan, whole=True).routes_added
    assert set_routes
    killed.close()
    successor = agent(tmp_path)
    done = successor.apply(plan._replace(routes=()), whole=False)
    assert done.routes_removed == set_routes
    successor.close()
    assert machine.ip("route") == before


class Broken:
    """A firewall program that fails."""

    operations: Mapping[Operation, int] = {}

    def apply(self, rules: FirewallRules, *, whole: bool = True) -> bool:
        raise HostError(f"nft failed: {len(rules.first)} {whole}")

    def differences(self, rules: FirewallRules) -> list[Difference]:
        raise HostError("it is broken")

    def clean_up(self) -> None:
        raise HostError("nft is not installed: install the package nftables")


def test_a_failed_part_stops_no_other(machine: Namespace, tmp_path: Path) -> None:
    plan = follower(tmp_path)
    send_from(machine, plan)
    record = NodeRecordFile(WIREGUARD, tmp_path)
    network = NodeNetwork(
        wireguard=WIREGUARD, tunnel=None, private=None, firewall=Broken(), record=record
    )
    done = network.apply(plan, whole=True)
    assert [str(one)[:10] for one in done.failures] == ["nft failed"]
    assert {one.reason for one in done.refused} <= {
        "this node has no private interface",
        "this node has no interface for encapsulation",
    }
    assert len(network.ports) == 2
    assert not done.changed
    network.close()
    other = agent(tmp_path, Broken())
    assert other.apply(plan, whole=True).changed
    failed: list[str] = []
    other.clean_up(lambda what, error: failed.append(f"{what}: {error}"))
    assert failed == [
        "remove the firewall rules: nft is not installed: install the package nftables"
    ]
    other.close()


def test_the_record_is_written_before_the_routes(machine: Namespace, tmp_path: Path) -> None:
    plan = follower(tmp_path)
    send_from(machine, plan)

    class Watching(Broken):
        def apply(self, rules: FirewallRules, *, whole: bool = True) -> bool:
            return False

    network = agent(tmp_path, Watching())
    known = HostRoute(cidr("192.0.2.0/24"), PRIVATE, ip_address("198.51.100.9"))
    file = NodeRecordFile(WIREGUARD, tmp_path)
    file.write(NodeRecord(interface=WIREGUARD, pid=7, routes=(known,)))
    network.apply(plan, whole=True)
    record = file.read()
    assert record.pid == 7
    assert known not in record.routes  # it is not there any more
    assert record.routes
    network.close()
    assert machine
