"""Files of other programs that describe the machines of a network, read for an import.

These are files for wg and wg-quick, whatever program wrote them, wg-meshconf's table, and one
machine's files for systemd-networkd and NetworkManager. All text is untrusted. No message quotes a
value that may be a secret; what a network in a folder has no place for is told by ``losses``.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import Endpoint, parse_host
from kgctl.mesh.text import printable, some
from kgctl.wireguard.machine_names import disabled_names, headings, safe_name
from kgctl.wireguard.machinefiles import AMNEZIA_KEYS, MachineFileError, kind_of
from kgctl.wireguard.parse import (
    PEER_KEYS,
    ConfigurationError,
    Line,
    ini_sections,
    interface_section,
    parse_keepalive,
    peer_section,
    section_names,
    sections,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.wireguard.conf import Configuration, Interface, PeerSection
    from kgctl.wireguard.keys import PrivateKey
    from kgctl.wireguard.parse import IniSection

_SHOWN = 8  # keys and lines that a loss names; the rest is counted
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,38}")
_MESHCONF_PORT = 51820  # that of ``wg-meshconf init``


class OwnMachine(NamedTuple):
    """The machine that a file is for; values that the file lacks are None or empty.

    ``name`` is untrusted. ``behind`` are networks behind it, ``keepalive`` is in seconds.
    ``place`` says where it is described.
    """

    place: str
    name: str = ""
    private_key: PrivateKey | None = None
    addresses: tuple[Cidr, ...] = ()
    listen_port: int | None = None
    dns: tuple[Address | str, ...] = ()
    endpoint: Endpoint | None = None
    behind: tuple[Cidr, ...] = ()
    keepalive: int = 0


class OtherMachine(NamedTuple):
    """A peer of the machine that a file is for; ``name`` is untrusted."""

    place: str
    name: str
    public_key: PublicKey
    allowed_ips: tuple[Cidr, ...]
    endpoint: Endpoint | None


class ForeignFile(NamedTuple):
    """A file: the machines that it is for, which are several only in a table, and their peers.

    ``remembers`` is set if endpoints of peers are those that WireGuard saw last (SaveConfig).
    ``losses`` are lines about what is not imported. ``stem`` is the file's name without its
    ending, which may name the machine.
    """

    label: str
    own: tuple[OwnMachine, ...]
    others: tuple[OtherMachine, ...] = ()
    remembers: bool = False
    losses: tuple[str, ...] = ()
    stem: str = ""


def read_foreign(text: str, label: str, beside: tuple[str, str] | None = None) -> ForeignFile:
    """Read the text of a file, which messages call ``label``.

    ``beside`` is the label and the text of the .network file beside a .netdev file, if any.

    Raises:
        MachineFileError: the kind is unknown, or has too little for an import.
        ConfigurationError: a line or row is wrong.
    """
    if _is_table(text):
        return _read_table(text, label)
    kind = kind_of(text, label)
    if kind.sectioned:
        return _read_sections(text, label)
    names = section_names(text)
    if not names.isdisjoint(("WireGuard", "WireGuardPeer")):
        return _read_networkd(text, label, beside)
    if "wireguard" in names:
        return _read_nmconnection(text, label)
    raise MachineFileError(
        f"{label} is {kind.noun}, which has no addresses of machines: give the file that sets the "
        "tunnel up"
    )


class _Losses:
    """Keys that are not imported, in a row by reason."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._found: dict[str, list[Line]] = {}

    def add(self, line: Line, why: str) -> None:
        """Record a line; one without a value sets nothing."""
        if line.value:
            self._found.setdefault(why, []).append(line)

    def lines(self) -> Iterator[str]:
        """Yield a line for each reason."""
        for why, lines in self._found.items():
            numbers = list(dict.fromkeys(str(line.number) for line in lines))
            keys = list(dict.fromkeys(_shown_key(line.key) for line in lines))
            noun = "line" if len(numbers) == 1 else "lines"
            yield (
                f"{self._label}, {noun} {some(numbers, _SHOWN)}: not imported: "
                f"{some(keys, _SHOWN)}: {why}"
            )


