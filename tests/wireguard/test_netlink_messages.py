"""The kernel's protocol: messages of its generic netlink family, compared with pyroute2's."""

from __future__ import annotations

import struct
import sys
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgctl.mesh.cidr import Cidr
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.wireguard.device import DeviceChange, DevicePeer, PeerChange
from kgctl.wireguard.keys import PrivateKey
from kgctl.wireguard.netlink_messages import (
    DeviceReader,
    MessageError,
    get_device,
    read_device,
    set_device,
)
from tests.wireguard.test_device import KEYS, cidr

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is Linux")

HEADERS = 20  # of a netlink message, and of generic netlink


def encoded(attributes: list[Any]) -> bytes:
    """The attributes as they come out of the socket, encoded by pyroute2."""
    from pyroute2.netlink.generic.wireguard import wgmsg

    message = wgmsg()
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[HEADERS:])


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
    first = encoded(
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
    state = read_device([first, encoded([["WGDEVICE_A_PEERS", [more, other]]])])
    assert state.private_key == private
    assert (state.listen_port, state.fwmark) == (51820, 7)
    one, two = state.peers[KEYS[0]], state.peers[KEYS[1]]
    assert one.allowed_ips == {cidr("10.0.0.0/24"), cidr("10.0.1.0/24"), cidr("fd00::/64")}
    assert one.endpoint == Endpoint(IPv4Address("192.0.2.1"), 1234)
    assert (one.persistent_keepalive, one.received, one.sent) == (25, 1 << 40, 5)
    assert one.preshared_key == preshared
    assert two.endpoint == Endpoint(IPv6Address("2001:db8::1"), 4321)
    assert two.preshared_key is None


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 65535),
            st.integers(0, 2**63),
            st.lists(st.tuples(st.ip_addresses(), st.integers(0, 128)), max_size=5),
            st.none() | st.tuples(st.ip_addresses(), st.integers(1, 65535)),
        ),
        max_size=4,
    )
)
def test_what_pyroute2_writes_is_read(peers: list[Any]) -> None:
    wanted, sections = {}, []
    for number, (keepalive, received, networks, endpoint) in enumerate(peers):
        key = PublicKey(bytes([number + 1]) * 32)
        texts = [f"{at}/{min(size, at.max_prefixlen)}" for at, size in networks]
        more = [["WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", keepalive]]
        more.append(["WGPEER_A_RX_BYTES", received])
        more.append(["WGPEER_A_LAST_HANDSHAKE_TIME", {"tv_sec": number, "tv_nsec": 500_000_000}])
        if endpoint:
            at, port = endpoint
            more.append(["WGPEER_A_ENDPOINT", {"addr": str(at), "port": port}])
        sections.append(peer(key, *more, allowed(*texts)))
        wanted[key] = DevicePeer(
            public_key=key,
            endpoint=Endpoint(*endpoint) if endpoint else None,
            allowed_ips=frozenset(Cidr(at, min(size, at.max_prefixlen)) for at, size in networks),
            persistent_keepalive=keepalive,
            last_handshake=number + 0.5,
            received=received,
        )
    assert read_device([encoded([["WGDEVICE_A_PEERS", sections]])]).peers == wanted


ENDPOINTS = st.sampled_from([None, "192.0.2.1", "192.0.2.2", "2001:db8::1"])
LISTS = st.sampled_from([(), ("10.0.0.0/24",), ("10.0.0.0/24", "fd00::/64"), ("10.1.0.0/24",)])
SEEN = st.lists(st.tuples(st.integers(0, 2), ENDPOINTS, LISTS, st.integers(0, 3)), max_size=4)


@settings(max_examples=60)
@given(st.lists(SEEN, min_size=2, max_size=3))
def test_a_reader_of_several_states_reads_each_as_if_it_were_the_first(states: list[Any]) -> None:
    reader = DeviceReader()
    for peers in (*states, *states):
        sections = []
        for number, endpoint, networks, received in peers:
            more = [["WGPEER_A_RX_BYTES", received], allowed(*networks)]
            if endpoint:
                more.append(["WGPEER_A_ENDPOINT", {"addr": endpoint, "port": 1}])
            sections.append(peer(KEYS[number], *more))
        messages = [encoded([["WGDEVICE_A_PEERS", sections]])]
        assert reader.read(messages) == read_device(messages)


def test_the_zone_of_an_endpoint_is_read_each_time() -> None:
    change = PeerChange(public_key=KEYS[0], endpoint=Endpoint(IPv6Address("fe80::1%7"), 1))
    (message,) = set_device("wg0", DeviceChange(peers=(change,)), int)
    names = iter(("eth0", "eth1"))
    reader = DeviceReader(lambda _index: next(names))
    for name in ("eth0", "eth1"):
        state = reader.read([message])
        assert str(state.peers[KEYS[0]].endpoint) == f"[fe80::1%{name}]:1"


@given(st.binary(max_size=200))
def test_bytes_of_another_form_are_an_error_of_its_own(data: bytes) -> None:
    try:
        read_device([data])
    except MessageError:
        return


def test_a_cut_message_is_an_error() -> None:
    whole = encoded([["WGDEVICE_A_PEERS", [peer(KEYS[0], allowed("10.0.0.0/24"))]]])
    with pytest.raises(MessageError, match="of another form"):
        read_device([whole[:-4]])


def test_the_request_names_the_interface() -> None:
    assert get_device("wg0") == b"\x08\0\x02\0wg0\0"
    assert len(get_device("fifteen-letters")) % 4 == 0


# --- changes ---


def no_zone(_: str) -> int:
    raise AssertionError("no endpoint has a zone")


