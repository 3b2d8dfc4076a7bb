"""Records, locks, names, privileges and routes, without a network."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import BusyError, HostError, PrivilegeError
from kgctl.host import names as resolver
from kgctl.host.links import RouteChange
from kgctl.host.names import AT_ONCE, Names
from kgctl.host.privileges import has_net_admin, require_linux, require_net_admin
from kgctl.host.record import KnownPeer, Record, RecordFile, recorded_interfaces
from kgctl.host.routes import route_change
from kgctl.host.tunnel import freed_port
from kgctl.mesh.cidr import parse_address
from kgctl.mesh.routes import Route
from kgctl.wireguard.device import DeviceChange, DeviceState
from tests.wireguard.test_device import NETWORKS

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.mesh.cidr import Address

GATEWAYS = [None, parse_address("10.4.0.1"), parse_address("10.4.0.2")]
ROUTES = st.dictionaries(st.sampled_from(NETWORKS), st.sampled_from(GATEWAYS)).map(
    lambda found: {Route(network, gateway) for network, gateway in found.items()}
)


@given(ROUTES, ROUTES)
def test_routes_differ_by_no_more_than_they_differ(present: set[Route], wanted: set[Route]) -> None:
    change = route_change(present, wanted)
    replaced = {route.destination for route in change.replace}
    kept = {route for route in present if route.destination not in replaced}
    assert (kept - set(change.remove)) | set(change.add) | set(change.replace) == wanted
    assert len(change) <= len(present ^ wanted)
    assert bool(change) == (present != wanted)
    assert not RouteChange()


def test_a_record_is_kept_and_without_secrets(tmp_path: Path) -> None:
    file = RecordFile("kilo0", tmp_path)
    assert file.read() is None
    record = Record(
        interface="kilo0",
        made_link=True,
        link_index=7,
        addresses=("10.5.0.1/32",),
        peer="laptop",
        peers={"key": KnownPeer(name="ams-1", endpoint="192.0.2.1:1")},
    )
    file.write(record)
    assert file.read() == record
    assert recorded_interfaces(tmp_path) == ["kilo0"]
    (path,) = tmp_path.glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    file.remove()
    file.remove()
    assert recorded_interfaces(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"interface": 1, "peers": {"a": 1}}', "1"])
def test_a_record_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    file = RecordFile("kilo0", tmp_path)
    file.write(Record(interface="kilo0"))
    (path,) = tmp_path.glob("*.json")
    path.write_text(text)
    assert file.read() is None


def test_one_holds_the_lock(tmp_path: Path) -> None:
    first, second, other = (RecordFile(name, tmp_path) for name in ("a", "a", "b"))
    first.lock()
    first.write(Record(interface="a", pid=42))
    other.lock()
    with pytest.raises(BusyError, match=r"\(process 42\) uses the interface a"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()
    other.unlock()


def test_another_system_is_told_what_to_do() -> None:
    require_linux("linux")
    with pytest.raises(HostError, match="showconf peer NAME -o wg-quick"):
        require_linux("darwin")


def test_privileges_are_read_from_the_kernel(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tkgctl\nCapEff:\t0000000000001000\n")
    assert has_net_admin(status)
    require_net_admin(status)
    status.write_text("Name:\tkgctl\nCapEff:\t000001ffffffefff\n")
    with pytest.raises(PrivilegeError, match="only the capability CAP_NET_ADMIN"):
        require_net_admin(status)


class Dns:
    """A DNS in memory: addresses, or an error, by name."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.asked = 0

    def __call__(self, name: str) -> list[Address]:
        self.asked += 1
        if name not in self.names:
            raise OSError(-2, "Name or service not known")
        return [address for text in self.names[name] if (address := parse_address(text))]


def test_a_name_is_looked_up_aside_and_tells_when_it_moves() -> None:
    dns, changed = Dns(), threading.Event()
    dns.names["a.example"] = ["192.0.2.1", "192.0.2.2"]
    names = Names(changed.set, dns)
    assert names.address("a.example") is None  # nobody waits for it
    assert names.settle(5)
    assert changed.wait(60)
    assert names.address("a.example") == parse_address("192.0.2.1")
    changed.clear()
    names.refresh("a.example")
    assert names.settle(5)
    assert not changed.is_set()  # the same as before is no news
    del dns.names["a.example"]
    names.refresh("a.example")
    assert changed.wait(60)  # who shows why must learn of it
    assert names.problems_changed == 1
    assert names.problem("a.example") == "Name or service not known"
    assert names.address("a.example") == parse_address("192.0.2.1")  # better than none
    changed.clear()
    names.refresh("a.example")
    assert names.settle(5)
    assert not changed.is_set()
    assert names.problems_changed == 1
    dns.names["a.example"] = ["192.0.2.9"]
    names.refresh("a.example")
    assert changed.wait(60)
    assert names.address("a.example") == parse_address("192.0.2.9")
    assert names.problem("a.example") == ""
    assert names.problems_changed == 2


