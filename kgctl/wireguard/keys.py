"""WireGuard's secret keys: generating, reading and writing them without ever showing one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.errors import KgctlError
from kgctl.mesh.key import KEY_BYTES, PresharedKey, PublicKey, SecretKey, decode_key, encode_key
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from pathlib import Path

KEY_TEXT = 44
"""Length of a key in base64 characters."""

_MAX_FILE = 4096  # bytes
_SPACE = b" \t\n\v\f\r\0"  # the bytes that wg ignores after a key


class KeyFileError(KgctlError):
    """A key file cannot be read or written, or holds no key. The message quotes no content."""


class PrivateKey(SecretKey):
    """A WireGuard private key."""

    __slots__ = ()

    def public_key(self) -> PublicKey:
        """Return its public key: X25519 with the base point (RFC 7748)."""
        from nacl.bindings import crypto_scalarmult_base

        return PublicKey(crypto_scalarmult_base(self.raw))

    @classmethod
    def generate(cls) -> PrivateKey:
        """Generate a private key, clamped like those of ``wg genkey`` (RFC 7748, section 5)."""
        from nacl.utils import random

        return cls(random(KEY_BYTES)).clamped()

    def clamped(self) -> PrivateKey:
        """Return the key as a device holds it; its public key is the same."""
        raw = bytearray(self.raw)
        raw[0] &= 248
        raw[31] = raw[31] & 127 | 64
        return PrivateKey(bytes(raw))


def generate_preshared_key() -> PresharedKey:
    """Generate a preshared key: 32 random bytes, like ``wg genpsk``."""
    from nacl.utils import random

    return PresharedKey(random(KEY_BYTES))


def parse_private_key(content: bytes) -> PrivateKey | None:
    """Parse a private key as strictly as ``wg pubkey``, or return None.

    It has 44 characters of base64, with nothing before and only white space after them.
    """
    text = content[:KEY_TEXT].decode("ascii", "replace")
    raw = decode_key(text)
    if raw is None or encode_key(raw) != text or content[KEY_TEXT:].strip(_SPACE):
        return None  # Go accepts other base64 texts of the same bytes, wg does not
    return PrivateKey(raw)


def read_private_key(path: Path) -> PrivateKey:
    """Read a private key from a file, as written by ``wg genkey``.

    Raises:
        KeyFileError: the file cannot be read, or is not the base64 of 32 bytes.
    """
    key = PrivateKey.parse(_text_of(path, "private key"))
    if key is None:
        raise KeyFileError(
            f"{_shown(path)} holds no WireGuard private key (base64 of 32 bytes); make one: "
            f"(umask 077; kgctl genkey > {_shown(path)})"
        )
    return key


def read_preshared_key(path: Path) -> PresharedKey:
    """Read a preshared key from a file, as written by ``wg genpsk``.

    Raises:
        KeyFileError: the file cannot be read, or is not the base64 of 32 bytes.
    """
    key = PresharedKey.parse(_text_of(path, "preshared key"))
    if key is None:
        raise KeyFileError(
            f"{_shown(path)} holds no WireGuard preshared key (base64 of 32 bytes); make one: "
            f"(umask 077; kgctl genpsk > {_shown(path)})"
        )
    return key


def _text_of(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE)
    except OSError as error:
        raise KeyFileError(f"cannot read the {what} {_shown(path)}: {error.strerror}") from None
    return content.decode("ascii", "replace").strip()


def write_key(path: Path, key: SecretKey) -> None:
    """Write a secret key into a new file that only its owner can read (mode 0600).

    The file appears with its whole content or not at all.

    Raises:
        KeyFileError: the file exists, and is never overwritten, or cannot be written.
    """
    from kgctl.files.atomic import create_private

    content = f"{key.reveal()}\n".encode("ascii")
    try:
        create_private(path, content)
    except FileExistsError:
        raise KeyFileError(
            f"{_shown(path)} exists, and a key is never overwritten; move it away, or name "
            "another file"
        ) from None
    except OSError as error:
        raise KeyFileError(f"cannot write the key {_shown(path)}: {error.strerror}") from None


def _shown(path: Path) -> str:
    return printable(str(path))