def requests(
    change: DeviceChange, index_of: Callable[[str], int] = no_zone
) -> list[dict[str, Any]]:
    """What pyroute2 reads in the messages of a change: its own settings, and each of its peers."""
    from pyroute2.netlink.generic.wireguard import wgmsg

    found: list[dict[str, Any]] = []
    for attributes in set_device("kilo0", change, index_of):
        header = struct.pack("=IHHII", HEADERS + len(attributes), 30, 5, 1, 0) + bytes(4)
        message = wgmsg(header + attributes)
        message.decode()
        assert message.get_attr("WGDEVICE_A_IFNAME") == "kilo0"
        own = {
            name: message.get_attr(f"WGDEVICE_A_{name}")
            for name in ("PRIVATE_KEY", "LISTEN_PORT")
            if message.get_attr(f"WGDEVICE_A_{name}") is not None
        }
        if own:
            found.append(own)
        found += [
            {name.removeprefix("WGPEER_A_"): value for name, value in peer["attrs"]}
            for peer in message.get_attr("WGDEVICE_A_PEERS") or ()
        ]
    return found


def text_of(key: Any) -> str:
    raw = key["value"] if isinstance(key, dict) else key
    return raw.decode() if isinstance(raw, bytes) else str(raw)


def networks_of(peer: dict[str, Any]) -> list[str]:
    return [one["addr"] for one in peer.get("ALLOWEDIPS", ())]


def test_a_change_is_one_peer_after_the_other() -> None:
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
    assert text_of(own["PRIVATE_KEY"]) == PrivateKey(b"a" * 32).reveal()
    assert own["LISTEN_PORT"] == 1
    assert text_of(first["PUBLIC_KEY"]) == str(KEYS[0])
    assert networks_of(first) == ["10.0.0.0/24"]
    assert "FLAGS" not in first
    assert second["FLAGS"] == 4  # update only
    assert second["PERSISTENT_KEEPALIVE_INTERVAL"] == 0
    assert set(text_of(second["PRESHARED_KEY"])) == {"A", "="}  # 32 zero bytes: none
    assert networks_of(taken) == ["10.9.0.0/24"]
    assert "FLAGS" not in taken
    assert (text_of(ended["PUBLIC_KEY"]), ended["FLAGS"]) == (text_of(taken["PUBLIC_KEY"]), 1)
    assert (text_of(removed["PUBLIC_KEY"]), removed["FLAGS"]) == (str(KEYS[2]), 1)


def test_the_key_and_the_port_have_a_message_of_their_own() -> None:
    peer = PeerChange(public_key=KEYS[0], new=True)
    first, second = set_device("wg0", DeviceChange(listen_port=1, peers=(peer,)), no_zone)
    assert first == get_device("wg0") + b"\x06\0\x06\0\x01\0\0\0"
    assert KEYS[0].raw in second


def test_a_session_begins_again_by_ending_its_peer_and_making_it() -> None:
    peer = PeerChange(public_key=KEYS[0], new=True, add_allowed_ips=(cidr("10.0.0.0/24"),))
    ended, made = requests(DeviceChange(renew=(peer,)))
    assert (text_of(ended["PUBLIC_KEY"]), ended["FLAGS"]) == (str(KEYS[0]), 1)
    assert (text_of(made["PUBLIC_KEY"]), networks_of(made)) == (str(KEYS[0]), ["10.0.0.0/24"])


def test_many_allowed_ips_come_in_portions() -> None:
    many = tuple(cidr(f"10.{number // 256}.{number % 256}.0/24") for number in range(1200))
    change = DeviceChange(peers=(PeerChange(public_key=KEYS[0], new=True, add_allowed_ips=many),))
    found = [networks_of(one) for one in requests(change)]
    assert [len(portion) for portion in found] == [500, 500, 200]
    assert [text for portion in found for text in portion] == list(map(str, many))


def test_no_attribute_is_longer_than_it_can_say() -> None:
    peers = tuple(
        PeerChange(
            public_key=PublicKey(number.to_bytes(2, "big") * 16),
            new=True,
            add_allowed_ips=tuple(cidr(f"fd00:{number:x}:{one:x}::/48") for one in range(500)),
        )
        for number in range(1, 9)
    )
    messages = list(set_device("wg0", DeviceChange(peers=peers), no_zone))
    assert all(len(one) < 1 << 16 for one in messages)
    assert len(requests(DeviceChange(peers=peers))) == 8


def test_few_messages_hold_many_peers() -> None:
    peers = tuple(
        PeerChange(public_key=PublicKey(number.to_bytes(4, "big") * 8), new=True,
                   add_allowed_ips=(cidr("10.0.0.1/32"),))
        for number in range(1, 2001)
    )  # fmt: skip
    assert len(list(set_device("wg0", DeviceChange(peers=peers), no_zone))) < 20


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint(IPv4Address("192.0.2.1"), 51820),
        Endpoint(IPv6Address("2001:db8::1"), 1),
        Endpoint(IPv6Address("fe80::1%eth7"), 65535),
    ],
    ids=str,
)
def test_an_endpoint_is_read_as_it_was_written(endpoint: Endpoint) -> None:
    change = PeerChange(public_key=KEYS[0], new=True, endpoint=endpoint)
    (message,) = set_device("wg0", DeviceChange(peers=(change,)), {"eth7": 7}.__getitem__)
    state = read_device([message], {7: "eth7"}.__getitem__)
    assert state.peers[KEYS[0]].endpoint == endpoint


def test_a_zone_that_is_gone_is_a_number() -> None:
    change = PeerChange(public_key=KEYS[0], endpoint=Endpoint(IPv6Address("fe80::1%9"), 1))
    (message,) = set_device("wg0", DeviceChange(peers=(change,)), int)
    assert str(read_device([message]).peers[KEYS[0]].endpoint) == "[fe80::1%9]:1"
