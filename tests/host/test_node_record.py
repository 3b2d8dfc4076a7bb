"""The record of an agent, and the kernel parameters that it changes."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import BusyError
from kgctl.host.host_routes import HostRoute
from kgctl.host.node_record import (
    ChangedSysctl,
    GivenAddress,
    MadeLink,
    NodeRecord,
    NodeRecordFile,
    dump,
    parse,
)
from kgctl.host.record import (
    Record,
    RecordFile,
    Since,
    is_locked,
    recorded_agents,
    recorded_interfaces,
)
from kgctl.host.sysctls import SysctlProblem, Sysctls
from tests.support.recorded_agents import cidr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RECORD = NodeRecord(
    interface="kilo0",
    pid=42,
    links=(MadeLink("kilo0", 7), MadeLink("tunl0")),
    addresses=(GivenAddress("tunl0", cidr("10.42.0.1/32")),),
    routes=(
        HostRoute(cidr("10.42.1.0/24"), "eth0", ip_address("10.1.0.12")),
        HostRoute(cidr("fd42::/64"), "eth0", ip_address("fd01::12"), ip_address("fd01::11"), 1107),
    ),
    sysctls=(ChangedSysctl("net.ipv4.ip_forward", "0", "1"),),
)


def test_a_record_is_what_was_written(tmp_path: Path) -> None:
    file = NodeRecordFile("kilo0", tmp_path)
    assert file.read() == NodeRecord(interface="kilo0")
    file.write(RECORD)
    assert file.read() == RECORD
    assert NodeRecordFile("kilo1", tmp_path).read().links == ()
    assert recorded_interfaces(tmp_path) == []  # of connect
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    written = path.stat().st_ino
    file.write(RECORD)
    assert path.stat().st_ino == written  # the same is not written again
    file.remove()
    assert file.read() == NodeRecord(interface="kilo0")


GOOD = dump(RECORD).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "1",
        GOOD.replace("42", '"42"', 1),
        GOOD.replace("10.42.1.0/24", "10.42.1.0"),
        GOOD.replace("10.42.0.1/32", "none"),
        GOOD.replace('["tunl0", 0]', '["tunl0"]'),
        GOOD.replace('"0", "1"', '"0", 1'),
        GOOD.replace("1107", "null"),
    ],
)
def test_an_invalid_record_counts_as_none(text: str) -> None:
    assert parse(text.encode()) is None


def test_agent_and_connect_exclude_each_other(tmp_path: Path) -> None:
    agent, connect = NodeRecordFile("kilo0", tmp_path), RecordFile("kilo0", tmp_path)
    agent.lock()
    connect.write(Record(interface="kilo0", pid=2**31))  # which ended long ago
    agent.write(NodeRecord(interface="kilo0", pid=1))
    with pytest.raises(BusyError, match=r"another kgctl agent \(process 1\) uses the interface"):
        connect.lock()
    agent.unlock()
    connect.lock()
    connect.unlock()


def tree(root: Path, values: dict[str, str]) -> Sysctls:
    for name, value in values.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return Sysctls(root)


def test_only_what_a_node_needs_changes(tmp_path: Path) -> None:
    values = {
        "net/ipv4/ip_forward": "0",
        "net/ipv6/conf/all/forwarding": "0",
        "net/ipv4/conf/all/rp_filter": "1",
        "net/ipv4/conf/kilo0/rp_filter": "0",
        "net/ipv4/conf/tunl.0/rp_filter": "2",
    }
    sysctls = tree(tmp_path, values)
    devices = ["kilo0", "tunl.0", "gone0"]
    wanted = sysctls.wanted(devices, ipv6=False)
    assert wanted == {"net.ipv4.ip_forward": "1", "net.ipv4.conf.kilo0.rp_filter": "2"}
    assert "net.ipv6.conf.all.forwarding" in sysctls.wanted(devices, ipv6=True)
    recorded: list[ChangedSysctl] = []

    def record(changes: Sequence[ChangedSysctl]) -> None:
        assert sysctls.read("net.ipv4.ip_forward") == "0"
        recorded.extend(changes)

    result = sysctls.set(wanted, record)
    assert list(result.changed) == recorded
    assert not result.problems
    assert sysctls.wanted(devices, ipv6=False) == {}
    (tmp_path / "net/ipv4/ip_forward").write_text("1\n")
    (tmp_path / "net/ipv4/conf/kilo0/rp_filter").write_text("0\n")  # by somebody else
    assert sysctls.restore(result.changed) == []
    assert sysctls.read("net.ipv4.ip_forward") == "0"
    assert sysctls.read("net.ipv4.conf.kilo0.rp_filter") == "0"


def test_what_cannot_be_set_is_a_finding(tmp_path: Path) -> None:
    sysctls = tree(tmp_path, {"net/ipv4/ip_forward/x": "0"})  # a directory
    (problem,) = sysctls.set({"net.ipv6.conf.all.forwarding": "1"}).problems
    assert str(problem) == (
        "cannot set the kernel parameter net.ipv6.conf.all.forwarding to 1: this kernel does not "
        "have it; it is unknown: set it on the host"
    )
    problem = SysctlProblem("net.ipv4.ip_forward", "0", "1", "Read-only file system")
    assert "to 1: Read-only file system; it is 0: set it" in str(problem)


@pytest.mark.parametrize("name", ["net..x", "", "net.//.x"])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError):
        Sysctls(tmp_path).read(name)


def test_a_start_claims_what_is_left_and_an_end_releases_it(tmp_path: Path) -> None:
    first, second = (NodeRecordFile("kilo0", tmp_path) for _ in range(2))
    assert first.claim() == NodeRecord(interface="kilo0")
    with pytest.raises(BusyError, match=rf"kgctl agent \(process {os.getpid()}\)"):
        second.claim()
    first.write(RECORD)
    first.release()
    left = second.claim()
    assert left == replace(RECORD, pid=0)
    second.write(NodeRecord(interface="kilo0"))
    second.release()
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_settings_stay_after_a_kill_and_go_after_an_end(tmp_path: Path) -> None:
    file = NodeRecordFile("kilo0", tmp_path)
    assert is_locked("kilo0", tmp_path) is False
    file.claim({"hostname": "a-1"})
    assert is_locked("kilo0", tmp_path) is True
    assert recorded_agents(tmp_path) == ["kilo0"]
    file.unlock()  # as the kernel does
    assert is_locked("kilo0", tmp_path) is False
    assert file.read().settings == {"hostname": "a-1"}
    file.claim({"hostname": "a-2"})
    file.release(keep_settings=True)
    assert (file.read().settings, file.read().pid) == ({"hostname": "a-2"}, 0)
    file.claim({"hostname": "a-3"})
    file.release()
    assert recorded_agents(tmp_path) == []


def test_states_last_since_they_were_first_seen() -> None:
    times = iter((10.9, 20.0, 30.0, 40.0))
    since = Since({"old": 5, "over": 6}, lambda: next(times))
    assert since.times(["old", "new"]) == {"old": 5, "new": 10}
    assert since.times(["new"]) == {"new": 10}
    assert since.times(["new", "old"]) == {"new": 10, "old": 30}
    assert since.times([]) == {}
