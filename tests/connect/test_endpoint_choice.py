"""Choice of a peer's endpoint, by its annotation, sightings and received packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.connect.endpoint_choice import TURN, Dialler
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.sightings import Sightings
from kgctl.wireguard.device import SESSION_SECONDS, DevicePeer, DeviceState
from tests.wireguard.test_device import KEYS

if TYPE_CHECKING:
    from kgctl.mesh.key import PublicKey

KEY = KEYS[0]
UNIX = 1_700_000_000.0
PUBLIC, PRIVATE = "198.51.100.1:51820", "192.168.7.10:51820"
SAID, FALSE, THIRD = "203.0.113.7:4000", "203.0.113.66:51820", "203.0.113.9:1"


def at(text: str) -> Endpoint:
    found = parse_endpoint(text)
    assert found is not None
    return found


class Laptop:
    """A device whose one peer answers only where it ``is``; time goes on by ``round``."""

    def __init__(self, given: str = "") -> None:
        self.dialler = Dialler({KEY: at(given)} if given else {})
        self.now = 0.0
        self.annotated = ""
        self.seen: dict[str, tuple[str, ...]] = {}
        self.at = ""
        self.is_at = ""
        self.handshake = 0.0
        self.received = self.sent = 0

    def says(self, annotated: str, **seen: str) -> None:
        self.annotated = annotated
        self.seen = {}
        for name, text in seen.items():
            self.seen[text] = (*self.seen.get(text, ()), name)

    def sightings(self) -> dict[PublicKey, Sightings]:
        seen = {at(text): names for text, names in self.seen.items()}
        return {KEY: Sightings(at(self.annotated) if self.annotated else None, seen)}

    def event(self) -> str:
        found = self.dialler.choose(self.sightings(), self.now)
        self.at = str(found.get(KEY, ""))
        return self.at

    def round(self, seconds: float = 30.0) -> str:
        self.now += seconds
        self.sent += 148
        if self.at and self.at == self.is_at:
            self.received += 92
            self.handshake = UNIX + self.now
        peer = DevicePeer(
            public_key=KEY,
            endpoint=at(self.at) if self.at else None,
            last_handshake=self.handshake,
            received=self.received,
            sent=self.sent,
        )
        self.dialler.look(
            DeviceState(peers={KEY: peer}),
            self.sightings(),
            self.now,
            UNIX + self.now,
        )
        return self.event()


def test_a_session_that_lives_is_not_moved_by_what_nodes_say() -> None:
    laptop = Laptop()
    laptop.is_at = PUBLIC
    laptop.says(PUBLIC)
    assert laptop.event() == PUBLIC
    laptop.round()
    laptop.says(PUBLIC, evil=FALSE, other=FALSE)
    for _ in range(20):
        assert laptop.event() == PUBLIC
        assert laptop.round() == PUBLIC
    laptop = Laptop()  # nor where the peer is behind NAT
    laptop.is_at = SAID
    laptop.says(PRIVATE, ams=SAID)
    assert laptop.event() == SAID
    laptop.round()
    laptop.says(PRIVATE, a=FALSE, b=FALSE, c=FALSE)
    for _ in range(20):
        assert laptop.event() == SAID
        assert laptop.round() == SAID


def test_a_fresh_join_reaches_a_public_node_at_once_and_others_in_turn() -> None:
    laptop = Laptop()
    laptop.is_at = PUBLIC
    laptop.says(PUBLIC, evil=FALSE)
    assert laptop.event() == PUBLIC
    laptop = Laptop()
    laptop.is_at = SAID
    laptop.says(PRIVATE, aaa=FALSE, ams=SAID, fra=SAID)
    assert laptop.event() == SAID  # which most of them say
    laptop.says(PRIVATE, aaa=FALSE, ams=SAID)
    laptop.is_at = ""
    dialled = [laptop.round() for _ in range(6)]
    assert set(dialled) == {SAID, FALSE, PRIVATE}
    laptop.is_at = PRIVATE  # it is in the same place
    for _ in range(4):
        laptop.round()
    assert [laptop.round() for _ in range(5)] == [PRIVATE] * 5


def test_each_has_its_turn_and_nothing_changes_where_nothing_is_sent() -> None:
    laptop = Laptop()
    laptop.says(PUBLIC, evil=FALSE)
    laptop.event()
    assert laptop.round(TURN / 2) == PUBLIC
    assert laptop.round(TURN / 2) == FALSE
    laptop.sent -= 148 * 2
    assert laptop.round() == FALSE
    laptop.sent += 1000
    assert laptop.round() == PUBLIC


def test_what_a_peer_says_of_itself_is_followed_and_given_up_where_nobody_is() -> None:
    laptop = Laptop()
    laptop.is_at = PUBLIC
    laptop.says(PUBLIC)
    laptop.event()
    laptop.round()
    laptop.says(THIRD)
    assert laptop.event() == THIRD  # at once, as it may have moved
    laptop.is_at = THIRD
    laptop.round()
    laptop.says(FALSE, evil=SAID)  # a hostile node writes the annotation
    assert laptop.event() == FALSE
    assert laptop.round() == THIRD
    assert [laptop.round() for _ in range(5)] == [THIRD] * 5


def test_a_private_endpoint_that_changes_moves_no_session_that_is_elsewhere() -> None:
    laptop = Laptop()
    laptop.is_at = SAID
    laptop.says(PRIVATE, ams=SAID)
    laptop.event()
    laptop.round()
    laptop.says("192.168.7.11:51820", ams=SAID)
    assert laptop.event() == SAID
    laptop.says("", evil=FALSE)
    assert laptop.event() == SAID


def test_a_session_that_ends_is_looked_for_elsewhere() -> None:
    laptop = Laptop()
    laptop.is_at = SAID
    laptop.says(PRIVATE, ams=SAID)
    laptop.event()
    laptop.round()
    laptop.says(PRIVATE, ams=THIRD)
    laptop.is_at = THIRD
    for _ in range(int(SESSION_SECONDS / 30) + 3):
        laptop.round()
    assert laptop.round() == THIRD


def test_what_is_discovered_later_is_tried_at_once() -> None:
    laptop = Laptop()
    laptop.says(PRIVATE)
    assert laptop.event() == PRIVATE
    laptop.says(PRIVATE, ams=SAID)
    assert laptop.event() == SAID
    laptop.says(PRIVATE)
    assert laptop.event() == PRIVATE
    laptop.says("")
    assert laptop.event() == ""


def test_a_session_that_another_kgctl_left_stays_where_it_is() -> None:
    laptop = Laptop(given=SAID)
    laptop.is_at = laptop.at = SAID
    laptop.says(PRIVATE, evil=FALSE)
    assert laptop.round() == SAID
    assert laptop.round() == SAID
    dead = Laptop(given=SAID)
    dead.says(PUBLIC)
    assert dead.round() == PUBLIC


def test_a_renewed_session_counts_from_nothing() -> None:
    laptop = Laptop()
    laptop.is_at = PUBLIC
    laptop.says(PUBLIC)
    laptop.event()
    laptop.round()
    laptop.says(THIRD)
    laptop.is_at = THIRD
    laptop.event()
    laptop.received = laptop.sent = 0
    assert laptop.round() == THIRD
    laptop.says(THIRD, evil=FALSE)
    assert [laptop.round() for _ in range(8)] == [THIRD] * 8
