"""The userspace protocol, by the examples of its specification."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.wireguard.device import DeviceChange, PeerChange
from kgctl.wireguard.keys import PrivateKey
from kgctl.wireguard.uapi import StateReader, UapiError, check, read_state, write_change
from tests.wireguard.test_device import cidr

OWN = "e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a"
FIRST = "b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33"
SECOND = "58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376"
PSK = "188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52"
ANSWER = f"""private_key={OWN}
listen_port=12912
fwmark=0x10
public_key={FIRST}
preshared_key={PSK}
endpoint=[abcd:23::33]:51820
last_handshake_time_sec=100
last_handshake_time_nsec=500000000
tx_bytes=38333
rx_bytes=2224
persistent_keepalive_interval=0
allowed_ip=192.168.4.4/32
protocol_version=1
public_key={SECOND}
preshared_key={"0" * 64}
endpoint=[fe80::1%eth0]:3233
persistent_keepalive_interval=111
allowed_ip=192.168.4.6/32
allowed_ip=fd00::/64
errno=0

"""


def test_a_state_is_read() -> None:
    state = read_state(ANSWER)
    assert state.private_key is not None
    assert state.private_key.raw.hex() == OWN
    assert (state.listen_port, state.fwmark) == (12912, 16)
    first, second = state.peers.values()
    assert first.public_key.raw.hex() == FIRST
    assert first.preshared_key == PresharedKey(bytes.fromhex(PSK))
    assert str(first.endpoint) == "[abcd:23::33]:51820"
    assert (first.last_handshake, first.received, first.sent) == (100.5, 2224, 38333)
    assert first.allowed_ips == {cidr("192.168.4.4/32")}
    assert second.preshared_key is None
    assert str(second.endpoint) == "[fe80::1%eth0]:3233"
    assert second.persistent_keepalive == 111
    assert second.allowed_ips == {cidr("192.168.4.6/32"), cidr("fd00::/64")}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("listen_port=1\n", "hung up before it answered"),
        ("errno=-1\n\n", "refused a change"),
        ("listen_port=x\nerrno=0\n\n", 'unreadable "listen_port"'),
        ("public_key=00\nerrno=0\n\n", 'unreadable "public_key"'),
        ("listen_port=65536\nerrno=0\n\n", 'unreadable "listen_port"'),
        ("fwmark=0x100000000\nerrno=0\n\n", 'unreadable "fwmark"'),
        (
            f"public_key={FIRST}\npersistent_keepalive_interval=65536\nerrno=0\n\n",
            'unreadable "persistent_keepalive_interval"',
        ),
    ],
)
def test_what_is_no_state_is_an_error(answer: str, message: str) -> None:
    with pytest.raises(UapiError, match=message):
        read_state(answer)


LINES = st.sampled_from(
    [
        "protocol_version=1",
        "endpoint=192.0.2.1:1",
        "endpoint=[fe80::1%eth0]:2",
        "persistent_keepalive_interval=5",
        "allowed_ip=10.0.0.0/24",
        "allowed_ip=10.0.1.0/24\rrx_bytes=8",
        "rx_bytes=7",
        "last_handshake_time_sec=3",
        "private_key=00",
        f"\rpublic_key={FIRST}",
        "x",
        "",
    ]
)
COUNTS = st.tuples(*[st.sampled_from([0, 1, 10**15])] * 4)
PEERS = st.lists(
    st.tuples(st.sampled_from([FIRST, SECOND, OWN]), st.lists(LINES), COUNTS | st.none()),
    max_size=4,
)


def answer_of(peers: list[tuple[str, list[str], tuple[int, ...] | None]]) -> str:
    """An answer as wireguard-go writes it, with counters between the other lines."""
    text = f"private_key={OWN}\n"
    for key, lines, counts in peers:
        text += f"public_key={key}\n"
        text += "".join(f"{line}\n" for line in lines[:2])
        if counts is not None:
            seconds, nanoseconds, sent, received = counts
            text += f"last_handshake_time_sec={seconds}\n"
            text += f"last_handshake_time_nsec={nanoseconds % 10**9}\n"
            text += f"tx_bytes={sent}\nrx_bytes={received}\n"
        text += "".join(f"{line}\n" for line in lines[2:])
    return f"{text}errno=0\n\n"


@given(st.lists(PEERS, min_size=2, max_size=4))
def test_a_reader_of_several_answers_reads_each_as_if_it_were_the_first(answers: list[Any]) -> None:
    reader = StateReader()
    for peers in (*answers, *answers):
        text = answer_of(peers)
        found, alone = reader.read(text), read_state(text)
        assert found == alone
        assert list(found.peers) == list(alone.peers)


def test_a_peer_that_stays_as_it_is_is_not_parsed_again() -> None:
    counts, other = (100, 5, 7, 9), (101, 5, 8, 9)
    lines = ["endpoint=192.0.2.1:1", "x", "allowed_ip=10.0.0.0/24"]
    reader = StateReader()
    first, *_ = reader.read(
        answer_of([(FIRST, lines, counts), (SECOND, lines, counts)])
    ).peers.values()
    again, *_ = reader.read(
        answer_of([(FIRST, lines, counts), (SECOND, lines, counts)])
    ).peers.values()
    assert again is first
    later, *_ = reader.read(
        answer_of([(FIRST, lines, other), (SECOND, lines, counts)])
    ).peers.values()
    assert later.endpoint is first.endpoint
    assert later.allowed_ips is first.allowed_ips
    assert (later.last_handshake, later.sent, later.received) == (101.000000005, 8, 9)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("[fe80::1%eth0.7]:1", "[fe80::1%eth0.7]:1"),
        ("[fe80::1%3]:1", "[fe80::1%3]:1"),
        ("[fe80::1%\x1b[2J]:1", "[fe80::1]:1"),
        ("[fe80::1%a b]:1", "[fe80::1]:1"),
        ("[fe80::1%]:1", "[fe80::1]:1"),
        ("192.0.2.1%eth0:1", "None"),
        ("[fe80::1%eth0", "None"),
    ],
)
def test_a_zone_is_read(text: str, endpoint: str) -> None:
    state = read_state(f"public_key={FIRST}\nendpoint={text}\nerrno=0\n\n")
    (peer,) = state.peers.values()
    assert str(peer.endpoint) == endpoint


def test_a_zone_is_written_as_it_was_read() -> None:
    _, peer = read_state(ANSWER).peers.values()
    change = PeerChange(public_key=peer.public_key, endpoint=peer.endpoint)
    assert "endpoint=[fe80::1%eth0]:3233\n" in write_change(DeviceChange(peers=(change,)))


def test_a_refusal_has_its_reason() -> None:
    check("errno=0\n\n")
    with pytest.raises(UapiError, match=r"Address already in use \(errno 98\)"):
        check("errno=-98\n\n")
    with pytest.raises(UapiError, match="hung up"):
        check("")


def test_a_change_is_written() -> None:
    change = DeviceChange(
        private_key=PrivateKey(bytes.fromhex(OWN)),
        listen_port=51820,
        peers=(
            PeerChange(
                public_key=PublicKey(bytes.fromhex(FIRST)),
                new=True,
                endpoint=Endpoint(IPv4Address("192.0.2.1"), 1),
                persistent_keepalive=25,
                preshared_key=PresharedKey(bytes.fromhex(PSK)),
                add_allowed_ips=(cidr("10.0.0.0/24"),),
            ),
            PeerChange(public_key=PublicKey(bytes.fromhex(SECOND)), drop_preshared_key=True),
        ),
        remove=(PublicKey(bytes.fromhex(SECOND)),),
    )
    assert write_change(change) == (
        f"set=1\nprivate_key={OWN}\nlisten_port=51820\n"
        f"public_key={FIRST}\npreshared_key={PSK}\nendpoint=192.0.2.1:1\n"
        "persistent_keepalive_interval=25\nallowed_ip=10.0.0.0/24\n"
        f"public_key={SECOND}\nupdate_only=true\npreshared_key={'0' * 64}\n"
        f"public_key={SECOND}\nremove=true\n\n"
    )


def test_a_session_begins_anew_by_ending_its_peer_and_making_it_in_one_request() -> None:
    peer = PeerChange(
        public_key=PublicKey(bytes.fromhex(FIRST)),
        new=True,
        endpoint=Endpoint(IPv4Address("192.0.2.1"), 1),
        persistent_keepalive=25,
        add_allowed_ips=(cidr("10.0.0.0/24"),),
    )
    assert write_change(DeviceChange(renew=(peer,))) == (
        f"set=1\npublic_key={FIRST}\nremove=true\npublic_key={FIRST}\nendpoint=192.0.2.1:1\n"
        "persistent_keepalive_interval=25\nallowed_ip=10.0.0.0/24\n\n"
    )


def test_an_allowed_ip_is_dropped_by_way_of_a_stand_in() -> None:
    text = write_change(DeviceChange(drop_allowed_ips=(cidr("10.0.0.0/24"),)))
    match = re.fullmatch(
        r"set=1\npublic_key=(\w{64})\nallowed_ip=10\.0\.0\.0/24\npublic_key=(\w{64})\n"
        r"remove=true\n\n",
        text,
    )
    assert match is not None
    assert match[1] == match[2]
