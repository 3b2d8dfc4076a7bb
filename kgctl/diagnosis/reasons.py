"""Reasons why values do not parse, and suggestions for unknown annotations.

A reason names the first thing to correct; the parsers (``kgctl.mesh.cidr``, ``endpoint`` and
``key``) return only None. Suggestions come from Kilo's former names, then from the spelling.
"""

from __future__ import annotations

import binascii
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import parse_address, parse_cidr
from kgctl.mesh.endpoint import Endpoint, is_dns_name, parse_endpoint, parse_port
from kgctl.mesh.key import KEY_BYTES
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable


_SHOWN = 40  # characters of a part of a value
_EMPTY = "it is empty"
_NO_PORT = "it has no port"
_UNIT = re.compile(r"[+-]?[0-9.]+ *[a-zA-Zµ]+")
_DECIMAL = re.compile(r"[+-]?[0-9]+[.,][0-9]*")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
_DOTTED = re.compile(r"[0-9.]+")


def why_unreadable(name: str, text: str) -> str:
    """Return why the annotation ``name`` (without its prefix) does not parse, as a clause.

    ``podCIDR`` is the field of a Node's spec. The clause is printable, on one line.
    """
    return _WHY[name](text) if text else _EMPTY


def why_no_endpoint(text: str) -> str:
    """Return why a text is not ``host:port``."""
    if "://" in text:
        return "it begins with a scheme; write host:port only"
    if text.startswith("["):
        return _why_not_bracketed(text)
    host, colon, port = text.rpartition(":")
    if parse_address(text) is not None or not colon or not port:
        six = ":" in text.rstrip(":")
        return f"{_NO_PORT}, and an IPv6 address needs brackets" if six else _NO_PORT
    return _why_no_port(port) or _why_no_host(host)


def _why_not_bracketed(text: str) -> str:
    inner, bracket, rest = text[1:].partition("]")
    if not bracket:
        return "a bracket is not closed"
    if parse_address(inner) is None or ":" not in inner:
        return f"{_why_no_address(inner, 'an IPv6 address')}; only those have brackets"
    if not rest.removeprefix(":"):
        return _NO_PORT
    return _why_no_port(rest.removeprefix(":")) or "there is no colon between bracket and port"


def _why_no_port(text: str) -> str | None:
    if parse_port(text) is not None:
        return None
    if _DIGITS.fullmatch(text) and text.isdigit():
        return f"a port is 1 to 65535, not {printable(text, _SHOWN)}"
    return f'"{printable(text, _SHOWN)}" is not a port'


def _why_no_host(host: str) -> str:
    if not host:
        return "it has no host"
    if parse_cidr(host) is not None:
        return "an endpoint has no prefix length"
    if parse_address(host) is not None or host.count(":") > 1:
        return "an IPv6 address needs brackets"
    if is_dns_name(host.rstrip(".").lower()):
        return "the name ends in a dot" if host.endswith(".") else "the name is not in lower case"
    return f'"{printable(host, _SHOWN)}" is neither an address nor a DNS name'


def _why_no_address(text: str, what: str = "an IP address") -> str:
    if "%" in text and parse_address(text.partition("%")[0]) is not None:
        return "the address has a zone"
    if _DOTTED.fullmatch(text) and any(
        part != "0" and part.startswith("0") for part in text.split(".")
    ):
        return "a number of the address begins with 0"
    return f'"{printable(text, _SHOWN)}" is not {what}'


def why_no_cidr(text: str) -> str:
    """Return why a text is not ``address/prefix``."""
    if "," in text:
        return "it is a list, not one network"
    address, slash, prefix = text.partition("/")
    if not slash:
        whole = parse_address(text)
        if whole is not None:
            return f"it has no prefix length: {whole}/{whole.max_prefixlen} is the single address"
        return f"{_why_no_address(text)} with a prefix length"
    found = parse_address(address)
    if found is None:
        return _why_no_address(address)
    if parse_address(prefix) is not None:
        return "its mask is dotted: write the prefix length"
    if not prefix:
        return "it has no prefix length"
    if not prefix.isascii() or not prefix.isdigit():
        return f'"{printable(prefix, _SHOWN)}" is not a prefix length'
    if prefix != "0" and prefix.startswith("0"):
        return "the prefix length begins with 0"
    return f"a prefix length is at most {found.max_prefixlen}, not {printable(prefix, _SHOWN)}"


def why_no_cidrs(text: str) -> str:
    """Return why a list of networks, separated by commas, does not parse, or not all of it."""
    bad = [entry for entry in text.split(",") if parse_cidr(entry) is None]
    if not any(bad):
        return "an entry is empty"
    entry = next(filter(None, bad))
    reason = why_no_cidr(entry)
    if len(bad) == 1 or printable(entry, _SHOWN) in reason:
        return reason
    return f'of "{printable(entry, _SHOWN)}": {reason}'


def why_no_key(text: str) -> str:
    """Return why a text is not a WireGuard public key."""
    if _HEX_KEY.fullmatch(text):
        return "it is written in hexadecimal, not in base64"
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return "it is not base64"
    if len(raw) != KEY_BYTES:
        return f"it is {len(raw)} bytes long, but a key has {KEY_BYTES}"
    return "it is all zero, which means no key"


