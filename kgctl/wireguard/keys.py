"""WireGuard's private keys: made, read from a file, written to one, and never shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kgctl.mesh.errors import KgctlError
from kgctl.mesh.key import KEY_BYTES, PresharedKey, PublicKey, SecretKey

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE = 4096  # bytes; a key has 44


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

        raw = bytearray(random(KEY_BYTES))
        raw[0] &= 248
        raw[31] = raw[31] & 127 | 64
        return cls(bytes(raw))


def generate_preshared_key() -> PresharedKey:
    """Make a new preshared key: 32 random bytes, as ``wg genpsk`` does it."""
    from nacl.utils import random

    return PresharedKey(random(KEY_BYTES))


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
            f"(umask 077; kgctl genkey > {path})"
        )
    return key


def write_key(path: Path, key: SecretKey) -> None:
    """Write a secret key into a new file that its owner alone can read (mode 0600).

    Raises:
        KeyFileError: there is such a file already, which is never overwritten, or it cannot be
            written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(
            f"{path} exists, and a key is never overwritten; move it away, or name another file"
        ) from None
    except OSError as error:
        raise KeyFileError(f"cannot write the key {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{key.reveal()}\n")
