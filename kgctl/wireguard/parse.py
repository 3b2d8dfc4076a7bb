"""Reading the configuration files that ``wg setconf`` and ``wg-quick`` take.

As lenient as those two about case, white space and comments, and no more than them: wg(8),
"CONFIGURATION FILE FORMAT", and wg-quick(8), "CONFIGURATION".

Reading files of sections and ``KEY=VALUE`` lines, as systemd and NetworkManager write them.

Syntax: systemd.syntax(7) and nm-settings-keyfile(5). A section may be there several times, and
so may a key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr, single
from kgctl.mesh.endpoint import is_dns_name, parse_endpoint
from kgctl.mesh.key import NO_KEY, PresharedKey, PublicKey, decode_key
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import Configuration, Interface, PeerSection
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint


_MAX_KEEPALIVE = 65535
_SECRETS = frozenset(("privatekey", "presharedkey"))
_SPACE = " \t\r\v\f"
"""White space within a line to wg; what else Unicode has does not count."""
_NO_SPACE = dict.fromkeys(map(ord, _SPACE))
_KEY = re.compile(r"[A-Za-z]{1,40}[0-9]?")
"""What a key looks like. A base64 secret that ends in "=" has 43 characters before it, digits
within, and is never shown as a key."""

QUICK_KEYS = frozenset(
    ("dns", "mtu", "postdown", "postup", "predown", "preup", "saveconfig", "table")
)
"""The keys that wg-quick(8) has and wg(8) does not, but for ``Address``; in lower case."""


class ConfigurationError(KgctlError):
    """A configuration file has a line that is none; the message names it, and shows no secret."""


class Line(NamedTuple):
    """A line ``KEY = VALUE`` and its number, from 1."""

    number: int
    key: str
    value: str


class _Field(NamedTuple):
    """What a key of the file becomes: a field of the section, parsed; lists are joined.

    The values of a list stand between commas and, where ``by_space``, white space.
    """

    name: str
    parse: Callable[[str], Any]
    repeatable: bool = False
    by_space: bool = False


def parse_configuration(
    text: str, label: str = "the configuration", *, passing_over: Container[str] = ()
) -> Configuration:
    """Return what a configuration file says; errors call it ``label``.

    Keys in ``passing_over``, in lower case, may stand there and mean nothing, whatever their value.

    Raises:
        ConfigurationError: a line is no section, comment or known key, or its value is wrong.
    """
    interface: Interface | None = None
    peers: list[PeerSection] = []
    for section, number, lines in sections(text, label):
        wanted = [line for line in lines if line.key.lower() not in passing_over]
        if section == "peer":
            peers.append(peer_section(number, wanted, label))
        elif interface is not None:
            raise ConfigurationError(f"{label}, line {number}: a second [Interface] section")
        else:
            interface = interface_section(wanted, label)
    return Configuration(interface=interface, peers=tuple(peers))


def sections(text: str, label: str) -> Iterator[tuple[str, int, list[Line]]]:
    """Yield the name of each section in lower case, the number of its line, and its lines.

    As wg does it: only a line feed ends a line, and white space within a key does not count.

    Raises:
        ConfigurationError: a line is neither a section, a comment nor ``KEY = VALUE``.
    """
    section, start, lines = "", 0, list[Line]()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.partition("#")[0].strip(_SPACE)
        if not line:
            continue
        heading = section_of(line)
        if heading:
            if section:
                yield section, start, lines
            section, start, lines = heading, number, []
            continue
        key, equals, value = line.partition("=")
        key, value = key.translate(_NO_SPACE), value.strip(_SPACE)
        if not section or not equals or _KEY.fullmatch(key) is None:
            raise ConfigurationError(
                f"{label}, line {number}: neither a section, as [Peer] is, nor KEY = VALUE in one"
            )
        lines.append(Line(number, key, value))
    if section:
        yield section, start, lines


def section_of(line: str) -> str:
    """Return ``interface`` or ``peer`` where the line begins that section, else an empty text."""
    text = line.translate(_NO_SPACE).lower()
    return text[1:-1] if text in ("[interface]", "[peer]") else ""


def interface_section(lines: Iterable[Line], label: str) -> Interface:
    """Return what the lines of an ``[Interface]`` section say.

    Raises:
        ConfigurationError: a key is unknown, or its value is wrong.
    """
    return Interface(**_fields(lines, _INTERFACE, label))


def peer_section(number: int, lines: Iterable[Line], label: str) -> PeerSection:
    """Return what the lines of the ``[Peer]`` section at line ``number`` say.

    Raises:
        ConfigurationError: a key is unknown, its value is wrong, or the public key is missing.
    """
    fields = _fields(lines, _PEER, label)
    if "public_key" not in fields:
        raise ConfigurationError(f"{label}, line {number}: the [Peer] has no PublicKey")
    fields["preshared_key"] = fields.get("preshared_key") or None
    return PeerSection(**fields)


def _fields(lines: Iterable[Line], known: dict[str, _Field], label: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for line in lines:
        where = f"{label}, line {line.number}"
        field = known.get(line.key.lower())
        if field is None:
            raise ConfigurationError(f'{where}: "{printable(line.key, 40)}" is not a known key')
        parsed = tuple(_value(field, text, line.key, where) for text in _values(field, line.value))
        fields[field.name] = fields.get(field.name, ()) + parsed if field.repeatable else parsed[0]
    return fields


def _values(field: _Field, text: str) -> list[str]:
    """Return the values of a line: wg drops white space in them, wg-quick separates by it."""
    if not field.repeatable:
        return [text.translate(_NO_SPACE)]
    if field.by_space:
        return [word for part in text.split(",") for word in part.split() or [""]] if text else []
    return [part.translate(_NO_SPACE) for part in text.split(",")] if text else []


def _value(field: _Field, text: str, key: str, where: str) -> Any:
    value = field.parse(text)
    if value is None:
        shown = "its value" if key.lower() in _SECRETS else f'"{printable(text, 60)}"'
        raise ConfigurationError(f"{where}: {shown} is no {printable(key, 40)}")
    return value


def _network(text: str) -> Cidr | None:
    """Parse a CIDR, or an address, which stands for itself alone."""
    cidr = parse_cidr(text)
    address = None if cidr is not None else parse_address(text)
    return single(address) if address is not None else cidr


def _number(text: str, most: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= most else None


def _endpoint(text: str) -> Endpoint | None:
    """Parse an endpoint; Kilo wants in lower case what DNS takes in any."""
    return parse_endpoint(text.lower())


def _preshared_key(text: str) -> PresharedKey | Literal[False] | None:
    """Parse a preshared key; False is 32 zero bytes, with which wg takes one off a device."""
    return False if decode_key(text) == NO_KEY else PresharedKey.parse(text)


def _keepalive(text: str) -> int | None:
    return 0 if text.lower() == "off" else _number(text, _MAX_KEEPALIVE)


def _dns(text: str) -> Address | str | None:
    address = parse_address(text)
    return address or (text if is_dns_name(text) else None)


def _table(text: str) -> str | None:
    known = text in ("off", "auto") or _number(text, 2**32 - 1) is not None
    return text if known else None


_INTERFACE = {
    "address": _Field("addresses", _network, repeatable=True, by_space=True),
    "privatekey": _Field("private_key", PrivateKey.parse),
    "listenport": _Field("listen_port", lambda text: _number(text, 65535)),
    "dns": _Field("dns", _dns, repeatable=True, by_space=True),
    "mtu": _Field("mtu", lambda text: _number(text, 65535)),
    "table": _Field("table", _table),
}
_PEER = {
    "publickey": _Field("public_key", PublicKey.parse),
    "presharedkey": _Field("preshared_key", _preshared_key),
    "allowedips": _Field("allowed_ips", _network, repeatable=True),
    "endpoint": _Field("endpoint", _endpoint),
    "persistentkeepalive": _Field("persistent_keepalive", _keepalive),
}


class IniSection(NamedTuple):
    """A section: its name, the number of its line, from 1, and its lines."""

    name: str
    number: int
    lines: list[Line]

    def values(self, key: str) -> list[Line]:
        """Return the lines with that key; an empty value empties the list, as in systemd."""
        found: list[Line] = []
        for line in self.lines:
            if line.key == key:
                found = [*found, line] if line.value else []
        return found

    def last(self, key: str) -> Line | None:
        """Return the last line with that key, or None."""
        return next(reversed(self.values(key)), None)


def ini_sections(text: str, label: str) -> list[IniSection]:
    """Return the sections of a file; errors call it ``label``, and show nothing of a line.

    Raises:
        ConfigurationError: a line is neither a section, a comment nor ``KEY=VALUE``.
    """
    found: list[IniSection] = []
    for number, line in _joined(text):
        if line.startswith("[") and line.endswith("]"):
            found.append(IniSection(line[1:-1], number, []))
            continue
        key, equals, value = line.partition("=")
        if not found or not equals:
            raise ConfigurationError(
                f"{label}, line {number}: expected a section, as [NAME] is, or KEY=VALUE in one"
            )
        found[-1].lines.append(Line(number, key.strip(), value.strip()))
    return found


def section_names(text: str) -> set[str]:
    """Return the names of all sections of a text, whatever else is in it."""
    lines = (line.strip() for line in text.split("\n"))
    return {line[1:-1] for line in lines if line.startswith("[") and line.endswith("]")}


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is no comment, with its number; a backslash at the end continues it."""
    start, kept = 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if not kept:
            start = number
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        if kept + line:
            yield start, (kept + line).strip()
        kept = ""
    if kept.strip():
        yield start, kept.strip()
