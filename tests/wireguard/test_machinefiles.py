"""Machine files: recognised by content, read alike in every format, without secrets."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.wireguard.dump import Device, DevicePeer
from kgctl.wireguard.keys import PrivateKey
from kgctl.wireguard.machinefiles import KINDS, decoded, parse_devices, read_machine_file
from tests.support.strategies import HOSTILE

PRIVATE = PrivateKey(b"S" * 32)
SECRET, PSK = PRIVATE.reveal(), b64encode(b"P" * 32).decode()
A, B = PublicKey(b"a" * 32), PublicKey(b"b" * 32)
PEERS = (
    DevicePeer(
        A,
        tuple(filter(None, map(parse_cidr, ("10.1.0.0/24", "fd00::/64")))),
        parse_endpoint("192.0.2.1:1"),
        25,
        PresharedKey(b"P" * 32),
    ),
    DevicePeer(B, tuple(filter(None, map(parse_cidr, ("10.2.0.0/24",))))),
)
ADDRESSES = tuple(filter(None, map(parse_cidr, ("10.5.0.1/32", "fd5a::1/128"))))

QUICK = f"""# mine
[Interface]
Address = 10.5.0.1/32, fd5a::1/128
PrivateKey = {SECRET}
ListenPort = 51820
DNS = 10.43.0.10, svc.cluster.local
MTU = 1420
Table = off
SaveConfig = true
PreUp =
PostUp = iptables -A FORWARD -i %i -j ACCEPT; ip rule add table main # why
PostDown = true
FwMark = 0xca6c

[Peer]
PublicKey = {A}
PresharedKey = {PSK}
AllowedIPs = 10.1.0.0/24, fd00::/64
Endpoint = 192.0.2.1:1
PersistentKeepalive = 25

### begin phone ###
[Peer]
PublicKey ={B}
AllowedIPs = 10.2.0.0/24
### end phone ###
"""
NETDEV = f"""# /etc/systemd/network/kilo0.netdev
[NetDev]
Name=kilo0
Kind=wireguard
MTUBytes=1420

[WireGuard]
PrivateKey={SECRET}
ListenPort=51820
RouteTable=main

[WireGuardPeer]
PublicKey={A}
PresharedKey={PSK}
AllowedIPs=10.1.0.0/24
AllowedIPs=fd00::/64
Endpoint=192.0.2.1:1
PersistentKeepalive=25
RouteMetric=7

[WireGuardPeer]
PublicKey={B}
AllowedIPs=10.2.0.0/24
PersistentKeepalive=off
"""
NETWORK = """
# /etc/systemd/network/kilo0.network
[Match]
Name=kilo0

[Network]
Address=10.5.0.1/32
Address=fd5a::1/128
DNS=10.43.0.10
"""
KEYFILE = f"""[connection]
id=kilo0
type=wireguard
interface-name=kilo0

[wireguard]
private-key={SECRET}
listen-port=51820

[wireguard-peer.{A}]
endpoint=192.0.2.1:1
preshared-key={PSK}
preshared-key-flags=0
persistent-keepalive=25
allowed-ips=10.1.0.0/24;fd00::/64;

[wireguard-peer.{B}]
allowed-ips=10.2.0.0/24;

[ipv4]
address1=10.5.0.1/32,10.5.0.254
method=manual

[ipv6]
address1=fd5a::1/128
method=manual
"""
AMNEZIA = QUICK.replace("[Peer]", "Jc = 5\nJmin = 49\nS1 = 17\nS2 = 0\nH1 = 80950146\n\n[Peer]", 1)
FILES = {
    "wg-quick": QUICK,
    "networkd": NETDEV + NETWORK,
    "NetworkManager": KEYFILE,
    "AmneziaWG": AMNEZIA,
    "in capitals": QUICK.replace("PublicKey", "PUBLICKEY").replace("[Peer]", "[PEER]"),
    "with spaces": QUICK.replace("PublicKey", "Public Key").replace("[Peer]", " [ Peer ] "),
    "with tabs": QUICK.replace(" = ", "\t=\t").replace("\n", "\r\n"),
}


def _encodings(text: str) -> dict[str, bytes]:
    return {
        "utf-8": text.encode(),
        "utf-8 with a mark": text.encode("utf-8-sig"),
        "utf-16": text.encode("utf-16"),
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "utf-16-be with a mark": b"\xfe\xff" + text.encode("utf-16-be"),
        "windows": text.replace("\n", "\r\n").encode(),
    }


@pytest.mark.parametrize("encoding", list(_encodings("")))
@pytest.mark.parametrize("form", list(FILES))
def test_a_file_says_the_same_in_every_form(form: str, encoding: str) -> None:
    (device,) = parse_devices(decoded(_encodings(FILES[form])[encoding]), "it")
    obfuscation = ("S1", "H1") if form == "AmneziaWG" else ()
    expected = Device(
        "", PRIVATE.public_key(), 51820, PEERS, addresses=ADDRESSES, obfuscation=obfuscation
    )
    assert device == expected


def test_a_netdev_file_alone_has_no_addresses_and_a_network_file_alone_no_keys() -> None:
    (device,) = parse_devices(NETDEV, "it")
    assert (device.peers, device.addresses) == (PEERS, ())
    with pytest.raises(KgctlError, match=r"is a .network file of systemd-networkd: keys and peers"):
        parse_devices(NETWORK, "it")


def test_keys_that_are_elsewhere_are_not_known() -> None:
    for line in ("PrivateKeyFile=/etc/key", "PrivateKey=@wg.key"):
        text = NETDEV.replace(f"PrivateKey={SECRET}", line).replace("=51820", "=auto")
        (device,) = parse_devices(text, "it")
        assert (device.public_key, device.listen_port) == (None, None)


DUMP = "\n".join(
    "\t".join(line)
    for line in (
        ("kilo0", SECRET, str(PRIVATE.public_key()), "51820", "off"),
        ("kilo0", str(A), PSK, "192.0.2.1:1", "10.1.0.0/24,fd00::/64", "1800000000", "1", "2",
         "25"),
        ("kilo0", str(B), "(none)", "(none)", "10.2.0.0/24", "0", "0", "0", "off"),
        ("new", "(none)", "(none)", "41234", "off"),
    )
)  # fmt: skip
SHOW = f"""interface: kilo0
  public key: {PRIVATE.public_key()}
  private key: (hidden)
  listening port: 51820
  fwmark: 0xca6c