def _shown_key(key: str) -> str:
    """Return a key for a message, unless it may be a part of a secret."""
    return key if _KEY.fullmatch(key) else "a key"


_COMMAND = "commands of other programs are not taken over; kgctl writes those for forwarding itself"
_PER_FILE = "it is no property of the network: give it when the machine's file is written"
_UNKNOWN = "kgctl does not know the key"
_OBFUSCATION = "AmneziaWG has it, and WireGuard does not: these machines need plain WireGuard"
_PRESHARED = "a network in a folder has no preshared keys: give every machine its new file"
_REASONS = {
    **dict.fromkeys(("preup", "postup", "predown", "postdown"), _COMMAND),
    **dict.fromkeys(("table", "mtu", "fwmark"), _PER_FILE),
    **dict.fromkeys(AMNEZIA_KEYS, _OBFUSCATION),
    "saveconfig": "the files of kgctl are not written by WireGuard",
    "presharedkey": _PRESHARED,
    "presharedkeys": _PRESHARED,
}
"""Why a key, in lower case, is not imported."""
_CARRIED = frozenset(("address", "privatekey", "listenport", "dns"))
_PEER_CARRIED = PEER_KEYS - {"presharedkey"}
_REMEMBERING = ("saveconfig", "true")


def _read_sections(text: str, label: str) -> ForeignFile:
    losses = _Losses(label)
    names = {one.number: one.name for one in headings(text)}
    own: list[OwnMachine] = []
    others: list[OtherMachine] = []
    remembers, keepalive = False, 0
    for section, number, lines in sections(text, label):
        if section == "peer":
            peer = peer_section(number, _kept(lines, _PEER_CARRIED, losses), label)
            keepalive = max(keepalive, peer.persistent_keepalive)
            others.append(_other(peer, f"{label}, line {number}", names.get(number, "")))
            continue
        if own:
            raise ConfigurationError(f"{label}, line {number}: a second [Interface] section")
        remembers = any((line.key.lower(), line.value) == _REMEMBERING for line in lines)
        found = interface_section(_kept(lines, _CARRIED, losses), label)
        own.append(_own(found, label, names.get(number, "")))
    off = [
        f"{label}: not imported: {printable(name, 60)}, which is disabled there"
        for name in disabled_names(text)
    ]
    machines = tuple(one._replace(keepalive=keepalive) for one in own)
    return ForeignFile(label, machines, tuple(others), remembers, (*losses.lines(), *off))


def _kept(lines: Iterable[Line], carried: frozenset[str], losses: _Losses) -> list[Line]:
    """Return the lines that are imported; record the others."""
    kept = []
    for line in lines:
        key = line.key.lower()
        if key in carried:
            kept.append(line)
        else:
            losses.add(line, _REASONS.get(key, _UNKNOWN))
    return kept


def _own(found: Interface, place: str, name: str) -> OwnMachine:
    port = found.listen_port or None  # 0 is any
    return OwnMachine(place, name, found.private_key, found.addresses, port, found.dns)


def _other(peer: PeerSection, place: str, name: str) -> OtherMachine:
    return OtherMachine(place, name, peer.public_key, peer.allowed_ips, peer.endpoint)


# --- systemd-networkd and NetworkManager ---


class _Keys(NamedTuple):
    """Keys of one kind of section: those that are imported, and those that say nothing more."""

    carried: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


