"""Parsers for ``wg show all dump``, ``wg show IFACE dump`` and ``wg show``, and their values.

Format: wg(8), "show". Error messages quote no part of a line, because a dump holds private and
preshared keys. ``wg show`` hides keys, and gives only the age of a handshake.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.mesh.peer import KEEPALIVES
from kgctl.mesh.text import INT64
from kgctl.wireguard.device import LISTEN_PORTS
from kgctl.wireguard.keys import KEY_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint


_NONE, _OFF = "(none)", "off"
_INTERFACE, _PEER = 4, 8
"""Fields of a line, after the name of the interface in ``show all``. AmneziaWG's interface lines
have more, between the port and the mark."""


class DumpError(KgctlError):
    """The text is not output of wg."""


class DevicePeer(NamedTuple):
    """A peer of an interface. ``latest_handshake`` is in Unix seconds; 0 means never.

    It is None if unknown, as in a configuration file. ``handshake_age`` is the age in seconds, if
    the text gives an age instead of a time. ``hidden_key`` means that there is a preshared key
    that the text does not show.
    """

    public_key: PublicKey
    allowed_ips: tuple[Cidr, ...] = ()
    endpoint: Endpoint | None = None
    keepalive: int = 0
    preshared_key: PresharedKey | None = None
    latest_handshake: int | None = None
    handshake_age: int | None = None
    hidden_key: bool = False

    def age(self, now: float) -> float | None:
        """Return the seconds since the last handshake at ``now`` (Unix seconds).

        Return None if there never was one, or if it is unknown.
        """
        if self.handshake_age is not None:
            return self.handshake_age
        return now - self.latest_handshake if self.latest_handshake else None

    @property
    def never_met(self) -> bool:
        """Whether there certainly never was a handshake."""
        return self.latest_handshake == 0 and self.handshake_age is None


class Device(NamedTuple):
    """An interface. If unknown, ``name`` is empty, and the key and the port are None.

    ``keyless`` means that it has no key; only whole files have ``addresses``. ``obfuscation``
    names the settings of AmneziaWG that are incompatible with plain WireGuard.
    """

    name: str
    public_key: PublicKey | None
    listen_port: int | None
    peers: tuple[DevicePeer, ...]
    keyless: bool = False
    addresses: tuple[Cidr, ...] = ()
    obfuscation: tuple[str, ...] = ()


def is_dump(text: str) -> bool:
    """Return whether the first line of a text is the interface line of a dump."""
    rows = _rows(text)
    first = next(rows, None)
    return first is not None and _is_interface(_split(first[1])[1])


def read_dump(text: str, label: str) -> list[Device]:
    """Parse the interfaces of a dump, which errors call ``label``.

    Tabs may be blanks, as in a copy from a terminal.

    Raises:
        DumpError: a line is not from wg.
    """
    devices: list[tuple[Device, list[DevicePeer]]] = []
    for number, row in _rows(text):
        name, fields = _split(row)
        if _is_interface(fields):
            devices.append((_device(name, fields), []))
            continue
        if len(fields) != _PEER or not devices:
            raise DumpError(
                f"{label}, line {number}: unexpected line of {len(row)} fields; give the whole "
                "output of: wg show all dump"
            )
        peer = _peer(fields)
        if peer is None:
            raise DumpError(f"{label}, line {number}: invalid peer; give the output of wg as it is")
        devices[-1][1].append(peer)
    return [device._replace(peers=tuple(peers)) for device, peers in devices]


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield (
                number,
                [field.strip() for field in line.split("\t")] if ("\t" in line) else line.split(),
            )


def _split(row: list[str]) -> tuple[str, list[str]]:
    """Split the name of the interface, which may be absent, from the other fields."""
    named = len(row) > 1 and len(row[0]) != KEY_TEXT and row[0] != _NONE
    return (row[0], row[1:]) if named else ("", row)


def _is_interface(fields: Sequence[str]) -> bool:
    """Return whether the fields are an interface's: two keys, or none, and a port."""
    keys = all(field == _NONE or len(field) == KEY_TEXT for field in fields[:2])
    port = _number(fields[2], LISTEN_PORTS[-1]) if len(fields) >= _INTERFACE else None
    return keys and port is not None


def _device(name: str, fields: list[str]) -> Device:
    """Return the interface of a line, without its private key, the first field."""
    _, public_key, port = fields[:3]
    return Device(name, PublicKey.parse(public_key), _number(port), (), keyless=public_key == _NONE)


