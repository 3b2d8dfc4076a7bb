"""Parsers for wg and wg-quick files, and for the INI files of systemd and NetworkManager.

wg(8), "CONFIGURATION FILE FORMAT", and wg-quick(8), "CONFIGURATION": exactly as lenient about
case, white space and comments as these two programs. systemd.syntax(7) and
nm-settings-keyfile(5): sections and keys may repeat.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr, single
from kgctl.mesh.endpoint import is_dns_name, parse_endpoint
from kgctl.mesh.key import NO_KEY, PresharedKey, PublicKey, decode_key
from kgctl.mesh.peer import KEEPALIVES
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import MTUS, Configuration, Interface, PeerSection
from kgctl.wireguard.device import LISTEN_PORTS
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint


_SECRETS = frozenset(("privatekey", "presharedkey"))
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9+/]{40}")
"""A part of a base64 key, which may be a secret in a wrong place."""
_SPACE = " \t\r\v\f"
"""The white space of wg within a line; other Unicode space does not count."""
_NO_SPACE = dict.fromkeys(map(ord, _SPACE))
_KEY = re.compile(r"[A-Za-z]{1,40}[0-9]?")
"""The form of a key. A base64 secret that ends in "=" has 43 characters before it, with digits
among them, so it is never shown as a key."""

QUICK_KEYS = frozenset(
    ("dns", "mtu", "postdown", "postup", "predown", "preup", "saveconfig", "table")
)
"""The keys of wg-quick(8) that wg(8) lacks, except ``Address``; in lower case."""


class ConfigurationError(KgctlError):
    """A line of a configuration file is invalid; the message has its number, but no secret."""


class Line(NamedTuple):
    """A line ``KEY = VALUE`` and its number, from 1."""

    number: int
    key: str
    value: str


class _Field(NamedTuple):
    """The field of a section that a key sets, and the parser of its value; lists are joined.

    Commas separate the values of a list, and white space as well if ``by_space``.
    """

    name: str
    parse: Callable[[str], Any]
    repeatable: bool = False
    by_space: bool = False


def parse_configuration(
    text: str, label: str = "the configuration", *, passing_over: Container[str] = ()
) -> Configuration:
    """Parse a configuration file, which errors call ``label``.

    Keys in ``passing_over``, in lower case, are ignored, regardless of their value.

    Raises:
        ConfigurationError: a line is not a section, comment or known key, or its value is wrong.
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
    """Yield the name of each section in lower case, its line number, and its lines.

    As in wg, only a line feed ends a line, and white space within a key does not count.

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
                f"{label}, line {number}: expected a section such as [Peer], or KEY = VALUE in one"
            )
        lines.append(Line(number, key, value))
    if section:
        yield section, start, lines


def section_of(line: str) -> str:
    """Return ``interface`` or ``peer`` if the line starts that section, else an empty text."""
    text = line.translate(_NO_SPACE).lower()
    return text[1:-1] if text in ("[interface]", "[peer]") else ""


def interface_section(lines: Iterable[Line], label: str) -> Interface:
    """Parse the lines of an ``[Interface]`` section.

    Raises:
        ConfigurationError: a key is unknown, or its value is wrong.
    """
    return Interface(**_fields(lines, _INTERFACE, label))


def peer_section(number: int, lines: Iterable[Line], label: str) -> PeerSection:
    """Parse the lines of the ``[Peer]`` section at line ``number``.

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
    """Return the values of a line: wg drops white space in them, wg-quick splits at it."""
    if not field.repeatable:
        return [text.translate(_NO_SPACE)]
    if field.by_space:
        return [word for part in text.split(",") for word in part.split() or [""]] if text else []
    return [part.translate(_NO_SPACE) for part in text.split(",")] if text else []


def _value(field: _Field, text: str, key: str, where: str) -> Any:
    value = field.parse(text)
    if value is None:
        hidden = key.lower() in _SECRETS or _LIKE_A_KEY.search(text) is not None
        shown = "its value" if hidden else f'"{printable(text, 60)}"'
        raise ConfigurationError(f"{where}: {shown} is not a valid {printable(key, 40)}")
    return value


def _network(text: str) -> Cidr | None:
    """Parse a CIDR, or an address as a /32 or /128."""
    cidr = parse_cidr(text)
    address = None if cidr is not None else parse_address(text)
    return single(address) if address is not None else cidr


def _number(text: str, most: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= most else None


def _endpoint(text: str) -> Endpoint | None:
    """Parse an endpoint in any case: DNS ignores case, but Kilo accepts lower case only."""
    return parse_endpoint(text.lower())


def _preshared_key(text: str) -> PresharedKey | Literal[False] | None:
    """Parse a preshared key; False is 32 zero bytes, with which wg removes a key."""
    return False if decode_key(text) == NO_KEY else PresharedKey.parse(text)


def parse_keepalive(text: str) -> int | None:
    """Parse a keepalive in seconds; ``off`` is 0."""
    return 0 if text.lower() == "off" else _number(text, KEEPALIVES[-1])


def _dns(text: str) -> Address | str | None:
    address = parse_address(text)
    return address or (text if is_dns_name(text) else None)


def _table(text: str) -> str | None:
    known = text in ("off", "auto") or _number(text, 2**32 - 1) is not None
    return text if known else None


_INTERFACE = {
    "address": _Field("addresses", _network, repeatable=True, by_space=True),
    "privatekey": _Field("private_key", PrivateKey.parse),
    "listenport": _Field("listen_port", lambda text: _number(text, LISTEN_PORTS[-1])),
    "dns": _Field("dns", _dns, repeatable=True, by_space=True),
    "mtu": _Field("mtu", lambda text: _number(text, MTUS[-1])),
    "table": _Field("table", _table),
}
_PEER = {
    "publickey": _Field("public_key", PublicKey.parse),
    "presharedkey": _Field("preshared_key", _preshared_key),
    "allowedips": _Field("allowed_ips", _network, repeatable=True),
    "endpoint": _Field("endpoint", _endpoint),
    "persistentkeepalive": _Field("persistent_keepalive", parse_keepalive),
}

INTERFACE_KEYS = frozenset(_INTERFACE)
"""The keys that ``interface_section`` takes, in lower case."""

PEER_KEYS = frozenset(_PEER)
"""The keys that ``peer_section`` takes, in lower case."""


class IniSection(NamedTuple):
    """A section: its name, its line number, from 1, and its lines."""

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
    """Parse the sections of a file; errors call it ``label``, and quote no part of a line.

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
                f"{label}, line {number}: expected a section such as [NAME], or KEY=VALUE in one"
            )
        found[-1].lines.append(Line(number, key.strip(), value.strip()))
    return found


def section_names(text: str) -> set[str]:
    """Return the names of all sections of a text, which may be invalid otherwise."""
    lines = (line.strip() for line in text.split("\n"))
    return {line[1:-1] for line in lines if line.startswith("[") and line.endswith("]")}


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line except comments; a final backslash continues a line."""
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
