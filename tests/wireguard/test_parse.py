"""Configuration files that are read, and those that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given

from kgctl.cluster.objects import state_of
from kgctl.mesh.state import network_of
from kgctl.wireguard.configure import node_configuration, peer_configuration
from kgctl.wireguard.parse import ConfigurationError, parse_configuration
from tests.strategies import clusters

NOW = 1_800_000_000.0
KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
SECRET = "6H279hjgTPSDUjl110oRAXtMDHwfHCOu2eDvljz5N2Y="


@given(clusters())
def test_what_is_written_is_read_back(objects) -> None:  # type: ignore[no-untyped-def]
    state = state_of(objects)
    if not state.ready_nodes(NOW):
        return
    topology = network_of(state, now=NOW, granularity="full")
    configurations = [peer_configuration(topology, peer) for peer in topology.peers]
    leader = topology.segments[0].leader
    configurations.append(node_configuration(topology, leader, listen_port=1234))
    for configuration in configurations:
        assert parse_configuration(str(configuration)) == configuration


def test_it_is_as_lenient_as_wg() -> None:
    configuration = parse_configuration(
        "# mine\n[interface]\nprivatekey="
        + SECRET
        + " # secret\nADDRESS = 10.5.0.1, fd00::1/64\nAddress=10.5.0.2/32\n\n"
        + f"[PEER]\r\nPublicKey={KEY}\nAllowedIPs = 10.4.0.1\nAllowedIPs = 10.42.0.0/16\n"
        + "PersistentKeepalive = off\n"
    )
    assert configuration.interface is not None
    assert [str(a) for a in configuration.interface.addresses] == [
        "10.5.0.1/32",
        "fd00::1/64",
        "10.5.0.2/32",
    ]
    assert configuration.interface.private_key is not None
    assert configuration.interface.private_key.reveal() == SECRET
    (peer,) = configuration.peers
    assert [str(cidr) for cidr in peer.allowed_ips] == ["10.4.0.1/32", "10.42.0.0/16"]
    assert peer.persistent_keepalive == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Address = 10.0.0.1/32", "line 1: neither a section"),
        ("[Interface]\nPostUp = touch /tmp/x", 'line 2: "PostUp" is no key that is known'),
        ("[Interface]\n[Interface]", "line 2: a second [Interface]"),
        ("[Peer]\nAllowedIPs = 10.0.0.0/8", "line 1: the [Peer] has no PublicKey"),
        (f"[Peer]\nPublicKey = {KEY}\nEndpoint = here", 'line 3: "here" is no Endpoint'),
        ("[Interface]\nMTU = 1e3", 'line 2: "1e3" is no MTU'),
        ("hello", "line 1: neither a section"),
    ],
)
def test_it_names_the_line_that_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_configuration(text, "wg0.conf")
    assert f"wg0.conf, {complaint}" in str(raised.value)


def test_it_never_shows_a_secret() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_configuration(f"[Interface]\nPrivateKey = {SECRET[:-2]}")
    assert SECRET[:20] not in str(raised.value)
