"""Why a value does not parse, in words: the first thing that a person would correct.

The parsers themselves (``kgctl.mesh.cidr``, ``endpoint`` and ``key``) say only that it does not.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import parse_address, parse_cidr
from kgctl.mesh.endpoint import is_dns_name, parse_port
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

    ``podCIDR`` stands for the field of a Node's spec. The text is printable, on one line.
    """
    return _WHY[name](text) if text else _EMPTY


def why_no_endpoint(text: str) -> str:
    """Return why a text is not ``host:port``."""
    if "://" in text:
        return "it begins with a scheme; host:port stands alone"
    if text.startswith("["):
        return _why_not_bracketed(text)
    host, colon, port = text.rpartition(":")
    if parse_address(text) is not None or not colon or not port:
        six = ":" in text.rstrip(":")
        return f"{_NO_PORT}, and an IPv6 address stands in brackets" if six else _NO_PORT
    return _why_no_port(port) or _why_no_host(host)


def _why_not_bracketed(text: str) -> str:
    inner, bracket, rest = text[1:].partition("]")
    if not bracket:
        return "a bracket is not closed"
    if parse_address(inner) is None or ":" not in inner:
        return f"{_why_no_address(inner, 'an IPv6 address')}, which alone stands in brackets"
    if not rest.removeprefix(":"):
        return _NO_PORT
    return _why_no_port(rest.removeprefix(":")) or "between the bracket and the port stands a colon"


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
        return "an IPv6 address stands in brackets"
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
        return "it is a list, and one network is wanted"
    address, slash, prefix = text.partition("/")
    if not slash:
        whole = parse_address(text)
        if whole is not None:
            return f"it has no prefix length: {whole}/{whole.max_prefixlen} is the one address"
        return f"{_why_no_address(text)} with a prefix length"
    found = parse_address(address)
    if found is None:
        return _why_no_address(address)
    if parse_address(prefix) is not None:
        return "its mask is dotted: write the length of the prefix"
    if not prefix:
        return "it has no prefix length"
    if not prefix.isascii() or not prefix.isdigit():
        return f'"{printable(prefix, _SHOWN)}" is not a prefix length'
    if prefix != "0" and prefix.startswith("0"):
        return "the prefix length begins with 0"
    return f"a prefix length is at most {found.max_prefixlen}, not {printable(prefix, _SHOWN)}"


def why_no_cidrs(text: str) -> str:
    """Return why a list of networks, separated by commas, holds none of them or not all."""
    bad = [entry for entry in text.split(",") if parse_cidr(entry) is None]
    if not any(bad):
        return "an entry of it is empty"
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
        return f"it is {len(raw)} bytes long, and a key has {KEY_BYTES}"
    return "it is all zero, which stands for no key"


def why_no_seconds(text: str) -> str:
    """Return why a text is not a whole number of seconds."""
    if _UNIT.fullmatch(text):
        return "it has a unit: write the number of seconds alone"
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
