"""The annotations of a node, in the form of Kilo's agent, and the thread that writes them."""

from __future__ import annotations

import threading
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest

from kgctl.agent.addresses import Chosen
from kgctl.agent.announcement import (
    LAST_SEEN,
    WRITTEN,
    Announcement,
    InForce,
    difference,
    in_force,
    removal,
)
from kgctl.agent.announcer import Announcer
from kgctl.errors import ClusterError
from kgctl.kilo import PREFIX
from kgctl.kube.objects import NodeObject
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.state.objects import node_of
from tests.connect.journals import Lines
from tests.wireguard.test_device import KEYS, cidr

if TYPE_CHECKING:
    from collections.abc import Mapping

CHOSEN = Chosen(IPv4Address("198.51.100.11"), cidr("10.1.0.11/24"), "eth1")
FORCE = InForce(Endpoint(CHOSEN.public, 51820), CHOSEN.private)


def test_it_has_the_references_form() -> None:
    found = {KEYS[1]: Endpoint(IPv4Address("203.0.113.5"), 51821),
             KEYS[0]: Endpoint(IPv6Address("fe80::5%eth0"), 51820)}  # fmt: skip
    announcement = Announcement(FORCE, KEYS[2], "location", cidr("10.4.0.1/16"), found)
    first, second = sorted(map(str, KEYS[:2]))
    texts = {str(KEYS[0]): '{"IP":"fe80::5","Port":51820,"Zone":"eth0"}',
             str(KEYS[1]): '{"IP":"203.0.113.5","Port":51821,"Zone":""}'}  # fmt: skip
    assert announcement.annotations(1234.9) == {
        f"{PREFIX}cni-compatibility-ip": "",
        f"{PREFIX}discovered-endpoints": f'{{"{first}":{texts[first]},"{second}":{texts[second]}}}',
        f"{PREFIX}endpoint": "198.51.100.11:51820",
        f"{PREFIX}granularity": "location",
        f"{PREFIX}internal-ip": "10.1.0.11/24",
        f"{PREFIX}key": str(KEYS[2]),
        f"{PREFIX}last-seen": "1234",
        f"{PREFIX}wireguard-ip": "10.4.0.1/16",
    }


def test_it_is_read_as_it_was_meant() -> None:
    found = {KEYS[1]: Endpoint(IPv4Address("203.0.113.5"), 51821)}
    announcement = Announcement(FORCE, KEYS[2], "full", None, found)
    node = node_of(NodeObject("n", "10.42.0.0/24", {}, announcement.annotations(1000)))
    assert node.is_ready(1001)
    assert (node.endpoint, node.internal_ip) == FORCE
    assert node.discovered_endpoints == found
    assert node.wireguard_ip is None
    assert not node.unreadable
    empty = Announcement(FORCE, KEYS[2], "full").annotations(1)
    assert empty[f"{PREFIX}discovered-endpoints"] == ""
    assert set(removal()) == set(WRITTEN) == set(empty)


@pytest.mark.parametrize(
    ("forced", "endpoint", "internal"),
    [
        ({}, "198.51.100.11:51820", "10.1.0.11/24"),
        # what was detected once is never read back
        ({"endpoint": "192.0.2.7:1", "internal-ip": "10.9.9.9/8"}, "198.51.100.11:51820",
         "10.1.0.11/24"),
        ({"force-endpoint": "gw.example.com:4500"}, "gw.example.com:4500", "10.1.0.11/24"),
        ({"force-endpoint": "nonsense"}, "198.51.100.11:51820", "10.1.0.11/24"),
        ({"force-internal-ip": "10.7.0.1/16"}, "198.51.100.11:51820", "10.7.0.1/16"),
        ({"force-internal-ip": "-"}, "198.51.100.11:51820", None),
        ({"force-internal-ip": ""}, "198.51.100.11:51820", None),
        ({"force-internal-ip": "nonsense"}, "198.51.100.11:51820", "10.1.0.11/24"),
    ],
)  # fmt: skip
def test_what_people_force_comes_first(
    forced: dict[str, str], endpoint: str, internal: str | None
) -> None:
    annotations = {PREFIX + name: value for name, value in forced.items()}
    found = in_force(annotations, CHOSEN, port=51820, prioritise_private=False)
    assert found.endpoint == parse_endpoint(endpoint)
    assert found.internal_ip == (None if internal is None else cidr(internal))


def test_the_private_address_can_come_first() -> None:
    found = in_force({}, CHOSEN, port=51821, prioritise_private=True)
    assert str(found.endpoint) == "10.1.0.11:51821"
    public = Chosen(CHOSEN.public)
    found = in_force({}, public, port=51821, prioritise_private=True)
    assert found == InForce(Endpoint(CHOSEN.public, 51821), None)


# --- the thread ---


class Written:
    """Takes the writes of an announcer; fails as often as it is told."""

    def __init__(self, fails: int = 0) -> None:
        self.changes: list[Mapping[str, str | None]] = []
        self.fails = fails
        self._more = threading.Semaphore(0)

    def write(self, changes: Mapping[str, str | None]) -> None:
        self.changes.append(dict(changes))
        self._more.release()
        if self.fails:
            self.fails -= 1
            raise ClusterError("the API server is away")

    def next(self) -> Mapping[str, str | None]:
        assert self._more.acquire(timeout=60)
        return self.changes[-1]


A, B = f"{PREFIX}endpoint", f"{PREFIX}granularity"


def test_only_what_differs_is_written_and_a_heartbeat_each_time() -> None:
    written, lines = Written(), Lines()
    announcer = Announcer(written.write, lines.journal, lambda: None, clock=lambda: 100.0)
    wanted = {A: "1", B: "full", LAST_SEEN: "7"}
    announcer.want(wanted, {A: "1", LAST_SEEN: "3"})
    assert written.next() == {B: "full", LAST_SEEN: "100"}
    # until the write is seen, nothing is missing; what others undo after that is
    announcer.want(wanted, {A: "1", LAST_SEEN: "3"})
    announcer.want(wanted, {A: "1", B: "full", LAST_SEEN: "100"})
    announcer.want(wanted, {B: "full", LAST_SEEN: "100"})
    assert written.next() == {A: "1", LAST_SEEN: "100"}
    announcer.end()
    assert len(written.changes) == 2
    assert lines.told() == []


def test_a_heartbeat_comes_in_time_and_after_a_failure_sooner() -> None:
    written, lines, failures = Written(fails=1), Lines(), list[int]()
    announcer = Announcer(
        written.write, lines.journal, lambda: failures.append(1), clock=lambda: 5.0, every=0.01
    )
    announcer.want({A: "1", LAST_SEEN: "1"}, {})
    assert written.next() == written.next() == {A: "1", LAST_SEEN: "5"}
    assert written.next() == {LAST_SEEN: "5"}
    announcer.end()
    assert failures == [1]
    (line,) = lines.told()
    assert line["msg"] == "cannot announce this node"


def test_a_heartbeat_alone_is_no_difference() -> None:
    assert difference({A: "1", LAST_SEEN: "2"}, {A: "1", LAST_SEEN: "1"}) == {}
