"""Drift of wg's output: every difference is found, and no secret is shown."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.wireguard.conf import Configuration, Interface, PeerSection
from kgctl.wireguard.drift import Drift, Kind, drift
from kgctl.wireguard.dump import Device, DevicePeer
from kgctl.wireguard.machinefiles import parse_devices
from tests.support.strategies import HOSTILE

NOW = 1_800_000_000.0
SECRET, PSK = b64encode(b"S" * 32).decode(), b64encode(b"P" * 32).decode()
A, B, OWN = (PublicKey(letter * 32) for letter in (b"a", b"b", b"o"))
SOON, LONG_AGO = int(NOW) - 30, int(NOW) - 200


def _cidrs(*texts: str) -> tuple[Cidr, ...]:
    return tuple(cidr for cidr in map(parse_cidr, texts) if cidr is not None)


WANTED = Configuration(
    Interface(listen_port=51820),
    (
        PeerSection(A, _cidrs("10.1.0.0/24", "10.9.9.9/16"), parse_endpoint("192.0.2.1:1"), 25),
        PeerSection(B, _cidrs("10.2.0.0/24", "fd00::/64")),
    ),
)
PEERS = (
    DevicePeer(
        A, _cidrs("10.9.0.0/16", "10.1.0.0/24"), parse_endpoint("192.0.2.1:1"), 25, None, SOON
    ),
    DevicePeer(
        B, _cidrs("10.2.0.0/24", "fd00::/64"), parse_endpoint("198.51.100.9:7"), 0, None, SOON
    ),
)
AS_IT_SHOULD_BE = Device("kilo0", OWN, 51820, PEERS)

DUMP = "\n".join(
    "\t".join(line)
    for line in (
        ("kilo0", SECRET, str(OWN), "51820", "off"),
        ("kilo0", str(A), "(none)", "192.0.2.1:1", "10.9.0.0/16,10.1.0.0/24", str(SOON),
         "1", "2", "25"),
        ("kilo0", str(B), PSK, "[fe80::1%eth0]:7", "(none)", "0", "0", "0", "off"),
        ("wg1", SECRET, str(A), "0", "0x1"),
    )
)  # fmt: skip


def test_all_interfaces_are_read() -> None:
    kilo, other = parse_devices(DUMP + "\n", "it")
    assert (kilo.name, kilo.public_key, kilo.listen_port) == ("kilo0", OWN, 51820)
    assert kilo.peers[0] == PEERS[0]
    assert kilo.peers[1] == DevicePeer(
        B, (), parse_endpoint("[fe80::1]:7"), 0, PresharedKey.parse(PSK), 0
    )
    assert other == Device("wg1", A, 0, ())


def test_one_interface_is_read() -> None:
    one = "\n".join(line.partition("\t")[2] for line in DUMP.splitlines()[:3])
    (device,) = parse_devices(one, "it")
    assert device == parse_devices(DUMP, "it")[0]._replace(name="")


def test_a_configuration_is_read() -> None:
    text = (
        f"[Interface]\nListenPort = 51820\nFwMark = 0xca6c\nPrivateKey = {SECRET}\n\n"
        f"[Peer]\nPublicKey = {A}\nAllowedIPs = 10.9.9.9/16\nEndpoint = 192.0.2.1:1\n"
    )
    (device,) = parse_devices(text, "it")
    assert device.public_key is not None
    assert device.peers == (DevicePeer(A, _cidrs("10.9.0.0/16"), parse_endpoint("192.0.2.1:1")),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\t".join([SECRET] * 3),
        "\t".join([SECRET] * 8),  # a peer before an interface
        DUMP + "\n" + "\t".join(["kilo0", *[PSK] * 8]),
        f"{SECRET}\t{OWN}\t1\toff\n{A}\t{PSK}\tx\t(none)\t0\t0\t0\toff",
        f"[Interface]\nPrivateKey = {SECRET}x\n",
        f"[Interface]\n{SECRET}\n",
        SECRET,
    ],
)
def test_what_is_none_of_these_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(KgctlError) as error:
        parse_devices(text, "it")
    assert SECRET[:8] not in str(error.value)
    assert PSK[:8] not in str(error.value)


@given(
    st.lists(st.one_of(HOSTILE, st.sampled_from(DUMP.replace("\n", "\t").split("\t")))), st.data()
)
def test_no_text_breaks_it(fields: list[str], data: st.DataObject) -> None:
    between = st.sampled_from(["\t", "\t", "\t", "\n"])
    text = "".join(field + data.draw(between) for field in fields)
    try:
        devices = parse_devices(text, "it")
    except KgctlError as error:
        said = str(error)
    else:
        said = ascii(devices)
    assert said.isprintable()
    assert SECRET not in said


def test_what_is_as_it_should_be_does_not_differ() -> None:
    assert drift(AS_IT_SHOULD_BE, WANTED, OWN, NOW) == []


def _peer(number: int, **changes: object) -> Device:
    peers = list(PEERS)
    peers[number] = peers[number]._replace(**changes)  # type: ignore[arg-type]
    return AS_IT_SHOULD_BE._replace(peers=tuple(peers))


@pytest.mark.parametrize(
    ("device", "found"),
    [
        (AS_IT_SHOULD_BE._replace(public_key=A), Drift(Kind.KEY, None, str(OWN), str(A))),
        (AS_IT_SHOULD_BE._replace(public_key=None), None),
        (AS_IT_SHOULD_BE._replace(listen_port=1), Drift(Kind.PORT, None, "51820", "1")),
        (AS_IT_SHOULD_BE._replace(listen_port=None), None),
        (AS_IT_SHOULD_BE._replace(peers=PEERS[1:]), Drift(Kind.MISSING, A, "192.0.2.1:1", None)),
        (
            AS_IT_SHOULD_BE._replace(peers=(*PEERS, DevicePeer(PublicKey(b"x" * 32)))),
            Drift(Kind.EXTRA, PublicKey(b"x" * 32), None, "none"),
        ),
        (
            _peer(0, allowed_ips=_cidrs("10.1.0.0/24", "10.8.0.0/16")),
            Drift(Kind.ALLOWED_IPS, A, "10.9.0.0/16", "10.8.0.0/16"),
        ),
        (
            _peer(0, endpoint=parse_endpoint("192.0.2.7:1")),
            Drift(Kind.ROAMED, A, "192.0.2.1:1", "192.0.2.7:1"),
        ),
        (
            _peer(0, endpoint=parse_endpoint("192.0.2.7:1"), latest_handshake=None),
            Drift(Kind.ENDPOINT, A, "192.0.2.1:1", "192.0.2.7:1"),
        ),
        (_peer(1, endpoint=None, latest_handshake=0), None),
        (_peer(1, latest_handshake=LONG_AGO), None),  # it called once; nobody has to call now
        (_peer(1, latest_handshake=None), None),
        (_peer(1, latest_handshake=0), Drift(Kind.ENDPOINT, B, "none", "198.51.100.9:7")),
        (_peer(1, keepalive=5), Drift(Kind.KEEPALIVE, B, "0", "5")),
        (
            _peer(1, preshared_key=PresharedKey.parse(PSK)),
            Drift(Kind.PRESHARED_KEY, B, "none", "one"),
        ),
        (_peer(0, latest_handshake=LONG_AGO), Drift(Kind.HANDSHAKE, A, "within 180s", "3m ago")),
        (_peer(0, latest_handshake=0), Drift(Kind.HANDSHAKE, A, "within 180s", "never")),
        (_peer(0, latest_handshake=None), None),
    ],
)
def test_each_difference_is_found_and_no_other(device: Device, found: Drift | None) -> None:
    assert drift(device, WANTED, OWN, NOW) == ([] if found is None else [found])


def test_another_preshared_key_is_told_of_and_never_shown() -> None:
    keyed = [one._replace(preshared_key=PresharedKey(raw * 32))
             for one, raw in ((WANTED.peers[1], b"x"),)]  # fmt: skip
    wanted = WANTED._replace(peers=(WANTED.peers[0], *keyed))
    device = _peer(1, preshared_key=PresharedKey.parse(PSK))
    assert drift(device, wanted, OWN, NOW) == [Drift(Kind.PRESHARED_KEY, B, "one", "another")]


def test_a_name_may_stand_for_any_address() -> None:
    section = WANTED.peers[0]._replace(endpoint=parse_endpoint("vpn.example:1"))
    wanted = WANTED._replace(peers=(section, WANTED.peers[1]))
    assert drift(AS_IT_SHOULD_BE, wanted, OWN, NOW) == []


def test_what_wireguard_makes_of_overlapping_sections_is_no_drift() -> None:
    """Of two that claim a network the later has it; the own key is left out."""
    twice = WANTED.peers[0]._replace(
        allowed_ips=_cidrs("10.1.0.0/24", "10.9.0.0/16", "10.2.0.9/24")
    )
    own = PeerSection(OWN, _cidrs("10.7.0.0/16"))
    wanted = WANTED._replace(peers=(own, twice, WANTED.peers[1]))
    assert drift(AS_IT_SHOULD_BE, wanted, OWN, NOW) == []
