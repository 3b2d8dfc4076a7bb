"""WireGuard keys: 32 bytes, written in base64.

Neither ``str`` nor ``repr`` shows a secret key, so that none gets into a log or an error by
accident. Only ``reveal`` returns its text.
"""

from __future__ import annotations

import binascii
from typing import NamedTuple, Self

KEY_BYTES = 32
NO_KEY = bytes(KEY_BYTES)
"""The key field of an interface or a peer without a key."""


def decode_key(text: str) -> bytes | None:
    """Decode the base64 of 32 bytes, or return None.

    Like Go's decoder, this ignores line breaks within the text and is strict otherwise. A key of
    32 zero bytes is decoded too, though Kilo and WireGuard treat it as no key.
    """
    if len(text) > 2 * KEY_BYTES or not text.isascii():
        return None
    try:
        if "\n" in text or "\r" in text:
            text = text.replace("\r", "").replace("\n", "")
        raw = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
    return raw if len(raw) == KEY_BYTES else None


def encode_key(raw: bytes) -> str:
    """Return the base64 of a key."""
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


class PublicKey(NamedTuple):
    """A WireGuard public key; ``str`` returns its base64."""

    raw: bytes

    def __str__(self) -> str:
        return encode_key(self.raw)

    @classmethod
    def parse(cls, text: str) -> PublicKey | None:
        """Parse base64, or return None if it is not a key or has 32 zero bytes."""
        raw = decode_key(text)
        return None if raw is None or raw == NO_KEY else cls(raw)


class SecretKey:
    """A secret key: only ``reveal`` shows it.

    It is deliberately neither a tuple nor a dataclass: both would show their content.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.raw == self._raw

    def __hash__(self) -> int:
        return hash((type(self), self._raw))

    @property
    def raw(self) -> bytes:
        """The 32 bytes."""
        return self._raw

    def reveal(self) -> str:
        """Return the base64 of the secret, to write it into a configuration."""
        return encode_key(self._raw)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse base64, or return None if it is not a key or has 32 zero bytes."""
        raw = decode_key(text)
        return None if raw is None or raw == NO_KEY else cls(raw)


class PresharedKey(SecretKey):
    """A WireGuard preshared key."""

    __slots__ = ()
