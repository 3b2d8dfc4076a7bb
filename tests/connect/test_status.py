"""Reasons why a peer may not be connected."""

from __future__ import annotations

import pytest

from kgctl.connect.status import PeerStatus, peer_statuses
from kgctl.host.record import KnownPeer
from kgctl.mesh.cidr import Address, parse_address
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.wireguard.device import DevicePeer, DeviceState
from tests.wireguard.test_device import KEYS

NOW = 1_000_000.0


def status(
    endpoint: str = "203.0.113.1:51820",
    keepalive: int = 25,
    handshake: float = 0,
    own: str | None = "192.168.1.2",
    known: KnownPeer | None = None,
) -> PeerStatus:
    peer = DevicePeer(
        public_key=KEYS[0],
        endpoint=parse_endpoint(endpoint),
        persistent_keepalive=keepalive,
        last_handshake=handshake,
        received=3000,
        sent=100,
    )
    before = DeviceState(peers={KEYS[0]: DevicePeer(public_key=KEYS[0], received=1000)})

    def source(_: Address) -> Address | None:
        return parse_address(own) if own else None

    told = known or KnownPeer(name="ams-1", wanted_endpoint=endpoint)
    (found,) = peer_statuses(
        DeviceState(peers={KEYS[0]: peer}),
        {str(KEYS[0]): told},
        now=NOW,
        source=source,
        before=before,
        seconds=2,
    )
    return found


def test_one_that_is_connected_has_no_reasons() -> None:
    found = status(handshake=NOW - 179)
    assert found.connected
    assert found.reasons == ()
    assert (found.name, found.handshake_age) == ("ams-1", 179)
    assert (found.receiving, found.sending) == (1000, 50)
    assert found.as_dict()["receivedBytesPerSecond"] == 1000


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (status(handshake=NOW - 181), "no answer from its endpoint"),
        (status(keepalive=0), "no keepalive"),
        (status(endpoint=""), "it has no endpoint: it must connect first"),
        (status(endpoint="10.0.0.1:1"), "both are behind NAT"),
        (status(endpoint="10.0.0.1:1", own="198.51.100.1"), "behind NAT and must connect first"),
        (status(own=None), "no route to its endpoint"),
        (
            status(
                endpoint="",
                known=KnownPeer(wanted_endpoint="x.example:1", problem="Name or service not known"),
            ),
            "x.example:1 cannot be resolved: Name or service not known",
        ),
    ],
)
def test_one_that_is_not_has_the_reason(found: PeerStatus, reason: str) -> None:
    assert not found.connected
    assert reason in found.reasons[0]