def _peer(fields: list[str]) -> DevicePeer | None:
    key_text, preshared, endpoint_text, allowed, handshake_text, _, _, keepalive_text = fields
    key, handshake = PublicKey.parse(key_text), _number(handshake_text)
    keepalive = 0 if keepalive_text == _OFF else _number(keepalive_text, KEEPALIVES[-1])
    networks = [parse_cidr(text) for text in _listed(allowed)]
    endpoint = device_endpoint(endpoint_text)
    if key is None or handshake is None or keepalive is None or None in networks:
        return None
    if endpoint is None and endpoint_text != _NONE:
        return None
    return DevicePeer(
        key,
        tuple(network for network in networks if network is not None),
        endpoint,
        keepalive,
        PresharedKey.parse(preshared),
        handshake,
    )


def _listed(text: str) -> Iterator[str]:
    return iter(()) if text in ("", _NONE) else iter(text.split(","))


def device_endpoint(text: str) -> Endpoint | None:
    """Parse an endpoint of wg; drop the zone of ``[fe80::1%eth0]:51820``."""
    before, percent, after = text.partition("%")
    return parse_endpoint(before + "]" + after.partition("]")[2] if percent else text)


def _number(text: str, most: int = INT64[-1]) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    return int(text) if int(text) <= most else None


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_HEADING = re.compile(r"(interface|peer): *(\S+)")
_SPAN = re.compile(r"(\d{1,9}) (year|day|hour|minute|second)s?")
_SECONDS = {"year": 31_536_000, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_STANDARD = {f"h{number}": str(number) for number in range(1, 5)}
"""The first bytes of WireGuard's messages, which AmneziaWG calls H1 to H4."""


def is_show(text: str) -> bool:
    """Return whether the first line of a text is the interface line of ``wg show``."""
    first = next((line for line in _lines(text) if line), "")
    found = _HEADING.fullmatch(first)
    return found is not None and found[1] == "interface"


def read_show(text: str, label: str) -> list[Device]:
    """Parse the interfaces of ``wg show``; errors call the text ``label``.

    Raises:
        DumpError: a line is not from wg.
    """
    devices: list[tuple[Device, list[DevicePeer]]] = []
    for number, kind, name, values in _blocks(text, label):
        if kind == "interface":
            devices.append((_shown_device(name, values), []))
            continue
        peer = _shown_peer(name, values)
        if peer is None or not devices:
            raise DumpError(
                f"{label}, line {number}: invalid peer; give the output of wg show as it is"
            )
        devices[-1][1].append(peer)
    return [device._replace(peers=tuple(peers)) for device, peers in devices]


def _blocks(text: str, label: str) -> list[tuple[int, str, str, dict[str, str]]]:
    """Return the interfaces and peers, each as line number, kind, name and values."""
    found: list[tuple[int, str, str, dict[str, str]]] = []
    for number, line in enumerate(_lines(text), 1):
        heading = _HEADING.fullmatch(line)
        key, colon, value = line.partition(":")
        if heading is not None:
            found.append((number, heading[1], heading[2], {}))
        elif line and not (colon and found):
            raise DumpError(
                f"{label}, line {number}: unexpected line; give the output of wg show as it is"
            )
        elif line:
            found[-1][3][key.strip()] = value.strip()
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in _COLOUR.sub("", text).split("\n")]


def _shown_device(name: str, values: dict[str, str]) -> Device:
    key, port = values.get("public key", ""), values.get("listening port", "")
    return Device(
        name,
        PublicKey.parse(key),
        _number(port, LISTEN_PORTS[-1]),
        (),
        keyless=not key,
        obfuscation=obfuscating(values),
    )


def obfuscating(values: dict[str, str]) -> tuple[str, ...]:
    """Return the settings that make AmneziaWG incompatible with WireGuard, such as ``S1``.

    The keys of ``values`` are in lower case. Junk packets (Jc, I1 and so on) are compatible:
    WireGuard drops them.
    """
    padded = [key for key in ("s1", "s2", "s3", "s4") if values.get(key, "0") not in ("", "0")]
    renamed = [key for key, usual in _STANDARD.items() if values.get(key, usual) not in ("", usual)]
    return tuple(key.upper() for key in (*padded, *renamed))


def _shown_peer(key_text: str, values: dict[str, str]) -> DevicePeer | None:
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
    """Return the seconds of ``1 minute, 5 seconds ago``; 0 for ``Now``."""
    return sum(int(count) * _SECONDS[unit] for count, unit in _SPAN.findall(text))
