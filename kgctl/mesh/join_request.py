"""A machine's request to join, as one line that people pass on: who it is, and its public key.

The line is ``kgctl-join-v1-NAME-REST``. REST has only letters and digits (base32 of RFC 4648,
without padding), so that no program for chats or mail changes it: no quotes, links, dashes or
emoji. It holds a CRC-32 of the name and what follows, the public key, and lines of text: the
endpoint, which may be empty, and each network behind the machine. Upper and lower case are the
same, and white space does not count.
"""

from __future__ import annotations

import re
import zlib
from base64 import b32decode, b32encode
from binascii import Error as BinasciiError
from typing import TYPE_CHECKING, Final, NamedTuple

from kgctl.errors import InputError
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import is_dns_name, parse_endpoint
from kgctl.mesh.key import KEY_BYTES, NO_KEY, PublicKey

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint

MOST: Final = 300
"""The longest line, in characters: it stays one message in every chat."""

_WORD = "kgctl-join-v"
_PREFIX = f"{_WORD}1-"
_CHECK_BYTES = 4
_OTHER_VERSION = re.compile(rf"{_WORD}[0-9]{{1,3}}-")


class JoinRequestError(InputError):
    """A line is no request to join, or a request is too long for a line."""


class JoinRequest(NamedTuple):
    """What a machine says of itself: nobody has checked it. ``lan`` are networks behind it."""

    name: str
    public_key: PublicKey
    endpoint: Endpoint | None = None
    lan: tuple[Cidr, ...] = ()

    def line(self) -> str:
        """Return the line, without a line break.

        Raises:
            JoinRequestError: it would be longer than ``MOST``.
        """
        texts = ["" if self.endpoint is None else str(self.endpoint), *map(str, self.lan)]
        content = self.public_key.raw + "\n".join(texts).encode("ascii")
        data = _check(self.name, content) + content
        rest = b32encode(data).decode("ascii").rstrip("=").lower()
        line = f"{_PREFIX}{self.name}-{rest}"
        if len(line) > MOST:
            raise JoinRequestError(
                f"the request has {len(line)} characters, more than {MOST}: give a shorter name, "
                "or leave networks to those who add the machine"
            )
        return line


def _check(name: str, content: bytes) -> bytes:
    return zlib.crc32(f"{name}\n".encode("ascii") + content).to_bytes(_CHECK_BYTES, "big")


def parse_join_request(text: str) -> JoinRequest:
    """Parse a line, which is hostile: it comes from a chat.

    Raises:
        JoinRequestError: it is no request, is damaged, or has an invalid value.
    """
    line = "".join(text.split()).lower() if len(text) <= 4 * MOST else ""
    if not line.startswith(_PREFIX):
        if _OTHER_VERSION.match(line):
            raise JoinRequestError("the request to join is of another version of kgctl")
        raise JoinRequestError(
            f"this is no request to join, which begins with {_PREFIX}; kgctl join-request prints "
            "one on the machine"
        )
    name, _, rest = line.removeprefix(_PREFIX).rpartition("-")
    request = _request(name, rest) if len(line) <= MOST and is_dns_name(name) else None
    if request is None or request.line() != line:
        raise JoinRequestError(
            "the request to join is damaged or incomplete: copy the whole line again"
        )
    return request


def _request(name: str, rest: str) -> JoinRequest | None:
    try:
        data = b32decode(rest.upper() + "=" * (-len(rest) % 8))
        check, content = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
        first, *networks = content[KEY_BYTES:].decode("ascii").split("\n")
    except (BinasciiError, ValueError):
        return None
    raw = content[:KEY_BYTES]
    if check != _check(name, content) or len(raw) != KEY_BYTES or raw == NO_KEY:
        return None
    endpoint = parse_endpoint(first)
    lan = [cidr for cidr in map(parse_cidr, networks) if cidr is not None and _is_network(cidr)]
    if len(lan) != len(networks) or (first and endpoint is None):
        return None
    return JoinRequest(name, PublicKey(raw), endpoint, tuple(lan))


def _is_network(cidr: Cidr) -> bool:
    """Return whether it is a network behind a machine, and not one address."""
    return cidr.host_bits > 0 and cidr == cidr.masked()