_PROGRAM = "it is a setting of this machine, and not of the network"
_KEY_ELSEWHERE = "the key is in another file, which is not read: give its public key"
_NETWORKD = {
    "NetDev": _Keys((), ("Name", "Kind", "Description")),
    "WireGuard": _Keys(("PrivateKey", "ListenPort")),
    "WireGuardPeer": _Keys(("PublicKey", "AllowedIPs", "Endpoint", "PersistentKeepalive")),
    "Match": _Keys((), ("Name", "Kind", "Type")),
    "Network": _Keys(("Address", "DNS", "Domains")),
    "Address": _Keys(("Address",)),
}
_KEYFILE = {
    "connection": _Keys((), ("id", "uuid", "type", "interface-name", "timestamp", "autoconnect",
                             "permissions")),
    "wireguard": _Keys(("private-key", "listen-port"), ("private-key-flags",)),
    "wireguard-peer": _Keys(("endpoint", "allowed-ips", "persistent-keepalive"),
                            ("preshared-key-flags",)),
    "ipv4": _Keys(("dns", "dns-search"), ("method", "addr-gen-mode")),
    "ipv6": _Keys(("dns", "dns-search"), ("method", "addr-gen-mode", "ip6-privacy")),
}  # fmt: skip
_INI_REASONS = {
    "PresharedKey": _PRESHARED,
    "PresharedKeyFile": _PRESHARED,
    "preshared-key": _PRESHARED,
    "PrivateKeyFile": _KEY_ELSEWHERE,
}


def _read_networkd(text: str, label: str, beside: tuple[str, str] | None) -> ForeignFile:
    from kgctl.wireguard.networkd import read_networkd

    found = ini_sections(text, label)
    parts = [(label, read_networkd(found, label))]
    losses = _ini_losses(found, _NETWORKD, label)
    if beside is not None:
        more = [one for one in ini_sections(beside[1], beside[0]) if one.name != "WireGuardPeer"]
        parts.append((beside[0], read_networkd(more, beside[0])))
        losses += _ini_losses(more, _NETWORKD, beside[0])
        found += more
    network = [one for one in found if one.name == "Network"]
    dns = _dns(line.value for one in network for key in _DNS for line in one.values(key))
    numbers = [one.number for one in found if one.name == "WireGuardPeer"]
    file = _of_parts(text, [one for _, one in parts], label, numbers)
    return _with_dns(file, dns, losses)


def _read_nmconnection(text: str, label: str) -> ForeignFile:
    from kgctl.wireguard.nmconnection import read_nmconnection

    found = ini_sections(text, label)
    ip = [one for one in found if one.name in ("ipv4", "ipv6")]
    dns = _dns(
        line.value for one in ip for key in ("dns", "dns-search") for line in one.values(key)
    )
    losses = _ini_losses(found, _KEYFILE, label)
    numbers = [one.number for one in found if one.name.startswith("wireguard-peer.")]
    file = _of_parts(text, [read_nmconnection(found, label)], label, numbers)
    return _with_dns(file, dns, losses)


_DNS = ("DNS", "Domains")


def _dns(values: Iterable[str]) -> tuple[Address | str, ...]:
    """Return the servers and search domains of lists; those with a port or a flag are left out."""
    words = [word for value in values for word in value.replace(";", " ").split()]
    parsed = [parse_host(word.lower()) for word in words]
    return tuple(dict.fromkeys(one for one in parsed if one is not None))


def _of_parts(
    text: str, parts: Sequence[Configuration], label: str, numbers: Sequence[int]
) -> ForeignFile:
    """Return a machine whose settings are in one file or two.

    ``numbers`` are the lines of its peers' sections, which are in the first file.
    """
    names = {one.number: one.name for one in headings(text)}
    first, peers = parts[0].interface, parts[0].peers
    assert first is not None  # these readers always return one
    addresses = [cidr for one in parts if one.interface for cidr in one.interface.addresses]
    own = _own(first, label, "")._replace(
        addresses=tuple(dict.fromkeys(addresses)),
        keepalive=max((peer.persistent_keepalive for peer in peers), default=0),
    )
    others = tuple(
        _other(peer, f"{label}, line {number}", names.get(number, ""))
        for number, peer in zip(numbers, peers, strict=True)
    )
    return ForeignFile(label, (own,), others)


