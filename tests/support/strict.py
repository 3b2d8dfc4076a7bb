"""An independent parser that accepts exactly the lines that kgctl writes.

It shares no code with kgctl. It represents wg-quick, which runs as root and obeys every line.
"""

from __future__ import annotations

import re

_CIDR = r"[0-9a-f.:]+/[0-9]{1,3}"
_CIDRS = rf"{_CIDR}(, {_CIDR})*"
_KEY = r"[A-Za-z0-9+/]{43}="
_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_ADDRESS = r"[0-9a-f.:]+"
_HOST = rf"({_NAME}|\[[0-9a-f:.]+\])"

_LINES = {
    "[Interface]": {
        "Address": _CIDRS,
        "PrivateKey": _KEY,
        "ListenPort": r"[0-9]{1,5}",
        "DNS": rf"({_ADDRESS}|{_NAME})(, ({_ADDRESS}|{_NAME}))*",
        "MTU": r"[0-9]{3,5}",
        "Table": r"off|auto|[0-9]{1,10}",
    },
    "[Peer]": {
        "AllowedIPs": _CIDRS,
        "Endpoint": rf"{_HOST}:[0-9]{{1,5}}",
        "PersistentKeepalive": r"[0-9]{1,5}",
        "PresharedKey": _KEY,
        "PublicKey": _KEY,
    },
}


def assert_strict(text: str) -> None:
    """Fail unless each line is blank, a comment, a section, or a key of it with a valid value."""
    assert text.endswith("\n") or not text
    known: dict[str, str] = {}
    for line in text.split("\n"):
        if line in _LINES:
            known = dict(_LINES[line])
        elif line.startswith("#"):
            assert line.isprintable(), repr(line)
        elif line:
            key, equals, value = line.partition(" = ")
            assert equals, repr(line)
            assert key in known, repr(line)
            assert re.fullmatch(known.pop(key), value), repr(line)


_UNIT_LINES = {
    "[NetDev]": {"Name": r"kilo0", "Kind": r"wireguard", "MTUBytes": r"[0-9]{3,5}"},
    "[WireGuard]": {
        "PrivateKey": _KEY,
        "ListenPort": r"[0-9]{1,5}",
        "FirewallMark": r"51820",
        "RouteTable": r"main|off|[0-9]{1,10}",
    },
    "[WireGuardPeer]": {
        "PublicKey": _KEY,
        "PresharedKey": _KEY,
        "AllowedIPs": rf"{_CIDR}(,{_CIDR})*",
        "Endpoint": rf"{_HOST}:[0-9]{{1,5}}",
        "PersistentKeepalive": r"[0-9]{1,5}",
    },
    "[Match]": {"Name": r"kilo0"},
    "[Network]": {
        "Address": _CIDR,
        "DNS": _ADDRESS,
        "Domains": rf"{_NAME}( {_NAME})*",
    },
    "[RoutingPolicyRule]": {
        "Family": r"both",
        "Table": r"main|51820",
        "SuppressPrefixLength": r"0",
        "Priority": r"9|10",
        "FirewallMark": r"51820",
        "InvertRule": r"true",
    },
    "[connection]": {
        "id": r"kilo0",
        "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "type": r"wireguard",
        "interface-name": r"kilo0",
    },
    "[wireguard]": {
        "private-key": _KEY,
        "listen-port": r"[0-9]{1,5}",
        "mtu": r"[0-9]{3,5}",
        "peer-routes": r"false",
    },
    "[wireguard-peer.KEY]": {
        "endpoint": rf"{_HOST}:[0-9]{{1,5}}",
        "preshared-key": _KEY,
        "preshared-key-flags": r"0",
        "persistent-keepalive": r"[0-9]{1,5}",
        "allowed-ips": rf"({_CIDR};)+",
    },
    "[ipv4]": {},
    "[ipv6]": {},
}
_ADDRESSES = {
    "method": r"disabled|link-local|manual",
    "addr-gen-mode": r"stable-privacy",
    "dns": rf"({_ADDRESS};)+",
    "dns-search": rf"({_NAME};)+",
    "route-table": r"[0-9]{1,10}",
}


def assert_strict_unit(text: str) -> None:
    """Fail unless the text is a systemd-networkd or NetworkManager file as kgctl writes it."""
    assert text.endswith("\n")
    known: dict[str, str] = {}
    for line in text.split("\n"):
        section = re.sub(rf"\.{_KEY}\]", ".KEY]", line)
        if section in _UNIT_LINES:
            known = _UNIT_LINES[section] or _ADDRESSES
        elif line.startswith("#"):
            assert line.isprintable(), repr(line)
        elif line:
            key, equals, value = line.partition("=")
            assert equals, repr(line)
            if known is _ADDRESSES and re.fullmatch(r"address[0-9]+", key):
                assert re.fullmatch(_CIDR, value), repr(line)
            else:
                assert key in known, repr(line)
                assert re.fullmatch(known[key], value), repr(line)
