"""Names in comments: the forms of programs, and what must never become one."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.endpoint import is_dns_name
from kgctl.wireguard.machine_names import disabled_names, headings, valid_name
from tests.support.foreign import PIVPN, SECRET


def names(text: str) -> list[str]:
    return [one.name for one in headings(text)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("### begin a.b@c ###\n[Peer]", "a.b@c"),
        ("# BEGIN_PEER ana\n[Peer]", "ana"),
        ("### Client ana\n[Peer]", "ana"),
        ("# Client: Ana B (5)\n[Peer]", "Ana B"),
        ("# ID: x\n# Name:   ana\n# Email:\n[Peer]\nA = b", "ana"),
        ("[Peer]\n# Name: ana\nA = b", "ana"),
        ("[Peer] # Name = ana\nA = b", "ana"),
        ("[Peer]\nA = b\n# friendly_name = ana\nC = d", "ana"),
        ("[Peer]\nA = b\n# friendly_name = ana\n", "ana"),
        ("[Peer]\n# friendly_json={}\n#friendly_name=ana\nA = b", "ana"),
        ("[WireGuardPeer]\n; ana\nA=b", "ana"),
        ("# ana\n[Peer]\n# the red one, on the second floor\nA = b", "ana"),
        ("[Interface]\n# the peer ana, for: wg-quick up FILE\nA = b", "ana"),
        ("[Peer]\n# peer ana\nA = b", "ana"),
        ("# ana\n\n[Peer]\nA = b", ""),
        ("# this machine was added last summer\n[Peer]\nA = b", ""),
        ("### bea\n#[Peer]\n#PublicKey = x\n#AllowedIPs = y\n[Peer]\nA = b", ""),
        ("### end bea ###\n[Peer]\nA = b", ""),
        ("# -----\n[Peer]\nA = b", ""),
        ("# PrivateKey = abc\n[Peer]\nA = b", ""),
        (f"# {SECRET}\n[Peer]\nA = b", ""),
        (f"# Name: {SECRET}\n[Peer]\nA = b", ""),
    ],
)
def test_a_comment_names_the_machine(text: str, name: str) -> None:
    assert names(text) == [name]


def test_a_comment_belongs_to_the_section_that_it_is_attached_to() -> None:
    text = (
        "[Interface]\nA = b\n# hub\n\n[Peer]\nA = b\n\n# ana\n[Peer]\nA = b\n# bea\n[Peer]\nA = b"
    )
    assert names(text) == ["", "", "ana", "bea"]
    named = "[Interface]\nA = b\n# Name: hub\n\n[Peer]\nA = b\n# Name: ana\n[Peer]\nA = b"
    assert names(named) == ["hub", "", "ana"]


def test_clients_that_pivpn_disabled_are_named() -> None:
    assert list(disabled_names(PIVPN)) == ["bea"]
    assert list(disabled_names("### begin a ###\n#[disabled] [Peer]\n#[disabled] x")) == ["a"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ana.Phone", "ana-phone"),
        ("Zoë Ünal", "zoe-unal"),
        ("..--", ""),
        ("手机", ""),
        ("a" * 99, "a" * 63),
    ],
)
def test_names_are_made_valid(text: str, name: str) -> None:
    assert valid_name(text) == name


@given(st.text(max_size=300))
def test_a_valid_name_is_one_of_kubernetes(text: str) -> None:
    name = valid_name(text)
    assert not name or is_dns_name(name)
    assert valid_name(name) == name


@given(st.text("#;[]= abPeer:\nName", max_size=200), st.binary(min_size=32, max_size=32))
def test_no_key_becomes_a_name(text: str, key: bytes) -> None:
    secret = b64encode(key).decode()
    for one in headings(f"{text}# {secret}\n[Peer]\n# Name: {secret} \n{text}\nA = b"):
        assert secret not in one.name
