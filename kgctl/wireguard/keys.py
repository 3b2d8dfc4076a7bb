"""WireGuard's private keys, and reading one from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kgctl.mesh.errors import KgctlError
from kgctl.mesh.key import NO_KEY, PublicKey, decode_key, encode_key

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE = 4096  # bytes; a key has 44


class KeyFileError(KgctlError):
    """A key file cannot be read, or holds no key. The message never shows what it holds."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A WireGuard private key. Secret: it shows itself only through ``reveal``."""

    raw: bytes = field(repr=False)

    def reveal(self) -> str:
        """Return the base64 of the secret, to be written into a configuration."""
        return encode_key(self.raw)

    def public_key(self) -> PublicKey:
        """Return the public key that belongs to it: X25519 with the base point (RFC 7748)."""
        from nacl.bindings import crypto_scalarmult_base

        return PublicKey(crypto_scalarmult_base(self.raw))

    @classmethod
    def parse(cls, text: str) -> PrivateKey | None:
        """Parse base64, or return None where it is no key, or the key of 32 zero bytes."""
        raw = decode_key(text.strip())
        return None if raw is None or raw == NO_KEY else cls(raw)


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
    key = PrivateKey.parse(content.decode("ascii", "replace"))
    if key is None:
        raise KeyFileError(
            f"{path} holds no WireGuard private key (base64 of 32 bytes); make one: "
            f"(umask 077; wg genkey > {path})"
        )
    return key
