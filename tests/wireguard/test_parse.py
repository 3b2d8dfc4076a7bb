"""Configuration files that are accepted or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.state import network_of
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import node_configuration, peer_configuration
from kgctl.wireguard.parse import ConfigurationError, parse_configuration
from tests.support.strategies import clusters

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
        ("Address = 10.0.0.1/32", "line 1: expected a section"),
        ("[Interface]\nPostUp = touch /tmp/x", 'line 2: "PostUp" is not a known key'),
        ("[Interface]\n[Interface]", "line 2: a second [Interface]"),
        ("[Peer]\nAllowedIPs = 10.0.0.0/8", "line 1: the [Peer] has no PublicKey"),
        (f"[Peer]\nPublicKey = {KEY}\nEndpoint = here", 'line 3: "here" is not a valid Endpoint'),
        ("[Interface]\nMTU = 1e3", 'line 2: "1e3" is not a valid MTU'),
        ("hello", "line 1: expected a section"),
        ("[Interface]\nPublic\u212aey = x", "line 2: expected a section"),
        ("[Interface]\nlisten\x1b[2J = 5", "line 2: expected a section"),
        ("[Interface]\u2028PostUp = x", "line 1: expected a section"),
        ("[Interface]\nListenPort = 65536", 'line 2: "65536" is not a valid ListenPort'),
        ("[Interface]\nListenPort = +5", 'line 2: "+5" is not a valid ListenPort'),
        ("[Interface]\nDNS = 1.1.1.1, a_b", 'line 2: "a_b" is not a valid DNS'),
        ("[Interface]\nTable = main", 'line 2: "main" is not a valid Table'),
        ("[Interface]\nAddress = 10.0.0.1/33", 'line 2: "10.0.0.1/33" is not a valid Address'),
        ("[Interface]\nAddress = 10.0.0.1/32,", 'line 2: "" is not a valid Address'),
        (f"[Peer]\nPublicKey = {KEY}\nAllowedIPs = 10.0.0.0/8, \0", 'line 3: "\\x00" is no'),
        (f"[Peer]\nPublicKey = {KEY}\nPersistentKeepalive = 65536", "valid PersistentKeepalive"),
        ("[Peer]\nPublicKey = \x1b]0;owned\x07", '\\x1b]0;owned\\x07" is not a valid PublicKey'),
        ("[Interface]\nMTU = " + "9" * 100_000, "is not a valid MTU"),
    ],
)
def test_it_names_the_line_that_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_configuration(text, "wg0.conf")
    message = str(raised.value)
    assert message.startswith("wg0.conf, line ")
    assert complaint in message
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize(
    "line",
    [
        f"PrivateKey = {SECRET[:-2]}",
        f"PRIVATEKEY = {SECRET},",
        f"PrivateKey: {SECRET}",
        f"PrivateKey {SECRET}",
        f"{SECRET}",
        f"PresharedKey = {SECRET}x",
    ],
)
def test_it_never_shows_a_secret(line: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_configuration(f"[Interface]\n{line}")
    assert SECRET[:8] not in str(raised.value)


def test_a_preshared_key_of_zeros_is_none_as_it_is_to_wg() -> None:
    for zeros in ("A" * 43 + "=", "A" * 20 + " " + "A" * 23 + "="):
        (peer,) = parse_configuration(f"[Peer]\nPublicKey={KEY}\nPresharedKey = {zeros}").peers
        assert peer.preshared_key is None


@pytest.mark.parametrize(
    ("line", "endpoint"),
    [
        ("endpoint=VPN.Example.com:51820", "vpn.example.com:51820"),
        ("Endpoint = [2001:DB8::1]:5", "[2001:db8::1]:5"),
    ],
)
def test_an_endpoint_is_written_in_lower_case(line: str, endpoint: str) -> None:
    (peer,) = parse_configuration(f"[Peer]\nPublicKey={KEY}\nAllowedIPs=\n{line}").peers
    assert str(peer.endpoint) == endpoint
    assert peer.allowed_ips == ()


@given(st.text(alphabet=st.characters(), max_size=200).map("[Peer]\n{}".format) | st.text())
def test_any_text_is_a_configuration_or_an_error_in_one_line(text: str) -> None:
    complaint = ""
    try:
        parse_configuration(text)
    except ConfigurationError as error:
        complaint = str(error)
    assert complaint.isprintable()
