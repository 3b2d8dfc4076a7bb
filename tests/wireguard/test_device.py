"""The smallest change that turns one device into another."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.wireguard.conf import PeerSection
from kgctl.wireguard.device import (
    SESSION_SECONDS,
    DeviceChange,
    DevicePeer,
    DeviceState,
    PeerChange,
    applied,
    device_change,
    wanted_peers,
)
from kgctl.wireguard.keys import PrivateKey

NOW = 1_000_000.0


def key(number: int) -> PublicKey:
    return PublicKey(bytes([number]) * 32)


def endpoint(number: int) -> Endpoint:
    return Endpoint(IPv4Address(f"192.0.2.{number}"), 51820)


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def test_of_sections_the_last_one_that_claims_a_network_has_it() -> None:
    """As the kernel does it with a configuration, section by section."""
    one, two, own = key(1), key(2), key(3)
    network, other = cidr("10.0.0.0/24"), cidr("10.0.1.0/24")
    sections = [
        PeerSection(one, (other,)),
        PeerSection(two, (network,)),
        PeerSection(one, (network,)),  # again: it counts in place of the first, and claims last
        PeerSection(own, (network, other)),  # the device's own key: passed over
    ]
    peers = wanted_peers(sections, {}, own)
    assert {peer: found.allowed_ips for peer, found in peers.items()} == {
        two: frozenset(),
        one: frozenset({network}),
    }


NETWORKS = [cidr(f"10.0.{number}.0/24") for number in range(6)]
KEYS = [key(number) for number in range(1, 5)]


@st.composite
def devices(draw: st.DrawFn) -> DeviceState:
    """A device in which each allowed IP has one owner, as in every real one."""
    owners = draw(st.lists(st.sampled_from([None, *KEYS]), min_size=6, max_size=6))
    peers = {
        one: DevicePeer(
            public_key=one,
            preshared_key=draw(st.sampled_from([None, PresharedKey(b"p" * 32)])),
            endpoint=draw(st.sampled_from([None, endpoint(1), endpoint(2)])),
            allowed_ips=frozenset(
                network for network, owner in zip(NETWORKS, owners, strict=True) if owner == one
            ),
            persistent_keepalive=draw(st.integers(0, 2)),
            last_handshake=draw(st.sampled_from([0.0, NOW - 10])),
        )
        for one in draw(st.sets(st.sampled_from(KEYS)))
    }
    return DeviceState(
        private_key=draw(st.sampled_from([PrivateKey(b"a" * 32), PrivateKey(b"b" * 32)])),
        listen_port=draw(st.integers(1, 2)),
        peers=peers,
    )


@given(devices(), devices())
def test_a_change_leads_there_and_a_second_one_is_empty(
    present: DeviceState, wanted: DeviceState
) -> None:
    after = applied(present, device_change(present, wanted, given={}, now=NOW))
    assert after.peers.keys() == wanted.peers.keys()
    assert (after.private_key, after.listen_port) == (wanted.private_key, wanted.listen_port)
    for one, peer in wanted.peers.items():
        found = after.peers[one]
        assert found.allowed_ips == peer.allowed_ips
        assert found.persistent_keepalive == peer.persistent_keepalive
        assert found.preshared_key == peer.preshared_key
        if present.peers.get(one, peer).last_handshake == 0 and peer.endpoint is not None:
            assert found.endpoint == peer.endpoint
    assert not device_change(after, wanted, given={}, now=NOW)


def _one_by_one(state: DeviceState, change: DeviceChange) -> dict[PublicKey, frozenset[Cidr]]:
    """Return the allowed IPs after a change, as WireGuard carries it out: line by line."""
    allowed = {key: set(peer.allowed_ips) for key, peer in state.peers.items()}
    steps = [(one, False) for one in change.peers] + [(one, True) for one in change.renew]
    for one, anew in steps:
        if anew:
            allowed.pop(one.public_key, None)
        allowed.setdefault(one.public_key, set())
        for network in one.add_allowed_ips:
            for others in allowed.values():
                others.discard(network)
            allowed[one.public_key].add(network)
    for network in change.drop_allowed_ips:
        for others in allowed.values():
            others.discard(network)
    return {
        key: frozenset(networks) for key, networks in allowed.items() if key not in change.remove
    }


@given(
    devices(),
    st.lists(st.tuples(st.sampled_from(KEYS), st.lists(st.sampled_from(NETWORKS)))),
    st.dictionaries(st.sampled_from(KEYS), st.lists(st.sampled_from(NETWORKS))),
    st.lists(st.sampled_from(NETWORKS)),
    st.sets(st.sampled_from(KEYS)),
)
def test_a_change_has_the_outcome_of_its_steps(
    present: DeviceState,
    added: list[tuple[PublicKey, list[Cidr]]],
    renewed: dict[PublicKey, list[Cidr]],
    dropped: list[Cidr],
    removed: set[PublicKey],
) -> None:
    change = DeviceChange(
        peers=tuple(PeerChange(public_key=key, add_allowed_ips=tuple(own)) for key, own in added),
        renew=tuple(
            PeerChange(public_key=key, new=True, add_allowed_ips=tuple(own))
            for key, own in renewed.items()
        ),
        drop_allowed_ips=tuple(dropped),
        remove=tuple(removed),
    )
    after = applied(present, change)
    assert {key: peer.allowed_ips for key, peer in after.peers.items()} == _one_by_one(
        present, change
    )


@given(devices(), devices())
def test_a_peer_that_is_as_wanted_is_not_touched(present: DeviceState, wanted: DeviceState) -> None:
    change = device_change(present, wanted, given={}, now=NOW)
    touched = {one.public_key for one in change.peers} | set(change.remove)
    for one, peer in wanted.peers.items():
        before = present.peers.get(one)
        if before is not None and replace(before, last_handshake=0) == replace(
            peer, last_handshake=0
        ):
            assert one not in touched
            assert not before.allowed_ips & set(change.drop_allowed_ips)


def moved(age: float) -> DeviceState:
    peer = DevicePeer(public_key=KEYS[0], endpoint=endpoint(7), last_handshake=NOW - age)
    return DeviceState(peers={KEYS[0]: peer})


def with_endpoint(number: int) -> DeviceState:
    return DeviceState(peers={KEYS[0]: DevicePeer(public_key=KEYS[0], endpoint=endpoint(number))})


def test_a_peer_that_has_moved_stays_where_it_is() -> None:
    given_before = {KEYS[0]: endpoint(1)}
    assert not device_change(moved(10), with_endpoint(1), given=given_before, now=NOW)
    assert not device_change(moved(10), with_endpoint(1), given={}, now=NOW)


def test_an_endpoint_is_set_when_ours_changes_or_the_session_is_over() -> None:
    change = device_change(moved(10), with_endpoint(2), given={KEYS[0]: endpoint(1)}, now=NOW)
    assert change.peers[0].endpoint == endpoint(2)
    late = moved(SESSION_SECONDS + 1)
    change = device_change(late, with_endpoint(1), given={KEYS[0]: endpoint(1)}, now=NOW)
    assert change.peers[0].endpoint == endpoint(1)


def test_one_owner_for_each_allowed_ip_the_last_that_asks() -> None:
    sections = [
        PeerSection(public_key=KEYS[0], allowed_ips=(cidr("10.0.0.7/24"), NETWORKS[1])),
        PeerSection(public_key=KEYS[1], allowed_ips=(NETWORKS[0],)),
        PeerSection(public_key=KEYS[2], allowed_ips=(NETWORKS[2],)),
    ]
    found = wanted_peers(sections, {}, own_key=KEYS[2])
    assert {one: set(peer.allowed_ips) for one, peer in found.items()} == {
        KEYS[0]: {NETWORKS[1]},
        KEYS[1]: {NETWORKS[0]},
    }


def test_nothing_to_do_is_false() -> None:
    assert not DeviceChange()
    assert DeviceChange(listen_port=1)


def test_a_zone_that_only_the_device_knows_stays() -> None:
    plain, zoned, other = (
        Endpoint(IPv6Address(text), 51820) for text in ("fe80::1", "fe80::1%eth0", "fe80::1%eth1")
    )

    def moved(present: Endpoint, wanted: Endpoint) -> Endpoint | None:
        states = [
            DeviceState(peers={KEYS[0]: DevicePeer(public_key=KEYS[0], endpoint=one)})
            for one in (present, wanted)
        ]
        change = device_change(*states, given={}, now=1e9)
        return change.peers[0].endpoint if change.peers else None

    assert moved(zoned, plain) is None
    assert moved(zoned, zoned) is None
    assert moved(plain, zoned) == zoned
    assert moved(other, zoned) == zoned