def why_no_seconds(text: str) -> str:
    """Return why a text is not a whole number of seconds."""
    if _UNIT.fullmatch(text):
        return "it has a unit: write only the number of seconds"
    if _DECIMAL.fullmatch(text):
        return "it is not a whole number"
    if _DIGITS.fullmatch(text):
        return "the number is too large"
    return "it is not a number"


def _why_no_discoveries(text: str) -> str:
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON"
    if not isinstance(found, dict):
        return "it is not a JSON object"
    return "a value in it has no IP, Port and Zone"


def _why_no_granularity(_text: str) -> str:
    return "it is neither location nor full"


_WHY: dict[str, Callable[[str], str]] = {
    "force-endpoint": why_no_endpoint,
    "endpoint": why_no_endpoint,
    "force-internal-ip": why_no_cidr,
    "internal-ip": why_no_cidr,
    "wireguard-ip": why_no_cidr,
    "cni-compatibility-ip": why_no_cidr,
    "podCIDR": why_no_cidr,
    "allowed-location-ips": why_no_cidrs,
    "key": why_no_key,
    "last-seen": why_no_seconds,
    "persistent-keepalive": why_no_seconds,
    "discovered-endpoints": _why_no_discoveries,
    "granularity": _why_no_granularity,
}


WRITTEN_BY_PEOPLE = frozenset(
    (
        *("allowed-location-ips", "force-endpoint", "force-internal-ip", "leader", "location"),
        *("persistent-keepalive", "kgctl-ignore"),
    )
)
WRITTEN_BY_AGENTS = frozenset(
    (
        *("cni-compatibility-ip", "discovered-endpoints", "endpoint", "granularity"),
        *("internal-ip", "key", "last-seen", "wireguard-ip"),
    )
)
KNOWN = WRITTEN_BY_PEOPLE | WRITTEN_BY_AGENTS
"""Kilo's annotations (https://kilo.squat.ai/docs/annotations), and that of kgctl."""

OF_OTHERS = frozenset({"clustermesh-endpoint"})
"""Annotations of other programs under Kilo's prefix: the kilo-clustermesh operator."""

_PORT = 51820
_NAMES_KEPT = 1024
_LONGEST = 64  # characters of a name that is compared
_SLIPS = 2  # letters that differ, in a name of eight or more


class Meant(NamedTuple):
    """The annotation that was meant, without its prefix, and the reason for the guess."""

    name: str
    reason: str


_WAS = {
    "force-external-ip": Meant(
        "force-endpoint",
        "its name is now force-endpoint, with a port",
    ),
    "external-ip": Meant(
        "force-endpoint",
        "Kilo's agent now writes endpoint, and people set force-endpoint",
    ),
    "force-public-ip": Meant("force-endpoint", "the public address is set with force-endpoint"),
    "public-ip": Meant("force-endpoint", "the public address is set with force-endpoint"),
    "force-ip": Meant("force-endpoint", "the address that is dialled is set with force-endpoint"),
    "force-private-ip": Meant(
        "force-internal-ip", "the private address is set with force-internal-ip"
    ),
    "private-ip": Meant("force-internal-ip", "the private address is set with force-internal-ip"),
    "keepalive": Meant("persistent-keepalive", "the keepalive is set with persistent-keepalive"),
    "region": Meant("location", "the location is set with location"),
    "zone": Meant("location", "the location is set with location"),
    "topology": Meant("location", "the location is set with location"),
}
"""Former names of Kilo's annotations, and names that people use for them."""


@lru_cache(_NAMES_KEPT)  # a mistake on one node is often on all nodes
def meant_by(name: str) -> Meant | None:
    """Return the annotation that ``name`` was meant to be, or None if no name is similar.

    Similarity to Kilo's present names alone misleads: ``force-external-ip`` is two letters from
    ``force-internal-ip``, which is its opposite.
    """
    plain = _plain(name[:_LONGEST].lower())
    most = _SLIPS if len(plain) >= 8 else len(plain) > 3
    near = sorted((_distance(plain, _plain(known), most), known) for known in (*_WAS, *KNOWN))
    distance, found = near[0]
    tied = [known for far, known in near if far == distance]
    if distance > most or len({_meant(known).name for known in tied}) > 1:
        return None
    return _meant(found)


def _meant(known: str) -> Meant:
    if known in _WAS:
        return _WAS[known]
    if known in WRITTEN_BY_PEOPLE:
        return Meant(known, f"the nearest known one is {known}")
    forced = f"force-{known}"
    if forced in KNOWN:
        return Meant(forced, f"it is like {known}, which Kilo's agent writes; people set {forced}")
    return Meant("", f"it is like {known}, which Kilo's agent writes itself")


def value_for(meant: str, text: str) -> str | None:
    """Return the value for the annotation ``meant`` that ``text`` gives, or None."""
    if meant == "force-endpoint":
        if parse_endpoint(text) is not None:
            return text
        network = parse_cidr(text)
        address = parse_address(text) if network is None else network.address
        return None if address is None else str(Endpoint(address, _PORT))
    if meant == "force-internal-ip":
        return text if parse_cidr(text) is not None else None
    return text if re.fullmatch(r"[\w.,:/-]{1,60}", text) else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name)


def _distance(one: str, other: str, most: int) -> int:
    """Return the edit distance, with swaps of adjacent letters; inexact above ``most``."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != wanted))
            swapped = (
                row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted
            )
            now.append(min(cost, before[column - 2] + 1) if swapped else cost)
        before, last = last, now
    return last[-1]
