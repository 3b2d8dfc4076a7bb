"""Machines merged from files: addresses, endpoints, names; and from any bytes, valid Peers."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kgctl.edit.import_files import manifest
from kgctl.edit.network_import import Import, Wishes, merged
from kgctl.errors import KgctlError
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.key import PublicKey
from kgctl.state.peer_validation import peer_problems
from kgctl.wireguard.foreign_files import read_foreign
from kgctl.wireguard.machinefiles import decoded
from tests.support.foreign import ANA, BEA, EVERY_FILE, NETDEV, NETWORK, PSK, SECRET, SERVER

ENDPOINT = Wishes({"": "192.0.2.1:51820"})
KEY = SERVER.public_key()


def imported(*texts: str, wishes: Wishes = ENDPOINT) -> Import:
    files = [read_foreign(text, f"file{number}") for number, text in enumerate(texts)]
    return merged([one._replace(stem="wg0") for one in files], wishes)


def addresses(found: Import) -> dict[str, list[str]]:
    return {one.name: list(map(str, one.allowed_ips)) for one in found.machines}


def interface(address: str, key: str = SECRET, more: str = "") -> str:
    return f"[Interface]\nPrivateKey = {key}\nAddress = {address}\n{more}\n"


def peer(key: object, allowed_ips: str, more: str = "") -> str:
    return f"[Peer]\n{more}\nPublicKey = {key}\nAllowedIPs = {allowed_ips}\n"


def test_networks_beside_that_of_the_tunnel_are_behind_the_machine() -> None:
    found = imported(interface("10.6.0.1/24") + peer(ANA, "10.6.0.2/32, 192.168.7.0/24"))
    assert addresses(found)["peer-1"] == ["10.6.0.2/32", "192.168.7.0/24"]
    assert any("192.168.7.0/24 is not in the network of the tunnel" in one for one in found.notes)
    assert found.pools == (parse_cidr("10.6.0.0/24"),)


def test_routes_and_all_traffic_are_not_imported() -> None:
    found = imported(interface("10.6.0.1/24") + peer(ANA, "10.6.0.2/32,10.6.0.0/16,0.0.0.0/0,::/1"))
    assert addresses(found)["peer-1"] == ["10.6.0.2/32"]
    assert sum("peer-1: not imported: " in one for one in found.losses) == 2


def test_an_address_with_host_bits_is_that_of_the_machine() -> None:
    found = imported(interface("10.6.0.1/24") + peer(ANA, "10.6.0.2/24"))
    assert addresses(found)["peer-1"] == ["10.6.0.2/32"]


def test_files_of_several_machines_are_merged_by_public_key() -> None:
    secret = SERVER.clamped()
    server = interface("10.6.0.1/24", more="ListenPort = 51820") + peer(ANA, "10.6.0.2", "# ana")
    client = interface("10.6.0.3/24", "A" * 42 + "E=") + peer(
        secret.public_key(), "10.6.0.0/24", "Endpoint = Hub.example.com:51820"
    )
    found = imported(server, client, wishes=Wishes())
    assert addresses(found) == {
        "server": ["10.6.0.1/32"], "machine": ["10.6.0.3/32"], "ana": ["10.6.0.2/32"]
    }  # fmt: skip
    assert str(found.machines[0].endpoint) == "hub.example.com:51820"
    assert [one.private_key is None for one in found.machines] == [False, False, True]


def test_endpoints_that_wireguard_saved_are_not_imported() -> None:
    text = interface("10.6.0.1/24", more="SaveConfig = true") + peer(
        ANA, "10.6.0.2/32", "Endpoint = 198.51.100.7:40000"
    )
    found = imported(text)
    assert found.machines[1].endpoint is None
    assert any("SaveConfig" in one and "198.51.100.7:40000" in one for one in found.losses)


def test_a_machine_without_an_address_gets_a_free_one() -> None:
    text = interface("10.6.0.1/24") + peer(ANA, "0.0.0.0/0") + peer(BEA, "10.6.0.2/32")
    found = imported(text)
    assert addresses(found)["peer-1"] == ["10.6.0.3/32"]
    assert any("no file says its address" in one for one in found.notes)


def _fails(*texts: str, wishes: Wishes = ENDPOINT) -> tuple[str, str]:
    with pytest.raises(KgctlError) as raised:
        imported(*texts, wishes=wishes)
    assert "\n" not in str(raised.value)
    return str(raised.value), raised.value.field


def test_what_is_missing_is_asked_for() -> None:
    text = interface("10.6.0.1/24") + peer(ANA, "10.6.0.2/32")
    message, field = _fails(text, wishes=Wishes())
    assert (field, "its peers have to call it" in message) == ("endpoint", True)
    message, field = _fails(text, wishes=Wishes({"": "hub.example.com"}))
    assert (field, "says no port" in message) == ("endpoint", True)
    message, field = _fails(text.replace(f"PrivateKey = {SECRET}", ""))
    assert (field, "has no private key" in message) == ("own public key", True)
    message, field = _fails(f"[Interface]\nPrivateKey = {SECRET}\n" + peer(ANA, ""))
    assert (field, "has an address" in message) == ("pool", True)
    message, field = _fails(text, wishes=Wishes({"": "192.0.2.1:1", "bob": "192.0.2.2:1"}))
    assert (field, "they become peer-1, server" in message) == ("endpoint name", True)


def test_two_machines_with_one_address_are_an_error() -> None:
    text = interface("10.6.0.1/24") + peer(ANA, "10.6.0.2/32") + peer(BEA, "10.6.0.2/32")
    message, _ = _fails(text)
    assert message.startswith("file0, line 5: 10.6.0.2/32 belongs to peer-2 too")


def test_names_that_collide_are_numbered() -> None:
    keys = [bytes([number]) * 32 for number in range(10, 14)]
    text = interface("10.6.0.1/24") + "".join(
        peer(PublicKey(key), f"10.6.0.{number}/32", f"# Name: {name}")
        for number, (key, name) in enumerate(zip(keys, ["a", "A", "a-2", "ä"], strict=True), 2)
    )
    assert list(addresses(imported(text))) == ["server", "a", "a-2", "a-2-2", "a-3"]


def test_files_of_systemd_are_one_machine() -> None:
    file = read_foreign(NETDEV, "it.netdev", ("it.network", NETWORK))
    found = merged([file], ENDPOINT)
    assert list(map(str, found.machines[0].allowed_ips)) == ["10.6.0.1/32"]
    assert any(one.startswith("it.network, line 5: not imported: IPMasq") for one in found.losses)


_LINES = st.sampled_from(
    [
        *sorted({line for text in EVERY_FILE for line in text.splitlines()}),
        *("AllowedIPs = 10.6.0.2/32", "[Peer]", "[Interface]", "Address = ::/0", "PublicKey ="),
    ]
)
_TEXTS = st.one_of(
    st.binary(max_size=300).map(decoded),
    st.lists(_LINES, max_size=25).map("\n".join),
    st.tuples(st.sampled_from(EVERY_FILE), st.integers(0, 2000), st.text(max_size=9)).map(
        lambda one: one[0][: one[1]] + one[2] + one[0][one[1] :]
    ),
)


@given(st.lists(_TEXTS, min_size=1, max_size=3), st.booleans())
@example(list(EVERY_FILE), True)
def test_whatever_is_read_the_machines_are_valid_peers(texts: list[str], named: bool) -> None:
    wishes = Wishes({"": "192.0.2.1:51820"} if named else {"": ""}, ANA, ())
    try:
        found = imported(*texts, wishes=wishes)
    except KgctlError as error:
        messages = [str(error)]
    else:
        messages = [*found.notes, *found.losses]
        names = [one.name for one in found.machines]
        assert len(names) == len(set(names))
        for machine in found.machines:
            assert peer_problems(manifest(machine)) == (machine.name, ())
            assert machine.allowed_ips
    for message in messages:
        assert message.isprintable()
        assert len(message) < 1500
        assert not any(secret[:40] in message for secret in (SECRET, PSK))
