"""The plan of a change of a machine's file: what it does to a device, and when it restarts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.wireguard.conf import Configuration, Interface, PeerSection
from kgctl.wireguard.deployment import (
    DeploymentError,
    Method,
    Plan,
    Present,
    plan,
    same_file,
    unfulfilled,
)
from kgctl.wireguard.device import DevicePeer, wanted_peers
from kgctl.wireguard.dump import Device
from kgctl.wireguard.dump import DevicePeer as Dumped
from kgctl.wireguard.keys import PrivateKey
from kgctl.wireguard.parse import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_000_000.0
KEY = PrivateKey(bytes([8] * 31 + [64]))
OWN = KEY.public_key()
KEYS = [PublicKey(bytes([number] * 32)) for number in range(1, 6)]
NETWORKS = [
    "10.9.0.2/32", "10.9.0.3/32", "10.9.0.4/32", "192.168.7.0/24", "192.168.0.0/16",
    "fd09::2/128", "fd09:7::/64",
]  # fmt: skip


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def endpoint(text: str) -> Endpoint:
    found = parse_endpoint(text)
    assert found is not None
    return found


def file(*peers: PeerSection, **interface: Any) -> Configuration:
    given = {"addresses": (cidr("10.9.0.1/32"),), "private_key": KEY, **interface}
    return Configuration(Interface(**given), peers)


def peer(number: int, *allowed: str, **values: Any) -> PeerSection:
    return PeerSection(KEYS[number], tuple(map(cidr, allowed)), **values)


def without_key(configuration: Configuration) -> str:
    lines = str(configuration).split("\n")
    return "\n".join(line for line in lines if not line.startswith("PrivateKey"))


def device(configuration: Configuration, handshake: int = int(NOW) - 10) -> Device:
    """Return a device that a file made; a name of an endpoint resolved to 192.0.2.200."""
    peers = []
    for key, one in wanted_peers(configuration.peers, {}, OWN).items():
        section = next(s for s in reversed(configuration.peers) if s.public_key == key)
        place = section.endpoint
        if place is not None and place.address is None:
            place = endpoint(f"192.0.2.200:{place.port}")
        peers.append(
            Dumped(key, tuple(one.allowed_ips), place, one.persistent_keepalive,
                   one.preshared_key, handshake)
        )  # fmt: skip
    port = configuration.interface.listen_port if configuration.interface else None
    return Device("home", OWN, port or 40000, tuple(peers))


def present(configuration: Configuration, **values: Any) -> Present:
    return Present(without_key(configuration), OWN, device(configuration, **values))


def change(old: Configuration, new: Configuration, **values: Any) -> Plan:
    return plan(present(old, **values), new, OWN, NOW)


# --- peers ---


def carried_out(before: Device, found: Plan) -> dict[PublicKey, DevicePeer]:
    """Do the steps to peers by the rules of wg: addconf replaces the allowed IPs of a peer."""
    peers = {
        one.public_key: DevicePeer(
            public_key=one.public_key,
            preshared_key=one.preshared_key,
            endpoint=one.endpoint,
            allowed_ips=frozenset(one.allowed_ips),
            persistent_keepalive=one.keepalive,
        )
        for one in before.peers
    }
    for verb, value in found.steps:
        if verb == "remove":
            del peers[_key(value)]
        elif verb == "peers":
            for section in found.peers_file.peers:
                _add(peers, section)
        elif verb == "drop-preshared-key":
            peers[_key(value)] = replace(peers[_key(value)], preshared_key=None)
    return peers


def _key(text: str) -> PublicKey:
    found = PublicKey.parse(text)
    assert found is not None
    return found


def _add(peers: dict[PublicKey, DevicePeer], section: PeerSection) -> None:
    before = peers.get(section.public_key, DevicePeer(public_key=section.public_key))
    for key, other in peers.items():
        left = other.allowed_ips - set(section.allowed_ips)
        peers[key] = replace(other, allowed_ips=left)
    peers[section.public_key] = replace(
        before,
        allowed_ips=frozenset(section.allowed_ips),
        endpoint=section.endpoint or before.endpoint,
        persistent_keepalive=section.persistent_keepalive,
        preshared_key=section.preshared_key or before.preshared_key,
    )


SECTIONS = st.builds(
    PeerSection,
    public_key=st.sampled_from(KEYS),
    allowed_ips=st.lists(st.sampled_from(NETWORKS).map(cidr), max_size=3).map(tuple),
    endpoint=st.sampled_from([None, endpoint("192.0.2.1:51820"), endpoint("a.example:7")]),
    persistent_keepalive=st.sampled_from([0, 25]),
    preshared_key=st.sampled_from([None, PresharedKey(bytes([1] * 32))]),
)
FILES = st.builds(
    lambda peers, port: file(*peers, listen_port=port),
    st.lists(SECTIONS, max_size=5, unique_by=lambda one: one.public_key),
    st.sampled_from([None, 51820]),
)


@given(FILES, FILES, st.sampled_from([0, int(NOW) - 5]))
def test_after_the_steps_a_device_is_as_the_file_says(
    old: Configuration, new: Configuration, handshake: int
) -> None:
    before = present(old, handshake=handshake)
    found = plan(before, new, OWN, NOW)
    assert before.device is not None
    after = carried_out(before.device, found)
    wanted = wanted_peers(new.peers, {}, OWN)

    def comparable(peers: Mapping[PublicKey, DevicePeer]) -> dict[PublicKey, DevicePeer]:
        return {key: replace(one, endpoint=None, last_handshake=0) for key, one in peers.items()}

    assert comparable(after) == comparable(wanted)
    port = new.interface.listen_port if new.interface else None
    if port is not None and port != before.device.listen_port:
        assert found.peers_file.interface is not None
        assert found.peers_file.interface.listen_port == port
    assert (found.method is Method.NOTHING) is same_file(before.text or "", new) or found.steps
    reached = Device(
        "home", OWN, port or before.device.listen_port,
        tuple(Dumped(one.public_key, tuple(one.allowed_ips), one.endpoint,
                     one.persistent_keepalive, one.preshared_key) for one in after.values()),
    )  # fmt: skip
    assert unfulfilled(reached, new, OWN, NOW) == []


@given(FILES)
def test_the_same_file_changes_nothing(configuration: Configuration) -> None:
    found = change(configuration, configuration)
    assert found == Plan(Method.NOTHING)


def test_only_a_changed_peer_is_touched() -> None:
    old = file(peer(0, "10.9.0.2/32"), peer(1, "10.9.0.3/32"))
    new = file(peer(0, "10.9.0.2/32"), peer(1, "10.9.0.3/32", "192.168.7.0/24"))
    found = change(old, new)
    assert found.method is Method.LIVE
    assert [one.public_key for one in found.peers_file.peers] == [KEYS[1]]
    assert found.peers_file.interface is None
    assert found.steps == (("peers", ""), ("route-add", "192.168.7.0/24"))
    assert [(one.change, one.details) for one in found.peers] == [
        ("changed", ("allowed IPs +192.168.7.0/24",))
    ]


def test_a_peer_that_roamed_keeps_its_endpoint_unless_the_file_has_another() -> None:
    old = file(peer(0, "10.9.0.2/32", endpoint=endpoint("192.0.2.1:51820")))
    elsewhere = file(peer(0, "10.9.0.2/32", endpoint=endpoint("192.0.2.9:999")))
    roamed = Present(without_key(old), OWN, device(elsewhere))
    assert plan(roamed, old, OWN, NOW).method is Method.NOTHING
    other = file(peer(0, "10.9.0.2/32", endpoint=endpoint("192.0.2.7:51820")))
    found = plan(roamed, other, OWN, NOW)
    assert found.peers[0].details == ("endpoint 192.0.2.9:999 -> 192.0.2.7:51820",)
    assert found.peers_file.peers[0].endpoint == endpoint("192.0.2.7:51820")


def test_an_endpoint_that_is_gone_takes_the_peer_along_if_there_is_no_session() -> None:
    old = file(peer(0, "10.9.0.2/32", endpoint=endpoint("192.0.2.1:51820")))
    new = file(peer(0, "10.9.0.2/32"))
    found = change(old, new, handshake=0)
    assert found.steps == (("remove", str(KEYS[0])), ("peers", ""))
    assert found.peers[0].details == ("endpoint 192.0.2.1:51820 -> none",)
    assert change(old, new).method is Method.FILE  # a session that lives stays


def test_a_name_that_stays_is_not_looked_up_again() -> None:
    old = file(peer(0, "10.9.0.2/32", endpoint=endpoint("vpn.example:7")))
    assert change(old, old, handshake=0).method is Method.NOTHING
    new = file(peer(0, "10.9.0.2/32", endpoint=endpoint("other.example:7")))
    assert change(old, new).peers_file.peers[0].endpoint == endpoint("other.example:7")


# --- addresses, MTU, routes ---


def test_addresses_are_added_before_others_go() -> None:
    found = change(file(peer(0, "10.9.0.2/32")), file(peer(0, "10.9.0.2/32"), addresses=(
        cidr("10.9.0.7/32"),
    )))  # fmt: skip
    assert found.steps == (
        ("address-add", "10.9.0.7/32"),
        ("address-del", "10.9.0.1/32"),
        ("address-add", "10.9.0.7/32"),
        ("route-add", "10.9.0.2/32"),  # gone with the last address
    )
    assert found.others == ("addresses +10.9.0.7/32 -10.9.0.1/32",)


def test_the_route_of_an_own_network_stays() -> None:
    own = (cidr("10.9.0.1/24"),)
    old = file(peer(0, "10.9.0.0/24"), addresses=own)
    found = change(old, file(peer(0, "10.9.0.2/32"), addresses=own))
    assert ("route-del", "10.9.0.0/24") not in found.steps


@pytest.mark.parametrize(("table", "shown"), [("off", None), ("42", "42"), ("auto", "")])
def test_routes_go_into_the_table_of_the_file(table: str, shown: str | None) -> None:
    found = change(file(table=table), file(peer(0, "10.9.0.2/32"), table=table))
    routes = [step for step in found.steps if step[0] == "route-add"]
    assert (found.table if routes else None) == shown


# --- restarts ---


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ({}, {"dns": (cidr("10.9.0.3/32").address,)}, "DNS differs"),
        ({}, {"table": "42"}, "Table differs"),
        ({"mtu": 1400}, {}, "MTU becomes automatic"),
    ],
)
def test_a_restart(old: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    found = change(file(**old), file(**new))
    assert (found.method, found.reasons) == (Method.RESTART, (reason,))
    assert found.steps == ()


def test_a_default_route_takes_a_restart() -> None:
    found = change(file(peer(0, "10.9.0.2/32")), file(peer(0, "0.0.0.0/0")))
    assert found.reasons == ("a default route differs",)
    assert change(file(peer(0), table="off"), file(peer(0, "::/0"), table="off")).reasons == ()


@pytest.mark.parametrize(
    "line", ["PostUp = true", "PreDown=x # y", "FwMark = 7", "saveconfig=true"]
)
def test_a_command_that_somebody_added_takes_a_restart(line: str) -> None:
    text = without_key(file()).replace("[Interface]\n", f"[Interface]\n{line}\n")
    assert plan(Present(text, OWN, device(file())), file(), OWN, NOW).method is Method.RESTART


def test_a_tunnel_that_is_down_is_started() -> None:
    found = plan(Present(without_key(file()), OWN), file(peer(0, "10.9.0.2/32")), OWN, NOW)
    assert (found.method, [one.change for one in found.peers]) == (Method.START, ["added"])
    assert plan(Present(), file(), OWN, NOW).method is Method.START


def test_comments_alone_replace_the_file() -> None:
    new = file()
    assert new.interface is not None
    new = new._replace(interface=new.interface._replace(comments=("new",)))
    assert change(file(), new) == Plan(Method.FILE)


# --- keys ---


def test_a_new_key_from_the_folder_is_set() -> None:
    old_key = PrivateKey(bytes([16] * 31 + [64])).public_key()
    before = Present(without_key(file()), old_key, device(file())._replace(public_key=old_key))
    found = plan(before, file(), OWN, NOW)
    assert found.peers_file.interface == Interface(private_key=KEY)
    assert found.others == (f"key {old_key} -> {OWN}",)


def test_a_key_that_lies_on_the_machine_stays_there() -> None:
    wanted = file(private_key=None)
    assert plan(present(file()), wanted, OWN, NOW).method is Method.NOTHING
    other = device(file())._replace(public_key=KEYS[0])
    found = plan(Present(without_key(file()), OWN, other), wanted, OWN, NOW)
    assert found.steps == (("private-key", ""),)
    with pytest.raises(DeploymentError, match="neither in the folder nor on the machine"):
        plan(Present("[Interface]\n", None), wanted, OWN, NOW)
    with pytest.raises(DeploymentError, match="belongs to"):
        plan(Present("[Interface]\n", KEYS[0]), wanted, OWN, NOW)


def test_an_interface_without_a_file_belongs_to_something_else() -> None:
    with pytest.raises(DeploymentError, match="something else manages it"):
        plan(Present(None, None, device(file())), file(), OWN, NOW)


@given(
    st.lists(
        st.sampled_from(
            [
                "[Interface]",
                "[Peer]",
                f"PublicKey = {KEYS[0]}",
                "AllowedIPs = 10.0.0.0/8, ::/0",
                "Address = 10.9.0.1/32 fd00::1",
                "MTU = 99999999",
                "DNS=\x1b[2J",
                "Endpoint = a:1",
                "PostUp = $(reboot)",
                "PrivateKey = x",
                "Table = off",
                "ListenPort = 7",
                "\0=\0",
            ]
        )
        | st.text(max_size=20)
    )
)
def test_any_file_on_a_machine_is_planned_for_or_refused(lines: list[str]) -> None:
    wanted = file(peer(0, "10.9.0.2/32"))
    for there in (None, device(wanted)):
        try:
            found = plan(Present("\n".join(lines), OWN, there), wanted, OWN, NOW)
        except KgctlError as error:
            assert str(error).isprintable()  # noqa: PT017
        else:
            assert all(text.isprintable() for step in found.steps for text in step)


def test_a_file_that_is_invalid_is_not_replaced() -> None:
    with pytest.raises(ConfigurationError, match="its file, line 2"):
        plan(Present("[Interface]\nWhat = 1\n", OWN, device(file())), file(), OWN, NOW)