peer: {A}
  preshared key: (hidden)
  endpoint: 192.0.2.1:1
  allowed ips: 10.1.0.0/24, fd00::/64
  latest handshake: 1 minute, 20 seconds ago
  transfer: 1.09 MiB received, 2.17 MiB sent
  persistent keepalive: every 25 seconds

peer: {B}
  allowed ips: 10.2.0.0/24

interface: new
  listening port: 41234
"""


def _pasted(text: str) -> str:
    """As it arrives from a terminal: blanks for tabs, blanks at the end, an empty line before."""
    return "\n" + "".join(f"{line}  \n" for line in text.expandtabs(4).split("\n"))


@pytest.mark.parametrize("text", [DUMP, DUMP + "\n", _pasted(DUMP), DUMP.replace("\n", "\r\n")])
def test_a_dump_is_read_with_tabs_and_with_blanks(text: str) -> None:
    kilo, new = parse_devices(decoded(text.encode()), "it")
    assert (kilo.name, kilo.public_key, kilo.keyless) == ("kilo0", PRIVATE.public_key(), False)
    assert kilo.peers[0] == PEERS[0]._replace(latest_handshake=1_800_000_000)
    assert kilo.peers[1] == PEERS[1]._replace(latest_handshake=0)
    assert new == Device("new", None, 41234, (), keyless=True)


@pytest.mark.parametrize(
    "text", [SHOW, _pasted(SHOW), SHOW.replace("peer:", "\x1b[33m\x1b[1mpeer\x1b[0m:"),
             "\n".join(line.strip() for line in SHOW.split("\n"))]
)  # fmt: skip
def test_what_wg_shows_people_is_read(text: str) -> None:
    kilo, new = parse_devices(text, "it")
    assert (kilo.name, kilo.public_key, kilo.listen_port) == ("kilo0", PRIVATE.public_key(), 51820)
    assert kilo.peers[0] == PEERS[0]._replace(preshared_key=None, hidden_key=True, handshake_age=80)
    assert kilo.peers[1] == PEERS[1]._replace(latest_handshake=0)
    assert (new.name, new.keyless, new.public_key) == ("new", True, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("Now", 0), ("1 second ago", 1), ("2 days, 1 hour, 3 minutes ago", 176_580),
     ("1 year, 2 seconds ago", 31_536_002)],
)  # fmt: skip
def test_an_age_is_read(text: str, seconds: int) -> None:
    (device, _) = parse_devices(SHOW.replace("1 minute, 20 seconds ago", text), "it")
    assert device.peers[0].age(0) == seconds


def test_a_dump_of_amneziawg_is_read() -> None:
    line = ["awg0", SECRET, str(PRIVATE.public_key()), "51820", "5", "49", "998", "17", "110",
            "1", "2", "3", "4", "off"]  # fmt: skip
    (device,) = parse_devices("\t".join(line) + "\n" + "\t".join(["awg0", str(B), "(none)",
                              "(none)", "10.2.0.0/24", "0", "0", "0", "off"]), "it")  # fmt: skip
    assert (device.name, device.listen_port) == ("awg0", 51820)
    assert device.peers == (PEERS[1]._replace(latest_handshake=0),)


OTHERS = {
    "empty": " \n",
    "a WireGuard key alone": SECRET + "\n",
    "a Kubernetes manifest": "apiVersion: v1\nkind: Secret\nstringData:\n  a: |\n    [Interface]\n",
    "a NetworkManager keyfile, but not one of WireGuard": "[connection]\nid=x\ntype=wifi\n[wifi]\n",
    "a .netdev file of systemd-networkd, but not one": "[NetDev]\nName=br0\nKind=bridge\n",
    "an error message of wg": "Unable to access interface wg0: Operation not permitted\n",
    "an answer of WireGuard's userspace socket": f"private_key={'ab' * 32}\nlisten_port=5\n",
    "a picture": '<?xml version="1.0"?><svg/>',
    "a QR code": "█▀▀▀▀█\n",
    "an HTML page": "<!DOCTYPE html><html>",
    "an OpenVPN configuration": "client\ndev tun\nremote vpn.example.com 1194\n",
    "an OpenWrt configuration": f"config interface 'wg0'\n\toption private_key '{SECRET}'\n",
    "a RouterOS configuration": "/interface wireguard\nadd listen-port=13231 name=wg1\n",
    "JSON": f'{{"server": {{"privateKey": "{SECRET}"}}}}',
    "a binary file": "\x7fELF\0\0\1",
    "not a WireGuard configuration: give": "hello\n",
}


@pytest.mark.parametrize("keepalive", ["65536", "70000", "-1", "9" * 20])
@pytest.mark.parametrize("form", ["wg", "netdev", "nmconnection", "dump"])
def test_a_keepalive_that_wireguard_cannot_hold_is_refused(form: str, keepalive: str) -> None:
    key = str(A)
    text = {
        "wg": f"[Peer]\nPublicKey={key}\nPersistentKeepalive={keepalive}\n",
        "netdev": f"[WireGuardPeer]\nPublicKey={key}\nPersistentKeepalive={keepalive}\n",
        "nmconnection": f"[wireguard]\n[wireguard-peer.{key}]\npersistent-keepalive={keepalive}\n",
        "dump": "wg0\t(none)\t(none)\t0\toff\n"
        f"wg0\t{key}\t(none)\t(none)\t(none)\t0\t0\t0\t{keepalive}\n",
    }
    (device,) = parse_devices(text[form].replace(keepalive, "65535"), "it")
    assert device.peers[0].keepalive == 65535
    with pytest.raises(KgctlError, match=r"^it.*line [0-9]: "):
        parse_devices(text[form], "it")


@pytest.mark.parametrize("what", list(OTHERS))
def test_what_cannot_be_read_is_named(what: str) -> None:
    with pytest.raises(KgctlError) as raised:
        parse_devices(OTHERS[what], "it")
    message = str(raised.value)
    assert message.startswith(f"it is {what}")
    assert message.isprintable()
    assert "line 1" not in message
    assert SECRET[:8] not in message


def test_a_picture_is_named_as_it_comes_from_a_file() -> None:
    with pytest.raises(KgctlError, match="it is a picture"):
        parse_devices(decoded(b"\x89PNG\r\n\x1a\n\0\0"), "it")


def test_every_kind_has_a_case() -> None:
    shown = [*FILES.values(), NETWORK, DUMP, SHOW, *OTHERS.values()]
    fitting = {next((kind.noun for kind in KINDS if kind.fits(text)), None) for text in shown}
    assert {kind.noun for kind in KINDS} <= fitting


@pytest.mark.parametrize(
    "text",
    [
        NETDEV + SECRET[:-1],
        KEYFILE.replace("[ipv4]", SECRET[:-1]),
        NETDEV.replace(PSK, SECRET[1:]),
        KEYFILE.replace(f"preshared-key={PSK}", f"preshared-key={SECRET[1:]}"),
        SHOW + SECRET,
        SHOW.replace("10.2.0.0/24", SECRET),
        DUMP + "\n" + SECRET,
    ],
)
def test_a_wrong_line_shows_no_secret(text: str) -> None:
    with pytest.raises(KgctlError) as raised:
        parse_devices(text, "it")
    assert SECRET[1:9] not in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("mark", ["#", ";", " #", "#\t"])
def test_a_file_says_how_it_was_made(mark: str) -> None:
    text = QUICK.replace("# mine", f"{mark} made with: --only a,b").replace(";", "#")
    assert read_machine_file(text, "it").made_with == "--only a,b"
    assert read_machine_file(QUICK, "it").made_with == ""


@given(
    st.sampled_from([NETDEV, KEYFILE, SHOW, DUMP, QUICK]),
    st.lists(st.tuples(st.integers(0, 900), HOSTILE), max_size=4),
)
def test_no_text_breaks_a_reader(text: str, pieces: list[tuple[int, str]]) -> None:
    for place, piece in pieces:
        text = text[:place] + piece + text[place:]
    try:
        said = ascii(parse_devices(text, "it"))
    except KgctlError as error:
        said = str(error)
    assert said.isprintable()
    assert SECRET not in said
