"""Detection and readers of files and command output with a machine's WireGuard configuration.

The content of a file determines its kind, never its name. Unsupported kinds are detected as well,
so that the error is about the file and not about its first line. Error messages quote only names
from a file, because it holds private and preshared keys.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.wireguard.conf import MADE_WITH
from kgctl.wireguard.dump import (
    Device,
    DevicePeer,
    is_dump,
    is_show,
    obfuscating,
    read_dump,
    read_show,
)
from kgctl.wireguard.parse import (
    QUICK_KEYS,
    ini_sections,
    parse_configuration,
    section_names,
    section_of,
    sections,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.wireguard.conf import Configuration

AMNEZIA_KEYS = frozenset(
    [
        *("jc", "jmin", "jmax", "itime", "advancedsecurity"),
        *(f"{letter}{number}" for letter in "shij" for number in range(1, 6)),
    ]
)
"""The keys that AmneziaWG adds to a configuration, in lower case."""
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_MADE_WITH = re.compile(rf"^[ \t]*[#;][ \t]*{MADE_WITH}(.*)$", re.MULTILINE)
_TAKEN = (
    "give the output of `wg show all dump` or `wg showconf INTERFACE`, or the machine's file for "
    "wg-quick, systemd-networkd or NetworkManager"
)


class MachineFileError(KgctlError):
    """The file has no WireGuard configuration of a machine; the message has its kind."""


class FileKind(NamedTuple):
    """A kind of file: its name, its test and its reader.

    A kind without ``read`` is unsupported, and ``instead`` is what to do. ``sectioned`` kinds have
    the sections of wg(8), ``[Interface]`` and ``[Peer]``.
    """

    noun: str
    fits: Callable[[str], bool]
    read: Callable[[str, str], list[Device]] | None = None
    instead: str = _TAKEN
    sectioned: bool = False


class MachineFile(NamedTuple):
    """The content of a file: its kind, the interfaces, and the options that kgctl made it with."""

    kind: FileKind
    devices: list[Device]
    made_with: str = ""


def decoded(content: bytes) -> str:
    """Decode a file in UTF-8 or UTF-16, with or without a byte order mark."""
    text = content.decode(_encoding(content[:64]), "replace")
    return text.lstrip("\ufeff").replace("\r\n", "\n")


def _encoding(start: bytes) -> str:
    """Return the encoding of a file by its start; ASCII in UTF-16 has zeros in every other byte."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16-le" if start[0] == 0xFF else "utf-16-be"
    if len(start) > 3 and not any(start[1::2]):
        return "utf-16-le"
    return "utf-16-be" if len(start) > 3 and not any(start[::2]) else "utf-8"


def read_machine_file(text: str, label: str) -> MachineFile:
    """Detect the kind of a text and read it; errors call it ``label``.

    Raises:
        MachineFileError: the kind is unknown or unsupported; the message has the kind.
        KgctlError: the kind is supported, but a line is wrong.
    """
    kind = kind_of(text, label)
    assert kind.read is not None  # the kind is supported
    made_with = _MADE_WITH.search(text)
    return MachineFile(kind, kind.read(text, label), made_with[1].strip() if made_with else "")


def kind_of(text: str, label: str) -> FileKind:
    """Detect the kind of a text; errors call it ``label``.

    Raises:
        MachineFileError: the kind is unknown or unsupported; the message has the kind.
    """
    kind = next((kind for kind in KINDS if kind.fits(text)), None)
    if kind is None:
        raise MachineFileError(f"{label} is not a WireGuard configuration: {_TAKEN}")
    if kind.read is None:
        raise MachineFileError(f"{label} is {kind.noun}: {kind.instead}")
    return kind


def parse_devices(text: str, label: str) -> list[Device]:
    """Return the interfaces of a text; errors call it ``label``.

    Raises:
        KgctlError: as for ``read_machine_file``.
    """
    return read_machine_file(text, label).devices


def _device(found: Configuration) -> Device:
    interface = found.interface
    key = interface.private_key.public_key() if interface and interface.private_key else None
    peers = tuple(
        DevicePeer(
            peer.public_key,
            tuple(cidr.masked() for cidr in peer.allowed_ips),
            peer.endpoint,
            peer.persistent_keepalive,
            peer.preshared_key,
        )
        for peer in found.peers
    )
    addresses = interface.addresses if interface else ()
    return Device("", key, interface.listen_port if interface else None, peers, False, addresses)


def _is_configuration(text: str) -> bool:
    return any(section_of(line) for line in text.split("\n"))


