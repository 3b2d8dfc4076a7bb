"""Small files as other programs write them, made up, with the names that they give machines."""

from __future__ import annotations

from base64 import b64encode

from kgctl.mesh.key import PublicKey
from kgctl.wireguard.keys import PrivateKey

SERVER = PrivateKey(b"S" * 32)
"""The private key of the machine that each file is for."""
SECRET = SERVER.reveal()
PSK = b64encode(b"P" * 32).decode()
ANA, BEA, CLEO = (PublicKey(bytes([number]) * 32) for number in (1, 2, 3))

_INTERFACE = f"[Interface]\nPrivateKey = {SECRET}\nAddress = 10.6.0.1/24\nListenPort = 51820\n"

PIVPN = f"""{_INTERFACE}MTU = 1420
### begin Ana.Phone ###
[Peer]
PublicKey = {ANA}
PresharedKey = {PSK}
AllowedIPs = 10.6.0.2/32
### end Ana.Phone ###
#[disabled] ### begin bea ###
#[disabled] [Peer]
#[disabled] PublicKey = {BEA}
#[disabled] AllowedIPs = 10.6.0.3/32
#[disabled] ### end bea ###
"""
ALGO = f"""{_INTERFACE}SaveConfig = false

[Peer]
# ana
PublicKey = {ANA}
PresharedKey = {PSK}
AllowedIPs = 10.6.0.2/32

[Peer]
# bea
PublicKey = {BEA}
AllowedIPs = 10.6.0.3/32
"""
WG_EASY = f"""
# Note: Changes here are lost!

# Server
{_INTERFACE}PreUp =
PostUp = iptables -A FORWARD -i wg0 -j ACCEPT; iptables -A FORWARD -o wg0 -j ACCEPT;


# Client: ana (2b1e1b8e-92cd-4bd8-9f3b-6a0c4cc4a0d1)
[Peer]
PublicKey = {ANA}
PresharedKey = {PSK}
AllowedIPs = 10.6.0.2/32

# Client: Bea's tablet (7)
[Peer]
PublicKey = {BEA}
AllowedIPs = 10.6.0.3/32
"""
WIREGUARD_UI = f"""# Made by a program: what you change here is lost.

# Address updated at:     2030-01-01 00:00:00 +0000 UTC
# Private Key updated at: 2030-01-01 00:00:00 +0000 UTC
{_INTERFACE}
FwMark = 0xca6c
Table = auto


# ID:           cabbage
# Name:         ana
# Email:        ana@example.com
# Created at:   2030-01-01 00:00:00 +0000 UTC
# Update at:    2030-01-01 00:00:00 +0000 UTC
[Peer]
PublicKey = {ANA}
PresharedKey = {PSK}
AllowedIPs = 10.6.0.2/32,192.168.7.0/24
PersistentKeepalive = 15


# ID:           carrot
# Name:         bea
# Email:        
# Created at:   2030-01-01 00:00:00 +0000 UTC
# Update at:    2030-01-01 00:00:00 +0000 UTC
[Peer]
PublicKey = {BEA}
AllowedIPs = 10.6.0.3/32
PersistentKeepalive = 15

"""  # noqa: W291
ANGRISTAN = f"""{_INTERFACE}PostUp = iptables -I INPUT -p udp --dport 51820 -j ACCEPT
PostDown = iptables -D INPUT -p udp --dport 51820 -j ACCEPT

### Client ana
[Peer]
PublicKey = {ANA}
PresharedKey = {PSK}
AllowedIPs = 10.6.0.2/32

### Client bea
[Peer]
PublicKey = {BEA}
AllowedIPs = 10.6.0.3/32
"""
NYR = f"""# Nobody but a script changes these
# ENDPOINT 192.0.2.7

{_INTERFACE}
# BEGIN_PEER ana
[Peer]
PublicKey = {ANA}
AllowedIPs = 10.6.0.2/32
# END_PEER ana
# BEGIN_PEER bea
[Peer]
PublicKey = {BEA}
AllowedIPs = 10.6.0.3/32
# END_PEER bea
"""
BY_HAND = f"""{_INTERFACE}
# ana
[Peer]
PublicKey = {ANA}
AllowedIPs = 10.6.0.2/32

[Peer] # Name = bea
PublicKey = {BEA}
AllowedIPs = 10.6.0.3/32

[Peer]
PublicKey = {CLEO}
# friendly_name = cleo
AllowedIPs = 10.6.0.4/32
"""
AMNEZIA = f"""{_INTERFACE}Jc = 4
Jmin = 40
Jmax = 70
S1 = 20
H1 = 1234567890
[Peer]
PublicKey = {ANA}
AllowedIPs = 10.6.0.2/32
Colour = blue
"""
NETDEV = f"""[NetDev]
Name=wg0
Kind=wireguard
MTUBytes=1420
[WireGuard]
PrivateKey={SECRET}
ListenPort=51820
FirewallMark=7
[WireGuardPeer]
# ana
PublicKey={ANA}
PresharedKey={PSK}
AllowedIPs=10.6.0.2/32
AllowedIPs=192.168.7.0/24
[WireGuardPeer]
PublicKey={BEA}
Endpoint=BEA.example.com:51820
AllowedIPs=10.6.0.3/32
"""
NETWORK = """[Match]
Name=wg0
[Network]
Address=10.6.0.1/24
IPMasquerade=ipv4
"""
KEYFILE = f"""[connection]
id=work
uuid=ee1f9ab5-5b0c-4b1c-8d24-cf1fb4c8a6a2
type=wireguard
interface-name=wg0

[wireguard]
private-key={SECRET}
mtu=1420

[wireguard-peer.{ANA}]
endpoint=192.0.2.1:51820
preshared-key={PSK}
preshared-key-flags=0
persistent-keepalive=20
allowed-ips=10.6.0.0/24;192.168.7.0/24;

[ipv4]
address1=10.6.0.9/24
dns=10.6.0.1;
dns-search=corp.example;
method=manual

[ipv6]
method=disabled
"""
_COLUMNS = ("Name", "Address", "Endpoint", "AllowedIPs", "ListenPort", "PersistentKeepalive",
            "FwMark", "PrivateKey", "DNS", "MTU", "Table", "PreUp", "PostUp", "PreDown",
            "PostDown", "SaveConfig", "PresharedKeys")  # fmt: skip


