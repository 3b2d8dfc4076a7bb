"""WireGuard's private keys: made, read from a file, written to one, and never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.errors import KgctlError
from kgctl.mesh.key import KEY_BYTES, PresharedKey, PublicKey, SecretKey, decode_key, encode_key
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from pathlib import Path

KEY_TEXT = 44
"""Characters that a key has in base64."""

_MAX_FILE = 4096  # bytes
_SPACE = b" \t\n\v\f\r\0"  # what wg passes over after a key


class KeyFileError(KgctlError):
    """A key file cannot be read or written, or holds no key. No message shows what it holds."""


class PrivateKey(SecretKey):
    """A WireGuard private key."""

    __slots__ = ()

    def public_key(self) -> PublicKey:
        """Return the public key that belongs to it: X25519 with the base point (RFC 7748)."""
        from nacl.bindings import crypto_scalarmult_base

        return PublicKey(crypto_scalarmult_base(self.raw))

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make a new private key, clamped as ``wg genkey`` does it (RFC 7748, section 5)."""
        from nacl.utils import random

        return cls(random(KEY_BYTES)).clamped()

    def clamped(self) -> PrivateKey:
        """Return the key as a device holds it; its public key is the same."""
        raw = bytearray(self.raw)
        raw[0] &= 248
        raw[31] = raw[31] & 127 | 64
        return PrivateKey(bytes(raw))


def generate_preshared_key() -> PresharedKey:
    """Make a new preshared key: 32 random bytes, as ``wg genpsk`` does it."""
    from nacl.utils import random

    return PresharedKey(random(KEY_BYTES))


def parse_private_key(content: bytes) -> PrivateKey | None:
    """Return the private key that ``content`` is, or None: as strict as ``wg pubkey``.

    44 characters of base64, with nothing before them and nothing but white space after them.
    """
    text = content[:KEY_TEXT].decode("ascii", "replace")
    raw = decode_key(text)
    if raw is None or encode_key(raw) != text or content[KEY_TEXT:].strip(_SPACE):
        return None  # other texts of the same bytes are keys to Go, and none to wg
    return PrivateKey(raw)


def read_private_key(path: Path) -> PrivateKey:
    """Read the private key that ``wg genkey`` wrote into a file.

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
    """Read the preshared key that ``wg genpsk`` wrote into a file.

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
    """Write a secret key into a new file that its owner alone can read (mode 0600).

    The file is there with all that is in it, or not at all.

    Raises:
        KeyFileError: there is such a file already, which is never overwritten, or it cannot be
            written.
    """
    from kgctl.files.writing import create_private

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