def _read_configuration(text: str, label: str) -> list[Device]:
    passing_over = QUICK_KEYS | {"fwmark"}
    return [_device(parse_configuration(text, label, passing_over=passing_over))]


def _is_amnezia(text: str) -> bool:
    lines = (line.partition("#")[0].partition("=") for line in text.split("\n"))
    return _is_configuration(text) and any(
        equals and key.strip().lower() in AMNEZIA_KEYS for key, equals, _ in lines
    )


def _read_amnezia(text: str, label: str) -> list[Device]:
    passing_over = QUICK_KEYS | {"fwmark"} | AMNEZIA_KEYS
    device = _device(parse_configuration(text, label, passing_over=passing_over))
    values = {
        line.key.lower(): line.value
        for section, _, lines in sections(text, label)
        for line in lines
        if section == "interface"
    }
    return [device._replace(obfuscation=obfuscating(values))]


def _read_networkd(text: str, label: str) -> list[Device]:
    from kgctl.wireguard.networkd import read_networkd

    label = f"{label} (a .netdev file of systemd-networkd)"
    return [_device(read_networkd(ini_sections(text, label), label))]


def _read_nmconnection(text: str, label: str) -> list[Device]:
    from kgctl.wireguard.nmconnection import read_nmconnection

    label = f"{label} (a NetworkManager keyfile)"
    return [_device(read_nmconnection(ini_sections(text, label), label))]


def _has_section(*names: str) -> Callable[[str], bool]:
    return lambda text: not section_names(text).isdisjoint(names)


def _has_line(pattern: str) -> Callable[[str], bool]:
    """Return a case-insensitive test for a line in the first 64 kB of a text."""
    compiled = re.compile(pattern, re.MULTILINE | re.IGNORECASE)
    return lambda text: compiled.search(text[: 1 << 16]) is not None


KINDS = (
    FileKind("empty", lambda text: not text.strip()),
    FileKind("a WireGuard key alone", lambda text: _KEY.fullmatch(text.strip()) is not None),
    FileKind(
        "a Kubernetes manifest",
        _has_line(r"""^[\s{-]*"?(apiVersion|kind)"?\s*:"""),
        instead=f"that goes to kubectl apply; {_TAKEN}",
    ),
    FileKind("output of `wg show all dump`", is_dump, read_dump),
    FileKind("output of `wg show`", is_show, read_show),
    FileKind("an AmneziaWG configuration", _is_amnezia, _read_amnezia, sectioned=True),
    FileKind("a WireGuard configuration", _is_configuration, _read_configuration, sectioned=True),
    FileKind(
        "a .netdev file of systemd-networkd",
        _has_section("WireGuard", "WireGuardPeer"),
        _read_networkd,
    ),
    FileKind("a NetworkManager keyfile", _has_section("wireguard"), _read_nmconnection),
    FileKind(
        "a .netdev file of systemd-networkd, but not one of WireGuard",
        _has_section("NetDev"),
    ),
    FileKind(
        "a .network file of systemd-networkd",
        _has_section("Network", "Match"),
        instead="keys and peers are in the .netdev file beside it; give that one",
    ),
    FileKind("a NetworkManager keyfile, but not one of WireGuard", _has_section("connection")),
    FileKind(
        "an error message of wg",
        _has_line(r"^Unable to (access|modify) interface"),
        instead="run wg as root",
    ),
    FileKind(
        "an answer of WireGuard's userspace socket",
        _has_line(r"^(private|public)_key=[0-9a-f]{64}$"),
    ),
    FileKind("a picture", lambda text: text[:6].lower().startswith(("\ufffdpng", "<?xml", "<svg"))),
    FileKind("a QR code", lambda text: "\u2588" in text[:4096]),
    FileKind("an HTML page", _has_line(r"\A\s*<(!doctype|html)")),
    FileKind("an OpenVPN configuration", _has_line(r"^(client|dev tun\S*|remote \S+.*|<ca>)\s*$")),
    FileKind(
        "an OpenWrt configuration",
        _has_line(r"^\s*(config interface|config wireguard_|network\.\S+=)"),
        instead="give the output of `wg show all dump` on the router",
    ),
    FileKind("a RouterOS configuration", _has_line(r"^/interface[/ ]wireguard")),
    FileKind("JSON", lambda text: text.lstrip()[:1] in ("{", "[") and '"' in text),
    FileKind("a binary file", lambda text: "\0" in text),
)
"""All kinds; the first one that fits counts."""