def test_a_name_without_an_address_is_not_asked_for_again_and_again() -> None:
    dns = Dns()
    names = Names(lambda: None, dns)
    for _ in range(5):
        assert names.address("gone.example") is None
        assert names.settle(5)
    assert dns.asked == 1


class SlowDns(Dns):
    """A DNS that keeps whoever asks for some names waiting, until it is let go."""

    def __init__(self, *slow: str) -> None:
        super().__init__()
        self.slow = set(slow)
        self.go = threading.Event()
        self.order: list[str] = []

    def __call__(self, name: str) -> list[Address]:
        self.order.append(name)
        if name in self.slow:
            self.go.wait(60)
        return super().__call__(name)


def test_a_slow_name_delays_no_other_and_own_names_come_through() -> None:
    slow = [f"slow-{number}.example" for number in range(AT_ONCE + 3)]
    dns = SlowDns(*slow)
    dns.names |= {"a.example": ["192.0.2.1"], "api.example": ["192.0.2.2"]}
    news = threading.Semaphore(0)
    names = Names(lambda: news.release(), dns)
    names.keep_first("api.example")
    names.refresh(slow[0])
    names.refresh("a.example")
    assert news.acquire(timeout=60)
    assert names.address("a.example") == parse_address("192.0.2.1")
    for name in slow:
        names.refresh(name)
    names.refresh("api.example")  # while all that may be asked at once wait
    assert news.acquire(timeout=60)
    assert names.address("api.example") == parse_address("192.0.2.2")
    assert len([name for name in dns.order if name in slow]) == AT_ONCE
    assert not names.settle(0)
    dns.go.set()
    assert names.settle(60)


def test_names_that_nobody_needs_any_more_are_forgotten() -> None:
    slow = [f"slow-{number}.example" for number in range(AT_ONCE)]
    dns = SlowDns(*slow)
    dns.names |= {name: ["192.0.2.1"] for name in (*slow, "late.example", "api.example")}
    names = Names(lambda: None, dns)
    names.keep_first("api.example")
    names.refresh("api.example")
    for name in (*slow, "late.example"):
        names.refresh(name)
    names.retain([slow[0]])
    dns.go.set()
    assert names.settle(60)
    assert "late.example" not in dns.order  # it waited in vain
    assert names.address(slow[0]) == parse_address("192.0.2.1")
    asked = len(dns.order)
    assert names.address("api.example") is not None
    assert len(dns.order) == asked
    assert names.address(slow[1]) is None  # what was answered for it counts no more
    assert names.settle(60)
    assert names.address(slow[1]) == parse_address("192.0.2.1")


def test_a_look_up_that_fails_in_any_way_ends_no_thread() -> None:
    def broken(name: str) -> list[Address]:
        if name == "bad.example":
            raise RuntimeError("out of luck")
        return [address for text in ("192.0.2.1",) if (address := parse_address(text))]

    names = Names(lambda: None, broken)
    for name in ("bad.example", "good.example"):
        names.refresh(name)
        assert names.settle(60)
    assert names.problem("bad.example") == "out of luck"
    assert names.address("good.example") == parse_address("192.0.2.1")


def test_resolvectl_is_told_what_to_ask_where() -> None:
    server = parse_address("10.43.0.10")
    assert server is not None
    assert resolver.commands("kilo0", [], []) == []
    assert resolver.commands("kilo0", [server], []) == [
        ["resolvectl", "dns", "kilo0", "10.43.0.10"],
        ["resolvectl", "domain", "kilo0", "~."],
    ]
    assert resolver.commands("kilo0", [server], ["~cluster.local"])[1] == [
        "resolvectl",
        "domain",
        "kilo0",
        "~cluster.local",
    ]


def test_a_command_that_fails_says_so() -> None:
    with pytest.raises(HostError, match="failed: 1"):
        resolver.run(["false"])


def test_without_resolvectl_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="need resolvectl of systemd-resolved"):
        resolver.require(str(tmp_path))
    program = tmp_path / "resolvectl"
    program.touch(mode=0o755)
    resolver.require(str(tmp_path))


@pytest.mark.parametrize(
    ("present", "before", "up", "port"),
    [
        (51820, 0, False, 0),  # it was down, and never had one
        (0, 0, False, None),
        (51820, 0, True, None),  # the kernel would choose one at once
        (51820, 1234, False, None),  # device_change restores it
    ],
)
def test_a_device_without_a_port_has_none_again(
    present: int, before: int, up: bool, port: int | None
) -> None:
    states = (DeviceState(listen_port=present), DeviceState(listen_port=before))
    assert freed_port(*states, up=up) == DeviceChange(listen_port=port)
