"""The kernel's protocol: sent and received bytes of generic netlink."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from kgctl.host.kernel import requests, state_of
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.wireguard.device import DeviceChange, PeerChange
from kgctl.wireguard.keys import PrivateKey
from tests.wireguard.test_device import KEYS, cidr

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is Linux")


def decoded(attributes: list[Any]) -> Any:
    """A message as it comes out of the socket: encoded, and decoded again."""
    from pyroute2.netlink.generic.wireguard import wgmsg

    message = wgmsg()
    message["attrs"] = attributes
    message.encode()
    again = wgmsg(message.data)
    again.decode()
    return again


def peer(key: PublicKey, *attributes: list[Any]) -> dict[str, Any]:
    return {"attrs": [["WGPEER_A_PUBLIC_KEY", str(key)], *attributes]}


def allowed(*texts: str) -> list[Any]:
    import socket

    found = []
    for text in texts:
        address, length = text.split("/")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        attributes = [
            ["WGALLOWEDIP_A_FAMILY", family],
            ["WGALLOWEDIP_A_IPADDR", socket.inet_pton(family, address)],
            ["WGALLOWEDIP_A_CIDR_MASK", int(length)],
        ]
        found.append({"attrs": attributes})
    return ["WGPEER_A_ALLOWEDIPS", found]


def test_a_device_is_read_from_several_messages() -> None:
    private, preshared = PrivateKey(b"a" * 32), PresharedKey(b"p" * 32)
    first = decoded(
        [
            ["WGDEVICE_A_PRIVATE_KEY", private.reveal()],
            ["WGDEVICE_A_LISTEN_PORT", 51820],
            ["WGDEVICE_A_FWMARK", 7],
            [
                "WGDEVICE_A_PEERS",
                [
                    peer(
                        KEYS[0],
                        ["WGPEER_A_PRESHARED_KEY", preshared.reveal()],
                        ["WGPEER_A_ENDPOINT", {"addr": "192.0.2.1", "port": 1234}],
                        ["WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", 25],
                        ["WGPEER_A_RX_BYTES", 1 << 40],
                        ["WGPEER_A_TX_BYTES", 5],
                        allowed("10.0.0.0/24"),
                    )
                ],
            ],
        ]
    )
    # the kernel goes on with the same peer when its allowed IPs did not fit
    more = peer(KEYS[0], allowed("10.0.1.0/24", "fd00::/64"))
    other = peer(KEYS[1], ["WGPEER_A_ENDPOINT", {"addr": "2001:db8::1", "port": 4321}])
    state = state_of([first, decoded([["WGDEVICE_A_PEERS", [more, other]]])])
    assert state.private_key == private
    assert (state.listen_port, state.fwmark) == (51820, 7)
    one, two = state.peers[KEYS[0]], state.peers[KEYS[1]]
    assert one.allowed_ips == {cidr("10.0.0.0/24"), cidr("10.0.1.0/24"), cidr("fd00::/64")}
    assert one.endpoint == Endpoint(IPv4Address("192.0.2.1"), 1234)
    assert (one.persistent_keepalive, one.received, one.sent) == (25, 1 << 40, 5)
    assert one.preshared_key == preshared
    assert two.endpoint == Endpoint(IPv6Address("2001:db8::1"), 4321)
    assert two.preshared_key is None


def test_a_change_is_one_request_a_peer() -> None:
    change = DeviceChange(
        private_key=PrivateKey(b"a" * 32),
        listen_port=1,
        peers=(
            PeerChange(public_key=KEYS[0], new=True, add_allowed_ips=(cidr("10.0.0.0/24"),)),
            PeerChange(public_key=KEYS[1], persistent_keepalive=0, drop_preshared_key=True),
        ),
        drop_allowed_ips=(cidr("10.9.0.0/24"),),
        remove=(KEYS[2],),
    )
    own, first, second, taken, ended, removed = requests(change)
    assert own == {"private_key": PrivateKey(b"a" * 32).reveal(), "listen_port": 1}
    assert first == {"peer": {"public_key": str(KEYS[0]), "allowed_ips": ["10.0.0.0/24"]}}
    assert second["peer"]["update_only"]
    assert second["peer"]["persistent_keepalive"] == 0
    assert set(second["peer"]["preshared_key"]) == {"A", "="}  # 32 zero bytes: none
    assert taken["peer"]["allowed_ips"] == ["10.9.0.0/24"]
    assert ended["peer"] == {"public_key": taken["peer"]["public_key"], "remove": True}
    assert removed == {"peer": {"public_key": str(KEYS[2]), "remove": True}}


def test_a_session_begins_anew_by_ending_its_peer_and_making_it() -> None:
    peer = PeerChange(public_key=KEYS[0], new=True, add_allowed_ips=(cidr("10.0.0.0/24"),))
    ended, made = requests(DeviceChange(renew=(peer,)))
    assert ended == {"peer": {"public_key": str(KEYS[0]), "remove": True}}
    assert made == {"peer": {"public_key": str(KEYS[0]), "allowed_ips": ["10.0.0.0/24"]}}


def test_many_allowed_ips_come_in_portions() -> None:
    many = tuple(cidr(f"10.{number // 256}.{number % 256}.0/24") for number in range(1200))
    change = DeviceChange(peers=(PeerChange(public_key=KEYS[0], new=True, add_allowed_ips=many),))
    found = [one["peer"]["allowed_ips"] for one in requests(change)]
    assert [len(portion) for portion in found] == [500, 500, 200]
    assert [text for portion in found for text in portion] == list(map(str, many))
