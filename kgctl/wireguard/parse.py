"""Reading the configuration files that ``wg setconf`` and ``wg-quick`` take.

As lenient as those two about case, white space and comments, and no more than them: wg(8),
"CONFIGURATION FILE FORMAT", and wg-quick(8), "CONFIGURATION".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr, single
from kgctl.mesh.endpoint import is_dns_name, parse_endpoint
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import Configuration, Interface, PeerSection
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint

_MAX_KEEPALIVE = 65535
_SECRETS = frozenset(("privatekey", "presharedkey"))
_SPACE = " \t\r\v\f"
"""White space within a line to wg; what else Unicode has is none."""


class ConfigurationError(KgctlError):
    """A configuration file has a line that is none; the message names it, and shows no secret."""


class _Line(NamedTuple):
    number: int
    key: str
    value: str


class _Field(NamedTuple):
    """What a key of the file becomes: a field of the section, parsed; lists are joined."""

    name: str
    parse: Callable[[str], Any]
    repeatable: bool = False


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
    for section, number, lines in _sections(text, label):
        wanted = [line for line in lines if line.key.lower() not in passing_over]
        if section == "peer":
            peers.append(_peer(number, wanted, label))
        elif interface is not None:
            raise ConfigurationError(f"{label}, line {number}: a second [Interface] section")
        else:
            interface = Interface(**_fields(wanted, _INTERFACE, label))
    return Configuration(interface=interface, peers=tuple(peers))


def _sections(text: str, label: str) -> Iterator[tuple[str, int, list[_Line]]]:
    """Yield each section with its lines; only a line feed ends a line, as it does for wg."""
    section, start, lines = "", 0, list[_Line]()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.partition("#")[0].strip(_SPACE)
        if not line:
            continue
        if line.lower() in ("[interface]", "[peer]"):
            if section:
                yield section, start, lines
            section, start, lines = line[1:-1].lower(), number, []
            continue
        key, equals, value = (part.strip(_SPACE) for part in line.partition("="))
        # a key that has more than letters may be a secret that ends in "=": it is not shown
        if not section or not equals or not (key.isascii() and key.isalpha()):
            raise ConfigurationError(
                f"{label}, line {number}: neither a section, as [Peer] is, nor KEY = VALUE in one"
            )
        lines.append(_Line(number, key, value))
    if section:
        yield section, start, lines


def _peer(number: int, lines: list[_Line], label: str) -> PeerSection:
    fields = _fields(lines, _PEER, label)
    if "public_key" not in fields:
        raise ConfigurationError(f"{label}, line {number}: the [Peer] has no PublicKey")
    return PeerSection(**fields)


def _fields(lines: list[_Line], known: dict[str, _Field], label: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for line in lines:
        where = f"{label}, line {line.number}"
        field = known.get(line.key.lower())
        if field is None:
            raise ConfigurationError(
                f'{where}: "{printable(line.key, 40)}" is no key that is known'
            )
        values = line.value.split(",") if field.repeatable else [line.value]
        if values == [""] and field.repeatable:
            values = []  # wg takes it for none
        parsed = tuple(_value(field, text.strip(_SPACE), line.key, where) for text in values)
        fields[field.name] = fields.get(field.name, ()) + parsed if field.repeatable else parsed[0]
    return fields


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


def _keepalive(text: str) -> int | None:
    return 0 if text.lower() == "off" else _number(text, _MAX_KEEPALIVE)


def _dns(text: str) -> Address | str | None:
    address = parse_address(text)
    return address or (text if is_dns_name(text) else None)


def _table(text: str) -> str | None:
    known = text in ("off", "auto") or _number(text, 2**32 - 1) is not None
    return text if known else None


_INTERFACE = {
    "address": _Field("addresses", _network, repeatable=True),
    "privatekey": _Field("private_key", PrivateKey.parse),
    "listenport": _Field("listen_port", lambda text: _number(text, 65535)),
    "dns": _Field("dns", _dns, repeatable=True),
    "mtu": _Field("mtu", lambda text: _number(text, 65535)),
    "table": _Field("table", _table),
}
_PEER = {
    "publickey": _Field("public_key", PublicKey.parse),
    "presharedkey": _Field("preshared_key", PresharedKey.parse),
    "allowedips": _Field("allowed_ips", _network, repeatable=True),
    "endpoint": _Field("endpoint", _endpoint),
    "persistentkeepalive": _Field("persistent_keepalive", _keepalive),
}
