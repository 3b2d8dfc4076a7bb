"""WireGuard's private keys, and reading one from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.errors import KgctlError
from kgctl.mesh.key import KEY_BYTES, PublicKey, SecretKey

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE = 4096  # bytes; a key has 44


class KeyFileError(KgctlError):
    """A key file cannot be read, or holds no key. The message never shows what it holds."""


class PrivateKey(SecretKey):
    """A WireGuard private key."""

    __slots__ = ()

    def public_key(self) -> PublicKey:
        """Return the public key that belongs to it: X25519 with the base point (RFC 7748)."""
        from nacl.bindings import crypto_scalarmult_base

        return PublicKey(crypto_scalarmult_base(self.raw))


def generate_private_key() -> PrivateKey:
    """Return a new private key from the system's randomness, clamped as ``wg genkey`` does it."""
    import os

    raw = bytearray(os.urandom(KEY_BYTES))
    raw[0] &= 248
    raw[31] = (raw[31] & 127) | 64
    return PrivateKey(bytes(raw))


def read_private_key(path: Path) -> PrivateKey:
    """Read the private key that ``wg genkey`` wrote into a file.

    Raises:
        KeyFileError: the file cannot be read, or is not the base64 of 32 bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE)
    except OSError as error:
        raise KeyFileError(f"cannot read the private key {path}: {error.strerror}") from None
    key = PrivateKey.parse(content.decode("ascii", "replace").strip())
    if key is None:
        raise KeyFileError(
            f"{path} holds no WireGuard private key (base64 of 32 bytes); make one: "
            f"(umask 077; wg genkey > {path})"
        )
    return key
