"""Reading what ``wg show`` prints for people.

Format: wg(8), "show". It hides keys, and tells of a handshake only how long ago it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.key import PublicKey
from kgctl.wireguard.dump import Device, DevicePeer, DumpError, device_endpoint

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Cidr

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_HEADING = re.compile(r"(interface|peer): *(\S+)")
_SPAN = re.compile(r"(\d{1,9}) (year|day|hour|minute|second)s?")
_SECONDS = {"year": 31_536_000, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_STANDARD = {f"h{number}": str(number) for number in range(1, 5)}
"""The first bytes of WireGuard's messages, which AmneziaWG calls H1 to H4."""


def is_show(text: str) -> bool:
    """Tell whether the first line of a text is that of an interface, as ``wg show`` prints it."""
    first = next((line for line in _lines(text) if line), "")
    found = _HEADING.fullmatch(first)
    return found is not None and found[1] == "interface"


def read_show(text: str, label: str) -> list[Device]:
    """Return the interfaces that ``wg show`` printed; errors call the text ``label``.

    Raises:
        DumpError: a line is not one of wg's.
    """
    devices: list[tuple[Device, list[DevicePeer]]] = []
    for number, kind, name, values in _blocks(text, label):
        if kind == "interface":
            devices.append((_device(name, values), []))
            continue
        peer = _peer(name, values)
        if peer is None or not devices:
            raise DumpError(f"{label}, line {number}: this is not a peer as wg show prints one")
        devices[-1][1].append(peer)
    return [device._replace(peers=tuple(peers)) for device, peers in devices]


def _blocks(text: str, label: str) -> list[tuple[int, str, str, dict[str, str]]]:
    """Return each interface and peer: the number of its line, kind, name and values."""
    found: list[tuple[int, str, str, dict[str, str]]] = []
    for number, line in enumerate(_lines(text), 1):
        heading = _HEADING.fullmatch(line)
        key, colon, value = line.partition(":")
        if heading is not None:
            found.append((number, heading[1], heading[2], {}))
        elif line and not (colon and found):
            raise DumpError(f"{label}, line {number}: wg show prints no such line")
        elif line:
            found[-1][3][key.strip()] = value.strip()
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in _COLOUR.sub("", text).split("\n")]


def _device(name: str, values: dict[str, str]) -> Device:
    key, port = values.get("public key", ""), values.get("listening port", "")
    return Device(
        name,
        PublicKey.parse(key),
        int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None,
        (),
        keyless=not key,
        obfuscation=obfuscating(values),
    )


def obfuscating(values: dict[str, str]) -> tuple[str, ...]:
    """Return the settings by which AmneziaWG differs from WireGuard on the wire, as ``S1``.

    ``values`` are by their keys in lower case. Junk packets (Jc, I1 and so on) are no hindrance:
    who does not know them drops them.
    """
    padded = [key for key in ("s1", "s2", "s3", "s4") if values.get(key, "0") not in ("", "0")]
    renamed = [key for key, usual in _STANDARD.items() if values.get(key, usual) not in ("", usual)]
    return tuple(key.upper() for key in (*padded, *renamed))


def _peer(key_text: str, values: dict[str, str]) -> DevicePeer | None:
    key, endpoint_text = PublicKey.parse(key_text), values.get("endpoint")
    endpoint = None if endpoint_text is None else device_endpoint(endpoint_text)
    networks = _networks(values.get("allowed ips", "(none)"))
    if key is None or networks is None or (endpoint is None) is not (endpoint_text is None):
        return None
    handshake = values.get("latest handshake")
    return DevicePeer(
        key,
        networks,
        endpoint,
        _span(values.get("persistent keepalive", "")),
        latest_handshake=0 if handshake is None else None,
        handshake_age=None if handshake is None else _span(handshake),
        hidden_key="preshared key" in values,
    )


def _networks(text: str) -> tuple[Cidr, ...] | None:
    parsed = [] if text == "(none)" else [parse_cidr(one.strip()) for one in text.split(",")]
    networks = tuple(one for one in parsed if one is not None)
    return networks if len(networks) == len(parsed) else None


def _span(text: str) -> int:
    """Return the seconds of ``1 minute, 5 seconds ago``; 0 of ``Now``."""
    return sum(int(count) * _SECONDS[unit] for count, unit in _SPAN.findall(text))