def _with_dns(file: ForeignFile, dns: tuple[Address | str, ...], losses: list[str]) -> ForeignFile:
    (own,) = file.own
    return file._replace(own=(own._replace(dns=dns),), losses=tuple(losses))


def _ini_losses(found: Sequence[IniSection], known: Mapping[str, _Keys], label: str) -> list[str]:
    losses = _Losses(label)
    for section in found:
        name = "wireguard-peer" if section.name.startswith("wireguard-peer.") else section.name
        keys = known.get(name, _Keys())
        for line in section.lines:
            numbered = name in ("ipv4", "ipv6") and line.key.startswith("address")
            if line.key in (*keys.carried, *keys.passed_over) or numbered:
                continue
            losses.add(line, _INI_REASONS.get(line.key, _PROGRAM))
    return list(losses.lines())


# --- wg-meshconf ---

_COLUMNS = ("Name", "Address", "Endpoint", "AllowedIPs", "ListenPort", "PersistentKeepalive",
            "PrivateKey", "DNS")  # fmt: skip
"""Columns of wg-meshconf's database.csv that are imported."""


def _is_table(text: str) -> bool:
    header = text[:4096].lstrip().split("\n", 1)[0]
    return {"Name", "Address", "PrivateKey"} <= {one.strip(' "\r') for one in header.split(",")}


def _read_table(text: str, label: str) -> ForeignFile:
    losses = _Losses(label)
    own: list[OwnMachine] = []
    reader = csv.reader(io.StringIO(text.lstrip()), strict=True)
    try:
        header = [one.strip() for one in next(reader)]
        for row in reader:
            if any(row):
                place = f"{label}, line {reader.line_num}"
                cells = {key: value.strip() for key, value in zip(header, row, strict=False)}
                own.append(_row(cells, place))
                for key, value in cells.items():
                    if key not in _COLUMNS:
                        why = _REASONS.get(key.lower(), _UNKNOWN)
                        losses.add(Line(reader.line_num, key, value), why)
    except csv.Error as error:
        raise ConfigurationError(f"{label}, line {reader.line_num}: {error}") from None
    return ForeignFile(label, tuple(own), losses=tuple(losses.lines()))


def _row(cells: Mapping[str, str], place: str) -> OwnMachine:
    """Return the machine of a row; ``Endpoint`` is a host, and ``ListenPort`` its port."""
    lines = [
        Line(0, key, cells[key])
        for key in ("Address", "PrivateKey", "ListenPort", "DNS")
        if cells.get(key)
    ]
    found = _placed(lines, place)
    host, keepalive = cells.get("Endpoint", ""), cells.get("PersistentKeepalive", "")
    port = found.listen_port or _MESHCONF_PORT
    behind = [parse_cidr(one.strip()) for one in cells.get("AllowedIPs", "").split(",") if one]
    endpoint = _endpoint(host.lower(), port) if host else None
    if (host and endpoint is None) or None in behind:
        key = "AllowedIPs" if None in behind else "Endpoint"
        raise ConfigurationError(f"{place}: its {key} is not valid")
    if keepalive and parse_keepalive(keepalive) is None:
        raise ConfigurationError(f"{place}: its PersistentKeepalive is not valid")
    return _own(found, place, safe_name(cells.get("Name", "")))._replace(
        endpoint=endpoint,
        behind=tuple(one for one in behind if one is not None),
        keepalive=parse_keepalive(keepalive) or 0,
    )


def _placed(lines: Iterable[Line], place: str) -> Interface:
    """Parse the values of a row; errors name the row."""
    try:
        return interface_section(lines, "it")
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {str(error).removeprefix('it, line 0: ')}") from None


def _endpoint(text: str, port: int) -> Endpoint | None:
    host = parse_host(text.strip("[]"))
    return None if host is None else Endpoint(host, port)