def _row(**values: str) -> str:
    return ",".join(f'"{values.get(column, "")}"' for column in _COLUMNS)


MESHCONF = "\n".join(
    [
        ",".join(f'"{column}"' for column in _COLUMNS),
        _row(Name="tokyo", Address="10.6.0.1/24", Endpoint="tokyo.example.com",
             ListenPort="51820", PrivateKey=SECRET, PostUp="true"),
        _row(Name="ana", Address="10.6.0.2/24,fd06::2/64", Endpoint="192.0.2.2",
             AllowedIPs="192.168.7.0/24", ListenPort="51821",
             PrivateKey=b64encode(b"T" * 32).decode(), PresharedKeys=f"tokyo:ana:{PSK}"),
        _row(Name="bea", Address="10.6.0.3/24", PersistentKeepalive="20",
             PrivateKey=b64encode(b"U" * 32).decode()),
        "",
    ]
)  # fmt: skip

SERVER_FILES = {
    "pivpn": (PIVPN, ["server", "ana-phone"]),
    "algo": (ALGO, ["server", "ana", "bea"]),
    "wg-easy": (WG_EASY, ["server", "ana", "bea-s-tablet"]),
    "wireguard-ui": (WIREGUARD_UI, ["server", "ana", "bea"]),
    "angristan": (ANGRISTAN, ["server", "ana", "bea"]),
    "nyr": (NYR, ["server", "ana", "bea"]),
    "by hand": (BY_HAND, ["server", "ana", "bea", "cleo"]),
    "amnezia": (AMNEZIA, ["server", "peer-1"]),
}
"""A whole server file of each program, and the names of its machines."""

EVERY_FILE = (
    *(text for text, _ in SERVER_FILES.values()), NETDEV, NETDEV + NETWORK, KEYFILE, MESHCONF,
)  # fmt: skip
